// Workloads of the suite `mesh`: what it costs to reach another shard. All take two shards.
#ifndef IOENGINE_TOOLS_BENCHMARK_MESH_COST_H_
#define IOENGINE_TOOLS_BENCHMARK_MESH_COST_H_

#include <vector>

#include "absl/status/statusor.h"
#include "ioengine/tools/benchmark/workload_suite.h"

namespace ioengine::bench {

// p50_ns and p99_ns of a SubmitTo and back, with both shards awake; one at a time. Beside them the
// bare limit, two threads that exchange two cache lines.
absl::StatusOr<std::vector<Measurement>> RoundTrip(const SuiteJob& job);

// calls_per_s of `depth` tasks, each of which calls the other shard again and again.
WorkloadFunction Calls(int depth);

// messages_per_s of numbers through a ShardChannel, from one shard to the other.
absl::StatusOr<std::vector<Measurement>> OneWay(const SuiteJob& job);

// p50_us of a SubmitTo and back when both shards sleep in between; beside it the bare limit, two
// threads that wake each other with eventfds.
absl::StatusOr<std::vector<Measurement>> Asleep(const SuiteJob& job);

// Of a thread that is no shard: calls_per_s in batches of `batch`, and p50_us from the submission
// of a batch to its last result. The shard is awake.
WorkloadFunction Foreign(int batch);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_MESH_COST_H_
