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
// A budget may be a part of another one: what is charged to it is charged to that, too. A part that
// has something reserved has that charged to the other from the start, and only what it uses beyond
// in addition: so what it does within the reserve never depends on what others use.
//
//   shard   │ buffers │ frames … │ part: reserved ░░░░░ │ part: used ▓▓▓▓ │        room        │
//                                   └ used ▓▓             └ reserved ░░
//
// Shard: one, except where it says otherwise.
class MemoryBudget {
 public:
  static constexpr size_t kUnlimited = SIZE_MAX;

  explicit MemoryBudget(size_t limit_bytes = kUnlimited) : limit_bytes_(limit_bytes) {}
  // A part of `whole`, which outlives it. The reserve is charged even where that exceeds the limit
  // of `whole`: ask before.
  MemoryBudget(MemoryBudget& whole, size_t limit_bytes, size_t reserved_bytes = 0)
      : limit_bytes_(limit_bytes), whole_(&whole), reserved_bytes_(reserved_bytes) {
    whole.Charge(reserved_bytes);
  }
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;
  ~MemoryBudget() {
    if (whole_ == nullptr) return;
    IOENGINE_CHECK(used_bytes() == 0, "a part of a memory budget ends while it is used");
    whole_->Release(reserved_bytes_);
  }

  // False, and nothing is charged, when that would exceed the limit, or that of the whole.
  bool TryCharge(size_t bytes) {
    if (!HasRoomFor(bytes)) {
      ++times_full_;
      return false;
    }
    Charge(bytes);
    return true;
  }
  // Whether TryCharge would be true.
  bool HasRoomFor(size_t bytes) const {
    return FitsBeside(used_bytes(), bytes) &&
           (whole_ == nullptr || whole_->HasRoomFor(BeyondReserve(bytes)));
  }

  void Charge(size_t bytes) {
    if (whole_ != nullptr) whole_->Charge(BeyondReserve(bytes));
    SetUsed(used_bytes() + bytes);
    peak_bytes_ = std::max(peak_bytes_, used_bytes());
  }

  void Release(size_t bytes) {
    IOENGINE_CHECK(bytes <= used_bytes(), "more memory is given back than was charged");
    SetUsed(used_bytes() - bytes);
    if (whole_ != nullptr) whole_->Release(BeyondReserve(bytes));
  }

  size_t limit_bytes() const { return limit_bytes_; }
  size_t reserved_bytes() const { return reserved_bytes_; }
  // Of how much more it may be used; 0 where it is full.
  size_t room_bytes() const { return limit_bytes_ - std::min(limit_bytes_, used_bytes()); }
  size_t peak_bytes() const { return peak_bytes_; }
  // How often TryCharge gave false.
  uint64_t times_full() const { return times_full_; }

  // Any thread; of the shard's recent past.
  size_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }
  bool has_room() const { return used_bytes() < limit_bytes_; }

 private:
  bool FitsBeside(size_t used_bytes, size_t bytes) const {
    return bytes <= limit_bytes_ && used_bytes <= limit_bytes_ - bytes;
  }
  // Of `bytes` more than are used now: what the reserve does not hold.
  size_t BeyondReserve(size_t bytes) const {
    return bytes - std::min(bytes, reserved_bytes_ - std::min(reserved_bytes_, used_bytes()));
  }

  // One thread writes, so a load and a store do.
  void SetUsed(size_t bytes) { used_bytes_.store(bytes, std::memory_order_relaxed); }

  const size_t limit_bytes_;
  MemoryBudget* const whole_ = nullptr;
  const size_t reserved_bytes_ = 0;
  std::atomic<size_t> used_bytes_{0};
  size_t peak_bytes_ = 0;
  uint64_t times_full_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_MEMORY_BUDGET_H_
