// Workloads of the suite `timer`.
#ifndef IOENGINE_TOOLS_BENCHMARK_TIMER_COST_H_
#define IOENGINE_TOOLS_BENCHMARK_TIMER_COST_H_

#include "ioengine/tools/benchmark/task_cost.h"

namespace ioengine::bench {

// cpu_s, late_p99_ms and late_max_ms of `tasks` tasks that are spawned at once and sleep once, for
// a random time of up to a second.
WorkloadFunction Sleeps(int tasks);

// arm_ns and cancel_ns of a timer among `timers` others.
WorkloadFunction ArmAndCancel(int timers);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_TIMER_COST_H_
