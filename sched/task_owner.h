// Who a task belongs to when no other task awaits it: a scope, a timeout, a WhenAll.
#ifndef IOENGINE_SCHED_TASK_OWNER_H_
#define IOENGINE_SCHED_TASK_OWNER_H_

#include <coroutine>

namespace ioengine {

class Runnable;
class TaskContext;

// One for each such task; told when it ends.
//
// Shard: the task's.
class TaskOwner {
 public:
  TaskOwner() = default;
  TaskOwner(const TaskOwner&) = delete;
  TaskOwner& operator=(const TaskOwner&) = delete;

  // The task returned; its result is in its promise, and its locals are gone. Returns what is to
  // run next on this stack: null for nothing.
  //
  // Where the owner keeps the task's frame the task stays suspended at its end; otherwise the frame
  // destroys itself when this has returned.
  virtual std::coroutine_handle<> OnTaskDone(Runnable& task) noexcept = 0;

  // Whether the frame of a task that returned is kept for the owner, who destroys it.
  virtual bool keeps_frame() const noexcept = 0;

  // Deadline and stop of the task; null when it has none.
  virtual TaskContext* context() noexcept = 0;

 protected:
  ~TaskOwner() = default;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_TASK_OWNER_H_
