// Gate: keeps something alive while tasks are in it, and lets it close.
#ifndef IOENGINE_SCHED_GATE_H_
#define IOENGINE_SCHED_GATE_H_

#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/event.h"

namespace ioengine {

// For an object with asynchronous methods: each enters the gate, and the object's Close closes it
// before it takes the object apart.
//
//         Close                          the last Pass is gone
//   open ───────► closing (Enter fails) ──────────────────────► closed (Close goes on)
//
// Shard: one.
class Gate {
 public:
  // One task inside. The gate must outlive it.
  class [[nodiscard]] Pass {
   public:
    Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Pass& operator=(Pass&& other) noexcept {
      std::swap(gate_, other.gate_);
      return *this;
    }
    ~Pass() {
      if (gate_ != nullptr) gate_->Leave();
    }

   private:
    friend class Gate;
    explicit Pass(Gate& gate) : gate_(&gate) {}

    Gate* gate_;
  };

  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate() {
    IOENGINE_CHECK(inside_ == 0, "a Gate is destroyed while tasks are inside; await its Close");
  }

  // Errors: Unavailable once it is closing. Cost: a few instructions.
  absl::StatusOr<Pass> Enter() {
    if (closing_) return absl::UnavailableError("the gate is closed");
    ++inside_;
    return Pass(*this);
  }

  // `co_await gate.Close()`: lets nobody in any more, and suspends until all are out. Several tasks
  // may wait. Not from inside (it would wait for itself).
  auto Close() {
    closing_ = true;
    if (inside_ == 0) empty_.Set();
    return empty_.Wait();
  }

  bool closing() const { return closing_; }
  size_t inside() const { return inside_; }

 private:
  void Leave() {
    if (--inside_ == 0 && closing_) empty_.Set();
  }

  size_t inside_ = 0;
  bool closing_ = false;
  Event empty_;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_GATE_H_
