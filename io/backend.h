// Backend: the one seam between the library and the world outside. Everything above it (queues,
// files, streams, the engine) is the same code over io_uring, over a pool of threads, and over the
// simulated disk.
//
// The contract, which every backend keeps:
//
//  1. One shard. Every call but Wake comes from the thread that made the backend.
//  2. `Acquire` takes a slot for a command, or says that capacity() operations are in flight.
//     `Start` always succeeds: what cannot be submitted now is kept by the backend and submitted
//     later; a submission that fails is a completion with an errno.
//  3. Each started operation completes exactly once, through CompletionSink::OnComplete, and only
//     from within Poll, Wait or Drain; never from within Start or Cancel. Operations may complete
//     in any order.
//  4. Until its completion the operation owns its buffer, file and path; the sink sees them once
//     more in OnComplete.
//  5. Transfers follow AccountCompletion: a result is the bytes of the whole transfer, or minus an
//     errno. A read that is shorter than asked for means the end of the file.
//  6. `Cancel` asks for an early end; the operation still completes: with ECANCELED, or with its
//     result when it was too late. A block device finishes what it began. A kClose is never
//     cancelled: nobody would close its descriptor.
//  7. Completion of a write means nothing for power loss unless it carried kIoDsync. Completion of
//     kFdatasync covers the writes to that file that had completed before it was started, and no
//     others.
//  8. `Drain` cancels and completes all that is in flight. After it, no memory is in use by the
//     kernel.
//
// Sockets join as further opcodes of IoRequest (their address in `data`, or in an argument block
// like PathArguments). An operation with several results (multishot accept and receive) will be a
// third IoOutcome: the sink is told, and the slot stays.
#ifndef IOENGINE_IO_BACKEND_H_
#define IOENGINE_IO_BACKEND_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ioengine/io/io_operation.h"
#include "ioengine/io/io_request.h"
#include "ioengine/sched/poller.h"

namespace ioengine {

// Who is told of completions: the shard's IoQueue.
class CompletionSink {
 public:
  // `waiter`: who waits for it, or null. `command`: what the operation kept alive; it is let go
  // when this returns, unless it is moved from. `result`: bytes, a descriptor or 0; minus an errno
  // on failure. The operation's slot is free already; `account` is what was noted in it.
  virtual void OnComplete(IoWaiter* waiter, IoCommand& command, const IoAccount& account,
                          int32_t result) = 0;

 protected:
  ~CompletionSink() = default;
};

// A feature that the backend would use but did not get.
struct Degradation {
  std::string feature;
  std::string reason;       // why not: the failing call and its error
  std::string consequence;  // what is lost, and what to do to get it
};

// What a backend is made of; fixed when its shard started.
struct BackendInfo {
  std::string name;
  std::vector<std::string> features;  // in use
  std::vector<Degradation> degraded;
};

// Counters since the start of the backend. Read on its shard.
struct BackendStats {
  uint64_t operations_started = 0;
  uint64_t operations_completed = 0;
  uint64_t system_calls = 0;  // to submit or to collect
  uint64_t times_submission_full = 0;
  uint64_t started_again = 0;  // short transfers, EINTR, EAGAIN
  uint64_t stray_completions = 0;
};

class Backend : public Poller {
 public:
  explicit Backend(size_t capacity) : operations_(capacity) {}
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  // Tells whom to tell. Once, before the first Start; borrows `sink`.
  void SetSink(CompletionSink& sink) { sink_ = &sink; }

  // See rule 2. Moves from `command` only when it succeeds. Cost: a few moves.
  IoOperation* Acquire(IoCommand& command, IoWaiter* waiter) {
    return operations_.Acquire(command, waiter);
  }

  virtual void Start(IoOperation& operation) = 0;
  virtual void Cancel(IoOperation& operation) = 0;
  virtual void Drain() = 0;

  // Registers memory for operations with `registered_buffer`: all of `arena`, or as much as the
  // kernel grants, or nothing. What is missing is plain memory, with which operations work as well,
  // and info() tells. Once. Borrows `arena` until its end.
  virtual BufferRegistration RegisterBuffers(std::span<std::byte> arena) = 0;

  // Puts `fd` into entry `index` of the backend's table of registered files, or empties the entry
  // (fd = -1). False: the file is used through its descriptor, which costs a little more.
  virtual bool RegisterFile(int index, int fd) = 0;

  virtual const BackendInfo& info() const = 0;

  size_t capacity() const { return operations_.capacity(); }
  size_t in_flight() const { return operations_.in_flight(); }
  const BackendStats& stats() const { return stats_; }

 protected:
  // Accounts a raw completion: starts the operation again where something is left, else tells the
  // sink and frees the slot.
  void Complete(IoOperation& operation, int32_t result) {
    const IoOutcome outcome = AccountCompletion(operation, &result);
    Conclude(operation, outcome, result);
  }

  // The second half of Complete.
  void Conclude(IoOperation& operation, IoOutcome outcome, int32_t result) {
    if (outcome == IoOutcome::kStartAgain) [[unlikely]] {
      ++stats_.started_again;
      Start(operation);
      return;
    }
    ++stats_.operations_completed;
    IoWaiter* const waiter = operation.waiter;
    const IoAccount account = operation.account;
    IoCommand command = operations_.Release(operation);
    sink_->OnComplete(waiter, command, account, result);
  }

  CompletionSink* sink_ = nullptr;
  OperationTable operations_;
  BackendStats stats_;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_BACKEND_H_
