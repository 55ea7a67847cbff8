// Workloads of the suite `sim`.
#ifndef IOENGINE_TOOLS_BENCHMARK_SIM_COST_H_
#define IOENGINE_TOOLS_BENCHMARK_SIM_COST_H_

#include <vector>

#include "absl/status/statusor.h"
#include "ioengine/tools/benchmark/workload_suite.h"

namespace ioengine::bench {

// disk_ops_per_s: 4 KiB writes over each other on a SimDisk, with an fdatasync after each 16th.
absl::StatusOr<std::vector<Measurement>> SimulatedDisk(const SuiteJob& job);

// acknowledged_per_s of `shards` shards, each with 16 tasks that write 4 KiB durably to a file.
WorkloadFunction SimulatedWrites(int shards);

// crashes_per_s: lives of a log of 40 turns each, that end with a power cut and begin with reading
// a file of `log_blocks` blocks of 4 KiB.
WorkloadFunction CrashAndRecover(int log_blocks);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_SIM_COST_H_
