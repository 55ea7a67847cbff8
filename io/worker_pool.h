// WorkerPool: threads that run a shard's operations with plain system calls.
#ifndef IOENGINE_IO_WORKER_POOL_H_
#define IOENGINE_IO_WORKER_POOL_H_

#include <cstddef>
#include <memory>

#include "absl/status/status.h"
#include "ioengine/io/io_operation.h"
#include "ioengine/io/kernel_values.h"
#include "ioengine/sched/fork_guard.h"
#include "ioengine/sched/poller.h"

namespace ioengine {

struct WorkerPoolOptions {
  size_t max_threads = 16;
  // Operations that are in the pool at most.
  size_t capacity = 512;
};

// The way of an operation, linked through its own `next`:
//
//   shard ──Submit──► queue ──► worker: RunBlockingCall ──► finished ──TakeFinished──► shard
//                       ▲              │ would wait                        (woken if it sleeps)
//                       └── ready ── ReadinessWaiter
//
// Threads are started as operations find none idle, and end with the pool. A worker takes several
// operations at once while many more than there are threads wait.
//
// Shard: one, for every call.
class WorkerPool {
 public:
  // Borrows `shard`, whose Wake is called, from any thread, when it sleeps and something finished.
  WorkerPool(Poller& shard, const WorkerPoolOptions& options);
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  // All operations must have been taken back. Ends the threads; in a child process, which has none
  // of them, leaves what they use as it is.
  ~WorkerPool();

  // Starts the first thread, so that it is known that there can be one. Errors: ResourceExhausted.
  absl::Status StartFirstThread();

  // Takes the operations of the list that begins with `first`, in order. Where no thread at all can
  // be had they finish with EAGAIN. Cost: a lock, whose holders run no system call; a system call
  // for each idle thread that is woken.
  void Submit(IoOperation* first);

  // Has an operation that was submitted finish with ECANCELED where it has not begun, or waits for
  // the other end of a pipe or socket. Cost: no lock.
  void Cancel(IoOperation& operation);

  // Those that finished, with their `result`: a list, oldest first; null when there are none.
  IoOperation* TakeFinished();
  // Calls `complete(operation, result)` for each of them, with its results where they are read. It
  // may release the operation, and submit others.
  template <typename Complete>
  void Reap(Complete complete) {
    for (IoOperation *at = TakeFinished(), *next = nullptr; at != nullptr; at = next) {
      next = at->next;
      if (at->result >= 0 && at->command.path != nullptr) TakeResults(at->command);
      complete(*at, at->result);
    }
  }
  bool has_finished() const;

  // To be called before the shard sleeps: from now on who finishes wakes it. False when something
  // finished already.
  bool PrepareToSleep();
  void WokeUp();

  size_t threads() const;

 private:
  class Shared;

  const ForkGuard fork_guard_;
  std::unique_ptr<Shared> shared_;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_WORKER_POOL_H_
