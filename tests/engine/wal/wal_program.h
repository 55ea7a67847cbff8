// A program that writes logs, is cut off, and reads them again.
#ifndef IOENGINE_TESTS_ENGINE_WAL_WAL_PROGRAM_H_
#define IOENGINE_TESTS_ENGINE_WAL_WAL_PROGRAM_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/shard.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/engine/wal/wal_options.h"
#include "ioengine/engine/wal/wal_reader.h"
#include "ioengine/engine/wal/wal_writer.h"
#include "ioengine/io/file_system.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/task.h"
#include "ioengine/tests/engine/wal/wal_ledger.h"

namespace ioengine {

// Sizes that make a small log meet all ends: of frames, segments and rings.
inline constexpr WalOptions kTinyWal = {.segment_bytes = size_t{32} << 10,
                                        .max_frame_bytes = size_t{8} << 10,
                                        .max_frames_in_flight = 3,
                                        .max_pending_bytes = size_t{24} << 10,
                                        .memory_delay_ns = 100'000,
                                        .memory_bytes = size_t{4} << 10,
                                        .idle_ns = 300'000,
                                        .space_retry_ns = 200'000};
inline constexpr WalReadOptions kTinyRead = {.read_bytes = 4096, .reads_in_flight = 3};

// What survives the program's lives: the world of its user.
struct WalWorld {
  WalOptions options = kTinyWal;
  // Whether lives end by themselves now and then, with a Close.
  bool closes = true;
  // How many tasks append side by side.
  int appenders = 4;
  int records_each = 1'000'000;
  // Rarely larger ones, up to the largest that is taken.
  size_t usual_record_bytes = 600;
  // Called before a life's end; to kill it, say.
  std::function<void()> kill;
  uint64_t kill_one_in = 0;  // appends; 0: never

  Random* random = nullptr;
  Uuid database = MakeUuid(1, 2);
  std::vector<std::unique_ptr<WalLedger>> streams;
  uint64_t next_stream = 1;  // an identity is never used twice
  uint64_t records_replayed = 0;
  uint64_t torn_frames = 0;
};

// One life: reads what there is, seals it, and begins a new stream, to which it appends. Internal:
// a promise was broken; and so is DataLoss, where nothing was damaged.
Task<absl::Status> RunWal(Shard& shard, WalWorld* world);

// Reads the stream as its ledger says, and has the ledger check it.
Task<absl::Status> ReplayStream(ShardIo& io, FileSystem& files, WalLedger* ledger, WalEnd* end);

// Appends `count` records of random sizes and levels, and waits for each.
Task<absl::Status> AppendRecords(WalWorld* world, WalWriter* log, WalLedger* ledger, int count);

// Lives and cuts of the worlds of one seed each, `cuts` in all. Gives how many there were until the
// first broken promise, of which `message` tells.
uint64_t CutsUntilBroken(const WalWorld& world, const SimulationOptions& options, uint64_t cuts,
                         std::string* message);

}  // namespace ioengine

#endif  // IOENGINE_TESTS_ENGINE_WAL_WAL_PROGRAM_H_
