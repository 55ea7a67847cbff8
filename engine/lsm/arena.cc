#include "ioengine/engine/lsm/arena.h"

#include <algorithm>

namespace ioengine {

Arena::Arena(size_t most_block_bytes, MemoryBudget* budget)
    : most_block_bytes_(most_block_bytes), charge_(budget) {}

std::byte* Arena::AllocateFromNewBlock(size_t size_bytes) {
  const size_t wanted_bytes = PageMemory::RoundUp(std::max(kFirstBlockBytes, total_bytes_));
  const size_t block_bytes = std::min(most_block_bytes_, wanted_bytes);
  // Beside the block in use, which smaller pieces go on to fill.
  if (size_bytes > block_bytes / 4) return NewBlock(size_bytes);
  std::byte* const block = NewBlock(block_bytes);
  next_ = block + size_bytes;
  left_bytes_ = block_bytes - size_bytes;
  return block;
}

std::byte* Arena::NewBlock(size_t size_bytes) {
  const bool takes_pages = size_bytes >= PageMemory::kLeastBytes;
  total_bytes_ += takes_pages ? PageMemory::RoundUp(size_bytes) : size_bytes;
  charge_.Resize(total_bytes_);
  if (takes_pages) return pages_.emplace_back(size_bytes, PageMemory::Touch::kNow).data();
  blocks_.push_back(std::make_unique_for_overwrite<std::byte[]>(size_bytes));
  return blocks_.back().get();
}

}  // namespace ioengine
