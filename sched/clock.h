// Time, as shards see it.
#ifndef IOENGINE_SCHED_CLOCK_H_
#define IOENGINE_SCHED_CLOCK_H_

#include <cstdint>

namespace ioengine {

// A monotonic clock. Behind an interface so that the same code runs in simulated time.
class Clock {
 public:
  // Nanoseconds since an arbitrary start; never goes back, and goes on by itself or with each call
  // (an executor that spins for a time, ExecutorOptions::idle_spin_ns, waits for it). Any thread.
  virtual uint64_t NowNs() const = 0;

  // Whether time goes by itself, so that the processor's counter tells how much of it went by.
  // Simulated time goes only where the clock says so.
  virtual bool is_real() const { return false; }

 protected:
  // Clocks are borrowed, never deleted through this class; so the one below needs no destruction
  // at exit.
  ~Clock() = default;
};

// CLOCK_MONOTONIC. Cost: about 25 ns (vDSO).
class MonotonicClock final : public Clock {
 public:
  uint64_t NowNs() const override;
  bool is_real() const override { return true; }

  // The one that executors use by default. It has no state.
  static const MonotonicClock& Get();
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_CLOCK_H_
