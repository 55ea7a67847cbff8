// KernelRing: an io_uring instance with the best set-up that this kernel and process may have.
#ifndef IOENGINE_IO_URING_KERNEL_RING_H_
#define IOENGINE_IO_URING_KERNEL_RING_H_

#include <liburing.h>

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/io/backend.h"

namespace ioengine {

struct KernelRingOptions {
  // Submission queue entries; rounded up to a power of two by the kernel. Halved as often as the
  // kernel refuses the memory (RLIMIT_MEMLOCK), down to kMinEntries.
  uint32_t entries = 256;
  // Completion queue entries.
  uint32_t completion_entries = 1024;
  // Entries of the table of registered files.
  uint32_t registered_files = 256;
  // For tests of the steps down: do without a feature as if the kernel had not granted it.
  bool allow_defer_taskrun = true;
  bool allow_registered_files = true;
  bool allow_registered_buffers = true;
  bool allow_ftruncate = true;
  bool allow_linked_sync = true;
};

// Owns the ring: its memory mappings and descriptor.
//
// Shard: made, used and destroyed by one thread (the kernel checks it: SINGLE_ISSUER).
class KernelRing {
 public:
  static constexpr uint32_t kMinEntries = 8;

  // Sets up, stepping down from the newest features to what the kernel grants; notes in `info`
  // what is in use and what was refused. Errors: PermissionDenied or Unimplemented where io_uring
  // is blocked or missing; ResourceExhausted where not even the smallest ring may be had;
  // FailedPrecondition where the kernel is too old. Each says what to do; `refused` (may be null)
  // is set when it is io_uring or memory for it that is missing, and not a descriptor.
  static absl::StatusOr<std::unique_ptr<KernelRing>> Create(const KernelRingOptions& options,
                                                            BackendInfo& info,
                                                            bool* refused = nullptr);

  KernelRing(const KernelRing&) = delete;
  KernelRing& operator=(const KernelRing&) = delete;
  ~KernelRing();

  io_uring* get() { return &ring_; }
  const io_uring* get() const { return &ring_; }

  // Whether files may be put into the ring's table.
  bool has_registered_files() const { return has_registered_files_; }
  // Whether the kernel raises IORING_SQ_TASKRUN when a completion is due.
  bool has_taskrun_flag() const { return (ring_.flags & IORING_SETUP_TASKRUN_FLAG) != 0; }
  uint32_t registered_files() const { return registered_files_; }
  // Whether it can cut and extend files (IORING_OP_FTRUNCATE, Linux 6.9).
  bool has_ftruncate() const { return has_ftruncate_; }
  // Whether a write and the sync after it may go to the kernel as a pair: they need two entries.
  bool has_linked_sync() const { return allow_linked_sync_ && ring_.sq.ring_entries >= 2; }

 private:
  KernelRing() = default;

  // Gives 0, or minus an errno.
  int SetUp(const KernelRingOptions& options, BackendInfo& info);
  absl::Status CheckFeatures();
  absl::Status CheckOperations(const KernelRingOptions& options, BackendInfo& info);
  void RegisterExtras(const KernelRingOptions& options, BackendInfo& info);

  io_uring ring_{};
  bool initialized_ = false;
  bool has_registered_files_ = false;
  uint32_t registered_files_ = 0;
  bool has_ftruncate_ = false;
  bool allow_linked_sync_ = false;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_URING_KERNEL_RING_H_
