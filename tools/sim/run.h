// A run of the simulator: one seed, many lives of one database.
#ifndef IOENGINE_TOOLS_SIM_RUN_H_
#define IOENGINE_TOOLS_SIM_RUN_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace ioengine::sim {

struct RunOptions {
  uint64_t seed = 1;
  // Operations of clients, over all lives. The run ends when they are done.
  uint64_t operations = 1000;
  // Besides power cuts and kills: writes and syncs that fail, a full disk, short and slow I/O,
  // damage between two lives.
  bool faults = true;
  // Of the trace's last events, those that are kept. Says nothing of what happens.
  size_t trace_events = 256;
};

struct RunResult {
  // Empty: nothing was lost, invented or reordered. Otherwise what, and when.
  std::string complaint;
  std::string trace;  // its last events, a line each
  uint64_t trace_hash = 0;

  uint64_t operations = 0;
  uint64_t acknowledged = 0;  // writes
  uint64_t power_cuts = 0;
  uint64_t kills = 0;
  uint64_t clean_ends = 0;
  uint64_t failed_logs = 0;   // lives in which a write or a sync of the log failed
  uint64_t damage_found = 0;  // opens and reads that said DataLoss after damage
  uint64_t flushes = 0;       // tables that were written
  uint64_t compactions = 0;
};

// The same options give the same result.
RunResult RunSeed(const RunOptions& options);

}  // namespace ioengine::sim

#endif  // IOENGINE_TOOLS_SIM_RUN_H_
