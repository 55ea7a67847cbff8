// Snapshots and scans over all shards, in simulated time: of one moment, whatever goes on beside.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/engine.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/tests/engine/store_fixture.h"

namespace ioengine {
namespace {

constexpr size_t kKeys = 9;  // over all shards
constexpr int kRounds = 12;

// Each writer has keys of its own, and writes them in a row, each when the one before is
// acknowledged: so at any moment a key's number is that of the next one, or one more.
struct World {
  struct Key {
    int acknowledged = 0;
    int begun = 0;
  };
  std::vector<Key> keys{kKeys};
  Engine* engine = nullptr;
  Simulation* simulation = nullptr;
  bool done = false;
};

std::string NameOf(size_t key) { return absl::StrCat("key", key); }

absl::StatusOr<int> NumberIn(const absl::StatusOr<Value>& value) {
  if (!value.ok()) return value.status();
  return value->has_value() ? std::stoi(**value) : 0;
}

Task<absl::Status> WriteInARow(Shard&, World* world, size_t first, size_t count) {
  for (int number = 1; number <= kRounds; ++number) {
    for (size_t key = first; key < first + count; ++key) {
      World::Key& known = world->keys[key];
      known.begun = number;
      const bool durable = world->simulation->random().Below(2) == 0;
      const auto put = co_await world->engine->Put(
          NameOf(key), absl::StrCat(number), durable ? Durability::kDurable : Durability::kWritten);
      if (!put.ok()) co_return put.status();
      known.acknowledged = number;
    }
  }
  co_return absl::OkStatus();
}

absl::Status Wrong(size_t key, std::string_view what, int shown, int least, int most) {
  return absl::DataLossError(absl::StrCat("key ", key, " ", std::string(what), ": ", shown,
                                          ", expected ", least, " to ", most));
}

// What a snapshot shows lies between what was acknowledged before it was taken and what had begun
// when it was; it goes on showing that; and who reads now is not shown less.
Task<absl::Status> CheckSnapshot(World* world) {
  const std::vector<World::Key> before = world->keys;
  const absl::StatusOr<EngineSnapshot> snapshot = world->engine->TakeSnapshot();
  if (!snapshot.ok()) co_return snapshot.status();
  std::vector<int> shown;
  // The first read at the snapshot waits for what is on its way, so one of now comes before it.
  const size_t early_key = world->simulation->random().Below(kKeys);
  const absl::StatusOr<int> early = NumberIn(co_await world->engine->Get(NameOf(early_key)));
  if (!early.ok()) co_return early.status();
  for (size_t key = 0; key < kKeys; ++key) {
    const absl::StatusOr<int> number =
        NumberIn(co_await world->engine->Get(NameOf(key), *snapshot));
    if (!number.ok()) co_return number.status();
    if (key == early_key && *early < *number) {
      co_return Wrong(key, "after a snapshot was taken", *early, *number, kRounds);
    }
    if (*number < before[key].acknowledged || *number > before[key].begun) {
      co_return Wrong(key, "in a snapshot", *number, before[key].acknowledged, before[key].begun);
    }
    shown.push_back(*number);
    const absl::StatusOr<int> now = NumberIn(co_await world->engine->Get(NameOf(key)));
    if (!now.ok()) co_return now.status();
    if (*now < *number) co_return Wrong(key, "after a snapshot", *now, *number, kRounds);
  }
  if (world->simulation->random().Below(3) == 0) {
    if (absl::Status flushed = co_await world->engine->Flush(); !flushed.ok()) co_return flushed;
  }
  if (world->simulation->random().Below(3) == 0) {
    absl::Status compacted = co_await world->engine->Compact();
    if (!compacted.ok()) co_return compacted;
  }
  std::vector<std::string> names;
  for (size_t key = 0; key < kKeys; ++key) names.push_back(NameOf(key));
  std::vector<std::string_view> views(names.begin(), names.end());
  const auto again = co_await world->engine->MultiGet(std::move(views), *snapshot);
  if (!again.ok()) co_return again.status();
  EngineScanOptions options = EngineScanOptions::Prefix("key");
  options.snapshot = *snapshot;
  options.reverse = world->simulation->random().Below(2) == 0;
  const bool reverse = options.reverse;
  const auto scan = world->engine->Scan(std::move(options));
  if (!scan.ok()) co_return scan.status();
  std::vector<int> scanned(kKeys);
  std::string last;
  absl::Status status = co_await (*scan)->Next();
  for (; status.ok() && (*scan)->Valid(); status = co_await (*scan)->Next()) {
    const std::string key((*scan)->key());
    EXPECT_TRUE(last.empty() || (reverse ? key < last : last < key)) << last << ", " << key;
    last = key;
    scanned[static_cast<size_t>(std::stoi(key.substr(3)))] =
        std::stoi(std::string((*scan)->value()));
  }
  if (!status.ok()) co_return status;
  for (size_t key = 0; key < kKeys; ++key) {
    const int number = (*again)[key].has_value() ? std::stoi(*(*again)[key]) : 0;
    if (number != shown[key]) {
      co_return Wrong(key, "again in a snapshot", number, shown[key], shown[key]);
    }
    if (scanned[key] != shown[key]) {
      co_return Wrong(key, "in a scan", scanned[key], shown[key], shown[key]);
    }
    const bool is_of_same_writer = key % 3 > 0;
    if (is_of_same_writer && (shown[key - 1] < shown[key] || shown[key - 1] > shown[key] + 1)) {
      co_return Wrong(key, "beside the one before it", shown[key - 1], shown[key], shown[key] + 1);
    }
  }
  co_return absl::OkStatus();
}

Task<absl::Status> KeepChecking(World* world) {
  while (!world->done) {
    absl::Status status = co_await CheckSnapshot(world);
    if (!status.ok()) co_return status;
    co_await Sleep(std::chrono::microseconds(1 + world->simulation->random().Below(300)));
  }
  co_return absl::OkStatus();
}

Task<absl::Status> KeepCheckingOn(Shard&, World* world) { return KeepChecking(world); }

Task<absl::Status> WriteAndCheck(Shard& shard, Simulation* simulation) {
  EngineOptions options;
  options.store = SmallStore();
  auto engine = co_await Engine::Open(shard, "/db", std::move(options));
  if (!engine.ok()) co_return engine.status();
  World world;
  world.engine = engine->get();
  world.simulation = simulation;
  auto first = shard.SubmitTo(0, WriteInARow, &world, size_t{0}, size_t{3});
  auto second = shard.SubmitTo(1, WriteInARow, &world, size_t{3}, size_t{3});
  auto third = shard.SubmitTo(2, WriteInARow, &world, size_t{6}, size_t{3});
  auto here = shard.SubmitTo(1, KeepCheckingOn, &world);
  auto there = shard.SubmitTo(2, KeepCheckingOn, &world);
  absl::Status status = co_await first;
  status.Update(co_await second);
  status.Update(co_await third);
  world.done = true;
  status.Update(co_await here);
  status.Update(co_await there);
  if (status.ok()) status = co_await (*engine)->Close();
  co_return status;
}

class EngineSnapshotTest : public testing::Test {
 protected:
  ~EngineSnapshotTest() override { SetCanary(""); }

  // The first failure of so many seeds.
  static absl::Status RunSeeds(uint64_t seeds) {
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
      Simulation simulation({.seed = seed, .shard_count = 3, .buffer_pool_bytes = size_t{4} << 20});
      const SimulationResult result = simulation.Run(WriteAndCheck, &simulation);
      if (!result.ok()) {
        return absl::Status(result.status.ok() ? absl::StatusCode::kUnknown : result.status.code(),
                            absl::StrCat("seed ", seed, ": ", result.message));
      }
    }
    return absl::OkStatus();
  }
};

TEST_F(EngineSnapshotTest, AreOfOneMomentOverAllShards) {
  EXPECT_EQ(RunSeeds(100), absl::OkStatus());
}

TEST_F(EngineSnapshotTest, PlantedBugsAreFound) {
  for (const char* const name : {"store-epoch-cached", "store-snapshot-does-not-wait",
                                 "store-read-does-not-wait", "compaction-ignores-clock"}) {
    SetCanary(name);
    EXPECT_TRUE(absl::IsDataLoss(RunSeeds(100))) << name;
  }
}

Task<absl::Status> TakeTooMany(Shard& shard) {
  EngineOptions options;
  options.store = SmallStore();
  auto engine = co_await Engine::Open(shard, "/db", std::move(options));
  if (!engine.ok()) co_return engine.status();
  std::vector<EngineSnapshot> snapshots;
  for (size_t i = 0; i < EpochClock::kMostSnapshots; ++i) {
    auto snapshot = (*engine)->TakeSnapshot();
    if (!snapshot.ok()) co_return snapshot.status();
    snapshots.push_back(*std::move(snapshot));
  }
  EXPECT_TRUE(absl::IsResourceExhausted((*engine)->TakeSnapshot().status()));
  snapshots.pop_back();
  EXPECT_TRUE((*engine)->TakeSnapshot().ok());
  co_return co_await (*engine)->Close();
}

TEST_F(EngineSnapshotTest, AreBounded) {
  Simulation simulation({.seed = 1, .shard_count = 2, .buffer_pool_bytes = size_t{4} << 20});
  EXPECT_EQ(simulation.Run(TakeTooMany).status, absl::OkStatus());
}

// Many keys, bounds, both directions, both placements.
Task<absl::Status> ScanMany(Shard& shard, KeyPlacement placement) {
  constexpr int kMany = 2000;
  EngineOptions options;
  options.store = SmallStore();
  options.placement = placement;
  if (placement.kind == KeyPlacement::Kind::kRange) options.split_keys = {"k0700", "k1400"};
  auto engine = co_await Engine::Open(shard, "/db", std::move(options));
  if (!engine.ok()) co_return engine.status();
  for (int i = 0; i < kMany; ++i) {
    const auto put = co_await (*engine)->Put(absl::StrCat("k", i + 10'000).erase(1, 1),
                                             absl::StrCat(i), Durability::kMemory);
    if (!put.ok()) co_return put.status();
  }
  for (const bool reverse : {false, true}) {
    for (const auto& [lower, upper] : std::vector<std::pair<int, int>>{
             {0, kMany}, {0, 1}, {690, 710}, {1, 1999}, {1400, 1400}, {1399, 1401}}) {
      EngineScanOptions bounds;
      bounds.lower = absl::StrCat("k", lower + 10'000).erase(1, 1);
      bounds.upper = absl::StrCat("k", upper + 10'000).erase(1, 1);
      bounds.reverse = reverse;
      const auto scan = (*engine)->Scan(std::move(bounds));
      if (!scan.ok()) co_return scan.status();
      int expected = reverse ? upper - 1 : lower;
      absl::Status status = co_await (*scan)->Next();
      for (; status.ok() && (*scan)->Valid(); status = co_await (*scan)->Next()) {
        if ((*scan)->value() != absl::StrCat(expected)) {
          co_return absl::DataLossError(absl::StrCat(std::string((*scan)->value()), " and not ",
                                                     expected, reverse ? ", reverse" : ""));
        }
        expected += reverse ? -1 : 1;
      }
      if (!status.ok()) co_return status;
      EXPECT_EQ(expected, reverse ? lower - 1 : upper);
    }
  }
  co_return co_await (*engine)->Close();
}

TEST(EngineScanTest, GivesAllKeysOfTheRangeInOrder) {
  for (const KeyPlacement placement :
       {KeyPlacement{}, KeyPlacement{.kind = KeyPlacement::Kind::kHash, .prefix_bytes = 4},
        KeyPlacement{.kind = KeyPlacement::Kind::kRange, .prefix_bytes = 0}}) {
    Simulation simulation({.seed = 1, .shard_count = 3, .buffer_pool_bytes = size_t{4} << 20});
    EXPECT_EQ(simulation.Run(ScanMany, placement).status, absl::OkStatus());
  }
}

}  // namespace
}  // namespace ioengine
