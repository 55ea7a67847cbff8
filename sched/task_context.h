// TaskContext: what all tasks under one owner share: a deadline and a stop. It passes to the tasks
// that they await and to the scopes and timeouts that they make, without being handed on by anyone.
#ifndef IOENGINE_SCHED_TASK_CONTEXT_H_
#define IOENGINE_SCHED_TASK_CONTEXT_H_

#include <algorithm>
#include <cstdint>

#include "ioengine/sched/intrusive_list.h"
#include "ioengine/sched/runnable.h"
#include "ioengine/sched/stop_token.h"
#include "ioengine/sched/task_owner.h"
#include "ioengine/sched/this_thread.h"

namespace ioengine {

// A node in the tree of scopes and timeouts. A task holds no pointer to its context, which would
// cost each 8 bytes: it is found through the tasks that await it and their owner.
//
// Shard: one.
class TaskContext : public ListLink {
 public:
  static constexpr uint64_t kNoDeadline = UINT64_MAX;

  // Whether the deadline and the stop of what is above hold below too.
  enum class Inherits : uint8_t { kAll, kNothing };

  // Below `parent` (may be null). The effective deadline is the earlier of its own and of what it
  // inherits.
  explicit TaskContext(TaskContext* parent, uint64_t deadline_ns = kNoDeadline,
                       Inherits inherits = Inherits::kAll)
      : parent_(parent), deadline_ns_(deadline_ns), inherits_(inherits) {
    if (parent == nullptr) return;
    parent->children_.PushBack(*this);
    if (inherits == Inherits::kNothing) return;
    deadline_ns_ = std::min(deadline_ns_, parent->deadline_ns_);
    stop_requested_ = parent->stop_requested_;
  }
  ~TaskContext() {
    // Something that should have ended before lives on: it has nobody above it any more.
    while (!children_.empty()) children_.PopFront().parent_ = nullptr;
  }

  // That of the task that runs on this thread; null outside of tasks, and in detached ones. Cost: a
  // step for each task between this one and its owner.
  static TaskContext* Current() { return Of(internal::this_thread.task); }

  static TaskContext* Of(const Runnable* task) {
    while (task != nullptr) {
      if (task->end() == Runnable::End::kOwner) return task->owner()->context();
      if (task->end() != Runnable::End::kTask) return nullptr;
      task = task->awaiting_task();
    }
    return nullptr;
  }

  TaskContext* parent() const { return parent_; }

  // Of the executor's clock; kNoDeadline when there is none.
  uint64_t deadline_ns() const { return deadline_ns_; }

  bool stop_requested() const { return stop_requested_; }

  // Cost: one allocation, the first time.
  StopToken stop_token();

  // Has `callback` told of the stop: now, if it was requested. Borrows it until then. Like a
  // registration with stop_token(), but without its allocation.
  void WatchStop(StopCallback& callback) {
    if (stop_requested_) {
      callback.OnStop();
    } else {
      callbacks_.Add(callback);
    }
  }

  // Asks everything below this context to stop, but for what inherits nothing.
  void RequestStop();

 private:
  // The next one of those that inherit from `top`, parents before children; null at the end.
  TaskContext* NextBelow(const TaskContext& top);

  TaskContext* parent_;
  uint64_t deadline_ns_;
  const Inherits inherits_;
  bool stop_requested_ = false;
  StopToken stop_token_;  // made when somebody asks for it
  StopCallbackList callbacks_;
  IntrusiveList<TaskContext> children_;
};

// Deadline of the task that runs: the earliest of the timeouts and scopes that it is under, in
// nanoseconds of the executor's clock; TaskContext::kNoDeadline when there is none.
inline uint64_t CurrentDeadlineNs() {
  const TaskContext* const context = TaskContext::Current();
  return context == nullptr ? TaskContext::kNoDeadline : context->deadline_ns();
}

// The stop of the task that runs: that of its scope, and so of all scopes around it. A detached
// task has none.
inline StopToken CurrentStopToken() {
  TaskContext* const context = TaskContext::Current();
  return context == nullptr ? StopToken() : context->stop_token();
}

}  // namespace ioengine

#endif  // IOENGINE_SCHED_TASK_CONTEXT_H_
