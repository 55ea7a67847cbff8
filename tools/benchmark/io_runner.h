// Runs workloads on the library's shards, from the suite's thread.
#ifndef IOENGINE_TOOLS_BENCHMARK_IO_RUNNER_H_
#define IOENGINE_TOOLS_BENCHMARK_IO_RUNNER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/sched/future.h"
#include "ioengine/sched/runnable.h"
#include "ioengine/tools/benchmark/io_shard_run.h"
#include "ioengine/tools/benchmark/io_stamp.h"
#include "ioengine/tools/benchmark/peer.h"

namespace ioengine::bench {

// One of several jobs that run at once on the same shards.
struct IoStream {
  PeerJob job;
  ClassId class_id = 0;
  // The part of each shard's region that it works in: quarters, rounded down to whole blocks.
  uint64_t first_quarter = 0;
  uint64_t quarters = 4;
  // With --verify: what it writes is stamped, and what it reads is checked.
  bool stamped = true;
  // How long after the first stream it begins; at most half of the duration.
  double delay_s = 0;
};

class IoRunner {
 public:
  // Borrows both. `cancelled` is polled while runs are under way.
  IoRunner(Runtime& runtime, const std::atomic<bool>& cancelled);

  // Keeps the version of every block from now on (--verify), for a file that LayOut writes or
  // wrote. `unit_bytes`: the smallest block that any workload uses, but at most 4096.
  void KeepVersions(const PeerJob& job, uint64_t unit_bytes);

  // Writes the file over its whole size. Errors: the first of any operation; Cancelled.
  absl::Status LayOut(const std::string& path, uint64_t size_bytes, uint64_t stamp_seed);

  // Runs the job on all shards for its duration. Errors: the first of any shard; Cancelled.
  absl::StatusOr<PeerOutcome> Run(const PeerJob& job, uint64_t stamp_seed);

  // The same within a comparison: the progress line stays as SetProgress left it.
  absl::StatusOr<PeerOutcome> RunSlice(const PeerJob& job, uint64_t stamp_seed);

  // Several jobs at once, in the order in which they begin, until the duration of the first is
  // over. Of several those operations count that complete while all of them run. Outcomes in the
  // same order; the CPU time of each is that of the whole process.
  absl::StatusOr<std::vector<PeerOutcome>> RunStreams(const std::vector<IoStream>& streams,
                                                      uint64_t stamp_seed);

  // What the progress line shows while something else runs.
  void SetProgress(std::string what);

  // Reads whose contents were compared, over all runs.
  uint64_t verified_reads() const { return verified_reads_; }

  // One line on how far the present run is. Any thread, at any time.
  std::string ProgressLine() const;

 private:
  using Running = std::vector<Future<absl::StatusOr<ShardOutcome>>>;

  Running StartStream(const IoStream& stream, uint64_t stamp_seed, const std::atomic<bool>& stop,
                      const std::atomic<bool>* counting);
  void WaitFor(double duration_s, std::vector<Running>& running);
  void StartProgress(std::string what, double duration_s, uint64_t total_bytes);

  struct Started;  // what the progress line shows

  Runtime& runtime_;
  const std::atomic<bool>& cancelled_;
  std::vector<std::unique_ptr<VersionMap>> versions_;  // by shard; empty without --verify
  std::vector<ShardProgress> progress_;                // by shard
  uint64_t verified_reads_ = 0;
  std::atomic<std::shared_ptr<const Started>> started_;
};

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_IO_RUNNER_H_
