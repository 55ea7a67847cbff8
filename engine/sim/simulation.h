// Simulation: shards, their mesh and their disk on one thread, where a seed decides everything.
//
//   Task<absl::Status> Program(Shard& shard, History* history);     // runs on shard 0
//
//   for (uint64_t seed = 1; seed <= 10'000; ++seed) {
//     Simulation simulation({.seed = seed, .shard_count = 2});
//     simulation.CutPowerAfter(simulation.random().Below(500));
//     simulation.Run(Program, &history);                  // until it ends, or the power goes
//     SimulationResult checked = simulation.Run(Check, &history);    // on what the disk kept
//   }
//
// The seed decides which shard runs its next turn and which of its tasks, how the clock goes, when
// operations complete, what goes wrong with them, in what order messages between shards arrive, and
// what a power cut leaves. The same seed, program and options give the same run: trace().hash()
// tells. For that the program must not look at real time, addresses or the order of a hash table.
#ifndef IOENGINE_ENGINE_SIM_SIMULATION_H_
#define IOENGINE_ENGINE_SIM_SIMULATION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/engine/shard.h"
#include "ioengine/engine/sim/simulated_shard.h"
#include "ioengine/io/sim/sim_disk.h"
#include "ioengine/io/sim/sim_trace.h"
#include "ioengine/sched/mesh.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/simulated_time.h"
#include "ioengine/sched/task.h"

namespace ioengine {

struct SimulationOptions {
  uint64_t seed = 1;
  size_t shard_count = 1;
  SimDiskOptions disk = {};  // its seed is derived from the one above
  SimLatency latency = {};
  // In force from the start; Simulation::disk().faults() changes them.
  SimFaultRates faults = {};
  // Of each shard.
  size_t buffer_pool_bytes = size_t{1} << 20;  // a multiple of 4 KiB
  size_t queue_depth = 64;
  size_t max_open_files = 64;
  size_t mesh_ring_capacity = 2;
  // Between two turns the clock goes on by up to this, and further when nobody has anything to do.
  uint64_t most_step_ns = 2'000;
  // After one turn in so many a shard does nothing for up to 1 ms. 0: none.
  uint64_t stall_one_in = 1'000;
  // A run that takes more ends.
  uint64_t max_steps = 50'000'000;
  uint64_t max_time_ns = 3'600'000'000'000;
  // Events of the trace that are kept.
  size_t trace_events = 256;
};

enum class SimulationEnd : uint8_t {
  kFinished,  // the program did
  kPowerCut,
  kKilled,
  kDeadlock,  // all shards wait for ever
  kStepLimit,
  kTimeLimit,
};

const char* SimulationEndName(SimulationEnd end);

struct SimulationResult {
  SimulationEnd end = SimulationEnd::kFinished;
  absl::Status status;  // kFinished: of the program
  std::string message;  // how it ended, with the seed: for whoever has to find out why

  bool ok() const { return end == SimulationEnd::kFinished && status.ok(); }
};

// Each Run is one life of a process: shards are made, and are gone when it ends. The disk stays.
//
// Shard: all, on one thread, which is no other shard's.
class Simulation {
 public:
  explicit Simulation(const SimulationOptions& options);
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;
  ~Simulation();

  // Calls `function(shard, args…)`, which returns Task<void> or Task<absl::Status>, on shard 0, and
  // runs all shards until that task has ended, or something else ends the run. Tasks that are left
  // are destroyed then. Cost: about 50 µs and 10 µs for each shard, and the turns.
  template <typename Function, typename... Args>
  SimulationResult Run(Function function, Args... args) {
    return RunMain([&](Shard& shard) -> Task<absl::Status> {
      if constexpr (std::is_same_v<decltype(function(shard, std::move(args)...)), Task<void>>) {
        return WithStatus(function(shard, std::move(args)...));
      } else {
        return function(shard, std::move(args)...);
      }
    });
  }

  // The power goes, in the run that goes on or in the next one, before its turn number `turns`, or
  // when it is so late (nanoseconds of clock()). The earlier of both; not any more when that run
  // has ended.
  void CutPowerAfter(uint64_t turns) { cut_after_turns_ = turns; }
  void CutPowerAt(uint64_t time_ns) { cut_at_ns_ = time_ns; }
  // Now: at the end of the turn when a task of the program says so; between two runs at once.
  void CutPower();
  // The process is killed, at the end of the turn: the disk keeps what was written, and what is in
  // flight may have happened or not; writes may also happen in the next run, at any time of it.
  void Kill() { kill_now_ = true; }
  // The same before turn number `turns` of the run that goes on or of the next one, if it comes to
  // that.
  void KillAfter(uint64_t turns) { kill_after_turns_ = turns; }

  SimDisk& disk() { return disk_; }
  const SimulatedClock& clock() const { return clock_; }
  const SimTrace& trace() const { return trace_; }
  // For the program's own decisions.
  Random& random() { return program_random_; }
  uint64_t seed() const { return options_.seed; }

  // Turns of the last run, or of this one.
  uint64_t turns() const { return turns_; }
  // Of all runs.
  uint64_t total_turns() const { return total_turns_; }

 private:
  class RandomDelivery;
  class StartCall;

  static Task<absl::Status> WithStatus(Task<void> task);
  static Task<void> Main(Simulation* simulation, Task<absl::Status> task);

  SimulationResult RunMain(std::function<Task<absl::Status>(Shard&)> start);
  void Begin();
  SimulationEnd RunTurns();
  bool RunTurn();
  void End(SimulationEnd end);
  std::string Explain(SimulationEnd end);
  void Note(SimEvent::Kind kind, uint32_t shard);
  void ExecuteLateWrite();

  const SimulationOptions options_;
  Random random_;          // of the world
  Random program_random_;  // of what runs in it
  SimulatedClock clock_;
  SimTrace trace_;
  SimDisk disk_;
  std::vector<std::unique_ptr<SimulatedArena>> arenas_;

  // Of a killed run; may still happen.
  std::vector<SimLateWrite> late_writes_;
  uint64_t turns_per_late_write_ = 1;

  // Of a run.
  std::unique_ptr<RandomDelivery> delivery_;
  std::unique_ptr<Mesh> mesh_;
  std::vector<std::unique_ptr<SimulatedShard>> shards_;
  std::vector<SimulatedShard*> ready_;
  uint64_t turns_ = 0;
  uint64_t total_turns_ = 0;
  uint64_t end_ns_ = 0;
  bool finished_ = false;
  absl::Status status_;

  uint64_t cut_after_turns_ = UINT64_MAX;
  uint64_t cut_at_ns_ = UINT64_MAX;
  bool cut_now_ = false;
  uint64_t kill_after_turns_ = UINT64_MAX;
  bool kill_now_ = false;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_SIM_SIMULATION_H_
