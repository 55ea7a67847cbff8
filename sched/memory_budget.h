// MemoryBudget: how much memory a shard may have, and what it has.
#ifndef IOENGINE_SCHED_MEMORY_BUDGET_H_
#define IOENGINE_SCHED_MEMORY_BUDGET_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "ioengine/sched/check.h"

namespace ioengine {

// An account, not an allocator: whoever takes memory for the shard charges it, and gives it back.
//
// What can wait or be refused asks first (TryCharge): buffers, calls to other shards, the slabs of
// task frames. What cannot, a large frame of a task that runs already, is charged all the same, and
// may exceed the limit. While nothing is left (`has_room()` is false) the shard takes no more calls
// from foreign threads, from which all work comes: so what exceeds the limit is at most what the
// work that was taken on still needs, and it shrinks as that ends.
//
// Shard: one, except where it says otherwise.
class MemoryBudget {
 public:
  static constexpr size_t kUnlimited = SIZE_MAX;

  explicit MemoryBudget(size_t limit_bytes = kUnlimited) : limit_bytes_(limit_bytes) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  // False, and nothing is charged, when that would exceed the limit.
  bool TryCharge(size_t bytes) {
    if (bytes > limit_bytes_ || used_bytes() > limit_bytes_ - bytes) {
      ++times_full_;
      return false;
    }
    Charge(bytes);
    return true;
  }

  void Charge(size_t bytes) {
    SetUsed(used_bytes() + bytes);
    peak_bytes_ = std::max(peak_bytes_, used_bytes());
  }

  void Release(size_t bytes) {
    IOENGINE_CHECK(bytes <= used_bytes(), "more memory is given back than was charged");
    SetUsed(used_bytes() - bytes);
  }

  size_t limit_bytes() const { return limit_bytes_; }
  size_t peak_bytes() const { return peak_bytes_; }
  // How often TryCharge gave false.
  uint64_t times_full() const { return times_full_; }

  // Any thread; of the shard's recent past.
  size_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }
  bool has_room() const { return used_bytes() < limit_bytes_; }

 private:
  // One thread writes, so a load and a store do.
  void SetUsed(size_t bytes) { used_bytes_.store(bytes, std::memory_order_relaxed); }

  const size_t limit_bytes_;
  std::atomic<size_t> used_bytes_{0};
  size_t peak_bytes_ = 0;
  uint64_t times_full_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_MEMORY_BUDGET_H_
