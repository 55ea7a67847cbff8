#include "ioengine/sched/block_pool.h"

#include <sys/mman.h>

#include <algorithm>

#ifdef IOENGINE_SCHED_POISON
#include <sanitizer/asan_interface.h>
#endif

namespace ioengine {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;

}  // namespace

BlockPool::BlockPool(size_t max_bytes) {
  size_t bytes = (std::max(max_bytes, size_t{1}) + kSlabBytes - 1) / kSlabBytes * kSlabBytes;
  for (; bytes >= kSlabBytes; bytes = bytes / 2 / kSlabBytes * kSlabBytes) {
    // As much more as it takes to begin at a huge page.
    mapped_bytes_ = bytes + kHugePageBytes;
    mapped_ = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped_ == MAP_FAILED) continue;
    range_ = (reinterpret_cast<uintptr_t>(mapped_) + kHugePageBytes - 1) & ~(kHugePageBytes - 1);
    range_bytes_ = bytes;
    // Slabs are touched as they are needed; a huge page would take 2 MiB for the first task. Where
    // many live, huge pages save a miss of the TLB for each: from the second on.
    madvise(reinterpret_cast<void*>(range_), std::min(bytes, kHugePageBytes), MADV_NOHUGEPAGE);
    if (bytes > kHugePageBytes) {
      madvise(reinterpret_cast<void*>(range_ + kHugePageBytes), bytes - kHugePageBytes,
              MADV_HUGEPAGE);
    }
    return;
  }
  mapped_bytes_ = 0;
}

BlockPool::~BlockPool() {
  if (range_bytes_ == 0) return;
#ifdef IOENGINE_SCHED_POISON
  __asan_unpoison_memory_region(reinterpret_cast<void*>(range_), slab_bytes());
#endif
  munmap(mapped_, mapped_bytes_);
}

void* BlockPool::Carve(size_t list) {
  const size_t block_bytes = list * kGranuleBytes;
  Uncarved& rest = uncarved_[list];
  if (rest.next + block_bytes > rest.end || rest.next == 0) {
    const size_t slab = list_of_slab_.size();
    if ((slab + 1) * kSlabBytes > range_bytes_) return nullptr;
    list_of_slab_.push_back(static_cast<uint8_t>(list));
    rest = {FirstBlock(slab), range_ + (slab + 1) * kSlabBytes};
  }
  void* const block = reinterpret_cast<void*>(rest.next);
  rest.next += block_bytes;
  return block;
}

#ifdef IOENGINE_SCHED_POISON
void BlockPool::Poison(void* block, size_t size_bytes) {
  if (size_bytes <= sizeof(FreeBlock)) return;
  __asan_poison_memory_region(static_cast<char*>(block) + sizeof(FreeBlock),
                              size_bytes - sizeof(FreeBlock));
}

void BlockPool::Unpoison(void* block, size_t size_bytes) {
  __asan_unpoison_memory_region(block, size_bytes);
}
#endif

}  // namespace ioengine
