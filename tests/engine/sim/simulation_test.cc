// Simulation: one seed is one run, and how runs end.

#include "ioengine/engine/sim/simulation.h"

#include <unistd.h>

#include <chrono>
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
#include "ioengine/io/dma_file.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"

namespace ioengine {
namespace {

constexpr DmaFileOptions kCreate = {.access = DmaFileOptions::Access::kReadWrite,
                                    .create = DmaFileOptions::Create::kIfMissing};

Task<> WritePage(ShardIo& io, const DmaFile& file, uint64_t page, uint8_t value) {
  absl::StatusOr<DmaBuffer> buffer = io.AllocateBuffer(4096);
  if (!buffer.ok()) co_return;
  std::memset(buffer->data(), value, 4096);
  absl::Status written = co_await file.Write(page * 4096, *buffer, 4096);
  if (written.ok()) co_await file.Read((page ^ 1) * 4096, *buffer, 4096);
}

// Writes pages of a file of its own, several at once, and syncs.
Task<absl::Status> WriteFile(uint64_t rounds) {
  Shard& shard = *Shard::Current();
  absl::StatusOr<DmaFile> file =
      co_await DmaFile::Open(shard.io(), absl::StrCat("/", shard.id()), kCreate);
  if (!file.ok()) co_return file.status();
  for (uint64_t round = 0; round < rounds; ++round) {
    TaskScope scope(shard.executor());
    for (uint64_t page = 0; page < 4; ++page) {
      scope.Spawn(WritePage(shard.io(), *file, page, static_cast<uint8_t>(round + page)));
    }
    co_await scope.Join();
    if (absl::Status status = co_await file->Fdatasync(); !status.ok()) co_return status;
    co_await Sleep(std::chrono::microseconds(50));
  }
  co_return co_await file->Close();
}

// The same on all shards at once.
Task<absl::Status> WriteFiles(Shard& shard, uint64_t rounds) {
  auto first = shard.mesh().SubmitTo(0, WriteFile, rounds);
  auto second = shard.mesh().SubmitTo(1, WriteFile, rounds);
  auto third = shard.mesh().SubmitTo(2, WriteFile, rounds);
  absl::Status status = co_await first;
  status.Update(co_await second);
  status.Update(co_await third);
  co_return status;
}

SimulationOptions Busy(uint64_t seed) {
  SimulationOptions options = {.seed = seed, .shard_count = 3, .disk = {.fua = seed % 2 == 0}};
  options.faults[SimFault::kShortTransfer] = 20'000;
  options.faults[SimFault::kInterrupted] = 20'000;
  options.faults[SimFault::kSlow] = 1'000;
  return options;
}

// A life that the power ends, and another one after it.
uint64_t HashOfRun(uint64_t seed) {
  Simulation simulation(Busy(seed));
  simulation.CutPowerAfter(100 + simulation.random().Below(200));
  const SimulationResult first = simulation.Run(WriteFiles, uint64_t{20});
  EXPECT_EQ(first.end, SimulationEnd::kPowerCut) << first.message;
  const SimulationResult second = simulation.Run(WriteFiles, uint64_t{2});
  EXPECT_TRUE(second.ok()) << second.message;
  return simulation.trace().hash();
}

TEST(SimulationTest, OneSeedIsOneRun) {
  constexpr uint64_t kSeeds = 1'000;
  std::set<uint64_t> hashes;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const uint64_t hash = HashOfRun(seed);
    ASSERT_EQ(HashOfRun(seed), hash) << "seed " << seed;
    hashes.insert(hash);
  }
  EXPECT_EQ(hashes.size(), kSeeds) << "different seeds are different runs";
}

// What another process, with its memory at other addresses, makes of the same seed.
TEST(SimulationTest, PrintsHashes) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    std::printf("hash of %d: %llx\n", static_cast<int>(seed),
                static_cast<unsigned long long>(HashOfRun(seed)));
  }
}

TEST(SimulationTest, AddressesMakeNoDifference) {
  char self[4096] = {};
  ASSERT_GT(readlink("/proc/self/exe", self, sizeof(self) - 1), 0);
  const std::string command =
      absl::StrCat("env -u TEST_PREMATURE_EXIT_FILE ", self,
                   " --gtest_filter=SimulationTest.PrintsHashes 2>&1 | grep '^hash of'");
  std::string outputs[2];
  for (std::string& output : outputs) {
    std::FILE* const pipe = popen(command.c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    char line[256];
    while (std::fgets(line, sizeof(line), pipe) != nullptr) output += line;
    pclose(pipe);
  }
  EXPECT_NE(outputs[0], "");
  EXPECT_EQ(outputs[0], outputs[1]);
}

TEST(SimulationTest, GivesTheProgramsStatus) {
  Simulation simulation({});
  const auto fail = [](Shard&, std::string text) -> Task<absl::Status> {
    co_return absl::AbortedError(text);
  };
  const SimulationResult result = simulation.Run(fail, std::string("for a reason"));
  EXPECT_EQ(result.end, SimulationEnd::kFinished);
  EXPECT_EQ(result.status, absl::AbortedError("for a reason"));
  EXPECT_NE(result.message.find("seed 1: finished"), std::string::npos) << result.message;
  EXPECT_NE(result.message.find("for a reason"), std::string::npos) << result.message;
}

Task<> SleepFor(Shard&, std::chrono::nanoseconds duration) { co_await Sleep(duration); }

TEST(SimulationTest, TimeIsSimulated) {
  Simulation simulation({});
  EXPECT_TRUE(simulation.Run(SleepFor, std::chrono::minutes(30)).ok());
  EXPECT_GE(simulation.clock().NowNs(), 1'800'000'000'000u);
  EXPECT_EQ(simulation.Run(SleepFor, std::chrono::hours(2)).end, SimulationEnd::kTimeLimit);
}

Task<> WaitForEver(Shard&) {
  Event event;
  co_await event.Wait();
}

Task<> WaitOnShard(Shard& shard) { co_await shard.SubmitTo(1, WaitForEver); }

TEST(SimulationTest, FindsThatAllWaitForEver) {
  Simulation simulation({.seed = 77, .shard_count = 2});
  const SimulationResult result = simulation.Run(WaitForEver);
  EXPECT_EQ(result.end, SimulationEnd::kDeadlock);
  EXPECT_NE(result.message.find("seed 77: deadlock"), std::string::npos) << result.message;
  EXPECT_NE(result.message.find("shard 0 has 3 coroutines"), std::string::npos) << result.message;
  EXPECT_FALSE(result.ok());
  // Waiting for another shard that waits.
  EXPECT_EQ(simulation.Run(WaitOnShard).end, SimulationEnd::kDeadlock);
}

Task<absl::Status> OpenFile(Shard& shard) {
  co_return (co_await DmaFile::Open(shard.io(), "/f", kCreate)).status();
}

TEST(SimulationTest, NamesOperationsThatAreStuck) {
  Simulation simulation({});
  simulation.disk().faults().Add({.fault = SimFault::kStuck, .opcode = IoOpcode::kStat});
  const SimulationResult result = simulation.Run(OpenFile);
  EXPECT_EQ(result.end, SimulationEnd::kDeadlock);
  EXPECT_NE(result.message.find("stuck until cancelled: statx of /f"), std::string::npos)
      << result.message;
  EXPECT_TRUE(simulation.Run(OpenFile).ok()) << "the next process finds a disk that works";
}

Task<> YieldForEver(Shard&) {
  for (;;) co_await Yield();
}

TEST(SimulationTest, EndsAProgramThatDoesNot) {
  Simulation simulation({.max_steps = 10'000});
  EXPECT_EQ(simulation.Run(YieldForEver).end, SimulationEnd::kStepLimit);
  EXPECT_EQ(simulation.turns(), 10'000u);
}

Task<absl::Status> WriteAndEnd(Shard& shard, Simulation* simulation, bool power) {
  absl::StatusOr<DmaFile> file = co_await DmaFile::Open(shard.io(), "/f", kCreate);
  if (!file.ok()) co_return file.status();
  absl::StatusOr<DmaBuffer> buffer = shard.io().AllocateBuffer(4096);
  if (!buffer.ok()) co_return buffer.status();
  std::memset(buffer->data(), 'w', 4096);
  absl::Status written = co_await file->Write(0, *buffer, 4096);
  if (!written.ok()) co_return written;
  power ? simulation->CutPower() : simulation->Kill();
  co_await SleepFor(shard, std::chrono::seconds(1));
  co_return absl::InternalError("it goes on after its end");
}

TEST(SimulationTest, AKilledProcessLeavesWhatItWrote) {
  std::set<std::string> after_power_cut;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Simulation simulation({.seed = seed});
    EXPECT_EQ(simulation.Run(WriteAndEnd, &simulation, false).end, SimulationEnd::kKilled);
    EXPECT_EQ(simulation.disk().Contents("/f"), std::string(4096, 'w'));
    EXPECT_EQ(simulation.disk().open_files(), 0u);
    simulation.CutPower();
    after_power_cut.insert(simulation.disk().Contents("/f").value_or("gone"));
  }
  EXPECT_GE(after_power_cut.size(), 5u) << "gone, empty, zeros, whole, torn";
}

Task<absl::Status> KillWhileWriting(Shard& shard, Simulation* simulation) {
  absl::StatusOr<DmaFile> file = co_await DmaFile::Open(shard.io(), "/f", kCreate);
  if (!file.ok()) co_return file.status();
  TaskScope scope(shard.executor());
  for (uint64_t page = 0; page < 4; ++page) {
    scope.Spawn(WritePage(shard.io(), *file, page, 'w'));
  }
  co_await Yield();
  simulation->Kill();
  co_await SleepFor(shard, std::chrono::seconds(1));
  co_return absl::OkStatus();
}

TEST(SimulationTest, WritesOfAKilledProcessMayHappenLater) {
  int changed = 0;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Simulation simulation({.seed = seed});
    ASSERT_EQ(simulation.Run(KillWhileWriting, &simulation).end, SimulationEnd::kKilled);
    const auto before = simulation.disk().Contents("/f");
    for (int run = 0; run < 100; ++run) {
      EXPECT_TRUE(simulation.Run(SleepFor, std::chrono::milliseconds(1)).ok());
    }
    changed += simulation.disk().Contents("/f") == before ? 0 : 1;
  }
  EXPECT_GT(changed, 10);
  EXPECT_LT(changed, 50);
}

TEST(SimulationTest, PowerCutsFromWithinAndAtATime) {
  Simulation simulation({});
  EXPECT_EQ(simulation.Run(WriteAndEnd, &simulation, true).end, SimulationEnd::kPowerCut);
  const uint64_t cut_at_ns = simulation.clock().NowNs() + 5'000'000'000;
  simulation.CutPowerAt(cut_at_ns);
  EXPECT_EQ(simulation.Run(SleepFor, std::chrono::minutes(1)).end, SimulationEnd::kPowerCut);
  EXPECT_LT(simulation.clock().NowNs(), cut_at_ns + 1'000'000);
  EXPECT_TRUE(simulation.Run(SleepFor, std::chrono::minutes(1)).ok()) << "it was for one run";
  simulation.CutPowerAt(simulation.clock().NowNs() + 90'000'000'000);
  EXPECT_TRUE(simulation.Run(SleepFor, std::chrono::minutes(1)).ok());
  EXPECT_TRUE(simulation.Run(SleepFor, std::chrono::minutes(1)).ok()) << "the first one had ended";
}

}  // namespace
}  // namespace ioengine
