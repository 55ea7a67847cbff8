// Sleep: a task waits for a time.
#ifndef IOENGINE_SCHED_SLEEP_H_
#define IOENGINE_SCHED_SLEEP_H_

#include <chrono>
#include <concepts>
#include <coroutine>
#include <cstdint>

#include "absl/status/status.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/runnable.h"
#include "ioengine/sched/stop_token.h"
#include "ioengine/sched/timer_wheel.h"

namespace ioengine {

// When `duration` from now is over, in nanoseconds of the shard's clock; never, if that is beyond
// the end of time. A duration below 0 is 0. Cost: a look at the clock.
inline uint64_t DeadlineAfter(const Executor& executor, std::chrono::nanoseconds duration) {
  const uint64_t now_ns = executor.clock().NowNs();
  const uint64_t after_ns = duration.count() < 0 ? 0 : static_cast<uint64_t>(duration.count());
  return after_ns > TimerWheel::kNever - now_ns ? TimerWheel::kNever : now_ns + after_ns;
}

namespace internal {

// The timer is in the frame of the task that sleeps, and leaves the wheel with it.
class [[nodiscard]] SleepAwaiter : public Timer {
 public:
  explicit SleepAwaiter(uint64_t deadline_ns) : Timer(deadline_ns) {}

  bool await_ready() const noexcept { return false; }
  template <std::derived_from<Runnable> Promise>
  void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
    task_ = &handle.promise();
    Executor::Current()->ArmTimer(*this, deadline_ns());
  }
  void await_resume() const noexcept {}

 protected:
  void Wake() {
    Executor::Current()->MakeRunnable(*task_);
    __builtin_prefetch(task_->owner());  // which the task needs when it returns
  }

 private:
  void OnTimer() override { Wake(); }

  Runnable* task_ = nullptr;
};

class [[nodiscard]] StoppableSleepAwaiter final : public SleepAwaiter, private StopCallback {
 public:
  StoppableSleepAwaiter(uint64_t deadline_ns, const StopToken& token)
      : SleepAwaiter(deadline_ns), stopped_(!token.Register(*this)) {}

  bool await_ready() const noexcept { return stopped_; }
  absl::Status await_resume() const noexcept {
    return stopped_ ? absl::CancelledError("a stop was requested") : absl::OkStatus();
  }

 private:
  void OnStop() override {
    stopped_ = true;
    if (!armed()) return;  // not asleep yet, or awake already
    Executor::Current()->CancelTimer(*this);
    Wake();
  }

  bool stopped_;
};

}  // namespace internal

// `co_await Sleep(5ms)`: suspends for that long, or a little longer: the task goes on in the first
// turn of its class after that.
// Shard: the one that runs the task. Cost: a look at the clock and a timer, no allocation.
inline auto Sleep(std::chrono::nanoseconds duration) {
  Executor* const executor = Executor::Current();
  IOENGINE_CHECK(executor != nullptr, "Sleep outside of a shard's task");
  return internal::SleepAwaiter(DeadlineAfter(*executor, duration));
}

// `co_await SleepUntil(deadline_ns)`: the same, until a time of the shard's clock.
inline auto SleepUntil(uint64_t deadline_ns) {
  IOENGINE_CHECK(Executor::Current() != nullptr, "SleepUntil outside of a shard's task");
  return internal::SleepAwaiter(deadline_ns);
}

// `absl::Status status = co_await Sleep(5ms, CurrentStopToken())`: ends early, and gives Cancelled,
// when the stop is requested.
inline auto Sleep(std::chrono::nanoseconds duration, const StopToken& token) {
  Executor* const executor = Executor::Current();
  IOENGINE_CHECK(executor != nullptr, "Sleep outside of a shard's task");
  return internal::StoppableSleepAwaiter(DeadlineAfter(*executor, duration), token);
}

}  // namespace ioengine

#endif  // IOENGINE_SCHED_SLEEP_H_
