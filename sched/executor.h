// Executor: runs the tasks of one shard, one at a time, on one thread.
//
//            Run(), Pump()            nothing is runnable
//   created ───────► running its turns ────────────────────► asleep in Poller::Wait,
//                     ▲  │  ▲                                or (Pump) in the host's event loop
//              Run()  │  │  │                                    │
//              Pump() │  │  └─ completion, timer, call, stop ────┘
//                     │  └─ RequestStop() ─┐
//                     └────── stopped ◄────┘
//
// Foreign calls are accepted when created and while running; a stopped executor refuses them.
//
// A turn: fire the timers that are due, take foreign calls, run slices of the priority classes
// (ClassScheduler says which and for how long), then poll. So I/O that tasks ask for gathers during
// a turn and is submitted together, and a task that yields for ever keeps neither the poller nor
// the other tasks from their turn.
#ifndef IOENGINE_SCHED_EXECUTOR_H_
#define IOENGINE_SCHED_EXECUTOR_H_

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/sched/class_scheduler.h"
#include "ioengine/sched/clock.h"
#include "ioengine/sched/fork_guard.h"
#include "ioengine/sched/frame_pool.h"
#include "ioengine/sched/idle_spin.h"
#include "ioengine/sched/inbox.h"
#include "ioengine/sched/memory_budget.h"
#include "ioengine/sched/poller.h"
#include "ioengine/sched/preemption.h"
#include "ioengine/sched/pulse.h"
#include "ioengine/sched/runnable.h"
#include "ioengine/sched/shuffle.h"
#include "ioengine/sched/stall.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/this_thread.h"
#include "ioengine/sched/timer_wheel.h"
#include "ioengine/sched/turn_poller.h"
#include "ioengine/sched/wake_budget.h"

namespace ioengine {

class Shard;

struct ExecutorOptions {
  // Foreign calls that may wait for the shard. Full means refused, see TryCall.
  size_t inbox_capacity = 1024;
  // How long an idle shard looks for completions and calls before it sleeps, at most: it spins less
  // where that finds nothing (IdleSpin). 0: sleep at once. Spinning saves the wake-up (tens of
  // microseconds on a virtual machine) and costs CPU.
  uint64_t idle_spin_ns = 0;
  // A shard that sleeps wakes up for timers once in this time, where more than a few of them are
  // due one after the other; each is then late by at most so much (WakeBudget). 0: for each at
  // once. Nothing is late on a shard that is busy or spins, or in simulated time.
  uint64_t timer_batch_ns = 1'000'000;
  // Coroutine frames that come from the shard's own memory; more come from the heap. Address space
  // is reserved for it, memory is taken as it is needed.
  size_t max_frame_bytes = size_t{1} << 30;
  // The shard's: frames are charged to it, and no foreign call is taken while it has no room. Null:
  // without a limit.
  std::shared_ptr<MemoryBudget> memory = nullptr;
  // Not 0: takes the runnable tasks of each class in an order that this number decides, one to a
  // slice, to find what relies on the order. For tests; the same number gives the same order.
  uint64_t shuffle_seed = 0;
  // A task that keeps the shard for longer is reported.
  StallOptions stall = {};
  // Its pulse, for those that wait for it before it is there. Null: it makes one.
  std::shared_ptr<Pulse> pulse = nullptr;
};

// Counters of one executor since its start. Read on its shard.
struct ExecutorStats {
  uint64_t turns = 0;
  uint64_t tasks_resumed = 0;
  uint64_t foreign_calls = 0;
  uint64_t timers_fired = 0;
  uint64_t preemptions = 0;  // slices that ended with something left to run
  uint64_t sleeps = 0;
  uint64_t stalls = 0;
};

// What became of a foreign call.
enum class CallOutcome : uint8_t { kAccepted, kInboxFull, kMemoryFull, kStopped, kForked };

// How Pump ended.
enum class PumpOutcome : uint8_t {
  kMore,     // its time was over: call it again soon
  kIdle,     // nothing to do until Executor::fd() is readable
  kStopped,  // RequestStop was called, and the executor has stopped
};

class Executor {
 public:
  // What a class gets of the CPU at once, and how long a turn goes on without polling. Seastar's
  // default (task_quota_ms = 0.5), and the length up to which virtio disks hide a late poll.
  static constexpr uint64_t kSliceNs = 500'000;

  // Borrows `poller` and `clock`, which must outlive the executor.
  Executor(Poller& poller, const ExecutorOptions& options,
           const Clock& clock = MonotonicClock::Get());
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // The executor must not be running. Destroys foreign calls that were never run.
  ~Executor();

  // The executor that has this thread (its Run or Pump is on the stack); null on foreign threads.
  static Executor* Current() { return internal::this_thread.executor; }

  // Runs tasks on the calling thread, which is the shard's from now on, until RequestStop. Before
  // it returns it destroys the tasks that have not finished and the foreign calls that have not
  // run. May be called again afterwards.
  void Run();

  // Runs tasks on the calling thread for about `max_ns`, or until nothing is left to do for now:
  // for a host that has an event loop of its own. Never sleeps or spins. Call it from one thread,
  // whenever fd() is readable, or soon again when it gives kMore (also when nothing is left to do
  // but something came as it was about to say so). An executor that is not needed
  // any more is ended by RequestStop and one more Pump.
  PumpOutcome Pump(uint64_t max_ns);

  // Readable when an executor whose Pump gave kIdle has something to do: for poll, epoll and the
  // like, level-triggered. Stays the poller's. -1: this poller has none, or none is left. Before
  // the first Pump, on its thread.
  int fd() { return poller_.fd(); }

  // Makes Run (or the next Pump) return at the end of its turn; where it is not running, the next
  // Run returns at once. Any thread. The poller is not used after Run has returned.
  void RequestStop();

  // Makes `task` runnable; nobody awaits it (an explicit detach: it has no deadline, stop or scope,
  // and ends with the executor at the latest). Its class: `class_id`, or that of the task that
  // runs. Shard: this one. Cost: a few stores.
  void Spawn(Task<void> task, std::optional<ClassId> class_id = std::nullopt);

  // Queues a suspended task to be resumed. Shard: this one. Cost: a few stores.
  void MakeRunnable(Runnable& task) {
    TaskQueue& queue = *classes_.Find(task.class_id());
    if (classes_.Push(task, queue)) [[unlikely]] {
      Activate(queue);
    }
  }

  // Hands `call` to the shard and wakes it when it sleeps; leaves `call` untouched unless it is
  // accepted. An accepted call is run, or destroyed on the shard when that stops first.
  // Any thread. Cost: four atomic read-modify-writes; a system call when the shard sleeps.
  CallOutcome TryCall(std::unique_ptr<ForeignCall>& call);

  // Wakes the shard if it sleeps: for those that bring work to a TurnPoller. Any thread. Cost:
  // three atomic read-modify-writes; a system call when it sleeps.
  void WakeUp();
  // Whether WakeUp would do something, for the price of a load: who brings work and then asks, both
  // sequentially consistent, may leave the call out if not. (TurnPoller::PrepareToSleep, which is
  // called when this has become true, must look for work in the same way.)
  bool is_asleep() const { return sleeping_.load(std::memory_order_seq_cst); }

  // `co_await executor.Yield()`: lets the other runnable tasks and the poller have a turn.
  auto Yield() { return YieldAwaiter{*this}; }

  // `co_await executor.MaybeYield()`: the same, only when the slice is over. For loops that run for
  // long. Cost: three loads.
  auto MaybeYield() { return MaybeYieldAwaiter{*this}; }

  // Priority classes: ids below 256, in the order in which they are made, from 0, "default". All
  // on the shard. Errors: see ClassScheduler.
  absl::StatusOr<ClassId> CreateClass(TaskQueueOptions options) {
    return classes_.AddClass(std::move(options));
  }
  absl::Status SetShares(ClassId id, uint32_t shares) { return classes_.SetShares(id, shares); }
  // Name, shares and counters of a class; null when there is none with this id.
  const TaskQueue* FindClass(ClassId id) const { return classes_.Find(id); }
  size_t class_count() const { return classes_.size(); }
  // Of the slice that runs; class 0 outside of tasks.
  ClassId current_class() const { return running_ == nullptr ? ClassId{0} : running_->id(); }

  // Timers of this shard, in nanoseconds of clock(). They fire between slices. Arm through here, so
  // that the slice that runs ends in time.
  void ArmTimer(Timer& timer, uint64_t deadline_ns);
  void CancelTimer(Timer& timer) { timers_.Cancel(timer); }

  // Both borrow what they are given, until it is destroyed (a TurnPoller leaves by itself) or
  // replaced (null: no idle work).
  void AddPoller(TurnPoller& poller) { turn_pollers_.PushBack(poller); }
  void SetIdleWork(IdleWork* work) { idle_work_ = work; }

  // Whether it runs; for threads that wait for it. Any thread.
  std::shared_ptr<Pulse> pulse() const { return pulse_; }

  // What it is the executor of (engine/shard.h); null where it stands alone. Borrowed.
  Shard* shard() const { return shard_; }
  void set_shard(Shard* shard) { shard_ = shard; }

  const Clock& clock() const { return clock_; }

  // The time at which the turn began: for stamps that need not be finer. A task that a completion
  // resumed sees when the turn began in which it was resumed. Nanoseconds of clock(). Cost: a load.
  uint64_t TurnTimeNs() const { return turn_time_ns_; }

  const ExecutorStats& stats() const { return stats_; }
  const FramePool& frames() const { return frames_; }
  // Of the shard: its frames, and what others charge.
  const std::shared_ptr<MemoryBudget>& memory() const { return memory_; }

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

  struct MaybeYieldAwaiter : YieldAwaiter {
    bool await_ready() const noexcept { return !this->executor.preemption_.IsDue(); }
  };

  // Has the thread for as long as it lives.
  class OnThread;

  void Begin();
  void End();

  void RunTurn();
  void TrimFrames();
  void FireTimers();
  void TakeForeignCalls();
  void RunSlices();
  bool RunSlice(TaskQueue& queue);
  void TellEndOfTurn();
  bool WorkWaitsOutside() const;
  void Activate(TaskQueue& queue);

  void Idle();
  bool SpinFindsWork(uint64_t spin_ns);
  bool AnyPollerHasWork();
  uint64_t SleepNs();
  void Sleep();
  bool PrepareToSleep();
  void WokeUp();

  bool Enter();
  void Leave() { callers_.fetch_sub(1, std::memory_order_release); }

  void DestroyTasks();
  void CloseInbox();
  void CheckNotForked() const;

  Poller& poller_;
  const Clock& clock_;
  const ExecutorOptions options_;
  const std::shared_ptr<MemoryBudget> memory_;
  uint64_t next_trim_ns_ = 0;
  FramePool frames_;
  ClassScheduler classes_;
  Preemption preemption_;
  TaskQueue* running_ = nullptr;  // whose slice it is
  TimerWheel timers_;
  uint64_t next_timer_ns_ = TimerWheel::kNever;  // no timer needs a look before
  uint64_t now_ns_ = 0;                          // when the clock was last read
  uint64_t turn_time_ns_ = 0;
  bool stopping_ = false;  // tasks are destroyed, none is started
  bool begun_ = false;
  ExecutorStats stats_;
  ExecutionOrder order_;
  StallDetector stalls_;
  IdleSpin spin_;
  WakeBudget wake_budget_;
  IdleWork* idle_work_ = nullptr;
  IntrusiveList<TurnPoller> turn_pollers_;
  ForkGuard fork_guard_;
  Shard* shard_ = nullptr;
  const std::shared_ptr<Pulse> pulse_;

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
