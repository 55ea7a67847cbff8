// Compaction on a disk that fails, and jobs that are cut off: nothing is installed that is not
// whole, and nothing is left of it.

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/engine/lsm/compaction.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/io/sim/sim_faults.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/engine/lsm/compaction_program.h"
#include "ioengine/tests/engine/lsm/lsm_world.h"

namespace ioengine {
namespace {

Task<absl::Status> ListTables(const FileSystem* files, std::set<std::string>* names) {
  const absl::StatusOr<std::vector<DirectoryEntry>> entries = co_await files->List();
  if (!entries.ok()) co_return entries.status();
  for (const DirectoryEntry& entry : *entries) {
    if (ParseTableFileName(entry.name).has_value()) names->insert(entry.name);
  }
  co_return absl::OkStatus();
}

struct Failing {
  Simulation* simulation = nullptr;
  std::optional<SimFaultRule> rule;  // while it compacts
  SimFaultRates rates = {};          // likewise
  bool quarantines = false;
  // What came of it.
  absl::Status status;
  bool leaves_files = false;
};

// A failed job leaves what was there, and nothing else; one that does not fail is right.
Task<absl::Status> CompactAndFail(Shard& shard, const CompactionCase* c, Failing* failing) {
  LsmWorld world(shard);
  if (absl::Status status = co_await world.Open(); !status.ok()) co_return status;
  absl::StatusOr<CompactionJob> job = co_await MakeJob(&world, c);
  if (!job.ok()) co_return job.status();
  if (failing->quarantines) job->runs[0][0] = Quarantined(*job->runs[0][0]);
  std::set<std::string> before;
  if (absl::Status listed = co_await ListTables(&world.files(), &before); !listed.ok()) {
    co_return listed;
  }
  SimFaults& faults = failing->simulation->disk().faults();
  faults.SetRates(failing->rates);
  if (failing->rule.has_value()) faults.Add(*failing->rule);
  auto result = co_await RunCompaction(shard.io(), world.files(), world.cache(), *std::move(job));
  faults.Clear();
  failing->status = result.status();
  if (result.ok()) {
    const TableModel expected = Expected(c->runs, c->snapshots, c->is_bottom);
    co_return co_await CheckTables(std::move(result->outputs), &expected);
  }
  std::set<std::string> after;
  absl::Status listed = co_await ListTables(&world.files(), &after);
  failing->leaves_files = after != before;
  co_return listed;
}

TEST(CompactionFaultsTest, AfterAnErrorNothingIsThereThatWasNotBefore) {
  int failed = 0;
  for (uint64_t seed = 1; seed <= 120; ++seed) {
    const CompactionCase c = RandomCase(seed);
    Simulation simulation(CompactionWorld(seed));
    Failing failing;
    failing.simulation = &simulation;
    SimFaultRule rule = {.fault = SimFault::kError};
    rule.path_part = ".sst";
    rule.skip = simulation.random().Below(60);
    failing.rule = rule;
    const SimulationResult result = simulation.Run(CompactAndFail, &c, &failing);
    ASSERT_TRUE(result.ok()) << result.status << "\n" << result.message;
    EXPECT_FALSE(failing.leaves_files) << seed << ": " << failing.status;
    if (!failing.status.ok()) ++failed;
  }
  EXPECT_GT(failed, 40);
}

TEST(CompactionFaultsTest, DamageIsFoundAndNothingIsInstalled) {
  int lost = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const CompactionCase c = RandomCase(seed);
    Simulation simulation(CompactionWorld(seed));
    Failing failing;
    failing.simulation = &simulation;
    SimFaultRule rule = {.fault = SimFault::kBitRot};
    rule.opcode = IoOpcode::kRead;
    rule.path_part = ".sst";
    rule.skip = simulation.random().Below(10);
    failing.rule = rule;
    const SimulationResult result = simulation.Run(CompactAndFail, &c, &failing);
    ASSERT_TRUE(result.ok()) << result.status << "\n" << result.message;
    EXPECT_FALSE(failing.leaves_files) << seed << ": " << failing.status;
    if (failing.status.ok()) continue;
    EXPECT_TRUE(absl::IsDataLoss(failing.status)) << failing.status;
    ++lost;
  }
  EXPECT_GT(lost, 20);
}

TEST(CompactionFaultsTest, AQuarantinedInputIsALoss) {
  const CompactionCase c = RandomCase(3);
  Simulation simulation(CompactionWorld(3));
  Failing failing;
  failing.simulation = &simulation;
  failing.quarantines = true;
  const SimulationResult result = simulation.Run(CompactAndFail, &c, &failing);
  ASSERT_TRUE(result.ok()) << result.status << "\n" << result.message;
  EXPECT_TRUE(absl::IsDataLoss(failing.status)) << failing.status;
  EXPECT_FALSE(failing.leaves_files);
}

TEST(CompactionFaultsTest, OnABadDiskItFailsOrIsRight) {
  int right = 0;
  int failed = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    const CompactionCase c = RandomCase(seed);
    Simulation simulation(CompactionWorld(seed));
    Failing failing;
    failing.simulation = &simulation;
    for (const SimFault fault : {SimFault::kError, SimFault::kNoSpace, SimFault::kSyncDropsData,
                                 SimFault::kBitRot, SimFault::kMisdirectedRead}) {
      failing.rates[fault] = 4'000;
    }
    failing.rates[SimFault::kShortTransfer] = 100'000;
    const SimulationResult result = simulation.Run(CompactAndFail, &c, &failing);
    ASSERT_TRUE(result.ok()) << result.status << "\n" << result.message;
    ++(failing.status.ok() ? right : failed);
  }
  EXPECT_GT(right, 10);
  EXPECT_GT(failed, 10);
}

Task<absl::Status> CompactForRecord(Shard& shard, const CompactionCase* c) {
  LsmWorld world(shard);
  if (absl::Status status = co_await world.Open(); !status.ok()) co_return status;
  absl::StatusOr<CompactionJob> job = co_await MakeJob(&world, c);
  if (!job.ok()) co_return job.status();
  // The manifest says that there is more in a table than it gives.
  std::shared_ptr<Table>& table = job->runs[0][0];
  auto reader = co_await TableReader::Open(
      shard.io(), world.files(), TableFileName(table->record().identity.uuid), world.cache());
  if (!reader.ok()) co_return reader.status();
  TableRecord record = table->record();
  ++record.identity.records_hash;
  table = std::make_shared<Table>(record, *std::move(reader), absl::OkStatus(), nullptr);
  std::set<std::string> before;
  absl::Status status = co_await ListTables(&world.files(), &before);
  const auto result =
      co_await RunCompaction(shard.io(), world.files(), world.cache(), *std::move(job));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInternal) << result.status();
  std::set<std::string> after;
  status.Update(co_await ListTables(&world.files(), &after));
  EXPECT_EQ(after, before);
  co_return status;
}

TEST(CompactionFaultsTest, WhatDoesNotAddUpIsNotInstalled) {
  const CompactionCase c = RandomCase(5);
  Simulation simulation(CompactionWorld(5));
  EXPECT_EQ(simulation.Run(CompactForRecord, &c).status, absl::OkStatus());
}

Task<absl::Status> CompactOntoAFile(Shard& shard, const CompactionCase* c) {
  LsmWorld world(shard);
  if (absl::Status status = co_await world.Open(); !status.ok()) co_return status;
  absl::StatusOr<CompactionJob> job = co_await MakeJob(&world, c);
  if (!job.ok()) co_return job.status();
  const Uuid taken = job->runs[0][0]->record().identity.uuid;
  job->new_uuid = [taken] { return taken; };
  const auto result = co_await RunCompaction(shard.io(), world.files(), world.cache(), *job);
  EXPECT_TRUE(absl::IsAlreadyExists(result.status())) << result.status();
  const auto stat = co_await world.files().Stat(TableFileName(taken));
  co_return stat.status();
}

TEST(CompactionFaultsTest, AFileOfAnotherIsLeftAlone) {
  const CompactionCase c = RandomCase(5);
  Simulation simulation(CompactionWorld(5));
  EXPECT_EQ(simulation.Run(CompactOntoAFile, &c).status, absl::OkStatus());
}

Task<absl::Status> CompactAndCutOff(Shard& shard, const CompactionCase* c, uint64_t turns) {
  CompactionOutcome outcome;
  TaskScope scope(shard.executor());
  scope.Spawn(CompactAndCheck(shard, c, &outcome));
  for (; turns > 0 && scope.size() > 0; --turns) co_await Yield();
  scope.Cancel();
  co_return absl::OkStatus();
}

TEST(CompactionFaultsTest, CanBeCutOffAnywhere) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const CompactionCase c = RandomCase(seed);
    Simulation simulation(CompactionWorld(seed));
    const SimulationResult result =
        simulation.Run(CompactAndCutOff, &c, simulation.random().Below(1'500));
    ASSERT_TRUE(result.ok()) << result.message;
  }
}

}  // namespace
}  // namespace ioengine
