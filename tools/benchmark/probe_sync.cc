#include "ioengine/tools/benchmark/probe_sync.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ioengine/sched/histogram.h"
#include "ioengine/tools/benchmark/target_file.h"

namespace ioengine::bench {
namespace {

constexpr size_t kBlockBytes = 4096;

absl::Status SystemError(const std::string& path, const char* what) {
  return absl::ErrnoToStatus(errno, absl::StrCat(path, ": ", what));
}

bool Reserves(SyncKind kind) { return kind == SyncKind::kDsyncPreallocated; }
bool StartsEmpty(SyncKind kind) { return Reserves(kind) || kind == SyncKind::kDsyncExtending; }

// One durable write.
bool WriteDurably(int fd, SyncKind kind, iovec block, uint64_t offset_bytes) {
  const bool then_sync = kind == SyncKind::kFdatasync;
  const auto offset = static_cast<off_t>(offset_bytes);
  const ssize_t written = pwritev2(fd, &block, 1, offset, then_sync ? 0 : RWF_DSYNC);
  if (written != static_cast<ssize_t>(kBlockBytes)) {
    if (written >= 0) errno = EIO;
    return false;
  }
  return !then_sync || fdatasync(fd) == 0;
}

}  // namespace

absl::StatusOr<double> MeasureSync(const std::string& path, SyncKind kind, uint64_t size_bytes,
                                   double duration_s, const std::atomic<bool>& cancelled) {
  using Clock = std::chrono::steady_clock;
  const OpenDescriptor file(open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
  if (file.get() < 0) return SystemError(path, "open");
  if (StartsEmpty(kind) && ftruncate(file.get(), 0) != 0) return SystemError(path, "ftruncate");
  if (Reserves(kind)) {
    const int error = fallocate(file.get(), 0, 0, static_cast<off_t>(size_bytes));
    if (error != 0) return SystemError(path, "fallocate");
  }
  const std::unique_ptr<void, decltype(&std::free)> memory(
      std::aligned_alloc(kBlockBytes, kBlockBytes), &std::free);
  if (memory == nullptr) return absl::ResourceExhaustedError("no memory for a block");
  std::memset(memory.get(), 0x5a, kBlockBytes);

  Histogram times_ns;
  const Clock::time_point end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                                   std::chrono::duration<double>(duration_s));
  Clock::time_point now = Clock::now();
  for (uint64_t at = 0; at + kBlockBytes <= size_bytes && now < end; at += kBlockBytes) {
    if (cancelled.load(std::memory_order_relaxed)) return absl::CancelledError("interrupted");
    if (!WriteDurably(file.get(), kind, {memory.get(), kBlockBytes}, at)) {
      return SystemError(path, "durable write");
    }
    const Clock::time_point after = Clock::now();
    times_ns.Record(static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(after - now).count()));
    now = after;
  }
  return static_cast<double>(times_ns.Quantile(0.5)) * 1e-3;
}

}  // namespace ioengine::bench
