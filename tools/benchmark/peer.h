// What the peers of the `io` suite are asked to do, and what they answer: the same for fio and for
// the bare loop, and the same work as ours.
#ifndef IOENGINE_TOOLS_BENCHMARK_PEER_H_
#define IOENGINE_TOOLS_BENCHMARK_PEER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ioengine/tools/benchmark/workload.h"

namespace ioengine::bench {

struct PeerJob {
  Workload workload = Workload::kRandRead;
  std::string path;  // a file or block device, already written over its whole size
  uint64_t size_bytes = 0;
  uint64_t block_size_bytes = 4096;
  int shards = 1;
  int depth = 1;          // operations in flight, per shard
  std::vector<int> cpus;  // shard i runs on cpus[i]; empty: wherever the kernel puts it
  double duration_s = 1;
  uint64_t seed = 1;  // of the random offsets
  bool direct = true;
};

struct PeerOutcome {
  double iops = 0;
  double bytes_per_s = 0;
  double p50_us = 0;
  double p99_us = 0;
  double p999_us = 0;
  double max_us = 0;
  double cpu_us_per_op = 0;
  std::string command;                // what was run, so that a reader can repeat it
  std::vector<std::string> degraded;  // what it had to do without
};

struct Region {
  uint64_t offset_bytes = 0;
  uint64_t size_bytes = 0;
};

// Shard `shard`'s part of the file: contiguous, equal for all shards, a whole number of blocks.
// What is left over at the end of the file belongs to nobody.
Region ShardRegion(const PeerJob& job, int shard);

// Errors: InvalidArgument for a job that makes no sense: no shard, no block in a shard's region, a
// CPU list of another length, a duration that is not above 0.
absl::Status CheckJob(const PeerJob& job);

// Runs `count` variants of a peer in turn, `rounds` times each, and returns the index of the one
// with the highest median of iops: the peer at its best, on this device. Errors: the first error of
// a run.
absl::StatusOr<int> BestVariant(int count, int rounds,
                                const std::function<absl::StatusOr<PeerOutcome>(int)>& run);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_PEER_H_
