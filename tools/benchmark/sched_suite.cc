#include "ioengine/tools/benchmark/sched_suite.h"

#include "ioengine/tools/benchmark/isolation.h"
#include "ioengine/tools/benchmark/mesh_cost.h"
#include "ioengine/tools/benchmark/sim_cost.h"
#include "ioengine/tools/benchmark/task_cost.h"
#include "ioengine/tools/benchmark/timer_cost.h"
#include "ioengine/tools/benchmark/workload_suite.h"

namespace ioengine::bench {

int RunSchedSuite(int argc, char** argv) {
  const WorkloadSuite suite = {
      "sched",
      "Measures what tasks cost on one shard, with classes, timers and I/O polling at work.\n",
      {
          {"switch", "tasks that do nothing but yield", {{"tasks", 2}}, Switch(2)},
          {"switch", "", {{"tasks", 1000}}, Switch(1000)},
          {"spawn", "tasks that are spawned and joined", {{"batch", 1}}, SpawnAndJoin(1)},
          {"spawn", "", {{"batch", 100}}, SpawnAndJoin(100)},
          {"parked",
           "memory of tasks that wait for an event",
           {{"tasks", 1000000}},
           Parked(1'000'000)},
          {"maybeyield", "an inner loop that asks whether its slice is over", {}, MaybeYieldLoop},
          {"await", "a call of a coroutine that returns at once, three deep", {}, AwaitChain},
          {"shares", "classes of 100, 300 and 50 shares that always have work", {}, SharesKept},
          {"isolation",
           "a sleeper of 1 ms in a latency class, beside 16 hogs of 20 µs",
           {{"hogs", 16}},
           Isolation(16)},
          {"idle", "a shard with nothing to do", {}, Idle},
      }};
  return RunWorkloadSuite(suite, argc, argv);
}

int RunTimerSuite(int argc, char** argv) {
  const WorkloadSuite suite = {
      "timer",
      "Measures timers: CPU time of the shard, spawning included, and how late they are.\n",
      {
          {"sleeps",
           "tasks that are spawned at once and sleep for up to a second",
           {{"tasks", 100000}},
           Sleeps(100'000)},
          {"arm",
           "timers that are armed and cancelled",
           {{"timers", 1000000}},
           ArmAndCancel(1'000'000)},
      }};
  return RunWorkloadSuite(suite, argc, argv);
}

int RunMeshSuite(int argc, char** argv) {
  const WorkloadSuite suite = {
      "mesh",
      "Measures what it costs to reach a shard from another one, or from a thread that is none.\n"
      "Runs two shards: pin them (--placement) where the machine has the CPUs.\n",
      {
          {"round_trip", "a call and its answer, both shards awake", {}, RoundTrip},
          {"calls", "tasks that call the other shard", {{"depth", 1}}, Calls(1)},
          {"calls", "", {{"depth", 64}}, Calls(64)},
          {"calls", "", {{"depth", 256}}, Calls(256)},
          {"calls", "", {{"depth", 1024}}, Calls(1024)},
          {"one_way", "numbers through a channel between the shards", {}, OneWay},
          {"asleep", "a call and its answer, both shards asleep", {}, Asleep},
          {"foreign", "a thread that is no shard calls one", {{"batch", 1}}, Foreign(1)},
          {"foreign", "", {{"batch", 64}}, Foreign(64)},
      }};
  return RunWorkloadSuite(suite, argc, argv);
}

int RunSimSuite(int argc, char** argv) {
  const WorkloadSuite suite = {
      "sim",
      "Measures how fast simulations go, in real time, on this thread.\n",
      {
          {"disk", "4 KiB writes on a simulated disk, a sync after each 16th", {}, SimulatedDisk},
          {"writes", "durable writes of shards", {{"shards", 1}}, SimulatedWrites(1)},
          {"writes", "", {{"shards", 4}}, SimulatedWrites(4)},
          {"crash",
           "power cuts, and reading what is left",
           {{"log_blocks", 16}},
           CrashAndRecover(16)},
          {"crash", "", {{"log_blocks", 1024}}, CrashAndRecover(1024)},
      }};
  return RunWorkloadSuite(suite, argc, argv);
}

}  // namespace ioengine::bench
