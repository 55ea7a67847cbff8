// Compaction: what somebody may see stays, and all else goes.

#include "ioengine/engine/lsm/compaction.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/lsm/retention.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/sched/canary.h"
#include "ioengine/tests/engine/lsm/compaction_program.h"
#include "ioengine/tests/engine/lsm/lsm_world.h"

namespace ioengine {
namespace {

TEST(RetentionTest, KeepsTheNewestOfEachSlice) {
  Retention retention({{0, 4}, {0, 7}});
  for (int key = 0; key < 2; ++key) {
    retention.BeginKey();
    std::string needed;
    for (const uint64_t counter : {9, 8, 7, 6, 5, 4, 4, 3, 1}) {
      if (retention.IsNeeded({0, counter})) absl::StrAppend(&needed, counter, " ");
    }
    EXPECT_EQ(needed, "9 7 4 ");
  }
  Retention without({});
  without.BeginKey();
  EXPECT_TRUE(without.IsNeeded({0, 9}));
  EXPECT_FALSE(without.IsNeeded({0, 8}));
}

// After a power cut.
Task<absl::Status> CheckAgain(Shard& shard, const CompactionCase* c,
                              const CompactionOutcome* outcome) {
  LsmWorld world(shard);
  if (absl::Status status = co_await world.Open(); !status.ok()) co_return status;
  std::vector<CompactionOutput> outputs;
  for (const TableRecord& record : outcome->records) {
    auto reader =
        co_await TableReader::Open(shard.io(), world.files(), TableFileName(record.identity.uuid),
                                   world.cache(), record.identity);
    if (!reader.ok()) co_return reader.status();
    CompactionOutput& output = outputs.emplace_back();
    output.record = record;
    output.reader = *std::move(reader);
  }
  const TableModel expected = Expected(c->runs, c->snapshots, c->is_bottom);
  co_return co_await CheckTables(std::move(outputs), &expected);
}

// How many cases of so many went wrong.
int CompactAll(uint64_t seeds, CompactionOutcome* outcome) {
  int wrong = 0;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const CompactionCase c = RandomCase(seed);
    Simulation simulation(CompactionWorld(seed));
    outcome->records.clear();
    SimulationResult result = simulation.Run(CompactAndCheck, &c, outcome);
    simulation.CutPower();
    if (result.ok())
      result = simulation.Run(CheckAgain, &c, static_cast<const CompactionOutcome*>(outcome));
    if (result.ok()) continue;
    ++wrong;
    outcome->message = result.message;
  }
  return wrong;
}

TEST(CompactionTest, KeepsWhatSomebodyMaySeeAndNothingElse) {
  CompactionOutcome outcome;
  EXPECT_EQ(CompactAll(60, &outcome), 0) << outcome.message;
  EXPECT_GT(outcome.outputs, 120u);
  EXPECT_GT(outcome.dropped, 1000u);
}

Task<absl::Status> CompactForCuts(Shard& shard, CompactionCase c,
                                  std::vector<std::string>* bounds) {
  CompactionOutcome outcome;
  absl::Status status = co_await CompactAndCheck(shard, &c, &outcome);
  bounds->clear();
  for (const TableRecord& record : outcome.records) bounds->push_back(record.lower);
  co_return status;
}

TEST(CompactionTest, EndsTablesAtTheCutKeys) {
  CompactionCase c;
  c.runs.resize(1);
  for (int i = 100; i < 400; ++i) {
    c.runs[0][{absl::StrCat("key", i), {1, 1}}].value = std::string(200, 'v');
  }
  c.target_file_bytes = 1 << 20;
  c.cut_keys = {"a", "key150", "key2000", "key250", "key3", "z"};
  Simulation simulation(CompactionWorld(1));
  std::vector<std::string> bounds;
  EXPECT_EQ(simulation.Run(CompactForCuts, c, &bounds).status, absl::OkStatus());
  EXPECT_EQ(bounds, (std::vector<std::string>{"key100", "key150", "key201", "key250", "key300"}));
  c.least_file_bytes = 15 << 10;
  Simulation another(CompactionWorld(1));
  EXPECT_EQ(another.Run(CompactForCuts, c, &bounds).status, absl::OkStatus());
  EXPECT_EQ(bounds, (std::vector<std::string>{"key100", "key201", "key300"}))
      << "50 records are less than least_file_bytes";
}

TEST(CompactionTest, DoesNotCutBetweenKeysThatBoundsCannotTellApart) {
  CompactionCase c;
  c.runs.resize(1);
  for (int i = 100; i < 400; ++i) {
    c.runs[0][{absl::StrCat(std::string(300, 'k'), i), {1, 1}}].value = std::string(200, 'v');
  }
  c.runs[0][{"l", {1, 1}}].value = "v";
  c.target_file_bytes = 1 << 20;
  c.cut_keys = {std::string(300, 'k') + "200"};
  Simulation simulation(CompactionWorld(1));
  std::vector<std::string> bounds;
  EXPECT_EQ(simulation.Run(CompactForCuts, c, &bounds).status, absl::OkStatus());
  EXPECT_EQ(bounds, (std::vector<std::string>{std::string(kMaxBoundBytes, 'k'), "l"}));
}

TEST(CompactionTest, NothingIsLeftOfDeletesAtTheBottom) {
  CompactionCase c;
  c.runs.resize(2);
  c.runs[0][{"a", {1, 9}}].kind = OperationKind::kDelete;
  c.runs[0][{"b", {1, 9}}].kind = OperationKind::kDelete;
  c.runs[1][{"a", {1, 1}}].value = "v";
  c.is_bottom = true;
  Simulation simulation(CompactionWorld(1));
  std::vector<std::string> bounds;
  EXPECT_EQ(simulation.Run(CompactForCuts, c, &bounds).status, absl::OkStatus());
  EXPECT_TRUE(bounds.empty());
}

TEST(CompactionCanaryTest, WhatIsDroppedWronglyIsFound) {
  for (const char* const canary : {"compaction-forgets-snapshots", "compaction-drops-any-delete"}) {
    SetCanary(canary);
    CompactionOutcome outcome;
    EXPECT_GT(CompactAll(10, &outcome), 0) << canary;
    SetCanary("");
  }
}

}  // namespace
}  // namespace ioengine
