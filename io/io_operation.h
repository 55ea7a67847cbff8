// Operations in flight: the fixed table of a backend's slots.
#ifndef IOENGINE_IO_IO_OPERATION_H_
#define IOENGINE_IO_IO_OPERATION_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ioengine/io/io_request.h"
#include "ioengine/sched/check.h"

namespace ioengine {

class IoWaiter;

// What is noted of an operation in flight. Here and not in the IoRequest, which is copied on its
// way to the slot.
struct IoAccount {
  // The IoQueue's: when the operation was submitted to it, and given to the backend.
  uint64_t queued_ns = 0;
  uint64_t started_ns = 0;
  // The backend's: when the kernel got it, by the monotonic clock; 0 if it does not tell.
  uint64_t submitted_ns = 0;
  // The IoQueue's: what it counts for in flight, which BackgroundWindow is told of it, and whether
  // nothing of the background was in flight when it began.
  uint32_t charged_bytes = 0;
  bool watched = false;
  bool started_alone = false;
};

// One operation that a backend was given.
//
//   free ──Acquire──► in flight ──completion──► free
//                        │  ▲
//                        └──┘ short transfer, EINTR, EAGAIN, kIoThenSync: started again for the
//                        rest
struct IoOperation {
  IoCommand command;
  IoAccount account;
  // Who is told; null when the task is gone or was never there. Belongs to the IoQueue.
  IoWaiter* waiter = nullptr;
  IoOperation* next = nullptr;  // in the free list, or in the backend's backlog
  uint32_t index = 0;
  // Counts the uses of the slot, so that a completion of an earlier use is recognised.
  uint32_t generation = 0;
  uint32_t transferred_bytes = 0;
  uint16_t attempts = 0;
  bool in_flight = false;
  bool cancel_requested = false;
  bool in_backlog = false;  // not submitted yet, for want of room
  // Of a write that is in the kernel together with the sync after it.
  bool sync_linked = false;  // the sync completes too
  bool write_done = false;   // the write has completed, with `result`

  // In a WorkerPool: raised by the shard to have it end early.
  std::atomic<bool> cancelled{false};
  // Raw, of what has finished: in a WorkerPool, or as the first of a pair.
  int32_t result = 0;
};

// What a backend makes of one raw completion.
enum class IoOutcome : uint8_t {
  kFinished,   // `*result` is final
  kStartAgain  // the request was moved on to what is left
};

// Accounts `*result` (bytes, or minus an errno) to `operation`. A transfer that came back short is
// continued where the request asks for it (kIoWhole); one that was interrupted (EINTR, EAGAIN) is
// started again, up to kMaxAttempts times, unless it is a close. A write with kIoThenSync becomes
// the fdatasync when its bytes are written. On kFinished `*result` holds the bytes of all parts;
// ECANCELED where a cancellation kept the operation from being finished.
IoOutcome AccountCompletion(IoOperation& operation, int32_t* result);

inline constexpr uint16_t kMaxAttempts = 256;

// Accounts the raw results of a write with kIoThenSync and of the fdatasync that the kernel was
// given with it, to be begun when all bytes are written; `*result` holds the latter. Where the
// write came back short, or failed, the sync was not run, and the write decides.
IoOutcome AccountLinkedPair(IoOperation& operation, int32_t write_result, int32_t* result);

// A fixed number of slots.
//
// Shard: one; not synchronised.
class OperationTable {
 public:
  explicit OperationTable(size_t capacity);
  OperationTable(const OperationTable&) = delete;
  OperationTable& operator=(const OperationTable&) = delete;
  ~OperationTable() { IOENGINE_CHECK(in_flight_ == 0, "operations outlive their backend"); }

  // A slot that holds `command`, or null (and `command` untouched) when all are in flight.
  IoOperation* Acquire(IoCommand& command, IoWaiter* waiter);

  // Frees the slot and hands back what the operation kept alive.
  IoCommand Release(IoOperation& operation);

  // The operation to which a completion with these tags belongs; null when it is none that is in
  // flight (a stray completion).
  IoOperation* Find(uint32_t index, uint32_t generation);

  size_t capacity() const { return slots_.size(); }
  size_t in_flight() const { return in_flight_; }

  template <typename Function>
  void ForEachInFlight(Function function) {
    for (IoOperation& slot : slots_) {
      if (slot.in_flight) function(slot);
    }
  }

 private:
  std::vector<IoOperation> slots_;
  IoOperation* free_ = nullptr;
  size_t in_flight_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_IO_OPERATION_H_
