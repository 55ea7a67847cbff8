// World: what a run is made of, and what its clients know.
#ifndef IOENGINE_TOOLS_SIM_WORLD_H_
#define IOENGINE_TOOLS_SIM_WORLD_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "ioengine/engine/sim/simulation.h"
#include "ioengine/engine/store_options.h"
#include "ioengine/tools/sim/oracle.h"
#include "ioengine/tools/sim/run.h"

namespace ioengine::sim {

// What a seed decides about a whole run. All sizes are tiny, so that every border is met often.
struct Shape {
  StoreOptions store;
  SimulationOptions simulation;
  uint64_t keys = 1;
  uint64_t clients = 1;
  size_t most_value_bytes = 1;
  // Of eight lives that do not end by themselves.
  uint64_t kills_of_eight = 0;
  // Of 100 writes.
  uint64_t durable_percent = 0;
  uint64_t written_percent = 0;
};

Shape ShapeOf(const RunOptions& options);

struct World {
  explicit World(const RunOptions& run_options)
      : options(run_options), shape(ShapeOf(run_options)), simulation(shape.simulation) {}

  const RunOptions options;
  const Shape shape;
  Simulation simulation;
  Oracle oracle;
  RunResult result;

  // Of the lives since somebody read all that was there: the worst.
  Ending ending = Ending::kClean;
  bool damaged = false;          // since then
  bool hostile = false;          // this life has failing writes and syncs
  bool filled = false;           // and somebody else takes the disk's space for some time
  bool over = false;             // nothing more can be checked
  uint64_t life_operations = 0;  // that this life does before its clean end
  // Of this life, that were counted.
  uint64_t life_flushes = 0;
  uint64_t life_compactions = 0;
};

// One life of the database: opens it, checks what is there, and lets the clients work until the
// life's operations are done, or the end comes. An error is a complaint.
Task<absl::Status> Live(Shard& shard, World* world);

}  // namespace ioengine::sim

#endif  // IOENGINE_TOOLS_SIM_WORLD_H_
