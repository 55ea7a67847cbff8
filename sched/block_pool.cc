#include "ioengine/sched/block_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "ioengine/sched/check.h"

#ifdef IOENGINE_SCHED_POISON
#include <sanitizer/asan_interface.h>
#endif

namespace ioengine {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;
constexpr uint64_t kMostRefusalsBetweenTrims = 4096;

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
  if (budget_ != nullptr) budget_->Release(slab_bytes());
  if (range_bytes_ == 0) return;
#ifdef IOENGINE_SCHED_POISON
  __asan_unpoison_memory_region(reinterpret_cast<void*>(range_), list_of_slab_.size() * kSlabBytes);
#endif
  munmap(mapped_, mapped_bytes_);
}

void* BlockPool::Carve(size_t list) {
  const size_t block_bytes = list * kGranuleBytes;
  Uncarved& rest = uncarved_[list];
  if (rest.next + block_bytes > rest.end || rest.next == 0) {
    const size_t slab = TakeSlab();
    if (slab == kNoSlab) return nullptr;
    list_of_slab_[slab] = static_cast<uint8_t>(list);
    rest = {FirstBlock(slab), range_ + (slab + 1) * kSlabBytes};
  }
  void* const block = reinterpret_cast<void*>(rest.next);
  rest.next += block_bytes;
  ++in_use_;
  return block;
}

void BlockPool::SetBudget(std::shared_ptr<MemoryBudget> budget, bool may_exceed) {
  IOENGINE_CHECK(list_of_slab_.empty(), "a pool that is in use gets a budget");
  budget_ = std::move(budget);
  may_exceed_ = may_exceed;
}

size_t BlockPool::TakeSlab() {
  if (empty_slabs_.empty() && (list_of_slab_.size() + 1) * kSlabBytes > range_bytes_) {
    return kNoSlab;
  }
  if (!ChargeSlab()) return kNoSlab;
  if (!empty_slabs_.empty()) {
    const size_t slab = empty_slabs_.back();
    empty_slabs_.pop_back();
    return slab;
  }
  list_of_slab_.push_back(kNoList);
  return list_of_slab_.size() - 1;
}

bool BlockPool::ChargeSlab() {
  if (budget_ == nullptr || budget_->TryCharge(kSlabBytes)) return true;
  if (may_exceed_) {
    budget_->Charge(kSlabBytes);
    return true;
  }
  if (in_use_ > trim_below_ && ++refusals_ < kMostRefusalsBetweenTrims) return false;
  refusals_ = 0;
  const bool trimmed = Trim() > 0;
  trim_below_ = trimmed ? SIZE_MAX : in_use_ - in_use_ / 8 - (in_use_ > 0 ? 1 : 0);
  return trimmed && budget_->TryCharge(kSlabBytes);
}

size_t BlockPool::Trim() {
  if (walks_ > 0) return 0;
  std::vector<uint32_t> free_in_slab(list_of_slab_.size());
  const auto slab_of = [this](const FreeBlock* block) {
    return (reinterpret_cast<uintptr_t>(block) - range_) / kSlabBytes;
  };
  for (const FreeBlock* block : free_) {
    for (; block != nullptr; block = block->next) ++free_in_slab[slab_of(block)];
  }
  size_t trimmed = 0;
  for (size_t slab = 0; slab < list_of_slab_.size(); ++slab) {
    const size_t list = list_of_slab_[slab];
    if (list == kNoList) continue;
    const size_t carved = (CarvedEnd(slab) - FirstBlock(slab)) / (list * kGranuleBytes);
    if (free_in_slab[slab] != carved) continue;
    if (uncarved_[list].end == range_ + (slab + 1) * kSlabBytes) uncarved_[list] = Uncarved();
    list_of_slab_[slab] = kNoList;
    empty_slabs_.push_back(static_cast<uint32_t>(slab));
    ++trimmed;
  }
  if (trimmed == 0) return 0;
  for (FreeBlock*& first : free_) {
    for (FreeBlock** at = &first; *at != nullptr;) {
      if (list_of_slab_[slab_of(*at)] == kNoList) {
        *at = (*at)->next;
      } else {
        at = &(*at)->next;
      }
    }
  }
  for (size_t i = empty_slabs_.size() - trimmed; i < empty_slabs_.size(); ++i) {
    void* const begin = reinterpret_cast<void*>(range_ + empty_slabs_[i] * kSlabBytes);
#ifdef IOENGINE_SCHED_POISON
    __asan_unpoison_memory_region(begin, kSlabBytes);
#endif
    madvise(begin, kSlabBytes, MADV_DONTNEED);
  }
  if (budget_ != nullptr) budget_->Release(trimmed * kSlabBytes);
  return trimmed;
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
