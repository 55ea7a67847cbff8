#include "ioengine/sched/executor.h"

#include <utility>

#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

// The executor that runs this thread. Not state of the library's own: it is set for the time of
// Run, so that a task can find its shard.
thread_local Executor* current_executor = nullptr;

}  // namespace

void Runnable::LeaveRunQueue() {
  IOENGINE_CHECK(current_executor != nullptr,
                 "a task that was about to run is destroyed on a thread that runs no executor");
  current_executor->ready_.Remove(*this);
}

Executor::Executor(Poller& poller, const ExecutorOptions& options, const Clock& clock)
    : poller_(poller), clock_(clock), options_(options), inbox_(options.inbox_capacity) {}

Executor::~Executor() {
  IOENGINE_CHECK(current_executor != this, "an executor is destroyed while it runs");
}

Executor* Executor::Current() { return current_executor; }

void Executor::Run() {
  IOENGINE_CHECK(current_executor == nullptr, "this thread runs an executor already");
  current_executor = this;
  callers_.fetch_and(~kClosedBit, std::memory_order_acq_rel);
  // Acquire: what the thread that asked to stop did before is visible to what runs after Run.
  while (!stop_requested_.load(std::memory_order_acquire)) RunTurn();
  detached_.DestroyChildren();
  IOENGINE_CHECK(ready_.empty(), "a task outlives the tasks that the executor owns");
  CloseInbox();
  stop_requested_.store(false, std::memory_order_relaxed);
  current_executor = nullptr;
}

void Executor::RequestStop() {
  stop_requested_.store(true, std::memory_order_release);
  // Same protocol as TryCall, with the flag in the place of the call. The flag comes first: a
  // thread that is told here that Run is over touches the poller no more, and the next Run sees
  // the flag.
  if ((callers_.fetch_add(1, std::memory_order_acq_rel) & kClosedBit) == 0) {
    if (sleeping_.exchange(false, std::memory_order_acq_rel)) poller_.Wake();
  }
  callers_.fetch_sub(1, std::memory_order_release);
}

CallOutcome Executor::TryCall(std::unique_ptr<ForeignCall>& call) {
  CallOutcome outcome = CallOutcome::kStopped;
  if ((callers_.fetch_add(1, std::memory_order_acq_rel) & kClosedBit) == 0) {
    if (inbox_.TryPush(call)) {
      outcome = CallOutcome::kAccepted;
      if (sleeping_.exchange(false, std::memory_order_acq_rel)) poller_.Wake();
    } else {
      outcome = CallOutcome::kInboxFull;
    }
  }
  callers_.fetch_sub(1, std::memory_order_release);
  return outcome;
}

void Executor::RunTurn() {
  ++stats_.turns;
  RunReady();
  TakeForeignCalls();
  if (ready_.empty()) {
    Idle();
  } else {
    poller_.Poll();
  }
}

void Executor::RunReady() {
  // Only those that were runnable at the start, so that every turn ends.
  for (size_t left = ready_.size(); left > 0; --left) {
    Runnable* task = ready_.Pop();
    if (task == nullptr) return;  // one was destroyed by another before its turn
    ++stats_.tasks_resumed;
    task->Resume();
  }
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

void Executor::Idle() {
  if (options_.idle_spin_ns > 0 && SpinFindsWork()) return;
  sleeping_.exchange(true, std::memory_order_acq_rel);
  if (inbox_.empty() && !stop_requested_.load(std::memory_order_acquire)) {
    ++stats_.sleeps;
    poller_.Wait(Poller::kForever);
  } else {
    poller_.Poll();  // calls that come without end must not keep it from its turn
  }
  // An exchange, not a store: a store would cut the release sequence of a caller that came second
  // (and so woke nobody), and its call could be overlooked before the next sleep.
  sleeping_.exchange(false, std::memory_order_acq_rel);
}

bool Executor::SpinFindsWork() {
  if (poller_.Poll() > 0) return true;
  const uint64_t deadline_ns = clock_.NowNs() + options_.idle_spin_ns;
  do {
    if (poller_.HasCompletions() && poller_.Poll() > 0) return true;
    if (!inbox_.empty() || stop_requested_.load(std::memory_order_acquire)) return true;
    for (int i = 0; i < 16; ++i) __builtin_ia32_pause();
  } while (clock_.NowNs() < deadline_ns);
  return false;
}

void Executor::CloseInbox() {
  callers_.fetch_or(kClosedBit, std::memory_order_acq_rel);
  // Callers are inside for a few instructions, or one system call that wakes this shard.
  while (callers_.load(std::memory_order_acquire) != kClosedBit) __builtin_ia32_pause();
  while (inbox_.Pop() != nullptr) {
  }
}

}  // namespace ioengine
