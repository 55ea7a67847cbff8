#include "ioengine/tools/sim/run.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/tools/sim/world.h"

namespace ioengine::sim {
namespace {

// Turns until the end of a life: often in the middle of opening, often later.
uint64_t TurnsOfALife(Random& random) {
  static constexpr uint64_t kMost[] = {30, 100, 300, 1000, 4000};
  return random.Below(kMost[random.Below(std::size(kMost))]);
}

// What goes wrong in the next life.
void ChooseFaults(World& world) {
  SimFaults& faults = world.simulation.disk().faults();
  Random& random = world.simulation.random();
  faults.Clear();
  world.hostile = false;
  world.filled = false;
  world.simulation.disk().SetCapacity(SimDiskOptions().capacity_bytes);
  if (!world.options.faults) return;
  SimFaultRates rates;
  if (random.OneIn(2)) {
    rates[SimFault::kShortTransfer] = 10'000;
    rates[SimFault::kInterrupted] = 10'000;
    rates[SimFault::kTryAgain] = 10'000;
    rates[SimFault::kSlow] = 5'000;
  }
  faults.SetRates(rates);
  if (random.OneIn(10)) {
    // Somebody else fills the disk.
    world.simulation.disk().SetCapacity(world.simulation.disk().used_bytes() +
                                        random.Below(uint64_t{1} << 20));
    world.filled = true;
    world.hostile = true;
  }
  if (!random.OneIn(4)) return;
  static constexpr SimFault kHostile[] = {SimFault::kError, SimFault::kSyncDropsData,
                                          SimFault::kSyncKeepsData, SimFault::kNoSpace,
                                          SimFault::kRefused};
  SimFaultRule rule = {.fault = kHostile[random.Below(std::size(kHostile))]};
  static constexpr IoOpcode kOpcodes[] = {IoOpcode::kWrite, IoOpcode::kFdatasync, IoOpcode::kWrite,
                                          IoOpcode::kFsync};
  if (rule.fault == SimFault::kError) rule.opcode = kOpcodes[random.Below(std::size(kOpcodes))];
  rule.skip = random.Below(60);
  rule.times = 1 + random.Below(3);
  world.hostile = true;
  faults.Add(rule);
}

// The end of a segment is gone; not all of it, which nothing would tell.
void CutSegment(World& world) {
  Random& random = world.simulation.random();
  SimDisk& disk = world.simulation.disk();
  std::vector<std::string> segments;
  for (const std::string& name : disk.Names("/db")) {
    if (std::string_view(name).starts_with("W-")) segments.push_back("/db/" + name);
  }
  if (segments.empty()) return;
  const std::string& path = segments[random.Below(segments.size())];
  const std::string contents = *disk.Contents(path);
  const uint64_t kept = kWalPageBytes + random.Below(contents.size());
  if (kept >= contents.size()) return;
  disk.PutFile(path, std::string_view(contents).substr(0, kept));
  world.damaged = true;
}

// While nobody looks, a bit of a file changes, or a file is cut short. After a clean end only: of a
// log that was cut off, the last frame may be damaged without a later one to tell.
void Damage(World& world) {
  Random& random = world.simulation.random();
  if (!world.options.faults || world.ending != Ending::kClean || !random.OneIn(30)) return;
  if (random.OneIn(4)) return CutSegment(world);
  SimDisk& disk = world.simulation.disk();
  const std::vector<std::string> names = disk.Names("/db");
  if (names.empty()) return;
  const std::string path = absl::StrCat("/db/", names[random.Below(names.size())]);
  const auto contents = disk.Contents(path);
  if (!contents.has_value() || contents->empty()) return;
  world.damaged |=
      disk.FlipBit(path, random.Below(contents->size()), static_cast<unsigned>(random.Below(8)));
}

void PlanEnd(World& world) {
  Random& random = world.simulation.random();
  world.life_operations = 1 + random.Below(100);
  const uint64_t choice = random.Below(10);
  if (choice >= 8) return;
  if (choice < world.shape.kills_of_eight) {
    world.simulation.KillAfter(TurnsOfALife(random));
  } else {
    world.simulation.CutPowerAfter(TurnsOfALife(random));
  }
}

void NoteEnd(World& world, const SimulationResult& ended) {
  switch (ended.end) {
    case SimulationEnd::kPowerCut:
      ++world.result.power_cuts;
      world.ending = std::max(world.ending, Ending::kPowerCut);
      return;
    case SimulationEnd::kKilled:
      ++world.result.kills;
      world.ending = std::max(world.ending, Ending::kKill);
      return;
    case SimulationEnd::kFinished:
      if (!ended.status.ok()) world.oracle.Complain(ended.message);
      return;
    default:
      world.oracle.Complain(ended.message);
  }
}

}  // namespace

Shape ShapeOf(const RunOptions& options) {
  Random random(options.seed * 0x9e37'79b9 + 17);
  Shape shape;
  shape.store.database = MakeUuid(random.Next(), random.Next());
  WalOptions& wal = shape.store.wal;
  wal.segment_bytes = size_t{16384} << random.Below(5);
  wal.max_frame_bytes = std::min(size_t{4096} << random.Below(5), wal.segment_bytes);
  wal.max_frames_in_flight = 1 + random.Below(4);
  static constexpr WalSync kSyncs[] = {WalSync::kDsync, WalSync::kFlush, WalSync::kProbe};
  wal.sync = kSyncs[random.Below(std::size(kSyncs))];
  wal.pooled_segments = 1 + random.Below(3);
  wal.max_pending_bytes = size_t{256} << 10;
  shape.store.wal_read.read_bytes = size_t{4096} << random.Below(5);
  shape.store.wal_read.reads_in_flight = 2 + random.Below(3);
  shape.store.max_log_bytes = wal.segment_bytes * (2 + random.Below(30));
  shape.store.memtable_bytes = size_t{16384} << random.Below(6);
  // Some have it all in memory and in the log.
  if (random.OneIn(3)) {
    shape.store.memtable_bytes = size_t{16} << 20;
    shape.store.max_log_bytes = uint64_t{1} << 30;
  }
  shape.store.cache.capacity_bytes = size_t{256} << (10 + random.Below(3));
  shape.store.cache.max_pinned_bytes = shape.store.cache.capacity_bytes / 2;
  shape.store.table.filter_bits_per_key = random.Below(12);
  shape.store.table.write_bytes = size_t{4096} << random.Below(5);
  shape.store.table.write_behind = 1 + random.Below(3);
  shape.store.manifest.segment_bytes = size_t{8192} << random.Below(5);
  shape.store.manifest.roll_bytes = size_t{4096} << random.Below(6);
  shape.store.manifest.sync = kSyncs[random.Below(std::size(kSyncs))];
  shape.store.ballast_bytes = random.OneIn(4) ? 0 : 2 * wal.segment_bytes + (size_t{64} << 10);
  shape.store.compaction.max_runs = 2 + random.Below(5);
  shape.store.compaction.upper_percent = 10 + random.Below(100);
  shape.store.compaction.target_file_bytes = uint64_t{4096} << random.Below(6);
  shape.store.compaction.least_slices = 1 + random.Below(16);
  shape.store.compaction_reads.buffer_bytes = size_t{4096} << random.Below(4);
  BlobOptions& blobs = shape.store.blobs;
  blobs.least_bytes = random.OneIn(3) ? 0 : size_t{1} << random.Below(13);
  blobs.file_bytes = uint64_t{4096} << random.Below(7);
  blobs.write_bytes = size_t{4096} << random.Below(4);
  blobs.write_behind = 1 + random.Below(4);
  blobs.read_bytes = size_t{8192} << random.Below(5);
  blobs.garbage_percent = 1 + random.Below(60);
  shape.keys = 1 + random.Below(random.OneIn(2) ? 8 : 60);
  shape.clients = 1 + random.Below(8);
  shape.most_value_bytes = size_t{1} << (3 + random.Below(13));
  shape.kills_of_eight = random.OneIn(3) ? 7 : 2;
  shape.durable_percent = random.OneIn(3) ? 100 : random.Below(100);
  shape.written_percent = random.Below(101 - shape.durable_percent);

  SimulationOptions& simulation = shape.simulation;
  simulation.seed = options.seed;
  simulation.disk.fua = random.OneIn(2);
  simulation.disk.names_in_order = random.OneIn(2);
  simulation.disk.flush_covers_device = random.OneIn(2);
  simulation.buffer_pool_bytes = size_t{8} << 20;
  simulation.max_open_files = 1024;
  simulation.trace_events = options.trace_events;
  return shape;
}

RunResult RunSeed(const RunOptions& options) {
  World world(options);
  world.simulation.disk().MakeDirectories("/db");
  while (world.result.operations < options.operations && !world.over &&
         world.oracle.complaint().empty()) {
    Damage(world);
    ChooseFaults(world);
    PlanEnd(world);
    NoteEnd(world, world.simulation.Run(Live, &world));
  }
  world.result.acknowledged = world.oracle.acknowledged();
  world.result.complaint = world.oracle.complaint();
  world.result.trace_hash = world.simulation.trace().hash();
  if (!world.result.complaint.empty()) world.result.trace = world.simulation.trace().ToString();
  return world.result;
}

}  // namespace ioengine::sim
