// What Timeout and WithStop are made of: a task that something else may end.
#ifndef IOENGINE_SCHED_GUARDED_TASK_H_
#define IOENGINE_SCHED_GUARDED_TASK_H_

#include <concepts>
#include <coroutine>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/runnable.h"
#include "ioengine/sched/stop_token.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_context.h"
#include "ioengine/sched/task_owner.h"
#include "ioengine/sched/task_result.h"
#include "ioengine/sched/timer_wheel.h"

namespace ioengine {
namespace internal {

// The part that does not depend on the task's type. In the frame of the task that awaits it:
//
//             await                 the task returns
//   created ────────► task runs ──────────────────────────► done (its result is given)
//                         │ timer, stop                  ▲
//                         └─────────────► awaiter woken ─┤ the task returns before its turn comes
//                                                        └ else it is destroyed (an error is given)
//
// A task that is woken to be told of the end is not destroyed at once: it may be the one that runs,
// and asked for the stop itself.
class Guard final : public TaskOwner, private Timer, private StopCallback {
 public:
  Guard(Executor& executor, TaskContext* parent, uint64_t deadline_ns)
      : executor_(executor), own_context_(parent, deadline_ns) {}

  void Watch(const StopToken& token) {
    if (!token.Register(*this)) End(absl::StatusCode::kCancelled);
  }

  // Before Start: the stop was requested already.
  bool ended() const { return reason_ != absl::StatusCode::kOk; }

  // Makes `task` ready to be resumed: `waiter` goes on when it is done.
  void Start(Runnable& task, Runnable& waiter);

  // The task has returned. Otherwise an error says why it did not.
  bool done() const { return done_; }
  absl::Status error() const;

 private:
  TaskContext* context() noexcept override { return &own_context_; }
  bool keeps_frame() const noexcept override { return true; }
  std::coroutine_handle<> OnTaskDone(Runnable& task) noexcept override;
  void OnTimer() override { End(absl::StatusCode::kDeadlineExceeded); }
  void OnStop() override { End(absl::StatusCode::kCancelled); }
  void End(absl::StatusCode reason);

  Executor& executor_;
  TaskContext own_context_;
  Runnable* waiter_ = nullptr;  // as long as it waits
  absl::StatusCode reason_ = absl::StatusCode::kOk;
  bool done_ = false;
};

template <typename T>
class [[nodiscard]] GuardedTaskAwaiter {
 public:
  GuardedTaskAwaiter(Executor& executor, uint64_t deadline_ns, const StopToken& token, Task<T> task)
      : guard_(executor, TaskContext::Current(), deadline_ns), task_(std::move(task)) {
    guard_.Watch(token);
  }

  bool await_ready() const noexcept { return guard_.ended(); }
  template <std::derived_from<Runnable> Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> handle) {
    Runnable& task = TaskAccess::ToStart(task_);
    guard_.Start(task, handle.promise());
    this_thread.task = &task;
    return task.handle();
  }
  ResultOrError<T> await_resume() {
    if (!guard_.done()) {
      task_ = Task<T>();  // what it holds is released before the awaiting task goes on
      return guard_.error();
    }
    if constexpr (std::is_void_v<T>) {
      return absl::OkStatus();
    } else {
      return TaskAccess::Promise(task_).TakeResult();
    }
  }

 private:
  Guard guard_;
  Task<T> task_;
};

}  // namespace internal
}  // namespace ioengine

#endif  // IOENGINE_SCHED_GUARDED_TASK_H_
