// BlockPool: small blocks of memory from free lists, one list for each size.
#ifndef IOENGINE_SCHED_BLOCK_POOL_H_
#define IOENGINE_SCHED_BLOCK_POOL_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ioengine/sched/memory_budget.h"

namespace ioengine {

// One range of address space, cut into slabs, each cut into blocks of one size:
//
//   │ slab: 64 B blocks │ slab: 96 B blocks │ slab: 64 B blocks │    not touched yet    │
//
// A block that was freed last is given out first: it is in the cache. The range is reserved at once
// and takes memory only where blocks were given out; slabs in which no block is in use go back to
// the system when the budget has no room for another one, or by Trim. Since it is one range, a
// comparison tells whether a block is of this pool.
//
// Shard: one; not synchronised.
class BlockPool {
 public:
  // Sizes are multiples of it, and blocks aligned to it; those of a multiple of 16 are aligned to
  // 16. (The size of a type is a multiple of its alignment, so that is enough for any.)
  static constexpr size_t kGranuleBytes = 8;
  static constexpr size_t kMaxBlockBytes = 1024;
  static constexpr size_t kSlabBytes = size_t{32} << 10;

  // Reserves `max_bytes` of address space, rounded up to whole slabs, or less when the process may
  // not have so much (RLIMIT_AS).
  explicit BlockPool(size_t max_bytes);
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  // Unmaps the range, whether blocks are in use or not.
  ~BlockPool();

  // From now on slabs are charged to `budget`; once, before the first. A slab that it refuses is
  // not taken, unless `may_exceed`.
  void SetBudget(std::shared_ptr<MemoryBudget> budget, bool may_exceed);

  // At least `size_bytes`, or null: more than kMaxBlockBytes, or range or budget are used up. Cost:
  // a few instructions; for a new slab, page faults.
  void* TryAllocate(size_t size_bytes) {
    const size_t list = ListOf(size_bytes);
    if (list >= kLists) return nullptr;
    FreeBlock* const block = free_[list];
    if (block == nullptr) [[unlikely]] {
      return Carve(list);
    }
    free_[list] = block->next;
    ++in_use_;
    Unpoison(block, list * kGranuleBytes);
    return block;
  }

  // `block` came from TryAllocate(size_bytes) of this pool.
  void Free(void* block, size_t size_bytes) {
    const size_t list = ListOf(size_bytes);
    auto* const freed = static_cast<FreeBlock*>(block);
    freed->next = free_[list];
    freed->marker = kFreeMarker;
    free_[list] = freed;
    --in_use_;
    Poison(block, list * kGranuleBytes);
  }

  bool Contains(const void* block) const {
    return reinterpret_cast<uintptr_t>(block) - range_ < range_bytes_;
  }

  // Calls `function(block)` for each block in use. `function` may allocate and free any blocks;
  // those allocated meanwhile may be missed. Requires that the second word of no block in use is
  // kFreeMarker (in a coroutine's frame it is the address of its destroy function).
  template <typename Function>
  void ForEachBlock(Function function) {
    ++walks_;
    for (size_t slab = 0; slab < list_of_slab_.size(); ++slab) {
      const size_t list = list_of_slab_[slab];
      if (list == kNoList) continue;
      const uintptr_t end = CarvedEnd(slab);
      const size_t block_bytes = list * kGranuleBytes;
      for (uintptr_t at = FirstBlock(slab); at + block_bytes <= end; at += block_bytes) {
        auto* const block = reinterpret_cast<FreeBlock*>(at);
        // Another thread may be writing to a block in use.
        const uintptr_t marker = __atomic_load_n(&block->marker, __ATOMIC_RELAXED);
        if (marker != kFreeMarker) function(static_cast<void*>(block));
      }
    }
    --walks_;
  }

  // Gives slabs without a block in use back to the system; how many: none within ForEachBlock,
  // which looks at their memory. Cost: looks at each free block.
  size_t Trim();

  static constexpr uintptr_t kFreeMarker = 1;

  size_t blocks_in_use() const { return in_use_; }
  // Address space that it may use, and what slabs take of it.
  size_t reserved_bytes() const { return range_bytes_; }
  size_t slab_bytes() const { return (list_of_slab_.size() - empty_slabs_.size()) * kSlabBytes; }

 private:
  struct FreeBlock {
    FreeBlock* next;
    uintptr_t marker;
  };
  struct Uncarved {  // the rest of a list's newest slab
    uintptr_t next = 0;
    uintptr_t end = 0;
  };
  static constexpr size_t kFirstBlockBytes = 64;
  static constexpr size_t kLists = kMaxBlockBytes / kGranuleBytes + 1;
  static constexpr uint8_t kNoList = 0;              // of a slab that is empty
  static_assert(sizeof(FreeBlock) > kGranuleBytes);  // so no block is of list 0

  static size_t ListOf(size_t size_bytes) {
    const size_t granules = (size_bytes + kGranuleBytes - 1) / kGranuleBytes;
    return std::max(granules, sizeof(FreeBlock) / kGranuleBytes);
  }

  // The beginning of the range stays empty, so that a look in front of any block is a look at
  // mapped memory (FramePool does that).
  uintptr_t FirstBlock(size_t slab) const {
    return range_ + slab * kSlabBytes + (slab == 0 ? kFirstBlockBytes : 0);
  }

  // Of a list's newest slab the rest was never given out. (`function` of ForEachBlock may carve.)
  uintptr_t CarvedEnd(size_t slab) const {
    const uintptr_t end = range_ + (slab + 1) * kSlabBytes;
    const Uncarved& rest = uncarved_[list_of_slab_[slab]];
    return rest.end == end ? rest.next : end;
  }

  void* Carve(size_t list);
  // The number of a slab that is empty, charged; kNoSlab: there is none.
  static constexpr size_t kNoSlab = SIZE_MAX;
  size_t TakeSlab();
  bool ChargeSlab();

  // For AddressSanitizer: a freed block may not be touched, but for the words of the free list.
  static void Poison(void* block, size_t size_bytes);
  static void Unpoison(void* block, size_t size_bytes);

  void* mapped_ = nullptr;
  size_t mapped_bytes_ = 0;
  uintptr_t range_ = 0;
  size_t range_bytes_ = 0;
  std::array<FreeBlock*, kLists> free_{};
  std::array<Uncarved, kLists> uncarved_{};
  std::vector<uint8_t> list_of_slab_;
  std::vector<uint32_t> empty_slabs_;  // that were given back
  std::shared_ptr<MemoryBudget> budget_;
  bool may_exceed_ = false;
  size_t in_use_ = 0;
  // When a slab is refused: after a trim that found nothing, the next is worth its while when no
  // more blocks than this are in use, or after many refusals.
  size_t trim_below_ = SIZE_MAX;
  uint64_t refusals_ = 0;
  int walks_ = 0;  // of ForEachBlock that are under way
};

#if defined(__SANITIZE_ADDRESS__)
#define IOENGINE_SCHED_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IOENGINE_SCHED_POISON 1
#endif
#endif

#ifndef IOENGINE_SCHED_POISON
inline void BlockPool::Poison(void*, size_t) {}
inline void BlockPool::Unpoison(void*, size_t) {}
#endif

}  // namespace ioengine

#endif  // IOENGINE_SCHED_BLOCK_POOL_H_
