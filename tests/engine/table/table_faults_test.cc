// Tables on a disk that fails or lies, and tasks that are cut off: an error or right data.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/engine/table/block_cache.h"
#include "ioengine/engine/table/table_builder.h"
#include "ioengine/engine/table/table_reader.h"
#include "ioengine/io/sim/sim_faults.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/engine/table/table_program.h"
#include "ioengine/tests/engine/table/table_records.h"

namespace ioengine {
namespace {

TableModel SomeModel(uint64_t seed) {
  Random random(seed);
  return RandomTable(random, {.records = 400});
}

bool IsWrong(const absl::Status& status) { return absl::IsUnknown(status); }

TEST(TableFaultsTest, WhatIsFinishedIsWhole) {
  int finished = 0;
  int failed = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SimFaultRates rates;
    for (const SimFault fault : {SimFault::kError, SimFault::kNoSpace, SimFault::kSyncDropsData,
                                 SimFault::kSyncKeepsData}) {
      rates[fault] = 8'000;
    }
    rates[SimFault::kShortTransfer] = 100'000;
    rates[SimFault::kInterrupted] = 20'000;
    Simulation simulation({.seed = seed, .faults = rates});
    const TableModel model = SomeModel(seed);
    TableInfo info;
    const SimulationResult built = simulation.Run(BuildTable, &model, kTinyTable, &info);
    ASSERT_EQ(built.end, SimulationEnd::kFinished) << built.message;
    simulation.disk().faults().Clear();
    if (!built.status.ok()) {
      ++failed;
      continue;
    }
    ++finished;
    simulation.CutPower();
    const TableCheck check = {
        .model = &model, .identity = IdentityOf(info), .gets = 50, .seeks = 5};
    const SimulationResult checked = simulation.Run(CheckTable, check);
    ASSERT_TRUE(checked.ok()) << checked.message;
  }
  EXPECT_GT(finished, 20);
  EXPECT_GT(failed, 20);
}

// Reads that fail, and that give what is not there.
TEST(TableFaultsTest, ReadsAreErrorsOrRight) {
  int right = 0;
  int errors = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    Simulation simulation({.seed = seed});
    const TableModel model = SomeModel(seed);
    TableInfo info;
    ASSERT_TRUE(simulation.Run(BuildTable, &model, kTinyTable, &info).ok());
    SimFaultRates rates;
    for (const SimFault fault : {SimFault::kError, SimFault::kMisdirectedRead, SimFault::kBitRot,
                                 SimFault::kLatentSector}) {
      rates[fault] = 2'000;
    }
    rates[SimFault::kShortTransfer] = 50'000;
    simulation.disk().faults().SetRates(rates);
    const TableCheck check = {
        .model = &model, .identity = IdentityOf(info), .gets = 50, .seeks = 5};
    const SimulationResult checked = simulation.Run(CheckTable, check);
    ASSERT_EQ(checked.end, SimulationEnd::kFinished) << checked.message;
    ASSERT_FALSE(IsWrong(checked.status)) << checked.message;
    ++(checked.ok() ? right : errors);
  }
  EXPECT_GT(right, 10);
  EXPECT_GT(errors, 10);
}

TEST(TableFaultsTest, APageThatWasNotWrittenIsFound) {
  int lost = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Simulation simulation({.seed = seed});
    const TableModel model = SomeModel(seed);
    SimFaultRule rule;
    rule.fault = seed % 2 == 0 ? SimFault::kLostWrite : SimFault::kMisdirectedWrite;
    rule.path_part = kTableName;
    rule.skip = seed % 5;
    simulation.disk().faults().Add(rule);
    TableInfo info;
    const SimulationResult built = simulation.Run(BuildTable, &model, kTinyTable, &info);
    simulation.disk().faults().Clear();
    if (!built.ok()) continue;
    const TableCheck check = {.model = &model, .identity = IdentityOf(info)};
    const SimulationResult checked = simulation.Run(CheckTable, check);
    ASSERT_FALSE(IsWrong(checked.status)) << checked.message;
    if (!checked.ok()) ++lost;
  }
  EXPECT_GT(lost, 20);
}

Task<absl::Status> BuildAndCutOff(Shard& shard, const TableModel* model, uint64_t turns) {
  TableInfo info;
  TaskScope scope(shard.executor());
  scope.Spawn(BuildTable(shard, model, kTinyTable, &info));
  for (; turns > 0 && scope.size() > 0; --turns) co_await Yield();
  scope.Cancel();
  co_return absl::OkStatus();
}

Task<absl::Status> CheckAndCutOff(Shard& shard, TableCheck check, uint64_t turns) {
  TaskScope scope(shard.executor());
  scope.Spawn(CheckTable(shard, check));
  for (; turns > 0 && scope.size() > 0; --turns) co_await Yield();
  scope.Cancel();
  co_return absl::OkStatus();
}

// What is cut off anywhere leaves nothing behind in the shard (ASan, and what buffers, files and
// the cache check when they go).
TEST(TableFaultsTest, TasksCanBeCutOffAnywhere) {
  const TableModel model = SomeModel(1);
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    Simulation simulation({.seed = seed});
    const SimulationResult building =
        simulation.Run(BuildAndCutOff, &model, simulation.random().Below(400));
    ASSERT_TRUE(building.ok()) << building.message;
  }
  Simulation simulation({.seed = 1});
  TableInfo info;
  ASSERT_TRUE(simulation.Run(BuildTable, &model, kTinyTable, &info).ok());
  for (uint64_t run = 1; run <= 200; ++run) {
    TableCheck check = {.model = &model, .seed = run};
    check.cache = {.capacity_bytes = 64 << 10, .max_pinned_bytes = 48 << 10};
    const SimulationResult checking =
        simulation.Run(CheckAndCutOff, check, simulation.random().Below(3'000));
    ASSERT_TRUE(checking.ok()) << checking.message;
  }
}

}  // namespace
}  // namespace ioengine
