// TaskScope: tasks that run side by side and end before their scope does.
#ifndef IOENGINE_SCHED_TASK_SCOPE_H_
#define IOENGINE_SCHED_TASK_SCOPE_H_

#include <coroutine>
#include <cstddef>

#include "ioengine/sched/check.h"
#include "ioengine/sched/intrusive_list.h"
#include "ioengine/sched/runnable.h"
#include "ioengine/sched/task.h"

namespace ioengine {

class Executor;

// Owns the tasks that are spawned in it: structured concurrency. What a child borrows from the
// function that holds the scope is safe as long as the scope is declared after it.
//
//   TaskScope scope(executor);
//   for (…) scope.Spawn(Work(…));
//   co_await scope.Join();
//
// Shard: its executor's.
class TaskScope {
 public:
  // Borrows `executor`.
  explicit TaskScope(Executor& executor) : executor_(executor) {}
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

  // Destroys the children that have not finished, where they are suspended.
  ~TaskScope() { DestroyChildren(); }

  // Makes `task` runnable, with `class_id`. Cost: one allocation.
  void Spawn(Task<void> task, ClassId class_id = 0);

  // Suspends until no child is left; not at all when there is none. One task may wait at a time.
  auto Join() { return JoinAwaiter(*this); }

  // Destroys the children that have not finished, in the order of their spawning. Ends a Join.
  void DestroyChildren();

  // Children that have not finished.
  size_t size() const { return size_; }

 private:
  struct ChildPromise;
  struct Child;

  // Lives in the frame of the task that joins; leaves the scope when that is destroyed first.
  class JoinAwaiter {
   public:
    explicit JoinAwaiter(TaskScope& scope) : scope_(scope) {}
    JoinAwaiter(const JoinAwaiter&) = delete;
    JoinAwaiter& operator=(const JoinAwaiter&) = delete;
    ~JoinAwaiter() {
      if (task_ != nullptr) scope_.joiner_ = nullptr;
    }

    bool await_ready() const noexcept { return scope_.size_ == 0; }
    template <typename Promise>
    void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
      IOENGINE_CHECK(scope_.joiner_ == nullptr, "two tasks join one TaskScope");
      scope_.joiner_ = this;
      task_ = &handle.promise();
    }
    void await_resume() const noexcept {}

   private:
    friend class TaskScope;

    TaskScope& scope_;
    Runnable* task_ = nullptr;  // while it waits
  };

  static Child Run(Task<void> task);
  void OnChildGone();

  Executor& executor_;
  IntrusiveList<ChildPromise> children_;
  JoinAwaiter* joiner_ = nullptr;
  size_t size_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_TASK_SCOPE_H_
