// IoQueue: admits a shard's operations to its backend, and resumes the tasks that wait for them.
#ifndef IOENGINE_IO_IO_QUEUE_H_
#define IOENGINE_IO_IO_QUEUE_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "ioengine/io/backend.h"
#include "ioengine/io/background_window.h"
#include "ioengine/io/io_request.h"
#include "ioengine/io/io_stats.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/intrusive_list.h"
#include "ioengine/sched/task_queue.h"

namespace ioengine {

class IoQueue;

// One operation from the side of whoever asked for it. It lives in that coroutine's frame:
//
//   idle ──Submit──► queued ──admitted──► in flight ──completion──► done (Done is called)
//                       ▲                    │
//                       └── the rest of a large one of the background
//
// Destroyed while queued it leaves the queue and nothing happens; destroyed in flight it is
// forgotten: the operation is cancelled and keeps its memory until the kernel is done.
class IoWaiter : public ListLink {
 public:
  IoWaiter(IoQueue& queue, IoCommand command) : queue_(queue), command_(std::move(command)) {}
  IoWaiter(const IoWaiter&) = delete;
  IoWaiter& operator=(const IoWaiter&) = delete;
  virtual ~IoWaiter();

  // Bytes, a descriptor or 0; minus an errno. Once done.
  int32_t result() const { return result_; }
  // Before Submit, and again when done with an error (so that it can be named) or with results in
  // its PathArguments.
  IoCommand& command() { return command_; }

 protected:
  IoQueue& queue() const { return queue_; }
  void set_result(int32_t result) { result_ = result; }

 private:
  friend class IoQueue;

  // Called once, on the shard, from within the backend's Poll. May delete this.
  virtual void Done() = 0;

  IoQueue& queue_;
  IoOperation* operation_ = nullptr;
  int32_t result_ = 0;
  // Of an operation that goes in pieces: what is done, and what is to follow this piece.
  uint32_t done_bytes_ = 0;
  uint32_t rest_bytes_ = 0;
  uint64_t queued_ns_ = 0;  // when it, or the piece, was submitted
  IoCommand command_;
};

struct IoQueueOptions {
  // Operations in flight at most. Cut to the backend's capacity.
  size_t depth = 256;
  // Bytes in flight at most; one operation may be larger, and is then alone.
  size_t max_bytes = size_t{64} << 20;
  // The same for all classes of the background together.
  size_t max_background_bytes = size_t{8} << 20;
  SlowIoOptions slow = {};
};

// Counters of one queue since its start.
struct IoQueueStats {
  uint64_t submitted = 0;
  uint64_t times_full = 0;  // submissions that had to wait for an earlier one to complete
};

// What is in flight is bounded; more waits in the tasks' frames. Who is next is decided by shares:
// start-time fair queueing with a depth (SFQ(D): W. Jin, J. S. Chase, J. Kaur, SIGMETRICS 2004).
// Each class has a virtual time, its cost so far divided by its shares; of the classes that wait
// the one with the smallest goes first, and within a class the order is that of arrival. The cost
// of an operation is its bytes and kOperationCostBytes. A class is that of the executor with the
// same id.
//
// Classes with TaskQueueOptions::background beside others that are not have as much in flight as
// does not slow the others down (BackgroundWindow), and their large operations go to the device in
// pieces: of kBackgroundPieceBytes, or smaller ones down to kLeastPieceBytes, so that two fit into
// what they may have in flight.
//
// Shard: one.
class IoQueue final : public CompletionSink {
 public:
  // What an operation of no bytes costs the device: 4 KiB random reads and reads of 20 KiB are
  // about as many per second on an NVMe disk behind virtio.
  static constexpr uint64_t kOperationCostBytes = 16384;
  static constexpr size_t kBackgroundPieceBytes = size_t{128} << 10;
  // And where that slows the foreground down. One such piece after the other still costs a random
  // read's median 15 % on a disk behind virtio, and one of 128 KiB 60 % (decision 7).
  static constexpr size_t kLeastPieceBytes = size_t{32} << 10;

  // Borrows both.
  IoQueue(Backend& backend, Executor& executor, IoQueueOptions options);
  ~IoQueue();

  // Starts the waiter's command, now or when its turn comes. `waiter` stays where it is until it
  // is done or destroyed. Cost: no allocation (but for the first operation of a class); no system
  // call for the first few of a turn, and one for each chunk after them (see UringBackend).
  void Submit(IoWaiter& waiter);

  // Completes everything that is queued or in flight, cancelling it where that is possible. For
  // shutdown, when no task is left that could submit more.
  void Drain();

  Executor& executor() const { return executor_; }
  Backend& backend() const { return backend_; }
  size_t depth() const { return depth_; }
  const IoQueueStats& stats() const { return stats_; }
  // Null for a class that has had no I/O.
  const IoClassStats* class_stats(ClassId id) const {
    return classes_[id] == nullptr ? nullptr : &classes_[id]->stats;
  }
  uint64_t in_flight_bytes() const { return in_flight_bytes_; }
  // What the background may have in flight now.
  size_t background_limit_bytes() const { return window_.LimitBytes(NowNs()); }

 private:
  friend class IoWaiter;

  struct IoClass {
    explicit IoClass(const TaskQueue* queue) : tasks(queue) {}

    const TaskQueue* const tasks;  // its name, shares and kind; null: the executor has none
    IntrusiveList<IoWaiter> waiting;
    bool active = false;  // in the list of classes that have something waiting
    IoClass* next_active = nullptr;
    uint64_t virtual_time = 0;  // cost / shares, in 1/kShareUnit bytes
    uint32_t shares = 0;        // that cost_factor is of
    uint64_t cost_factor = 0;   // 2^kFactorBits · kShareUnit / shares: no division per operation
    IoClassStats stats;
  };

  void OnComplete(IoWaiter* waiter, IoCommand& command, const IoAccount& account,
                  int32_t result) override;

  IoClass& ClassOf(ClassId id);
  bool IsBackground(const IoClass& io_class) const {
    return io_class.tasks != nullptr && io_class.tasks->is_background();
  }
  bool MayStart(const IoClass& io_class, const IoRequest& request) const;
  bool HasBackground();
  // Of the background's next piece.
  uint32_t PieceBytes() const;
  bool TryStart(IoClass& io_class, IoWaiter& waiter);
  void Enqueue(IoClass& io_class, IoWaiter& waiter, bool in_front);
  void StartWaiting();
  // When the turn began, or when the completions came that are handed on.
  uint64_t NowNs() const { return std::max(executor_.TurnTimeNs(), completion_ns_); }
  uint64_t CompletionTimeNs();
  void Charge(IoClass& io_class, uint64_t bytes);
  bool ContinuePieces(IoClass& io_class, IoWaiter& waiter, IoCommand& command,
                      const IoAccount& account, int32_t& result);
  void Account(IoClass& io_class, const IoCommand& command, const IoAccount& account,
               int32_t result, uint64_t now_ns);
  static void Sample(IoClassStats& stats, const IoCommand& command, const IoTimes& times);
  void ReportSlow(const IoClass& io_class, const IoCommand& command, const IoAccount& account,
                  int32_t result, const IoTimes& times, uint64_t now_ns);
  void Forget(IoWaiter& waiter);

  Backend& backend_;
  Executor& executor_;
  const IoQueueOptions options_;
  const size_t depth_;
  std::array<std::unique_ptr<IoClass>, 256> classes_;
  IoClass* active_ = nullptr;  // classes that have something waiting; few
  uint64_t virtual_time_ = 0;  // of what was started last
  uint64_t in_flight_bytes_ = 0;
  uint64_t background_bytes_ = 0;  // in flight
  uint64_t background_operations_ = 0;
  BackgroundWindow window_;
  size_t known_classes_ = 0;  // of the executor's, when has_background_ was found out
  bool has_background_ = false;
  IoQueueStats stats_;
  uint32_t until_sample_ = kIoSampleEvery;
  uint64_t completion_turn_ = UINT64_MAX;
  uint64_t completion_ns_ = 0;
  uint64_t slow_minute_ns_ = 0;
  uint32_t slow_reports_ = 0;  // in that minute
  uint64_t slow_not_shown_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_IO_QUEUE_H_
