#include "ioengine/sched/executor.h"

#include <algorithm>
#include <utility>

#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

// A slice is not cut shorter than this for a timer, so that a great many timers are fired in bulk.
constexpr uint64_t kMinTimerSliceNs = 5'000;

// After so many tasks a slice looks whether anything waits outside of the run queues: a call, or
// I/O to be submitted.
constexpr int kTasksBetweenLooks = 64;

// Of a shard that spins.
constexpr int kLooksBetweenClockReads = 16;

// Of a shard whose memory is used up: how often it looks for slabs that it can give back.
constexpr uint64_t kTrimIntervalNs = 1'000'000;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

class Executor::OnThread {
 public:
  explicit OnThread(Executor& executor) {
    IOENGINE_CHECK(internal::this_thread.executor == nullptr,
                   "this thread runs an executor already");
    internal::this_thread = {.executor = &executor, .frames = &executor.frames_, .task = nullptr};
  }
  OnThread(const OnThread&) = delete;
  OnThread& operator=(const OnThread&) = delete;
  ~OnThread() { internal::this_thread = {}; }
};

Executor::Executor(Poller& poller, const ExecutorOptions& options, const Clock& clock)
    : poller_(poller),
      clock_(clock),
      options_(options),
      memory_(options.memory == nullptr ? std::make_shared<MemoryBudget>() : options.memory),
      frames_(options.max_frame_bytes, memory_),
      preemption_(poller, clock),
      timers_(clock.NowNs()),
      now_ns_(clock.NowNs()),
      order_(options.shuffle_seed),
      stalls_(options.stall),
      spin_(options.idle_spin_ns),
      wake_budget_(clock.is_real() ? options.timer_batch_ns : 0),
      pulse_(options.pulse == nullptr ? std::make_shared<Pulse>() : options.pulse),
      inbox_(options.inbox_capacity) {
  pulse_->Begin(*this);
}

Executor::~Executor() {
  IOENGINE_CHECK(Current() != this, "an executor is destroyed while it runs");
  pulse_->End();
  // In a child process the tasks are copies of the parent's, and end there.
  if (!begun_ || fork_guard_.in_child()) return;
  // Pump was not called to the end: what is left is destroyed here.
  const OnThread on_thread(*this);
  End();
}

void Executor::Run() {
  const OnThread on_thread(*this);
  Begin();
  // Acquire: what the thread that asked to stop did before is visible to what runs after Run.
  while (!stop_requested_.load(std::memory_order_acquire)) {
    RunTurn();
    if (classes_.any_active()) {
      poller_.Poll();
    } else {
      Idle();
    }
  }
  End();
}

PumpOutcome Executor::Pump(uint64_t max_ns) {
  const OnThread on_thread(*this);
  if (!begun_) {
    Begin();
  } else {
    WokeUp();
  }
  const uint64_t begin_ns = clock_.NowNs();
  while (!stop_requested_.load(std::memory_order_acquire)) {
    RunTurn();
    poller_.Poll();
    if (!classes_.any_active() && (idle_work_ == nullptr || !idle_work_->RunPiece())) {
      if (PrepareToSleep() && poller_.PrepareWait(SleepNs())) {
        ++stats_.sleeps;
        return PumpOutcome::kIdle;
      }
      WokeUp();
    }
    if (now_ns_ - begin_ns >= max_ns) return PumpOutcome::kMore;
  }
  End();
  return PumpOutcome::kStopped;
}

void Executor::Begin() {
  CheckNotForked();
  begun_ = true;
  stalls_.Start(clock_.is_real());
  callers_.fetch_and(~kClosedBit, std::memory_order_acq_rel);
}

void Executor::End() {
  for (TurnPoller* at = turn_pollers_.front(); at != nullptr; at = turn_pollers_.Next(*at)) {
    at->Stopping();
  }
  DestroyTasks();
  for (TurnPoller *at = turn_pollers_.front(), *next = nullptr; at != nullptr; at = next) {
    next = turn_pollers_.Next(*at);
    at->Stopped();  // it may leave
  }
  CloseInbox();
  stalls_.Stop();
  stopping_ = false;
  stop_requested_.store(false, std::memory_order_relaxed);
  begun_ = false;
}

void Executor::RequestStop() {
  stop_requested_.store(true, std::memory_order_release);
  // Same protocol as TryCall, with the flag in the place of the call. The flag comes first: a
  // thread that is told here that Run is over touches the poller no more, and the next Run sees
  // the flag.
  WakeUp();
}

void Executor::WakeUp() {
  if (fork_guard_.in_child()) return;
  if (Enter() && sleeping_.exchange(false, std::memory_order_acq_rel)) poller_.Wake();
  Leave();
}

bool Executor::Enter() {
  return (callers_.fetch_add(1, std::memory_order_acq_rel) & kClosedBit) == 0;
}

CallOutcome Executor::TryCall(std::unique_ptr<ForeignCall>& call) {
  if (fork_guard_.in_child()) return CallOutcome::kForked;
  CallOutcome outcome = CallOutcome::kStopped;
  if (Enter()) {
    if (!memory_->has_room()) [[unlikely]] {
      outcome = CallOutcome::kMemoryFull;
    } else if (inbox_.TryPush(call)) {
      outcome = CallOutcome::kAccepted;
      if (sleeping_.exchange(false, std::memory_order_acq_rel)) poller_.Wake();
    } else {
      outcome = CallOutcome::kInboxFull;
    }
  }
  Leave();
  return outcome;
}

void Executor::Spawn(Task<void> task, std::optional<ClassId> class_id) {
  IOENGINE_CHECK(Current() == this, "Spawn from a thread that does not run this executor");
  Runnable& spawned = internal::TaskAccess::Release(std::move(task));
  const ClassId id = class_id.value_or(current_class());
  IOENGINE_CHECK(classes_.Find(id) != nullptr, "Spawn in a class that was not created");
  spawned.EndDetached();
  spawned.set_class_id(id);
  if (stopping_) {
    spawned.Destroy();
  } else {
    MakeRunnable(spawned);
  }
}

void Executor::Activate(TaskQueue& queue) {
  classes_.Activate(queue, now_ns_);
  if (running_ == nullptr) return;
  preemption_.BePrecise();
  if (classes_.Preempts(queue, *running_)) preemption_.Request();
}

void Executor::ArmTimer(Timer& timer, uint64_t deadline_ns) {
  timers_.Arm(timer, deadline_ns);
  if (deadline_ns >= next_timer_ns_) [[likely]] {
    return;
  }
  next_timer_ns_ = deadline_ns;
  if (running_ != nullptr) {
    preemption_.LimitTo(std::max(deadline_ns, now_ns_ + kMinTimerSliceNs));
  }
}

void Executor::RunTurn() {
  CheckNotForked();
  pulse_->Beat(++stats_.turns);
  now_ns_ = turn_time_ns_ = clock_.NowNs();
  if (!memory_->has_room()) [[unlikely]] {
    TrimFrames();
  }
  FireTimers();
  TakeForeignCalls();
  for (TurnPoller* at = turn_pollers_.front(); at != nullptr; at = turn_pollers_.Next(*at)) {
    at->Poll();
  }
  RunSlices();
  TellEndOfTurn();
}

void Executor::TellEndOfTurn() {
  for (TurnPoller* at = turn_pollers_.front(); at != nullptr; at = turn_pollers_.Next(*at)) {
    at->EndTurn();
  }
}

// Foreign calls are refused meanwhile.
void Executor::TrimFrames() {
  if (now_ns_ < next_trim_ns_) return;
  next_trim_ns_ = now_ns_ + kTrimIntervalNs;
  frames_.Trim();
}

void Executor::FireTimers() {
  if (now_ns_ < next_timer_ns_) return;
  stats_.timers_fired += timers_.Advance(now_ns_);
  next_timer_ns_ = timers_.NextEventNs();
}

void Executor::TakeForeignCalls() {
  // As many as the inbox holds at once, so that producers cannot keep the shard from its tasks.
  for (size_t left = inbox_.capacity(); left > 0; --left) {
    std::unique_ptr<ForeignCall> call = inbox_.Pop();
    if (call == nullptr) return;
    ++stats_.foreign_calls;
    call->Run();
  }
}

void Executor::RunSlices() {
  const uint64_t turn_end_ns = now_ns_ + kSliceNs;
  while (TaskQueue* const queue = classes_.TakeNext(now_ns_)) {
    const uint64_t begin_ns = now_ns_;
    const uint64_t until_timer_ns = next_timer_ns_ - std::min(begin_ns, next_timer_ns_);
    const bool alone = !classes_.any_active() && until_timer_ns >= kSliceNs;
    // A shuffled slice is over after one task: what that wakes is shuffled with the others.
    const uint64_t slice_ns =
        order_.shuffles() ? 0 : std::min(kSliceNs, std::max(until_timer_ns, kMinTimerSliceNs));
    preemption_.BeginSlice(begin_ns, slice_ns, alone);
    running_ = queue;
    const bool go_on = RunSlice(*queue);
    running_ = nullptr;
    internal::this_thread.task = nullptr;
    // What tasks sent is on its way while this shard does its accounts.
    if (!classes_.any_active()) TellEndOfTurn();
    now_ns_ = clock_.NowNs();
    classes_.Return(*queue, now_ns_ - begin_ns, now_ns_);
    if (stalls_.IsStall(now_ns_ - begin_ns)) {
      ++stats_.stalls;
      stalls_.Report(queue->name(), begin_ns, now_ns_);
      now_ns_ = clock_.NowNs();
    }
    if (!go_on || now_ns_ >= turn_end_ns || now_ns_ >= next_timer_ns_) return;
  }
}

bool Executor::RunSlice(TaskQueue& queue) {
  if (order_.shuffles()) order_.Shuffle(queue.runnable_);
  uint64_t resumed = 0;
  bool go_on = true;
  while (Runnable* const task = queue.runnable_.TryPopFront()) {
    internal::this_thread.task = task;
    stalls_.Note(*task);
    task->Resume();
    ++resumed;
    if (queue.runnable_.empty()) break;
    if (preemption_.IsDue()) {
      // For another class the turn goes on; otherwise something outside is due.
      go_on = preemption_.requested();
      break;
    }
    if (resumed % kTasksBetweenLooks == 0 && WorkWaitsOutside()) {
      go_on = false;
      break;
    }
  }
  if (!queue.runnable_.empty()) ++stats_.preemptions;
  queue.stats_.tasks_resumed += resumed;
  stats_.tasks_resumed += resumed;
  return go_on;
}

bool Executor::WorkWaitsOutside() const {
  return !inbox_.empty() || poller_.HasWork() || stop_requested_.load(std::memory_order_relaxed);
}

uint64_t Executor::SleepNs() {
  next_timer_ns_ = timers_.NextEventNs();  // the one that was next may have been cancelled
  if (next_timer_ns_ == TimerWheel::kNever) return Poller::kForever;
  const uint64_t wake_at_ns = wake_budget_.WakeAtNs(next_timer_ns_);
  return wake_at_ns - std::min(wake_at_ns, clock_.NowNs());
}

void Executor::Idle() {
  const uint64_t spin_ns = spin_.NextNs();
  if (spin_ns > 0 || idle_work_ != nullptr) {
    // What gathered is submitted before anything takes time; a sleep does that by itself.
    if (poller_.Poll() > 0) return;
    if (idle_work_ != nullptr && idle_work_->RunPiece()) return;
  }
  if (spin_ns > 0) {
    const bool found = SpinFindsWork(spin_ns);
    spin_.Learn(found);
    if (found) return;
  }
  if (PrepareToSleep()) {
    Sleep();
  } else {
    poller_.Poll();  // calls that come without end must not keep it from its turn
  }
  WokeUp();
}

void Executor::Sleep() {
  ++stats_.sleeps;
  const uint64_t sleep_ns = SleepNs();
  poller_.Wait(sleep_ns);
  if (sleep_ns == Poller::kForever) return;
  const uint64_t now_ns = clock_.NowNs();
  if (now_ns >= next_timer_ns_) wake_budget_.Spend(now_ns);
}

bool Executor::SpinFindsWork(uint64_t spin_ns) {
  const uint64_t begin_ns = clock_.NowNs();
  uint64_t now_ns = begin_ns;
  do {
    if (now_ns >= next_timer_ns_) return true;
    // A pause takes up to 50 ns, as long as a message between cores: so it is looked after each.
    // The clock is for longer times.
    for (int i = 0; i < kLooksBetweenClockReads; ++i) {
      if (AnyPollerHasWork()) return true;
      if (poller_.HasCompletions() && poller_.Poll() > 0) return true;
      if (!inbox_.empty() || stop_requested_.load(std::memory_order_acquire)) return true;
      Pause();
    }
    now_ns = clock_.NowNs();
  } while (now_ns - begin_ns < spin_ns);
  return false;
}

bool Executor::AnyPollerHasWork() {
  for (TurnPoller* at = turn_pollers_.front(); at != nullptr; at = turn_pollers_.Next(*at)) {
    if (at->HasWork()) return true;
  }
  return false;
}

bool Executor::PrepareToSleep() {
  // Sequentially consistent for is_asleep.
  sleeping_.exchange(true, std::memory_order_seq_cst);
  bool may_sleep = true;
  for (TurnPoller* at = turn_pollers_.front(); at != nullptr; at = turn_pollers_.Next(*at)) {
    may_sleep &= at->PrepareToSleep();
  }
  return may_sleep && inbox_.empty() && !stop_requested_.load(std::memory_order_acquire);
}

void Executor::WokeUp() {
  for (TurnPoller* at = turn_pollers_.front(); at != nullptr; at = turn_pollers_.Next(*at)) {
    at->WokeUp();
  }
  // An exchange, not a store: a store would cut the release sequence of a caller that came second
  // (and so woke nobody), and its call could be overlooked before the next sleep.
  sleeping_.exchange(false, std::memory_order_acq_rel);
}

void Executor::DestroyTasks() {
  stopping_ = true;
  // Detached tasks are in no list, which is what makes them small: they are found where their
  // frames come from. What they await and own goes with them.
  frames_.ForEachFrame([](void* frame) {
    Runnable& task = std::coroutine_handle<Runnable>::from_address(frame).promise();
    if (task.end() == Runnable::End::kDetached) task.Destroy();
  });
  IOENGINE_CHECK(classes_.TakeNext(now_ns_) == nullptr,
                 "a task outlives the tasks that the executor owns");
}

void Executor::CloseInbox() {
  callers_.fetch_or(kClosedBit, std::memory_order_acq_rel);
  // Callers are inside for a few instructions, or one system call that wakes this shard.
  while (callers_.load(std::memory_order_acquire) != kClosedBit) Pause();
  while (inbox_.Pop() != nullptr) {
  }
}

void Executor::CheckNotForked() const {
  IOENGINE_CHECK(!fork_guard_.in_child(),
                 "a shard is used in a child process of its own (after fork); a child must call "
                 "exec, or start a runtime of its own");
}

}  // namespace ioengine
