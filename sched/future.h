// Future<T>: what a foreign thread holds of a task that it sent to a shard.
#ifndef IOENGINE_SCHED_FUTURE_H_
#define IOENGINE_SCHED_FUTURE_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/clock.h"
#include "ioengine/sched/completion_flag.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/pulse.h"
#include "ioengine/sched/task_result.h"

namespace ioengine {

// Whom a thread waits for, and for how long.
struct WaitLimits {
  // Of the monotonic clock; CompletionFlag::kNever: none.
  uint64_t deadline_ns = CompletionFlag::kNever;
  // A shard that runs no turn for so long is not waited for any longer. 0: it is.
  uint64_t silence_ns = 0;
  // Of the shard that has the task, or is to get it; null: none.
  std::shared_ptr<Pulse> pulse;
};

namespace internal {

template <typename Result>
struct FutureState {
  // Set once, by the shard, after `result` was written.
  CompletionFlag done;
  std::optional<Result> result;
  WaitLimits limits;
};

}  // namespace internal

// Move-only: there is one result, which is moved out.
template <typename T>
class [[nodiscard]] Future {
 public:
  using Result = ResultOrError<T>;
  using State = internal::FutureState<Result>;

  explicit Future(std::shared_ptr<State> state) : state_(std::move(state)) {}
  Future(Future&&) noexcept = default;
  Future& operator=(Future&&) noexcept = default;

  // Blocks the calling thread until the task finished, and gives its result; once. Not on a shard
  // (CHECK). Errors: Unavailable when the shard stopped before the task finished; ResourceExhausted
  // when it was not accepted; DeadlineExceeded when the deadline of the call passed, or when the
  // shard does not run (RuntimeOptions::peer_timeout_ms). The task may finish all the same after
  // that; its result is then dropped.
  Result Wait() { return WaitUntil(CompletionFlag::kNever); }
  // The same, but no longer than that.
  Result WaitFor(std::chrono::nanoseconds duration) {
    return WaitUntil(MonotonicClock::Get().NowNs() + static_cast<uint64_t>(duration.count()));
  }

  // Whether Wait would return at once.
  bool ready() const { return state_ != nullptr && state_->done.is_set(); }

 private:
  Result WaitUntil(uint64_t deadline_ns) {
    IOENGINE_CHECK(Executor::Current() == nullptr,
                   "Future::Wait on a shard would block it; co_await instead");
    IOENGINE_CHECK(state_ != nullptr, "Wait on an empty Future, or twice on one");
    const auto state = std::exchange(state_, nullptr);
    const WaitLimits& limits = state->limits;
    switch (state->done.Wait(std::min(deadline_ns, limits.deadline_ns), limits.pulse.get(),
                             limits.silence_ns)) {
      case CompletionFlag::Outcome::kDeadline:
        return absl::DeadlineExceededError("the shard has not finished the call in time");
      case CompletionFlag::Outcome::kSilence:
        return absl::DeadlineExceededError(
            "the shard does not run: its host has stopped, or a task keeps it from its turn");
      case CompletionFlag::Outcome::kSet:
        break;
    }
    return std::move(*state->result);
  }

  std::shared_ptr<State> state_;
};

// The shard's end of a Future. Move-only. When it is destroyed without Set, the future gets
// `Unavailable`: so nobody waits for ever for a shard that stopped.
template <typename T>
class Promise {
 public:
  using Result = typename Future<T>::Result;
  using State = typename Future<T>::State;

  Promise() : Promise(std::make_shared<State>()) {}
  explicit Promise(std::shared_ptr<State> state) : state_(std::move(state)) {}
  Promise(Promise&&) noexcept = default;
  Promise& operator=(Promise&&) = delete;
  ~Promise() {
    if (state_ != nullptr) {
      Set(Result(absl::UnavailableError("the shard stopped before the task finished")));
    }
  }

  Future<T> future() { return Future<T>(state_); }

  // Before the call is sent.
  void set_limits(WaitLimits limits) { state_->limits = std::move(limits); }

  // Once.
  void Set(Result result) {
    IOENGINE_CHECK(state_ != nullptr, "Set on a Promise that was set or moved from");
    const auto state = std::exchange(state_, nullptr);
    state->result.emplace(std::move(result));
    state->done.Set();
  }

 private:
  std::shared_ptr<State> state_;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_FUTURE_H_
