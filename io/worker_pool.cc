#include "ioengine/io/worker_pool.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "ioengine/io/blocking_call.h"
#include "ioengine/io/readiness_waiter.h"
#include "ioengine/io/worker_thread.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/clock.h"

namespace ioengine {
namespace {

// What a worker takes at once, at most: enough to make the lock and the wake-ups cheap beside small
// operations, and far less than its share of what waits, so that no worker idles beside one that
// has much.
constexpr size_t kMostAtOnce = 8;

// Threads that are started within one Submit at most: each takes some 30 µs of the shard's time.
constexpr size_t kMostStartedAtOnce = 4;

}  // namespace

// What the threads use. On the heap, so that a child process can leave it alone.
class WorkerPool::Shared final : private ReadinessWaiter::Owner {
 public:
  Shared(Poller& shard, const WorkerPoolOptions& options)
      : shard_(shard),
        max_threads_(std::max<size_t>(1, options.max_threads)),
        waiter_(*this, options.capacity) {
    threads_.reserve(max_threads_);
  }

  ~Shared() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      IOENGINE_CHECK(queued_ == 0, "operations are left in a WorkerPool");
      closing_ = true;
    }
    work_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  absl::Status AddThread();
  void Submit(IoOperation* first);
  void Cancel(IoOperation& operation) {
    // Sequentially consistent: see ReadinessWaiter::NotifyCancelled.
    operation.cancelled.store(true, std::memory_order_seq_cst);
    waiter_.NotifyCancelled();
  }

  IoOperation* TakeFinished();
  bool has_finished() const { return finished_.load(std::memory_order_acquire) != nullptr; }

  // Each of shard and worker writes first (`shard_sleeps_`, `finished_`) and then reads what the
  // other writes, all sequentially consistent: so not both can miss the other.
  bool PrepareToSleep() {
    shard_sleeps_.store(true, std::memory_order_seq_cst);
    return finished_.load(std::memory_order_seq_cst) == nullptr;
  }
  void WokeUp() {
    if (shard_sleeps_.load(std::memory_order_relaxed)) {
      shard_sleeps_.store(false, std::memory_order_seq_cst);
    }
  }

  // Only the shard adds threads.
  size_t threads() const { return threads_.size(); }

 private:
  void Main();
  IoOperation* TakeQueued();
  IoOperation* PopQueued(size_t count);
  void RefuseQueued();
  void Run(IoOperation& operation);
  void Finish(IoOperation& operation, int32_t result);
  void Resume(IoOperation& operation) override;

  void PushQueued(IoOperation& operation) {
    operation.next = nullptr;
    (first_ == nullptr ? first_ : last_->next) = &operation;
    last_ = &operation;
    ++queued_;
  }

  Poller& shard_;
  const size_t max_threads_;
  std::vector<std::thread> threads_;

  std::mutex mutex_;
  std::condition_variable work_;
  IoOperation* first_ = nullptr;
  IoOperation* last_ = nullptr;
  size_t queued_ = 0;
  size_t idle_ = 0;  // threads that wait for `work_`
  bool closing_ = false;

  // A stack: workers push with release, the shard takes it as a whole with acquire.
  alignas(64) std::atomic<IoOperation*> finished_{nullptr};
  std::atomic<bool> shard_sleeps_{false};

  ReadinessWaiter waiter_;  // goes first
};

absl::Status WorkerPool::Shared::AddThread() {
  std::thread thread;
  absl::Status status = StartWorkerThread([this] { Main(); }, thread);
  if (status.ok()) threads_.push_back(std::move(thread));
  return status;
}

void WorkerPool::Shared::Submit(IoOperation* first) {
  size_t added = 0;
  size_t queued;
  size_t idle;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (; first != nullptr; ++added) {
      IoOperation& operation = *first;
      first = operation.next;
      operation.cancelled.store(operation.cancel_requested, std::memory_order_relaxed);
      PushQueued(operation);
    }
    queued = queued_;
    idle = idle_;
  }
  for (size_t i = std::min(added, idle); i > 0; --i) work_.notify_one();
  size_t missing = std::min(queued - std::min(queued, idle), max_threads_ - threads_.size());
  missing = std::min(missing, kMostStartedAtOnce);
  while (missing > 0 && AddThread().ok()) --missing;
  if (threads_.empty()) RefuseQueued();
}

void WorkerPool::Shared::RefuseQueued() {
  IoOperation* operation;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    operation = PopQueued(queued_);
  }
  while (operation != nullptr) {
    IoOperation* const next = operation->next;
    Finish(*operation, -EAGAIN);
    operation = next;
  }
}

IoOperation* WorkerPool::Shared::TakeFinished() {
  IoOperation* newest = finished_.exchange(nullptr, std::memory_order_acquire);
  IoOperation* oldest = nullptr;
  while (newest != nullptr) {
    IoOperation* const next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  return oldest;
}

void WorkerPool::Shared::Main() {
  while (IoOperation* operation = TakeQueued()) {
    while (operation != nullptr) {
      IoOperation* const next = operation->next;
      Run(*operation);
      operation = next;
    }
  }
}

// One or a list of several; waits for them. Null when the pool ends.
IoOperation* WorkerPool::Shared::TakeQueued() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (first_ == nullptr) {
    if (closing_) return nullptr;
    ++idle_;
    work_.wait(lock);
    --idle_;
  }
  return PopQueued(std::clamp<size_t>(queued_ / (2 * max_threads_), 1, kMostAtOnce));
}

// The first `count` of those that are queued, as a list.
IoOperation* WorkerPool::Shared::PopQueued(size_t count) {
  if (count == 0) return nullptr;
  IoOperation* const taken = first_;
  IoOperation* last = first_;
  for (size_t i = 1; i < count; ++i) last = last->next;
  first_ = last->next;
  last->next = nullptr;
  queued_ -= count;
  return taken;
}

void WorkerPool::Shared::Run(IoOperation& operation) {
  const bool is_close = operation.command.request.opcode == IoOpcode::kClose;
  if (!is_close && operation.cancelled.load(std::memory_order_relaxed)) {
    Finish(operation, -ECANCELED);
    return;
  }
  if (operation.account.submitted_ns == 0) {
    operation.account.submitted_ns = MonotonicClock::Get().NowNs();
  }
  const int32_t result = RunBlockingCall(operation.command, operation.cancelled);
  if (result != kWouldWait) {
    Finish(operation, result);
  } else if (!waiter_.Add(operation)) {
    Finish(operation, -EAGAIN);
  }
}

void WorkerPool::Shared::Finish(IoOperation& operation, int32_t result) {
  operation.result = result;
  operation.next = finished_.load(std::memory_order_relaxed);
  while (!finished_.compare_exchange_weak(operation.next, &operation, std::memory_order_seq_cst,
                                          std::memory_order_relaxed)) {
  }
  // From here on the operation is the shard's. Who lowers the flag wakes it: once for all that
  // finishes until it sleeps again.
  if (shard_sleeps_.load(std::memory_order_seq_cst) &&
      shard_sleeps_.exchange(false, std::memory_order_seq_cst)) {
    shard_.Wake();
  }
}

void WorkerPool::Shared::Resume(IoOperation& operation) {
  if (operation.cancelled.load(std::memory_order_seq_cst)) {
    Finish(operation, -ECANCELED);
    return;
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    PushQueued(operation);
  }
  work_.notify_one();
}

WorkerPool::WorkerPool(Poller& shard, const WorkerPoolOptions& options)
    : shared_(std::make_unique<Shared>(shard, options)) {}

WorkerPool::~WorkerPool() {
  // The threads are the parent's, and joining them would take for ever; what they hold locked stays
  // locked.
  if (fork_guard_.in_child()) static_cast<void>(shared_.release());
}

absl::Status WorkerPool::StartFirstThread() { return shared_->AddThread(); }
void WorkerPool::Submit(IoOperation* first) { shared_->Submit(first); }
void WorkerPool::Cancel(IoOperation& operation) { shared_->Cancel(operation); }
IoOperation* WorkerPool::TakeFinished() { return shared_->TakeFinished(); }
bool WorkerPool::has_finished() const { return shared_->has_finished(); }
bool WorkerPool::PrepareToSleep() { return shared_->PrepareToSleep(); }
void WorkerPool::WokeUp() { shared_->WokeUp(); }
size_t WorkerPool::threads() const { return shared_->threads(); }

}  // namespace ioengine
