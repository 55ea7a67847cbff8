#include "ioengine/io/io_operation.h"

#include <cerrno>
#include <utility>

namespace ioengine {

const char* IoOpcodeName(IoOpcode opcode) {
  switch (opcode) {
    case IoOpcode::kRead:
      return "read";
    case IoOpcode::kWrite:
      return "write";
    case IoOpcode::kFdatasync:
      return "fdatasync";
    case IoOpcode::kFsync:
      return "fsync";
    case IoOpcode::kAllocate:
      return "fallocate";
    case IoOpcode::kPunch:
      return "punch";
    case IoOpcode::kTruncate:
      return "ftruncate";
    case IoOpcode::kAdvise:
      return "fadvise";
    case IoOpcode::kExtentHint:
      return "extent hint";
    case IoOpcode::kLock:
      return "lock";
    case IoOpcode::kStat:
      return "statx";
    case IoOpcode::kList:
      return "list";
    case IoOpcode::kClose:
      return "close";
    case IoOpcode::kOpen:
      return "open";
    case IoOpcode::kRemove:
      return "unlink";
    case IoOpcode::kRename:
      return "rename";
    case IoOpcode::kLink:
      return "link";
    case IoOpcode::kMakeDirectory:
      return "mkdir";
  }
  return "unknown operation";
}

IoOutcome AccountCompletion(IoOperation& operation, int32_t* result) {
  IoRequest& request = operation.command.request;
  // Whatever close() says, the descriptor is gone, and may be another file's by now.
  if (request.opcode == IoOpcode::kClose) return IoOutcome::kFinished;
  if (*result == -EINTR || *result == -EAGAIN) {
    if (operation.cancel_requested) {
      *result = -ECANCELED;  // work in a kernel thread is cancelled by interrupting it
      return IoOutcome::kFinished;
    }
    return ++operation.attempts < kMaxAttempts ? IoOutcome::kStartAgain : IoOutcome::kFinished;
  }
  if ((request.flags & kIoThenSync) != 0 && request.opcode == IoOpcode::kFdatasync) {
    if (*result == 0) *result = static_cast<int32_t>(operation.transferred_bytes);
    return IoOutcome::kFinished;
  }
  const bool transfer = request.opcode == IoOpcode::kRead || request.opcode == IoOpcode::kWrite;
  if (!transfer || *result < 0) return IoOutcome::kFinished;

  const auto moved_bytes = static_cast<uint32_t>(*result);
  IOENGINE_CHECK(moved_bytes <= request.size_bytes,
                 "the backend reports more bytes than were asked for");
  if (moved_bytes == 0 && request.opcode == IoOpcode::kWrite && request.size_bytes > 0) {
    *result = -EIO;  // no progress and no reason given: trying again could go on for ever
    return IoOutcome::kFinished;
  }
  operation.transferred_bytes += moved_bytes;
  const uint32_t off_alignment = moved_bytes & ((uint32_t{1} << request.alignment_shift) - 1);
  const bool at_end = moved_bytes == 0 || moved_bytes == request.size_bytes ||
                      (request.opcode == IoOpcode::kRead && off_alignment != 0);
  const bool finished = at_end || (request.flags & kIoWhole) == 0;
  const bool then_sync = (request.flags & kIoThenSync) != 0;
  if (finished && !then_sync) {
    *result = static_cast<int32_t>(operation.transferred_bytes);
    return IoOutcome::kFinished;
  }
  if (operation.cancel_requested) {
    // The bytes so far would look like the end of the file, or like a write that is durable.
    *result = -ECANCELED;
    return IoOutcome::kFinished;
  }
  if (finished) {
    request.opcode = IoOpcode::kFdatasync;
    return IoOutcome::kStartAgain;
  }
  request.data = static_cast<std::byte*>(request.data) + moved_bytes;
  request.offset_bytes += moved_bytes;
  request.size_bytes -= moved_bytes;
  return IoOutcome::kStartAgain;
}

IoOutcome AccountLinkedPair(IoOperation& operation, int32_t write_result, int32_t* result) {
  IoRequest& request = operation.command.request;
  if (write_result < 0 || static_cast<uint32_t>(write_result) != request.size_bytes) {
    *result = write_result;
    return AccountCompletion(operation, result);
  }
  operation.transferred_bytes += request.size_bytes;
  request.opcode = IoOpcode::kFdatasync;
  // Nobody wanted it cancelled: the kernel took the pair apart, and the sync is still to be done.
  if (*result == -ECANCELED && !operation.cancel_requested) *result = -EAGAIN;
  return AccountCompletion(operation, result);
}

OperationTable::OperationTable(size_t capacity) : slots_(capacity) {
  for (size_t i = capacity; i-- > 0;) {
    slots_[i].index = static_cast<uint32_t>(i);
    slots_[i].next = free_;
    free_ = &slots_[i];
  }
}

IoOperation* OperationTable::Acquire(IoCommand& command, IoWaiter* waiter) {
  IoOperation* operation = free_;
  if (operation == nullptr) return nullptr;
  free_ = operation->next;
  operation->next = nullptr;
  operation->command = std::move(command);
  operation->waiter = waiter;
  operation->in_flight = true;
  ++in_flight_;
  return operation;
}

IoCommand OperationTable::Release(IoOperation& operation) {
  IOENGINE_CHECK(operation.in_flight, "an operation is released twice");
  operation.waiter = nullptr;
  operation.transferred_bytes = 0;
  operation.attempts = 0;
  operation.in_flight = false;
  operation.cancel_requested = false;
  operation.sync_linked = false;
  operation.write_done = false;
  ++operation.generation;
  operation.next = free_;
  free_ = &operation;
  --in_flight_;
  return std::move(operation.command);
}

IoOperation* OperationTable::Find(uint32_t index, uint32_t generation) {
  if (index >= slots_.size()) return nullptr;
  IoOperation& operation = slots_[index];
  return operation.in_flight && operation.generation == generation ? &operation : nullptr;
}

}  // namespace ioengine
