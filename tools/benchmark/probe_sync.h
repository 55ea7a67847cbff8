// What it costs to make 4 KiB durable, by plain system calls.
#ifndef IOENGINE_TOOLS_BENCHMARK_PROBE_SYNC_H_
#define IOENGINE_TOOLS_BENCHMARK_PROBE_SYNC_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace ioengine::bench {

enum class SyncKind {
  kDsyncWritten,       // RWF_DSYNC over blocks that are written
  kDsyncPreallocated,  // into blocks that are reserved and were never written
  kDsyncExtending,     // behind the end of the file
  kFdatasync,          // a write over written blocks, then fdatasync
};

// The median of one write after another, with O_DIRECT, for `duration_s` or over `size_bytes`.
// Microseconds. For kDsyncPreallocated and kDsyncExtending the file is cut to nothing first; for
// the others so many bytes of it are written. Errors: the system's, naming the path.
absl::StatusOr<double> MeasureSync(const std::string& path, SyncKind kind, uint64_t size_bytes,
                                   double duration_s, const std::atomic<bool>& cancelled);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_PROBE_SYNC_H_
