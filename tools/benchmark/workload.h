// What the `io` suite can be asked to do, under the names that --workloads and the JSON use.
#ifndef IOENGINE_TOOLS_BENCHMARK_WORKLOAD_H_
#define IOENGINE_TOOLS_BENCHMARK_WORKLOAD_H_

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace ioengine::bench {

enum class Workload {
  kSeqRead,    // each shard reads its region from front to back, again and again
  kSeqWrite,   // the same, overwriting
  kRandRead,   // aligned blocks of the region, uniformly at random, repeats allowed
  kRandWrite,  // the same, overwriting
  kMixed,      // kRandRead and kRandWrite, 70 to 30, chosen per operation
  kSyncWrite,  // kSeqWrite in which every write is durable before it completes (RWF_DSYNC)
  kNull,       // reads of /dev/null, without O_DIRECT: the cost of the software alone
};

inline constexpr double kMixedReadShare = 0.7;

// "seqread", "seqwrite", "randread", "randwrite", "mixed", "syncwrite" or "null".
std::string_view WorkloadName(Workload workload);

// Every workload, in the order above.
std::vector<Workload> AllWorkloads();

// The list behind --workloads: names with commas between, in the caller's order.
// Errors: InvalidArgument names the first unknown name and lists the known ones; also for an empty
// list and for a name given twice.
absl::StatusOr<std::vector<Workload>> ParseWorkloads(std::string_view comma_separated);

// Whether it changes the file, chooses its offsets at random, and needs a file at all.
bool Writes(Workload workload);
bool IsRandom(Workload workload);
bool NeedsFile(Workload workload);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_WORKLOAD_H_
