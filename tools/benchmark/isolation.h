// Workloads of the suite `sched` about what a shard does beside other work, or without any.
#ifndef IOENGINE_TOOLS_BENCHMARK_ISOLATION_H_
#define IOENGINE_TOOLS_BENCHMARK_ISOLATION_H_

#include <vector>

#include "absl/status/statusor.h"
#include "ioengine/tools/benchmark/task_cost.h"
#include "ioengine/tools/benchmark/workload_suite.h"

namespace ioengine::bench {

// late_p99_us and late_max_us of a task that sleeps for 1 ms again and again in a class with a
// latency goal, beside `hogs` tasks of another class that compute for 20 µs and yield; bare_p99_us
// and bare_max_us: the same of a loop that spins on the clock, with the core to itself, half of it
// before and half behind.
WorkloadFunction Isolation(int hogs);

// cpu_percent of the process while its shard has nothing to do, and resident_bytes.
absl::StatusOr<std::vector<Measurement>> Idle(const SuiteJob& job);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_ISOLATION_H_
