// Histories of concurrent clients on three shards, in simulated time: linearizable for each key,
// and with their snapshots and batches as a whole.
//
//   IOENGINE_HISTORY_SEEDS=2000 bazel-bin/tests/engine/engine_history_test    # 100,000 histories

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
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
#include "ioengine/engine/write_batch.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/shard_id.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task.h"
#include "ioengine/tests/engine/history.h"
#include "ioengine/tests/engine/store_fixture.h"

namespace ioengine {
namespace {

constexpr int kShards = 3;
constexpr size_t kKeys = 3;
constexpr int kOperations = 5;  // of each client
constexpr int kHistories = 50;  // of a seed

// One history at a time, each with keys of its own.
struct World {
  Simulation* simulation = nullptr;
  Engine* engine = nullptr;
  int number = 0;  // of the history
  uint64_t time = 0;
  int last_value = 0;
  History history{kKeys};

  uint64_t Below(uint64_t bound) { return simulation->random().Below(bound); }
  std::string NameOf(size_t key) const { return absl::StrCat("h", number, "/k", key); }
};

int NumberIn(const Engine::Value& value) { return value.has_value() ? std::stoi(*value) : 0; }

Durability AnyLevel(World* world) {
  constexpr Durability kLevels[] = {Durability::kMemory, Durability::kWritten,
                                    Durability::kDurable};
  return kLevels[world->Below(3)];
}

Task<absl::Status> PutOrDelete(World* world, HistoryOperation* operation) {
  const size_t key = world->Below(kKeys);
  const bool deletes = world->Below(4) == 0;
  const int value = deletes ? 0 : ++world->last_value;
  const std::string name = world->NameOf(key);
  operation->writes[key] = value;
  absl::StatusOr<WriteResult> written = absl::UnknownError("");
  if (deletes) {
    written = co_await world->engine->Delete(name, AnyLevel(world));
  } else {
    written = co_await world->engine->Put(name, absl::StrCat(value), AnyLevel(world));
  }
  co_return written.status();
}

Task<absl::Status> Get(World* world, HistoryOperation* operation) {
  const size_t key = world->Below(kKeys);
  const std::string name = world->NameOf(key);
  const auto value = co_await world->engine->Get(name);
  if (!value.ok()) co_return value.status();
  operation->reads[key] = NumberIn(*value);
  co_return absl::OkStatus();
}

Task<absl::Status> Update(World* world, HistoryOperation* operation) {
  const size_t key = world->Below(kKeys);
  const std::string name = world->NameOf(key);
  const int next = ++world->last_value;
  const Updater set = [=](const Engine::Value& value) -> absl::StatusOr<Engine::Value> {
    operation->reads[key] = NumberIn(value);
    return Engine::Value(absl::StrCat(next));
  };
  operation->writes[key] = next;
  const auto written = co_await world->engine->Update(name, set, AnyLevel(world));
  co_return written.status();
}

// Of some keys, some of which may be required to have nothing.
Task<absl::Status> Batch(World* world, HistoryOperation* operation) {
  WriteBatch batch;
  const int value = ++world->last_value;
  for (size_t key = 0; key < kKeys; ++key) {
    const uint64_t what = world->Below(8);
    if (what == 0) {
      batch.Require(world->NameOf(key), std::nullopt);
      operation->reads[key] = 0;
    }
    if (what > 5) continue;
    batch.Put(world->NameOf(key), absl::StrCat(value));
    operation->writes[key] = value;
  }
  if (batch.empty()) {
    operation->reads.clear();
    co_return absl::OkStatus();
  }
  const auto written = co_await world->engine->Write(std::move(batch), AnyLevel(world));
  if (!absl::IsFailedPrecondition(written.status())) co_return written.status();
  *operation = {.begin = operation->begin};
  co_return absl::OkStatus();
}

// What it shows is of the moment at which it was taken, however late that is read.
Task<absl::Status> ReadSnapshot(World* world, HistoryOperation* operation) {
  const absl::StatusOr<EngineSnapshot> snapshot = world->engine->TakeSnapshot();
  if (!snapshot.ok()) co_return snapshot.status();
  operation->begin = operation->end = ++world->time;
  co_await Sleep(std::chrono::microseconds(world->Below(300)));
  for (size_t key = 0; key < kKeys; ++key) {
    const std::string name = world->NameOf(key);
    const auto value = co_await world->engine->Get(name, *snapshot);
    if (!value.ok()) co_return value.status();
    operation->reads[key] = NumberIn(*value);
  }
  co_return absl::OkStatus();
}

Task<absl::Status> OneOperation(World* world, HistoryOperation* operation) {
  switch (world->Below(8)) {
    case 0:
    case 1:
      return PutOrDelete(world, operation);
    case 2:
    case 3:
      return Get(world, operation);
    case 4:
      return Update(world, operation);
    case 5:
      return ReadSnapshot(world, operation);
    default:
      return Batch(world, operation);
  }
}

Task<absl::Status> BeAClient(Shard&, World* world) {
  for (int i = 0; i < kOperations; ++i) {
    HistoryOperation operation = {.begin = ++world->time};
    absl::Status status = co_await OneOperation(world, &operation);
    if (!status.ok()) co_return status;
    if (operation.end == 0) operation.end = ++world->time;
    if (!operation.reads.empty() || !operation.writes.empty()) {
      world->history.Add(std::move(operation));
    }
    if (world->Below(20) == 0) status = co_await world->engine->Flush();
    if (!status.ok()) co_return status;
    co_await Sleep(std::chrono::microseconds(world->Below(100)));
  }
  co_return absl::OkStatus();
}

absl::Status Judge(const World& world) {
  const History& history = world.history;
  for (size_t key = 0; key < kKeys; ++key) {
    if (history.OfKey(key).IsLinearizable()) continue;
    return absl::DataLossError(absl::StrCat("no order explains what key ", key, " showed:\n",
                                            history.OfKey(key).ToString()));
  }
  const History whole = history.OfSnapshotsAndWrites();
  if (whole.IsLinearizable()) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("no order explains what snapshots showed:\n", whole.ToString()));
}

Task<absl::Status> MakeHistories(Shard& shard, Simulation* simulation) {
  EngineOptions options;
  options.store = SmallStore();
  auto engine = co_await Engine::Open(shard, "/db", std::move(options));
  if (!engine.ok()) co_return engine.status();
  for (int number = 0; number < kHistories; ++number) {
    World world;
    world.simulation = simulation;
    world.engine = engine->get();
    world.number = number;
    using Answer = decltype(shard.SubmitTo(0, BeAClient, &world));
    std::vector<Answer> clients;
    clients.reserve(kShards);
    for (ShardId id = 0; id < kShards; ++id) {
      clients.push_back(shard.SubmitTo(id, BeAClient, &world));
    }
    absl::Status status;
    for (Answer& client : clients) {
      const absl::Status one = co_await client;
      status.Update(one);
    }
    if (status.ok()) status = Judge(world);
    if (!status.ok()) co_return status;
  }
  co_return co_await (*engine)->Close();
}

// The first failure of so many seeds.
absl::Status RunSeeds(uint64_t seeds) {
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    Simulation simulation(
        {.seed = seed, .shard_count = kShards, .buffer_pool_bytes = size_t{4} << 20});
    const SimulationResult result = simulation.Run(MakeHistories, &simulation);
    if (result.ok()) continue;
    const auto code = result.status.ok() ? absl::StatusCode::kUnknown : result.status.code();
    return absl::Status(code, absl::StrCat("seed ", seed, ": ", result.message));
  }
  return absl::OkStatus();
}

class EngineHistoryTest : public testing::Test {
 protected:
  ~EngineHistoryTest() override { SetCanary(""); }
};

TEST_F(EngineHistoryTest, SomeOrderInTimeExplainsWhatClientsSaw) {
  const char* const asked = std::getenv("IOENGINE_HISTORY_SEEDS");
  const uint64_t seeds = asked == nullptr ? 100 : std::strtoull(asked, nullptr, 10);
  EXPECT_EQ(RunSeeds(seeds), absl::OkStatus());
}

TEST_F(EngineHistoryTest, PlantedBugsAreFound) {
  for (const char* const name :
       {"store-epoch-cached", "store-snapshot-does-not-wait", "store-read-does-not-wait",
        "update-does-not-hold", "batch-condition-not-checked", "batch-at-coordinators-proposal"}) {
    SetCanary(name);
    const absl::Status found = RunSeeds(100);
    EXPECT_TRUE(absl::IsDataLoss(found)) << name << ": " << found;
  }
}

}  // namespace
}  // namespace ioengine
