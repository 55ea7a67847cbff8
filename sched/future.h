// Future<T>: what a foreign thread holds of a task that it sent to a shard.
#ifndef IOENGINE_SCHED_FUTURE_H_
#define IOENGINE_SCHED_FUTURE_H_

#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/task_result.h"

namespace ioengine {
namespace internal {

template <typename Result>
struct FutureState {
  // false → true once, by the shard (release, after `result` was written); the waiting thread
  // reads it (acquire) before `result`.
  std::atomic<bool> done{false};
  std::optional<Result> result;
};

}  // namespace internal

// Move-only: there is one result, which is moved out.
template <typename T>
class [[nodiscard]] Future {
 public:
  using Result = ResultOrError<T>;

  Future(Future&&) noexcept = default;
  Future& operator=(Future&&) noexcept = default;

  // Blocks the calling thread until the task finished, and gives its result; once. `Unavailable`
  // when the shard stopped before the task finished; ResourceExhausted when it was not accepted.
  // Not on a shard (CHECK).
  Result Wait() {
    IOENGINE_CHECK(Executor::Current() == nullptr,
                   "Future::Wait on a shard would block it; co_await instead");
    IOENGINE_CHECK(state_ != nullptr, "Wait on an empty Future, or twice on one");
    state_->done.wait(false, std::memory_order_acquire);
    auto state = std::exchange(state_, nullptr);
    return std::move(*state->result);
  }

  // Whether Wait would return at once.
  bool ready() const { return state_ != nullptr && state_->done.load(std::memory_order_acquire); }

 private:
  template <typename U>
  friend class Promise;
  explicit Future(std::shared_ptr<internal::FutureState<Result>> state)
      : state_(std::move(state)) {}

  std::shared_ptr<internal::FutureState<Result>> state_;
};

// The shard's end of a Future. Move-only. When it is destroyed without Set, the future gets
// `Unavailable`: so nobody waits for ever for a shard that stopped.
template <typename T>
class Promise {
 public:
  using Result = typename Future<T>::Result;

  Promise() : state_(std::make_shared<internal::FutureState<Result>>()) {}
  Promise(Promise&&) noexcept = default;
  Promise& operator=(Promise&&) = delete;
  ~Promise() {
    if (state_ != nullptr) {
      Set(Result(absl::UnavailableError("the shard stopped before the task finished")));
    }
  }

  Future<T> future() { return Future<T>(state_); }

  // Once.
  void Set(Result result) {
    IOENGINE_CHECK(state_ != nullptr, "Set on a Promise that was set or moved from");
    // The waiting thread may drop its reference the moment it sees `done`.
    auto state = std::exchange(state_, nullptr);
    state->result.emplace(std::move(result));
    state->done.store(true, std::memory_order_release);
    state->done.notify_all();
  }

 private:
  std::shared_ptr<internal::FutureState<Result>> state_;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_FUTURE_H_
