#include "ioengine/engine/lsm/arena.h"

#include <algorithm>

namespace ioengine {

Arena::Arena(size_t most_block_bytes, MemoryBudget* budget)
    : most_block_bytes_(most_block_bytes), budget_(budget) {}

Arena::~Arena() {
  if (budget_ != nullptr) budget_->Release(total_bytes_);
}

std::byte* Arena::AllocateFromNewBlock(size_t size_bytes) {
  const size_t block_bytes = std::min(most_block_bytes_, std::max(kFirstBlockBytes, total_bytes_));
  // Beside the block in use, which smaller pieces go on to fill.
  if (size_bytes > block_bytes / 4) return NewBlock(size_bytes);
  std::byte* const block = NewBlock(block_bytes);
  next_ = block + size_bytes;
  left_bytes_ = block_bytes - size_bytes;
  return block;
}

std::byte* Arena::NewBlock(size_t size_bytes) {
  blocks_.push_back(std::make_unique_for_overwrite<std::byte[]>(size_bytes));
  if (budget_ != nullptr) budget_->Charge(size_bytes);
  total_bytes_ += size_bytes;
  return blocks_.back().get();
}

}  // namespace ioengine
