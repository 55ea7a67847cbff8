// MemoryCharge: what one object has of a memory budget.
#ifndef IOENGINE_SCHED_MEMORY_CHARGE_H_
#define IOENGINE_SCHED_MEMORY_CHARGE_H_

#include <cstddef>
#include <utility>

#include "ioengine/sched/memory_budget.h"

namespace ioengine {

// A member of an object that takes memory; given back when that is destroyed. Move-only; moved from
// it is nothing.
//
// Shard: that of the budget, which must outlive it. Cost: some additions; nothing where the size
// stays the same.
class MemoryCharge {
 public:
  // Of no budget: Resize is nothing.
  MemoryCharge() = default;
  explicit MemoryCharge(MemoryBudget* budget, size_t bytes = 0) : budget_(budget) { Resize(bytes); }
  MemoryCharge(MemoryCharge&& other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  MemoryCharge& operator=(MemoryCharge&& other) noexcept {
    MemoryCharge taken(std::move(other));
    std::swap(budget_, taken.budget_);
    std::swap(bytes_, taken.bytes_);
    return *this;
  }
  ~MemoryCharge() { Resize(0); }

  // It is so much now, which may exceed the limit: for what must not fail.
  void Resize(size_t bytes) {
    if (budget_ == nullptr || bytes == bytes_) return;
    if (bytes > bytes_) {
      budget_->Charge(bytes - bytes_);
    } else {
      budget_->Release(bytes_ - bytes);
    }
    bytes_ = bytes;
  }
  // The same; false, and it stays as it was, where there is no room for it.
  bool TryResize(size_t bytes) {
    if (bytes > bytes_ && budget_ != nullptr) {
      if (!budget_->TryCharge(bytes - bytes_)) return false;
      bytes_ = bytes;
      return true;
    }
    Resize(bytes);
    return true;
  }
  // The same, to another budget, where there is room for it.
  bool TryMoveTo(MemoryBudget* budget) {
    if (!budget->TryCharge(bytes_)) return false;
    if (budget_ != nullptr) budget_->Release(bytes_);
    budget_ = budget;
    return true;
  }

  size_t bytes() const { return bytes_; }
  MemoryBudget* budget() const { return budget_; }

 private:
  MemoryBudget* budget_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_MEMORY_CHARGE_H_
