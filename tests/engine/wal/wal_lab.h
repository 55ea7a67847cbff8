// WalLab: a disk with one log, for tests that look at it closely.
#ifndef IOENGINE_TESTS_ENGINE_WAL_WAL_LAB_H_
#define IOENGINE_TESTS_ENGINE_WAL_WAL_LAB_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/engine/shard.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/engine/wal/wal_writer.h"
#include "ioengine/io/file_system.h"
#include "ioengine/sched/task.h"
#include "ioengine/tests/engine/wal/wal_ledger.h"
#include "ioengine/tests/engine/wal/wal_program.h"

namespace ioengine {

// A frame, as it stands on the disk.
struct LabFrame {
  std::string path;
  uint64_t offset_bytes;
  size_t size_bytes;
  WalFrameHeader header;
};

class WalLab {
 public:
  using Program = Task<absl::Status> (*)(WalLab* lab, WalWriter* log);

  explicit WalLab(SimulationOptions options = {}) : simulation(options) {
    // Nothing but what a test asks for.
    wal.idle_ns = 1'000'000'000;
  }

  // Runs `program` on a log of the stream, which is made first, and closed if `closes`.
  SimulationResult Write(Program program) { return simulation.Run(WriteMain, this, program); }
  // Replays the stream with `ledger`; `end` tells of it.
  SimulationResult Read() { return simulation.Run(ReadMain, this); }

  // The frames of the stream that are intact, in the order of their segments.
  std::vector<LabFrame> Frames();
  std::string PathOf(uint64_t segment) const;

  Simulation simulation;
  WalOptions wal = kTinyWal;
  WalReadOptions read = kTinyRead;
  WalExpected expected;
  WalStream stream = {MakeUuid(1, 2), 3, 4, 5};
  WalLedger ledger{stream};
  WalEnd end;
  WalStats stats;
  bool closes = true;
  // While a program runs.
  Shard* shard = nullptr;
  FileSystem* files = nullptr;

 private:
  static Task<absl::Status> WriteMain(Shard& shard, WalLab* lab, Program program);
  static Task<absl::Status> ReadMain(Shard& shard, WalLab* lab);
};

// Appends one record, and tells the ledger.
Task<absl::Status> AppendToLab(WalLab* lab, WalWriter* log, size_t size_bytes, Durability level);
// The same, and waits until it has reached the level.
Task<absl::Status> AppendAndWait(WalLab* lab, WalWriter* log, size_t size_bytes, Durability level);

}  // namespace ioengine

#endif  // IOENGINE_TESTS_ENGINE_WAL_WAL_LAB_H_
