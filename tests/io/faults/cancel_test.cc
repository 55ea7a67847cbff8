// Tasks that are cut at any point of any I/O, in the simulator: 10,000 seeds decide where, in what
// order operations complete, which of them complete although they were cancelled, and what goes
// wrong beside.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/io/faults/io_program.h"
#include "ioengine/tests/io/faults/leftovers.h"

namespace ioengine {
namespace {

constexpr uint64_t kSeeds = 10'000;
constexpr size_t kPage = 4096;
constexpr size_t kPages = 6;
constexpr uint64_t kNever = UINT64_MAX;

constexpr DmaFileOptions kCreate = {.access = DmaFileOptions::Access::kReadWrite,
                                    .create = DmaFileOptions::Create::kIfMissing};

// What each sector of a page may hold.
struct PageState {
  char acknowledged = 0;
  char attempted = 0;
};

struct World {
  std::array<PageState, kPages> pages;
  absl::Status program = absl::CancelledError("not ended");
  uint64_t resumptions = 0;  // of the canceller
  bool ended = false;        // all victims, before the cut
  uint64_t ended_ns = 0;     // when the cut came
  std::string wrong;
  std::string trace;  // up to the end of what was cut
};

Task<> RunProgram(ShardIo* io, World* world) { world->program = co_await RunIoProgram(io, "/r"); }

// Writes each of three pages twice. The page of a write that failed or was cut stays as it is.
Task<> WritePages(ShardIo* io, World* world, size_t first_page) {
  absl::StatusOr<DmaFile> file = co_await DmaFile::Open(*io, "/pages", kCreate);
  if (!file.ok()) co_return;
  for (size_t i = 0; i < 6; ++i) {
    const size_t page = first_page + i / 2;
    absl::StatusOr<DmaBuffer> buffer = io->AllocateBuffer(kPage);
    if (!buffer.ok()) co_return;
    const auto value = static_cast<char>('a' + page * 2 + i % 2);
    std::memset(buffer->data(), value, kPage);
    PageState& state = world->pages[page];
    state.attempted = value;
    const WriteOptions options = {.durable = i % 3 == 0, .then_sync = i % 3 == 1};
    absl::Status status = co_await file->Write(page * kPage, *buffer, kPage, options);
    if (!status.ok()) co_return;
    state.acknowledged = value;
  }
}

// All memory that is free, with a pattern that nobody else writes.
std::vector<DmaBuffer> TakeFreeMemory(ShardIo& io) {
  std::vector<DmaBuffer> taken;
  for (const size_t size_bytes : {size_t{64} << 10, kPage}) {
    for (;;) {
      absl::StatusOr<DmaBuffer> buffer = io.AllocateBuffer(size_bytes);
      if (!buffer.ok()) break;
      std::memset(buffer->data(), 0xa5, buffer->size_bytes());
      taken.push_back(*std::move(buffer));
    }
  }
  return taken;
}

bool IsUntouched(const std::vector<DmaBuffer>& taken) {
  return std::all_of(taken.begin(), taken.end(), [](const DmaBuffer& buffer) {
    return buffer.data()[0] == std::byte{0xa5} &&
           std::memcmp(buffer.data(), buffer.data() + 1, buffer.size_bytes() - 1) == 0;
  });
}

// When the cut comes: so much later, and then after so many resumptions. Resumptions alone are the
// finest, but make each turn of the shard a busy one; most seeds let the time go by first.
struct Cut {
  std::chrono::nanoseconds sleep{0};
  uint64_t resumptions = kNever;
};

Task<absl::Status> CutAfter(Shard& shard, Simulation* simulation, World* world, Cut cut) {
  ShardIo& io = shard.io();
  const size_t frames = shard.executor().frames().live();
  {
    TaskScope victims(shard.executor());
    victims.Spawn(RunProgram(&io, world));
    victims.Spawn(WritePages(&io, world, 0));
    victims.Spawn(WritePages(&io, world, kPages / 2));
    if (cut.sleep.count() > 0) co_await Sleep(cut.sleep);
    while (world->resumptions < cut.resumptions && victims.size() > 0) {
      co_await Yield();
      ++world->resumptions;
    }
    world->ended = victims.size() == 0;
    world->ended_ns = simulation->clock().NowNs();
    victims.Cancel();
  }
  // What they left in flight must not touch memory that is free now.
  std::vector<DmaBuffer> taken = TakeFreeMemory(io);
  simulation->disk().faults().Clear();
  while (io.backend().in_flight() > 0) co_await Sleep(std::chrono::milliseconds(1));
  world->trace = simulation->trace().ToString();
  if (!IsUntouched(taken)) world->wrong += "free memory was written to; ";
  taken.clear();
  world->wrong += co_await LeftOver(shard, frames);
  co_return co_await RunIoProgram(&io, "/again");
}

// Half of a block device's sectors may be old, and half new.
void ExpectPages(const SimDisk& disk, const World& world) {
  constexpr size_t kSectorBytes = 512;
  std::string content = disk.Contents("/pages").value_or("");
  content.resize(kPages * kPage);
  for (size_t at = 0; at < content.size(); at += kSectorBytes) {
    const PageState& state = world.pages[at / kPage];
    const char found = content[at];
    EXPECT_TRUE(found == state.acknowledged || found == state.attempted)
        << "at " << at << ": '" << found << "', not '" << state.acknowledged << "'";
    EXPECT_GE(content.find_first_not_of(found, at), at + kSectorBytes) << "a torn sector at " << at;
  }
}

SimulationOptions OptionsOf(uint64_t seed) {
  SimulationOptions options = {
      .seed = seed, .buffer_pool_bytes = size_t{256} << 10, .trace_events = 48};
  if (seed % 4 == 0) return options;
  options.faults[SimFault::kShortTransfer] = 50'000;
  options.faults[SimFault::kInterrupted] = 20'000;
  options.faults[SimFault::kTryAgain] = 20'000;
  options.faults[SimFault::kSlow] = 5'000;
  options.faults[SimFault::kIgnoresCancel] = 200'000;
  options.faults[SimFault::kRefused] = 2'000;
  options.faults[SimFault::kError] = 1'000;
  options.faults[SimFault::kStuck] = seed % 8 == 1 ? 5'000 : 0;
  return options;
}

// "write at …:56" of the lines of operations that ended since they were cancelled.
void AddCancelled(const std::string& trace, std::set<std::string>& cancelled) {
  for (size_t begin = 0; begin < trace.size();) {
    const size_t end = trace.find('\n', begin);
    const std::string line = trace.substr(begin, end - begin);
    begin = end + 1;
    const size_t complete = line.find("complete ");
    const size_t place = line.find(" = -125 at ");
    if (complete == std::string::npos || place == std::string::npos) continue;
    const size_t name = complete + std::strlen("complete ");
    const size_t site_end = line.find(' ', place + std::strlen(" = -125 at "));
    cancelled.insert(line.substr(name, line.find(" fd ", name) - name) +
                     line.substr(place + 7, site_end - place - 7));
  }
}

// How long the victims take that nobody cuts: resumptions of the canceller, and time.
Cut LengthOfARun() {
  World world;
  Simulation simulation({.seed = 4});
  const SimulationResult result = simulation.Run(CutAfter, &simulation, &world, Cut());
  EXPECT_TRUE(result.ok()) << result.message;
  EXPECT_TRUE(world.program.ok()) << world.program;
  return {std::chrono::nanoseconds(world.ended_ns), world.resumptions};
}

// Each site and opcode but closes, as AddCancelled names them.
std::set<std::string> PointsOfTheProgram() {
  Simulation simulation({});
  simulation.disk().faults().RecordSites();
  const auto program = [](Shard& shard) { return RunIoProgram(&shard.io(), "/r"); };
  EXPECT_TRUE(simulation.Run(program).ok());
  std::set<std::string> points;
  for (const SimSiteUses& uses : simulation.disk().faults().site_uses()) {
    if (uses.opcode == IoOpcode::kClose) continue;
    points.insert(absl::StrCat(IoOpcodeName(uses.opcode), " at ", uses.site.ToString()));
  }
  return points;
}

TEST(IoCancelTest, AtAnyPointOfAnyOperation) {
  const Cut length = LengthOfARun();
  ASSERT_GT(length.resumptions, 100u);
  // All that can be cancelled was, at one seed or another.
  const std::set<std::string> points = PointsOfTheProgram();
  Random random(7);
  std::set<std::string> cancelled;
  uint64_t ended = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Simulation simulation(OptionsOf(seed));
    World world;
    Cut cut = {.resumptions = random.Below(length.resumptions + length.resumptions / 8)};
    if (seed % 8 != 3) {
      cut.resumptions %= 8;
      cut.sleep =
          std::chrono::nanoseconds(random.Below(static_cast<uint64_t>(length.sleep.count())));
    }
    const SimulationResult result = simulation.Run(CutAfter, &simulation, &world, cut);
    EXPECT_TRUE(result.ok()) << result.message;
    EXPECT_EQ(world.wrong, "");
    ExpectPages(simulation.disk(), world);
    EXPECT_NE(world.program.code(), absl::StatusCode::kDataLoss) << world.program;
    AddCancelled(world.trace, cancelled);
    ended += world.ended ? 1 : 0;
    if (HasFailure()) return;
  }
  std::printf("%d seeds, %d resumptions in a run, %d ended before the cut, %d kinds cancelled\n",
              static_cast<int>(kSeeds), static_cast<int>(length.resumptions),
              static_cast<int>(ended), static_cast<int>(cancelled.size()));
  for (const std::string& what : points) {
    EXPECT_TRUE(cancelled.contains(what)) << "never cancelled: " << what;
  }
  EXPECT_LT(ended, kSeeds / 2) << "the cuts come too late to mean anything";
}

// Ends while the others are at it: their shard stops, and drains.
Task<absl::Status> EndAfter(Shard& shard, World* world, uint64_t resumptions) {
  ShardIo& io = shard.io();
  shard.executor().Spawn(RunProgram(&io, world));
  shard.executor().Spawn(WritePages(&io, world, 0));
  shard.executor().Spawn(WritePages(&io, world, kPages / 2));
  for (uint64_t i = 0; i < resumptions; ++i) co_await Yield();
  co_return absl::OkStatus();
}

TEST(IoCancelTest, AStopAtAnyPoint) {
  constexpr uint64_t kStops = kSeeds / 5;
  const uint64_t most_resumptions = LengthOfARun().resumptions;
  Random random(8);
  for (uint64_t seed = 1; seed <= kStops; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Simulation simulation(OptionsOf(seed));
    World world;
    // Every second one as a process that is killed: nothing is cancelled, all fails.
    const uint64_t stop = random.Below(most_resumptions);
    if (seed % 2 == 0) {
      ASSERT_TRUE(simulation.Run(EndAfter, &world, stop).ok());
    } else {
      const auto kill = [](Shard& shard, World* its, uint64_t after,
                           Simulation* its_simulation) -> Task<absl::Status> {
        absl::Status status = co_await EndAfter(shard, its, after);
        its_simulation->Kill();
        co_await Sleep(std::chrono::hours(1));
        co_return status;
      };
      const SimulationResult result = simulation.Run(kill, &world, stop, &simulation);
      ASSERT_EQ(result.end, SimulationEnd::kKilled) << result.message;
    }
    ExpectPages(simulation.disk(), world);
    simulation.disk().faults().Clear();
    const auto next = [](Shard& shard) { return RunIoProgram(&shard.io(), "/again"); };
    const SimulationResult result = simulation.Run(next);
    ASSERT_TRUE(result.ok()) << result.message;
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace ioengine
