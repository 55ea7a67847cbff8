#include "ioengine/io/uring/kernel_ring.h"

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>
#include <thread>

#include "absl/strings/str_cat.h"
#include "ioengine/io/uring/prepare_sqe.h"

namespace ioengine {
namespace {

// One step of the way down. NO_SQARRAY is never among them: with it the kernel gives no index
// array, and liburing 2.3 writes its own over the ring's header.
struct SetupStep {
  uint32_t flags;
  const char* name;
  const char* consequence;  // of having to do with this step
};

constexpr std::array<SetupStep, 4> kSteps = {{
    {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
     "SINGLE_ISSUER | DEFER_TASKRUN | TASKRUN_FLAG (Linux 6.1)", ""},
    {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
     "SINGLE_ISSUER | COOP_TASKRUN | TASKRUN_FLAG (Linux 6.0)",
     "completions cost up to a third more CPU at small depths"},
    {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
     "COOP_TASKRUN | TASKRUN_FLAG (Linux 5.19)",
     "completions cost up to a third more CPU at small depths"},
    {0, "no set-up flags", "each completion may interrupt the shard"},
}};

// Features without which the backend would lose completions or could not sleep with a timeout.
constexpr uint32_t kNeededFeatures =
    IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_EXT_ARG;

constexpr std::array kNeededOperations = {
    IORING_OP_READ,           IORING_OP_WRITE,     IORING_OP_READ_FIXED,   IORING_OP_WRITE_FIXED,
    IORING_OP_FSYNC,          IORING_OP_FALLOCATE, IORING_OP_OPENAT,       IORING_OP_CLOSE,
    IORING_OP_STATX,          IORING_OP_UNLINKAT,  IORING_OP_ASYNC_CANCEL, IORING_OP_TIMEOUT,
    IORING_OP_TIMEOUT_REMOVE, IORING_OP_OPENAT2,   IORING_OP_RENAMEAT,     IORING_OP_LINKAT,
    IORING_OP_MKDIRAT,        IORING_OP_FADVISE};

// liburing maps and unmaps rings by system calls of its own, which ThreadSanitizer does not see: a
// ring that comes to lie where one of another thread was is to it that thread's memory. The kernel
// has given the range back before it gives it out again; these two say so.
#if defined(__SANITIZE_THREAD__)
char mappings;
void BeforeUnmap() { __tsan_release(&mappings); }
void AfterMap() { __tsan_acquire(&mappings); }
#else
void BeforeUnmap() {}
void AfterMap() {}
#endif

// A ring that is closed gives its locked memory back a little later, from a kernel thread: so where
// not even the smallest ring may have any, one that was closed just now may be why.
constexpr std::chrono::milliseconds kWait{5};
constexpr int kMostWaits = 200;

std::string ErrorText(int result) { return std::generic_category().message(-result); }

// Why the kernel gives no ring, and what to do.
absl::Status RefusalOf(const std::string& call, int result) {
  switch (result) {
    case -EPERM:
    case -EACCES:
      return absl::PermissionDeniedError(absl::StrCat(
          call, ": permission denied: io_uring is blocked for this process; set ",
          "kernel.io_uring_disabled to 0 (sysctl), or allow it in the container's seccomp "
          "profile"));
    case -ENOSYS:
      return absl::UnimplementedError(absl::StrCat(
          call, ": not implemented: this kernel, or the container's seccomp profile, has no ",
          "io_uring; Linux 5.19 or newer is needed"));
    case -ENOMEM:
      return absl::ResourceExhaustedError(absl::StrCat(
          call, ": not even the smallest ring may lock its memory; raise RLIMIT_MEMLOCK ",
          "(ulimit -l)"));
    case -EMFILE:
    case -ENFILE:
      return absl::ResourceExhaustedError(
          absl::StrCat(call, ": ", ErrorText(result), "; raise ulimit -n"));
    default:
      return absl::InternalError(absl::StrCat(call, ": ", ErrorText(result)));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<KernelRing>> KernelRing::Create(const KernelRingOptions& options,
                                                               BackendInfo& info, bool* refused) {
  std::unique_ptr<KernelRing> ring(new KernelRing());
  if (const int result = ring->SetUp(options, info); result < 0) {
    if (refused != nullptr) {
      *refused = result == -EPERM || result == -EACCES || result == -ENOSYS || result == -ENOMEM;
    }
    return RefusalOf("io_uring_setup", result);
  }
  if (refused != nullptr) *refused = true;  // what goes wrong now is this kernel's, or a filter's
  if (absl::Status status = ring->CheckFeatures(); !status.ok()) return status;
  if (absl::Status status = ring->CheckOperations(options, info); !status.ok()) return status;
  if (refused != nullptr) *refused = false;
  ring->RegisterExtras(options, info);
  return ring;
}

KernelRing::~KernelRing() {
  if (!initialized_) return;
  // The ring goes asynchronously; unregistering waits until the memory is unpinned, so that it is
  // neither charged nor held when the next ring asks for it. An error means: none are registered.
  io_uring_unregister_buffers(&ring_);
  BeforeUnmap();
  io_uring_queue_exit(&ring_);
}

int KernelRing::SetUp(const KernelRingOptions& options, BackendInfo& info) {
  uint32_t entries = options.entries;
  uint32_t completion_entries = options.completion_entries;
  size_t step = options.allow_defer_taskrun ? 0 : 1;
  int waits = 0;
  int result;
  for (;;) {
    io_uring_params parameters{};
    parameters.flags = kSteps[step].flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    parameters.cq_entries = completion_entries;
    result = io_uring_queue_init_params(entries, &ring_, &parameters);
    if (result == 0) break;
    if (result == -EINVAL && step + 1 < kSteps.size()) {
      ++step;
    } else if (result == -ENOMEM && entries > kMinEntries) {
      entries /= 2;
      completion_entries =
          completion_entries / 2 > 2 * entries ? completion_entries / 2 : 2 * entries;
    } else if (result == -ENOMEM && ++waits <= kMostWaits) {
      std::this_thread::sleep_for(kWait);
    } else {
      return result;
    }
  }
  initialized_ = true;
  allow_linked_sync_ = options.allow_linked_sync;
  AfterMap();
  // A child process must not submit on its parent's ring.
  io_uring_ring_dontfork(&ring_);

  info.features.push_back(kSteps[step].name);
  if (step > 0) {
    info.degraded.push_back(
        {kSteps[0].name,
         options.allow_defer_taskrun ? "the kernel does not know it" : "not allowed by the options",
         kSteps[step].consequence});
  }
  if (entries < options.entries) {
    info.degraded.push_back(
        {absl::StrCat("a ring of ", options.entries, " entries"),
         "the kernel granted no more memory (ENOMEM)",
         absl::StrCat("it has ", entries, "; raise RLIMIT_MEMLOCK (ulimit -l)")});
  }
  return 0;
}

absl::Status KernelRing::CheckFeatures() {
  if ((ring_.features & kNeededFeatures) != kNeededFeatures) {
    return absl::FailedPreconditionError(
        "this kernel's io_uring is too old (no NODROP, SUBMIT_STABLE or EXT_ARG); Linux 5.19 or "
        "newer is needed");
  }
  // A filter of system calls may let a ring be made, and not be used.
  const int result = io_uring_enter(static_cast<unsigned>(ring_.ring_fd), 0, 0, 0, nullptr);
  return result < 0 ? RefusalOf("io_uring_enter", result) : absl::OkStatus();
}

absl::Status KernelRing::CheckOperations(const KernelRingOptions& options, BackendInfo& info) {
  io_uring_probe* probe = io_uring_get_probe_ring(&ring_);
  if (probe == nullptr) {
    return absl::FailedPreconditionError(
        "this kernel's io_uring cannot be probed; Linux 5.19 or newer is needed");
  }
  int missing = -1;
  for (const int operation : kNeededOperations) {
    if (io_uring_opcode_supported(probe, operation) == 0) missing = operation;
  }
  has_ftruncate_ = options.allow_ftruncate && io_uring_opcode_supported(probe, kOpFtruncate) != 0;
  io_uring_free_probe(probe);
  if (missing >= 0) {
    return absl::FailedPreconditionError(absl::StrCat("this kernel's io_uring lacks operation ",
                                                      missing, "; Linux 5.19 or newer is needed"));
  }
  if (!has_ftruncate_) {
    info.degraded.push_back(
        {"IORING_OP_FTRUNCATE (Linux 6.9)",
         options.allow_ftruncate ? "the kernel does not know it" : "not allowed by the options",
         "files are cut and extended by a thread, some 50 µs later each"});
  }
  return absl::OkStatus();
}

void KernelRing::RegisterExtras(const KernelRingOptions& options, BackendInfo& info) {
  if (const int result = io_uring_register_ring_fd(&ring_); result == 1) {
    info.features.push_back("registered ring (Linux 5.18)");
  } else {
    info.degraded.push_back({"registered ring", ErrorText(result),
                             "each system call on the ring looks its descriptor up"});
  }
  const int result = options.allow_registered_files
                         ? io_uring_register_files_sparse(&ring_, options.registered_files)
                         : -EOPNOTSUPP;
  if (result == 0) {
    has_registered_files_ = true;
    registered_files_ = options.registered_files;
    info.features.push_back("registered files (Linux 5.19)");
  } else {
    info.degraded.push_back({"registered files", ErrorText(result),
                             "each operation looks its descriptor up; raise ulimit -n if it is "
                             "below the number of files"});
  }
}

}  // namespace ioengine
