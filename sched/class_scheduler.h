// ClassScheduler: which priority class runs next.
//
// Weighted fair queueing by CPU time used. Each class has a virtual time v: what it has run,
// divided by its shares. Of the classes that have something to run the one with the smallest v is
// next, for one slice. V, the virtual time of the shard, is the v of the class that was chosen last
// in this way; a class that wakes up starts at V at least, so that it cannot save up time while it
// sleeps (start-time fair queueing: P. Goyal, H. M. Vin, H. Cheng, SIGCOMM 1996; its v is their
// start tag).
//
// A class with a latency goal g is *urgent* as long as it is not further ahead of V than g of its
// own CPU time, v < V + g/shares, and urgent classes run before the others, the one with the
// earliest deadline (when it became runnable, plus g) first. It pays for what it runs like any
// other. (Running ahead on credit that is bounded is "borrowed virtual time": K. J. Duda, D. R.
// Cheriton, SOSP 1999.)
//
// What follows, with Q the slice, T the longest that any task runs without a suspension or a
// MaybeYield, L the classes with a goal, F those without; as long as no shares are changed (fewer
// shares give a class with a goal new credit):
//
//  (1) No class starves. Class j, which is not ahead of its shares (v = V) when it becomes
//  runnable,
//      runs after at most
//
//        W = T + Σ(i in L, i≠j) (g(i) + Q + T) + Σ(k in F, k≠j) (Q + T).
//
//      Proof. While j waits V does not pass v(j), since j would be chosen first. An urgent class i
//      is at V at least when it starts, and stops being urgent at V + g(i)/shares(i): it runs at
//      most g(i), and what the last of its slices exceeds that by, Q + T. Each other class k runs
//      at most once: it is at V at least, and after its slice above V, so behind j, also when it
//      sleeps and wakes up again; the same holds for a class with a goal that is not urgent any
//      more, in whose g(i) + Q + T that slice is counted, since it is not chosen above v(j). The
//      first T is the task that runs when j becomes runnable.
//      A class that is ahead by x of its own CPU time waits until the others have caught up:
//      x / shares(j) × (shares of all others) more.
//  (2) A class i with a goal that is urgent when it becomes runnable runs after at most T + the sum
//      of g(k) + Q + T over the classes k of L whose deadline is meanwhile no later than its own: T
//      alone, if there is none. (A slice of any other class is cut short for it.) Deadlines count
//      from the begin of the slice in which a class became runnable, so two that became runnable
//      within a slice may go in the other order.
//  (3) Shares are kept: two classes that always have something to run are never apart by more than
//      one slice each in v, plus g for one with a goal.
//
// Q is Executor::kSliceNs.
#ifndef IOENGINE_SCHED_CLASS_SCHEDULER_H_
#define IOENGINE_SCHED_CLASS_SCHEDULER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/sched/task_queue.h"

namespace ioengine {

// Shard: one.
class ClassScheduler {
 public:
  static constexpr size_t kMaxClasses = 256;  // as many as a ClassId tells apart
  static constexpr uint32_t kMaxShares = 1000;
  static constexpr uint64_t kMaxLatencyGoalNs = 10'000'000'000;

  // With class 0, "default", of 100 shares.
  ClassScheduler();
  ClassScheduler(const ClassScheduler&) = delete;
  ClassScheduler& operator=(const ClassScheduler&) = delete;

  // Errors: InvalidArgument names the option; ResourceExhausted when there are kMaxClasses.
  absl::StatusOr<ClassId> AddClass(TaskQueueOptions options);
  absl::Status SetShares(ClassId id, uint32_t shares);

  // Null for a class that was not made.
  TaskQueue* Find(ClassId id) { return classes_[id].get(); }
  const TaskQueue* Find(ClassId id) const { return classes_[id].get(); }
  size_t size() const { return size_; }

  // Puts `task` at the end of its class's queue. True when the class becomes active by it.
  // Cost: O(1), no allocation.
  bool Push(Runnable& task, TaskQueue& queue) {
    queue.runnable_.PushBack(task);
    return !queue.active_;
  }

  // Adds a class to the active ones. `now_ns` may be as old as the slice that runs.
  // Cost: O(log active classes).
  void Activate(TaskQueue& queue, uint64_t now_ns);

  // Takes the class that is to run next out of the active ones, or gives null. It has something to
  // run. Cost: O(log active classes + classes with a goal).
  TaskQueue* TakeNext(uint64_t now_ns);

  // Accounts a slice of `run_ns` to a class that was taken, and makes it active again if it has
  // something left to run.
  void Return(TaskQueue& queue, uint64_t run_ns, uint64_t now_ns);

  // Whether `waking` is to run before the slice of `running` is over: it is urgent, and `running`
  // is not, or has the later deadline.
  bool Preempts(const TaskQueue& waking, const TaskQueue& running) const;

  // Whether any class is active; some may have lost their tasks.
  bool any_active() const { return !fair_.empty() || !with_goal_.empty(); }

 private:
  // v is in CPU nanoseconds × kUnit / shares.
  static constexpr uint64_t kUnit = 1024;

  // A class that was idle for so long starts afresh: its virtual time may have been overtaken by
  // half of the numbers there are, and would seem to lie ahead.
  static constexpr uint64_t kForgetNs = uint64_t{3'600'000'000'000};

  bool IsUrgent(const TaskQueue& queue) const;
  static uint64_t DeadlineNs(const TaskQueue& queue) {
    return queue.active_since_ns_ + queue.latency_goal_ns();
  }
  void Enter(TaskQueue& queue);
  TaskQueue* Choose();

  std::array<std::unique_ptr<TaskQueue>, kMaxClasses> classes_;
  size_t size_ = 0;
  std::vector<TaskQueue*> fair_;       // active, without a goal: a heap, the smallest v on top
  std::vector<TaskQueue*> with_goal_;  // active, with a goal, in no order: they are few
  uint64_t virtual_now_ = 0;           // V
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_CLASS_SCHEDULER_H_
