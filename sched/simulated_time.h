// Simulated time: a clock that goes only where it is told, and a poller that sleeps by moving it.
#ifndef IOENGINE_SCHED_SIMULATED_TIME_H_
#define IOENGINE_SCHED_SIMULATED_TIME_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "ioengine/sched/check.h"
#include "ioengine/sched/clock.h"
#include "ioengine/sched/poller.h"

namespace ioengine {

// Shard: one, or all shards of a simulation, on one thread.
class SimulatedClock final : public Clock {
 public:
  uint64_t NowNs() const override { return now_ns_; }

  // What takes time says so: a task that pretends to compute, a device, a sleep.
  void Advance(uint64_t duration_ns) { now_ns_ += duration_ns; }

 private:
  uint64_t now_ns_ = 0;
};

// For one executor without I/O in simulated time: a run of hours takes as long as its tasks do. It
// is the same run each time, since nothing comes from outside.
//
// Shard: the executor's; Wake too.
class SimulatedPoller final : public Poller {
 public:
  // Borrows `clock`.
  explicit SimulatedPoller(SimulatedClock& clock) : clock_(clock) {}

  // Called when the executor sleeps without a timer: nothing will ever happen, unless this makes
  // something runnable or stops the executor. By default that ends the process (CHECK).
  void set_on_idle(std::function<void()> on_idle) { on_idle_ = std::move(on_idle); }

  size_t Poll() override { return 0; }
  size_t Wait(uint64_t timeout_ns) override {
    if (std::exchange(woken_, false)) return 0;
    if (timeout_ns != kForever) {
      clock_.Advance(timeout_ns);
    } else {
      IOENGINE_CHECK(on_idle_ != nullptr, "all tasks of a simulated shard wait for ever");
      on_idle_();
    }
    return 0;
  }
  bool HasCompletions() const override { return false; }
  bool PrepareWait(uint64_t timeout_ns) override {
    wake_at_ns_ = timeout_ns == kForever ? kForever : clock_.NowNs() + timeout_ns;
    return !std::exchange(woken_, false);
  }
  void Wake() override { woken_ = true; }

  // For whoever calls Executor::Pump: until when the executor has nothing to do, as its last Pump
  // that gave kIdle said; kForever when it waits for others.
  uint64_t wake_at_ns() const { return wake_at_ns_; }
  bool woken() const { return woken_; }

 private:
  SimulatedClock& clock_;
  std::function<void()> on_idle_;
  uint64_t wake_at_ns_ = kForever;
  bool woken_ = false;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_SIMULATED_TIME_H_
