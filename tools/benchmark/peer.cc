#include "ioengine/tools/benchmark/peer.h"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ioengine::bench {

Region ShardRegion(const PeerJob& job, int shard) {
  const uint64_t share = job.size_bytes / static_cast<uint64_t>(job.shards);
  const uint64_t size = share / job.block_size_bytes * job.block_size_bytes;
  return {static_cast<uint64_t>(shard) * size, size};
}

absl::Status CheckJob(const PeerJob& job) {
  if (job.shards < 1) return absl::InvalidArgumentError("a peer needs at least one shard");
  if (job.depth < 1) return absl::InvalidArgumentError("a peer needs a depth of at least 1");
  if (!(job.duration_s > 0)) return absl::InvalidArgumentError("a peer needs a duration above 0");
  if (job.block_size_bytes == 0) return absl::InvalidArgumentError("a peer needs a block size");
  if (!job.cpus.empty() && job.cpus.size() != static_cast<size_t>(job.shards)) {
    return absl::InvalidArgumentError(std::to_string(job.cpus.size()) + " CPUs for " +
                                      std::to_string(job.shards) + " shards");
  }
  if (NeedsFile(job.workload) && ShardRegion(job, 0).size_bytes == 0) {
    return absl::InvalidArgumentError(job.path + ": " + std::to_string(job.size_bytes) +
                                      " bytes hold no block of " +
                                      std::to_string(job.block_size_bytes) + " bytes for each of " +
                                      std::to_string(job.shards) + " shards; give a larger --size");
  }
  return absl::OkStatus();
}

absl::StatusOr<int> BestVariant(int count, int rounds,
                                const std::function<absl::StatusOr<PeerOutcome>(int)>& run) {
  if (count < 1 || rounds < 1) return absl::InvalidArgumentError("no variant of a peer to run");
  // Round by round, so that a slow phase of the device falls on all of them.
  std::vector<std::vector<double>> iops(static_cast<size_t>(count));
  for (int round = 0; round < rounds; ++round) {
    for (int variant = 0; variant < count; ++variant) {
      const absl::StatusOr<PeerOutcome> outcome = run(variant);
      if (!outcome.ok()) return outcome.status();
      iops[static_cast<size_t>(variant)].push_back(outcome->iops);
    }
  }
  int best = 0;
  double best_iops = -1;
  for (int variant = 0; variant < count; ++variant) {
    std::vector<double>& values = iops[static_cast<size_t>(variant)];
    std::sort(values.begin(), values.end());
    if (const double median = values[values.size() / 2]; median > best_iops) {
      best = variant;
      best_iops = median;
    }
  }
  return best;
}

}  // namespace ioengine::bench
