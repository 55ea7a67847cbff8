// IoQueue: admits a shard's operations to its backend, and resumes the tasks that wait for them.
#ifndef IOENGINE_IO_IO_QUEUE_H_
#define IOENGINE_IO_IO_QUEUE_H_

#include <cstddef>
#include <cstdint>

#include "ioengine/io/backend.h"
#include "ioengine/io/io_request.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/intrusive_list.h"

namespace ioengine {

class IoQueue;

// One operation from the side of whoever asked for it. It lives in that coroutine's frame:
//
//   idle ──Submit──► queued ──admitted──► in flight ──completion──► done (Done is called)
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
  IoCommand command_;
};

// Counters of one queue since its start.
struct IoQueueStats {
  uint64_t submitted = 0;
  uint64_t times_full = 0;  // submissions that had to wait for an earlier one to complete
};

// At most `depth` operations are in flight; more wait in order of arrival, in their tasks' frames.
//
// Shard: one.
class IoQueue final : public CompletionSink {
 public:
  // Borrows both. `depth` is cut to the backend's capacity.
  IoQueue(Backend& backend, Executor& executor, size_t depth);
  ~IoQueue();

  // Starts the waiter's command, now or when its turn comes. `waiter` stays where it is until it
  // is done or destroyed. Cost: no allocation; no system call for the
  // first few of a turn, and one for each chunk after them (see UringBackend).
  void Submit(IoWaiter& waiter) {
    ++stats_.submitted;
    if (waiting_.empty() && TryStart(waiter)) return;
    ++stats_.times_full;
    waiting_.PushBack(waiter);
  }

  // Completes everything that is queued or in flight, cancelling it where that is possible. For
  // shutdown, when no task is left that could submit more.
  void Drain();

  Executor& executor() const { return executor_; }
  Backend& backend() const { return backend_; }
  size_t depth() const { return depth_; }
  const IoQueueStats& stats() const { return stats_; }

 private:
  friend class IoWaiter;

  void OnComplete(IoWaiter* waiter, IoCommand& command, int32_t result) override;

  bool TryStart(IoWaiter& waiter);
  void Forget(IoWaiter& waiter);

  Backend& backend_;
  Executor& executor_;
  const size_t depth_;
  IntrusiveList<IoWaiter> waiting_;
  IoQueueStats stats_;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_IO_QUEUE_H_
