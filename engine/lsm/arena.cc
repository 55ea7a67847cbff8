#include "ioengine/engine/lsm/arena.h"

#include <sys/mman.h>

#include <algorithm>

#include "ioengine/numa/node_memory.h"

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
  const bool is_huge = size_bytes % kHugePageBytes == 0;
  const FreeBlock free{std::align_val_t(is_huge ? kHugePageBytes : alignof(std::max_align_t))};
  blocks_.emplace_back(static_cast<std::byte*>(::operator new(size_bytes, free.alignment)), free);
  // A request only: without huge pages it is slower, and nothing else.
  if (is_huge) madvise(blocks_.back().get(), size_bytes, MADV_HUGEPAGE);
  if (budget_ != nullptr) budget_->Charge(size_bytes);
  total_bytes_ += size_bytes;
  return blocks_.back().get();
}

}  // namespace ioengine
