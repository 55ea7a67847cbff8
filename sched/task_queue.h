// TaskQueue: one priority class: its runnable tasks, its shares of the CPU, and what it has used.
#ifndef IOENGINE_SCHED_TASK_QUEUE_H_
#define IOENGINE_SCHED_TASK_QUEUE_H_

#include <cstdint>
#include <string>
#include <utility>

#include "ioengine/sched/runnable.h"

namespace ioengine {

// What a class is made with.
struct TaskQueueOptions {
  // For statistics and for the report of a stall.
  std::string name = {};
  // When several classes have something to run, each gets CPU time in proportion to its shares.
  // 1 to 1000. Executor::SetShares changes them at any time.
  uint32_t shares = 100;
  // Not 0: the class runs ahead of the others, by at most this much CPU time beyond its shares; see
  // ClassScheduler for what that promises to it and to the others. Nanoseconds.
  uint64_t latency_goal_ns = 0;
  // Its I/O gives way to that of classes that are not of the background; see IoQueue.
  bool background = false;
};

// Counters of a class since it was made. Times are taken once for each slice, not for each task.
struct TaskQueueStats {
  uint64_t run_ns = 0;  // CPU time: the slices' length together
  uint64_t slices = 0;  // turns at the CPU
  uint64_t tasks_resumed = 0;
  uint64_t wait_ns = 0;          // for a slice, having something to run; all together
  uint64_t longest_wait_ns = 0;  // for one slice
};

// Shard: one.
class TaskQueue {
 public:
  TaskQueue(ClassId id, TaskQueueOptions options) : id_(id), options_(std::move(options)) {}
  TaskQueue(const TaskQueue&) = delete;
  TaskQueue& operator=(const TaskQueue&) = delete;

  ClassId id() const { return id_; }
  const std::string& name() const { return options_.name; }
  uint32_t shares() const { return options_.shares; }
  uint64_t latency_goal_ns() const { return options_.latency_goal_ns; }
  bool is_background() const { return options_.background; }
  const TaskQueueStats& stats() const { return stats_; }

 private:
  friend class ClassScheduler;
  friend class Executor;

  const ClassId id_;
  TaskQueueOptions options_;
  TaskQueueStats stats_;

  RunnableList runnable_;
  // In the scheduler's set of classes with something to run (or that had, when it was last looked
  // at: a task that is destroyed leaves `runnable_` by itself).
  bool active_ = false;
  uint64_t active_since_ns_ = 0;  // or when it ran last, when it is not active
  // CPU time used, divided by shares; wraps around. See ClassScheduler.
  uint64_t virtual_time_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_TASK_QUEUE_H_
