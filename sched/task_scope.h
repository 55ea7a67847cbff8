// TaskScope: tasks that run side by side and end before their scope does.
#ifndef IOENGINE_SCHED_TASK_SCOPE_H_
#define IOENGINE_SCHED_TASK_SCOPE_H_

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/intrusive_list.h"
#include "ioengine/sched/runnable.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_context.h"
#include "ioengine/sched/timer_wheel.h"

namespace ioengine {

struct TaskScopeOptions {
  // The first child that returns an error ends the others: Cancel.
  bool cancel_on_failure = false;
  // When to end the children that are left: Cancel, and Join gives DeadlineExceeded. Nanoseconds of
  // the executor's clock. Deadlines of scopes around this one need no mention: they end it too.
  uint64_t deadline_ns = TaskContext::kNoDeadline;
  // Deadline and stop of the task that makes the scope do not hold for its children: for a scope
  // in something that outlives that task, or its Timeout. The scope owns them as any other does.
  bool detached = false;
};

// Owns the tasks that are spawned in it: structured concurrency. What a child borrows from the
// function that holds the scope is safe as long as the scope is declared after it.
//
//   TaskScope scope(executor);
//   for (…) scope.Spawn(Work(…));
//   absl::Status status = co_await scope.Join();
//
//                 Spawn                  the last child ends
//   no children ────────► children run ─────────────────────► no children (a Join goes on)
//                             │  Cancel, ~TaskScope, deadline, a failure (cancel_on_failure)
//                             └──────────────────────────────► the same, children destroyed
//
// Shard: its executor's.
class TaskScope {
 public:
  // Borrows `executor`. Deadline and stop of the task that makes the scope hold for its children,
  // unless it is detached.
  explicit TaskScope(Executor& executor, const TaskScopeOptions& options = {});
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

  // Destroys the children that have not finished. No task may be waiting in Join (CHECK).
  ~TaskScope();

  // Makes `task` runnable in `class_id`, or in the class of the task that runs. Its error, if it
  // has one, is Join's. Cost: one allocation from the shard's free lists.
  void Spawn(Task<void> task, std::optional<ClassId> class_id = std::nullopt) {
    Start(internal::TaskAccess::Release(std::move(task)), class_id, false);
  }
  void Spawn(Task<absl::Status> task, std::optional<ClassId> class_id = std::nullopt) {
    Start(internal::TaskAccess::Release(std::move(task)), class_id, true);
  }

  // Suspends until no child is left; not at all when there is none. Gives the first error of a
  // child since the last Join, Cancelled after a Cancel that found children, DeadlineExceeded
  // after the deadline. One task may wait at a time.
  auto Join() { return JoinAwaiter(*this); }

  // Destroys the children that have not finished, where they are suspended, in the order of their
  // spawning: what they hold is released before this returns. Not from one of the children, or from
  // what they await (CHECK): it would destroy itself.
  void Cancel();

  // Asks the children to end: see stop_token.h. All the scopes that they have made are asked too.
  void RequestStop() { context_.RequestStop(); }
  StopToken stop_token() { return context_.stop_token(); }

  // Children that have not finished.
  size_t size() const { return size_; }

 private:
  class Child;
  class StatusChild;

  // Lives in the frame of the task that joins; leaves the scope when that is destroyed first.
  class [[nodiscard]] JoinAwaiter {
   public:
    explicit JoinAwaiter(TaskScope& scope) : scope_(scope) {}
    JoinAwaiter(const JoinAwaiter&) = delete;
    JoinAwaiter& operator=(const JoinAwaiter&) = delete;
    ~JoinAwaiter() {
      if (task_ != nullptr) scope_.joiner_ = nullptr;
    }

    bool await_ready() const noexcept { return scope_.size_ == 0; }
    template <std::derived_from<Runnable> Promise>
    void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
      IOENGINE_CHECK(scope_.joiner_ == nullptr, "two tasks join one TaskScope");
      scope_.joiner_ = this;
      task_ = &handle.promise();
    }
    absl::Status await_resume() noexcept { return std::exchange(scope_.status_, absl::OkStatus()); }

   private:
    friend class TaskScope;

    TaskScope& scope_;
    Runnable* task_ = nullptr;  // while it waits
  };

  void Start(Runnable& task, std::optional<ClassId> class_id, bool gives_status);
  void OnChildDone(Child& child, absl::Status status);
  void CheckNotOwnChild() const;
  void DestroyChildren();
  void WakeJoiner();
  void OnDeadline();

  class DeadlineTimer final : public Timer {
   public:
    explicit DeadlineTimer(TaskScope& scope) : scope_(scope) {}

   private:
    void OnTimer() override { scope_.OnDeadline(); }

    TaskScope& scope_;
  };

  Executor& executor_;
  TaskContext context_;
  IntrusiveList<Child> children_;
  JoinAwaiter* joiner_ = nullptr;
  size_t size_ = 0;
  const bool cancel_on_failure_;
  absl::Status status_;
  DeadlineTimer deadline_timer_{*this};
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_TASK_SCOPE_H_
