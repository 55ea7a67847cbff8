// UringBackend: the Backend over io_uring.
#ifndef IOENGINE_IO_URING_URING_BACKEND_H_
#define IOENGINE_IO_URING_URING_BACKEND_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/io/backend.h"
#include "ioengine/io/uring/kernel_ring.h"
#include "ioengine/io/worker_pool.h"

namespace ioengine {

struct UringBackendOptions {
  // Operations in flight at most.
  size_t capacity = 512;
  KernelRingOptions ring = {};
};

// Start only writes entries into the submission queue. Poll and Wait submit them, let the kernel
// run its deferred work, and hand on the completions: one system call a turn. In a turn that starts
// many operations, Start submits each chunk of them early (eight small ones, or a large one), so
// that the device works on the first while tasks ask for the next; without that all operations in
// flight tend to complete, be handed on and be submitted as one convoy, for which the device waits.
//
// An operation's entry carries its slot and the slot's generation as user_data, so a completion
// that does not belong to the slot's present use is recognised and counted, not delivered.
//
// Where an entry goes when the submission queue is full: Start submits and tries again; when the
// kernel takes nothing (EAGAIN, EBUSY: it is short of memory), the operation waits in the backlog,
// which every Poll and Wait tries first.
//
// A write with kIoThenSync and its fdatasync go to the kernel as a linked pair of entries: it
// begins the sync when the write is over, without a turn of the shard between them. Both complete,
// the write first; docs/decisions/0009 says why the write's completion is not suppressed. The pair
// is tried once: what is left after a short or interrupted write goes the way of other backends.
//
// What the kernel's ring cannot do (lists of directories, locks, hints) runs in a WorkerPool, which
// is made for the first of these.
class UringBackend final : public Backend {
 public:
  // Makes the ring. Errors, and `refused`: see KernelRing::Create; ResourceExhausted when there is
  // no eventfd.
  static absl::StatusOr<std::unique_ptr<UringBackend>> Create(const UringBackendOptions& options,
                                                              bool* refused = nullptr);

  // Drains.
  ~UringBackend() override;

  void Start(IoOperation& operation) override;
  void Cancel(IoOperation& operation) override;
  void Drain() override;
  BufferRegistration RegisterBuffers(std::span<std::byte> arena) override;
  bool RegisterFile(int index, int fd) override;
  const BackendInfo& info() const override { return info_; }

  size_t Poll() override;
  size_t Wait(uint64_t timeout_ns) override;
  bool HasCompletions() const override;
  bool HasWork() const override;
  Flag flag() const override;
  bool ArmFlag(uint64_t after_ns) override;
  bool flag_armed() const override { return flag_armed_; }
  bool PrepareWait(uint64_t timeout_ns) override;
  int fd() override;
  void Wake() override;

 private:
  explicit UringBackend(const UringBackendOptions& options);

  io_uring_sqe* NextSqe();
  void Submit();
  void SubmitEarly();
  bool TrySubmit(IoOperation& operation);
  bool CanLinkSync(const IoOperation& operation) const;
  bool MakeRoomForPair();
  void LinkSync(IoOperation& operation, io_uring_sqe& write);
  void UndoSplitPair();
  void StampGathered();
  bool NeedsThread(const IoRequest& request) const;
  void StartInPool(IoOperation& operation);
  bool RingHasCompletions() const;
  // False when something finished in the pool, which wakes the shard from now on.
  bool MaySleep() { return pool_ == nullptr || pool_->PrepareToSleep(); }
  // Does what earlier turns had no room for. False when the shard must not sleep now: something
  // was completed by it, or is still not in the kernel's hands and would not end the sleep.
  bool CatchUp();
  void TryBacklog();
  bool PushCancel(uint64_t user_data);
  void ArmWake();
  unsigned DisarmFlag();
  bool SetHostTimeout(uint64_t timeout_ns);
  void Reap();
  void OnCompletion(uint64_t user_data, int32_t result);
  void OnHalfOfPair(IoOperation& operation, bool is_sync, int32_t result);

  const UringBackendOptions options_;
  BackendInfo info_;
  // Of the entries that wait to be submitted, and how much may wait; see uring_backend.cc.
  uint32_t gathered_weight_ = 0;
  uint32_t submission_chunk_;
  uint64_t turns_ = 0;
  std::unique_ptr<KernelRing> ring_;
  // Operations whose entries wait to be submitted.
  IoOperation* gathered_ = nullptr;
  // Operations that found no free entry, oldest first.
  IoOperation* backlog_head_ = nullptr;
  IoOperation* backlog_tail_ = nullptr;

  // Wake writes to the eventfd, of which a read is always in flight on the ring.
  int wake_fd_ = -1;
  uint64_t wake_value_ = 0;
  bool wake_armed_ = false;
  bool closing_ = false;

  // A timeout is on the ring, or its completion waits to be taken: of ArmFlag, of PrepareWait.
  bool flag_armed_ = false;
  bool host_timeout_armed_ = false;

  // Raised by the kernel for whatever Poll would find, for a host that waits for it. The ring's own
  // descriptor would not do: with DEFER_TASKRUN it does not become readable by work that only waits
  // to be collected. -1 until it is asked for.
  std::atomic<int> host_fd_{-1};

  // Null until an operation needs it. Wakes the shard through wake_fd_ and host_fd_.
  std::unique_ptr<WorkerPool> pool_;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_URING_URING_BACKEND_H_
