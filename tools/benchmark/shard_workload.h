// What workloads that run on one shard share.
#ifndef IOENGINE_TOOLS_BENCHMARK_SHARD_WORKLOAD_H_
#define IOENGINE_TOOLS_BENCHMARK_SHARD_WORKLOAD_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/tools/benchmark/workload_suite.h"

namespace ioengine::bench {

// A runtime of `shards` shards with little memory for buffers, placed as the job says.
absl::StatusOr<std::unique_ptr<Runtime>> StartRuntime(const SuiteJob& job, int shards = 1);

// Runs `function(shard, args…)` on the shard of a new runtime, and gives its result.
template <typename Function, typename... Args>
auto OnNewShard(const SuiteJob& job, Function function, Args... args)
    -> decltype(std::declval<Runtime&>().Submit(0, function, args...).Wait()) {
  absl::StatusOr<std::unique_ptr<Runtime>> runtime = StartRuntime(job);
  if (!runtime.ok()) return runtime.status();
  return (*runtime)->Submit(0, std::move(function), std::move(args)...).Wait();
}

// Nanoseconds: CLOCK_MONOTONIC; CPU time of this thread; CPU time of the process.
uint64_t WallNs();
uint64_t ThreadCpuNs();
uint64_t ProcessCpuNs();

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_SHARD_WORKLOAD_H_
