// Tables on the simulated disk: what was added is there, for point look-ups and scans, and after a
// power cut.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "ioengine/engine/format/record_hash.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/engine/table/table_builder.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/random.h"
#include "ioengine/tests/engine/table/table_program.h"
#include "ioengine/tests/engine/table/table_records.h"

namespace ioengine {
namespace {

struct Outcome {
  absl::Status status;
  TableInfo info;
};

// Builds a random table and checks it; without an error, all was right.
Outcome BuildAndCheck(uint64_t seed, const TableModel& model, TableOptions options) {
  Simulation simulation({.seed = seed});
  Outcome outcome;
  const SimulationResult built = simulation.Run(BuildTable, &model, options, &outcome.info);
  outcome.status = built.status;
  if (!built.ok()) return outcome;
  TableCheck check = {.model = &model, .identity = IdentityOf(outcome.info), .seed = seed};
  if (seed % 3 == 0) check.cache = {.capacity_bytes = 64 << 10, .max_pinned_bytes = 48 << 10};
  const SimulationResult checked = simulation.Run(CheckTable, check);
  outcome.status = checked.status;
  if (checked.end != SimulationEnd::kFinished) {
    outcome.status = absl::InternalError(checked.message);
  }
  return outcome;
}

TableModel ModelOf(uint64_t seed, size_t most_value_bytes = 60) {
  Random random(seed);
  RandomTableOptions options;
  options.records = 1 + random.Below(1500);
  options.most_value_bytes = most_value_bytes;
  // Enough for the versions of one key to fill blocks.
  options.versions_one_in = seed % 4 == 0 ? 1 : 3;
  return RandomTable(random, options);
}

TEST(TableTest, HoldsWhatWasAdded) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    TableOptions options = kTinyTable;
    if (seed % 5 == 0) options.filter_bits_per_key = 0;
    const Outcome outcome = BuildAndCheck(seed, ModelOf(seed), options);
    ASSERT_TRUE(outcome.status.ok()) << "seed " << seed << ": " << outcome.status;
  }
}

TEST(TableTest, HoldsValuesOfManyPages) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Random random(seed);
    const TableModel model = RandomTable(random, {.records = 30, .most_value_bytes = 30'000});
    Simulation simulation({.seed = seed, .buffer_pool_bytes = size_t{4} << 20});
    TableInfo info;
    ASSERT_TRUE(simulation.Run(BuildTable, &model, kTinyTable, &info).ok());
    const TableCheck check = {
        .model = &model,
        .identity = IdentityOf(info),
        .cache = {.capacity_bytes = size_t{1} << 20, .max_pinned_bytes = size_t{1} << 19}};
    const SimulationResult checked = simulation.Run(CheckTable, check);
    ASSERT_TRUE(checked.ok()) << checked.message;
  }
}

TEST(TableTest, AnEmptyTableHoldsNothing) {
  const Outcome outcome = BuildAndCheck(1, {}, kTinyTable);
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.info.records, 0u);
}

TEST(TableTest, TellsWhatIsInIt) {
  const TableModel model = ModelOf(7);
  const Outcome outcome = BuildAndCheck(7, model, kTinyTable);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  TableInfo info;
  std::string last_key = "none";
  for (const auto& [place, change] : model) {
    ++info.records;
    if (change.kind == OperationKind::kDelete) ++info.deletes;
    if (place.key != last_key) ++info.keys;
    last_key = place.key;
    info.key_bytes += place.key.size();
    info.value_bytes += change.value.size();
    info.records_hash += RecordHash(change.kind, place.key, place.sequence, change.value);
  }
  EXPECT_EQ(outcome.info.records, info.records);
  EXPECT_EQ(outcome.info.deletes, info.deletes);
  EXPECT_EQ(outcome.info.keys, info.keys);
  EXPECT_EQ(outcome.info.key_bytes, info.key_bytes);
  EXPECT_EQ(outcome.info.value_bytes, info.value_bytes);
  EXPECT_EQ(outcome.info.records_hash, info.records_hash);
  EXPECT_EQ(outcome.info.smallest_key, model.begin()->first.key);
  EXPECT_EQ(outcome.info.largest_key, model.rbegin()->first.key);
}

// How many of `cuts` right after Finish and the directory's sync took something of the table away.
int LostToPowerCuts(int cuts) {
  int lost = 0;
  const TableModel model = ModelOf(3);
  for (int cut = 0; cut < cuts; ++cut) {
    Simulation simulation({.seed = static_cast<uint64_t>(cut) + 1});
    TableInfo info;
    EXPECT_TRUE(simulation.Run(BuildTable, &model, kTinyTable, &info).ok());
    simulation.CutPower();
    const TableCheck check = {
        .model = &model, .identity = IdentityOf(info), .gets = 20, .seeks = 0};
    if (!simulation.Run(CheckTable, check).ok()) ++lost;
  }
  return lost;
}

TEST(TableTest, IsDurableOnceItIsFinished) { EXPECT_EQ(LostToPowerCuts(50), 0); }

TEST(TableCanaryTest, AForgottenFdatasyncIsFound) {
  SetCanary("table-skip-fdatasync");
  EXPECT_GT(LostToPowerCuts(20), 10);
  SetCanary("");
}

TEST(TableCanaryTest, WrongDataIsFound) {
  for (const char* const canary :
       {"table-filter-wrong-seed", "table-separator-before-last", "cache-use-while-loading"}) {
    SetCanary(canary);
    int found = 0;
    for (uint64_t seed = 1; seed <= 12; ++seed) {
      if (!BuildAndCheck(seed, ModelOf(seed), kTinyTable).status.ok()) ++found;
    }
    SetCanary("");
    EXPECT_GT(found, 0) << canary;
  }
}

}  // namespace
}  // namespace ioengine
