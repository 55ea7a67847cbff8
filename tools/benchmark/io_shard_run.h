// What one shard does in one run of a workload: the coroutines that keep `depth` operations in
// flight through DmaFile.
#ifndef IOENGINE_TOOLS_BENCHMARK_IO_SHARD_RUN_H_
#define IOENGINE_TOOLS_BENCHMARK_IO_SHARD_RUN_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "ioengine/engine/shard.h"
#include "ioengine/sched/histogram.h"
#include "ioengine/sched/runnable.h"
#include "ioengine/sched/task.h"
#include "ioengine/tools/benchmark/io_stamp.h"
#include "ioengine/tools/benchmark/peer.h"
#include "ioengine/tools/benchmark/workload.h"

namespace ioengine::bench {

// How far a shard is, for the progress line: written by the shard, read by the suite's thread.
// Relaxed: nothing else hangs on it. A cache line of its own, so that shards do not slow each
// other.
struct alignas(64) ShardProgress {
  std::atomic<uint64_t> operations{0};
  std::atomic<uint64_t> bytes{0};
};

struct ShardJob {
  Workload workload = Workload::kRandRead;
  std::string path;
  Region region;
  uint64_t block_size_bytes = 4096;
  int depth = 1;
  uint64_t seed = 1;               // of the run's offsets
  uint64_t stamp_seed = 0;         // of the contents
  VersionMap* versions = nullptr;  // with --verify
  ClassId class_id = 0;            // of the workers
  const std::atomic<bool>* stop = nullptr;
  // Operations count that complete while it is set; null: all. Of jobs that run side by side what
  // their beginning and end do would otherwise be part of each one's rate.
  const std::atomic<bool>* counting = nullptr;
  ShardProgress* progress = nullptr;
};

struct ShardOutcome {
  uint64_t operations = 0;
  uint64_t bytes = 0;
  uint64_t verified_reads = 0;
  double elapsed_s = 0;
  Histogram latency_ns;
};

// Runs the job until `*job.stop`. Errors: the first one that any operation met; DataLoss when a
// block was not what it should be.
Task<absl::StatusOr<ShardOutcome>> RunShardJob(Shard& shard, ShardJob job);

// Writes [0, size) of a new file with stamped contents of version 0, and syncs it: so that every
// workload meets written blocks. `*stop` ends it early, with Cancelled.
Task<absl::Status> LayOutFile(Shard& shard, std::string path, uint64_t size_bytes,
                              uint64_t stamp_seed, const std::atomic<bool>* stop,
                              ShardProgress* progress);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_IO_SHARD_RUN_H_
