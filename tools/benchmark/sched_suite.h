// `ioengine-bench sched`: what tasks cost. `ioengine-bench timer`: what timers do.
// `ioengine-bench mesh`: what it costs to reach another shard. `ioengine-bench sim`: how fast
// simulations go.
#ifndef IOENGINE_TOOLS_BENCHMARK_SCHED_SUITE_H_
#define IOENGINE_TOOLS_BENCHMARK_SCHED_SUITE_H_

namespace ioengine::bench {

// As main: exit status. argv[0] is not looked at.
int RunSchedSuite(int argc, char** argv);
int RunTimerSuite(int argc, char** argv);
int RunMeshSuite(int argc, char** argv);
int RunSimSuite(int argc, char** argv);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_SCHED_SUITE_H_
