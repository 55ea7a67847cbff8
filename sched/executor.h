// Executor: runs the tasks of one shard, one at a time, on one thread.
//
//            Run()                    nothing is runnable
//   created ───────► running its turns ────────────────────► asleep in Poller::Wait
//                     ▲  │  ▲                                    │
//              Run()  │  │  └────── completion, TryCall, stop ───┘
//                     │  └─ RequestStop() ─┐
//                     └────── stopped ◄────┘
//
// Foreign calls are accepted when created and while running; a stopped executor refuses them.
//
// A turn: run the tasks that were runnable when it began, take foreign calls, then poll. So I/O
// that tasks ask for gathers during a turn and is submitted together, and a task that
// yields for ever keeps neither the poller nor the other tasks from their turn.
#ifndef IOENGINE_SCHED_EXECUTOR_H_
#define IOENGINE_SCHED_EXECUTOR_H_

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "ioengine/sched/clock.h"
#include "ioengine/sched/inbox.h"
#include "ioengine/sched/poller.h"
#include "ioengine/sched/runnable.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_scope.h"

namespace ioengine {

struct ExecutorOptions {
  // Foreign calls that may wait for the shard. Full means refused, see TryCall.
  size_t inbox_capacity = 1024;
  // How long an idle shard looks for completions and calls before it sleeps. 0: sleep at once.
  // Spinning saves the wake-up (tens of microseconds on a virtual machine) and costs CPU.
  uint64_t idle_spin_ns = 0;
};

// Counters of one executor since its start. Read on its shard.
struct ExecutorStats {
  uint64_t turns = 0;
  uint64_t tasks_resumed = 0;
  uint64_t foreign_calls = 0;
  uint64_t sleeps = 0;
};

// What became of a foreign call.
enum class CallOutcome : uint8_t { kAccepted, kInboxFull, kStopped };

class Executor {
 public:
  // Borrows `poller` and `clock`, which must outlive the executor.
  Executor(Poller& poller, const ExecutorOptions& options,
           const Clock& clock = MonotonicClock::Get());
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // The executor must not be running. Destroys foreign calls that were never run.
  ~Executor();

  // The executor whose Run is on this thread's stack; null on foreign threads.
  static Executor* Current();

  // Runs tasks on the calling thread, which is the shard's from now on, until RequestStop. Before
  // it returns it destroys the tasks that have not finished and the foreign calls that have not
  // run. May be called again afterwards.
  void Run();

  // Makes Run return at the end of its turn; where it is not running, the next Run returns at once.
  // Any thread. The poller is not used after Run has returned.
  void RequestStop();

  // Makes `task` runnable; nobody awaits it. The executor owns it until it finishes.
  // Shard: this one. Cost: one allocation.
  void Spawn(Task<void> task, ClassId class_id = 0) { detached_.Spawn(std::move(task), class_id); }

  // Queues a suspended task to be resumed. Shard: this one. Cost: a few stores.
  void MakeRunnable(Runnable& task) { ready_.Push(task); }

  // Hands `call` to the shard and wakes it when it sleeps; leaves `call` untouched unless it is
  // accepted. An accepted call is run, or destroyed on the shard when that stops first.
  // Any thread. Cost: four atomic read-modify-writes; a system call when the shard sleeps.
  CallOutcome TryCall(std::unique_ptr<ForeignCall>& call);

  // `co_await executor.Yield()`: lets the other runnable tasks and the poller have a turn.
  auto Yield() { return YieldAwaiter{*this}; }

  const Clock& clock() const { return clock_; }

  // The time, read at most once per turn: for stamps that need not be finer than a turn. A task
  // that a completion resumed sees when the turn began in which it was resumed. Nanoseconds of
  // clock().
  uint64_t TurnTimeNs() {
    if (turn_of_time_ != stats_.turns) {
      turn_of_time_ = stats_.turns;
      turn_time_ns_ = clock_.NowNs();
    }
    return turn_time_ns_;
  }

  const ExecutorStats& stats() const { return stats_; }

  // How often TryCall was refused. Any thread.
  uint64_t inbox_times_full() const { return inbox_.times_full(); }

 private:
  struct YieldAwaiter {
    Executor& executor;

    bool await_ready() const noexcept { return false; }
    template <typename Promise>
    void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
      executor.MakeRunnable(handle.promise());
    }
    void await_resume() const noexcept {}
  };

  void RunTurn();
  void RunReady();
  void TakeForeignCalls();
  void Idle();
  bool SpinFindsWork();
  void CloseInbox();

  Poller& poller_;
  const Clock& clock_;
  const ExecutorOptions options_;
  RunQueue ready_;
  ExecutorStats stats_;

  friend class Runnable;  // LeaveRunQueue
  TaskScope detached_{*this};
  uint64_t turn_of_time_ = 0;
  uint64_t turn_time_ns_ = 0;

  Inbox inbox_;
  // True while the shard sleeps or is about to. Partner of the exchange in TryCall: both sides use
  // read-modify-writes, so either the caller sees `true` and wakes the shard, or its exchange comes
  // first and the shard, whose exchange then reads it, sees the call in the inbox.
  alignas(64) std::atomic<bool> sleeping_{false};
  std::atomic<bool> stop_requested_{false};
  // The number of threads inside TryCall and RequestStop, and whether those are closed. A thread
  // enters with an addition that also shows it the bit; so once the executor has set the bit and
  // seen the count fall to 0, no call can reach the inbox any more, and no thread is about to wake
  // the poller.
  static constexpr uint32_t kClosedBit = uint32_t{1} << 31;
  std::atomic<uint32_t> callers_{0};
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_EXECUTOR_H_
