// UringBackend: a write and the sync after it, as a linked pair of entries.

#include <cstdint>

#include "ioengine/io/uring/uring_backend.h"
#include "ioengine/io/uring/user_data.h"
#include "ioengine/sched/check.h"

namespace ioengine {

bool UringBackend::CanLinkSync(const IoOperation& operation) const {
  const IoRequest& request = operation.command.request;
  return (request.flags & kIoThenSync) != 0 && request.opcode == IoOpcode::kWrite &&
         ring_->has_linked_sync() && operation.transferred_bytes == 0 && operation.attempts == 0;
}

// A chain ends where a submission ends, so both of a pair must go into the same one.
bool UringBackend::MakeRoomForPair() {
  if (io_uring_sq_space_left(ring_->get()) < 2) Submit();
  return io_uring_sq_space_left(ring_->get()) >= 2;
}

void UringBackend::LinkSync(IoOperation& operation, io_uring_sqe& write) {
  write.flags |= IOSQE_IO_LINK;
  io_uring_sqe* const sync = io_uring_get_sqe(ring_->get());
  io_uring_prep_fsync(sync, write.fd, IORING_FSYNC_DATASYNC);
  sync->flags |= write.flags & IOSQE_FIXED_FILE;
  io_uring_sqe_set_data64(sync, TagOf(operation) | kSyncBit);
  operation.sync_linked = true;
  ++gathered_weight_;
}

// A kernel that is short of memory takes as many entries as it can. If it took a write and not the
// sync after it, the chain ended there: the sync, submitted later, would not wait for the write. So
// it becomes nothing, and the write is followed by a sync of its own.
void UringBackend::UndoSplitPair() {
  io_uring* const ring = ring_->get();
  if (io_uring_sq_ready(ring) == 0) [[likely]] {
    return;
  }
  const unsigned first = __atomic_load_n(ring->sq.khead, __ATOMIC_RELAXED);
  io_uring_sqe& sqe = ring->sq.sqes[first & ring->sq.ring_mask];
  if (!IsLinkedSync(sqe.user_data)) return;
  IoOperation* const operation =
      operations_.Find(IndexOf(sqe.user_data), GenerationOf(sqe.user_data));
  IOENGINE_CHECK(operation != nullptr, "an entry belongs to no operation");
  operation->sync_linked = false;
  io_uring_prep_nop(&sqe);
  io_uring_sqe_set_data64(&sqe, kCancelTag);
}

// The slot is not used anew before both are over, also where the write failed: the sync's
// completion tells that then (ECANCELED).
void UringBackend::OnHalfOfPair(IoOperation& operation, bool is_sync, int32_t result) {
  if (!is_sync) {
    operation.write_done = true;
    operation.result = result;
    // Where there is no room for it the sync is done.
    if (operation.cancel_requested) PushCancel(TagOf(operation) | kSyncBit);
    return;
  }
  operation.sync_linked = false;
  operation.write_done = false;
  const IoOutcome outcome = AccountLinkedPair(operation, operation.result, &result);
  Conclude(operation, outcome, result);
}

}  // namespace ioengine
