// Workloads of the suite `sched` that measure what tasks cost.
#ifndef IOENGINE_TOOLS_BENCHMARK_TASK_COST_H_
#define IOENGINE_TOOLS_BENCHMARK_TASK_COST_H_

#include <vector>

#include "absl/status/statusor.h"
#include "ioengine/tools/benchmark/workload_suite.h"

namespace ioengine::bench {

// Of `tasks` tasks that yield: switches_per_s; beside it the bare limit, as many coroutines that a
// loop resumes one after the other, with no scheduler.
WorkloadFunction Switch(int tasks);

// tasks_per_s of tasks that return at once, spawned into a scope `batch` at a time and joined.
WorkloadFunction SpawnAndJoin(int batch);

// bytes_per_task of detached tasks that wait for an Event: what the shard's memory for frames grows
// by, which is all that they take.
WorkloadFunction Parked(int tasks);

// check_ns: a MaybeYield that does not suspend, in a loop beside the same loop without it.
absl::StatusOr<std::vector<Measurement>> MaybeYieldLoop(const SuiteJob& job);

// await_ns: three coroutines that await each other and give a good Status; failed_extra_ns: how
// much more a failed one takes.
absl::StatusOr<std::vector<Measurement>> AwaitChain(const SuiteJob& job);

// share_error_percent: how far the worst class is from its part of the CPU.
absl::StatusOr<std::vector<Measurement>> SharesKept(const SuiteJob& job);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_TASK_COST_H_
