// Reads and writes that nobody comes between: updates, compare-and-set, and what batches require.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
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
#include "ioengine/sched/task.h"
#include "ioengine/tests/engine/store_fixture.h"

namespace ioengine {
namespace {

constexpr int kShards = 3;
constexpr int kAccounts = 6;
constexpr int kBalance = 100;  // of each account at first

struct World {
  Simulation* simulation = nullptr;
  Engine* engine = nullptr;
  int acknowledged = 0;  // of increments
  int tried = 0;
  int transfers = 0;
  int refused = 0;

  uint64_t Below(uint64_t bound) { return simulation->random().Below(bound); }
};

Task<absl::StatusOr<std::unique_ptr<Engine>>> Open(Shard& shard) {
  EngineOptions options;
  options.store = SmallStore();
  options.store.database = MakeUuid(1, 2);
  return Engine::Open(shard, "/db", std::move(options));
}

int NumberIn(const Engine::Value& value) { return value.has_value() ? std::stoi(*value) : 0; }

absl::StatusOr<Engine::Value> Increment(const Engine::Value& value) {
  return Engine::Value(absl::StrCat(NumberIn(value) + 1));
}

std::string AccountOf(uint64_t number) { return absl::StrCat("account", number); }

Task<absl::Status> CountOnce(World* world) {
  ++world->tried;
  const Durability level = world->Below(2) == 0 ? Durability::kDurable : Durability::kWritten;
  const auto written = co_await world->engine->Update("counter", Increment, level);
  if (!written.ok()) co_return written.status();
  // After a power cut only those count that were durable.
  world->acknowledged += level == Durability::kDurable;
  co_return absl::OkStatus();
}

// Of one account to another; the batch requires what was read.
Task<absl::Status> TransferOnce(World* world) {
  const std::string from = AccountOf(world->Below(kAccounts));
  const std::string to = AccountOf(world->Below(kAccounts));
  if (from == to) co_return absl::OkStatus();
  const auto has = co_await world->engine->Get(from);
  if (!has.ok()) co_return has.status();
  const auto gets = co_await world->engine->Get(to);
  if (!gets.ok()) co_return gets.status();
  const int amount = static_cast<int>(1 + world->Below(5));
  WriteBatch batch;
  batch.Require(from, **has);
  batch.Require(to, **gets);
  batch.Put(from, absl::StrCat(NumberIn(*has) - amount));
  batch.Put(to, absl::StrCat(NumberIn(*gets) + amount));
  const auto written = co_await world->engine->Write(std::move(batch));
  ++(written.ok() ? world->transfers : world->refused);
  const bool came_late = absl::IsFailedPrecondition(written.status());
  co_return came_late ? absl::OkStatus() : written.status();
}

Task<absl::Status> KeepOn(Shard&, World* world) {
  for (int i = 0; i < 15; ++i) {
    absl::Status status = co_await CountOnce(world);
    if (status.ok()) status = co_await TransferOnce(world);
    // From now on reads are of the disk, and suspend.
    if (status.ok() && world->Below(4) == 0) status = co_await world->engine->Flush();
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> MakeAccounts(Engine* engine) {
  WriteBatch batch;
  for (uint64_t number = 0; number < kAccounts; ++number) {
    batch.Require(AccountOf(number), std::nullopt);
    batch.Put(AccountOf(number), absl::StrCat(kBalance));
  }
  const auto written = co_await engine->Write(std::move(batch));
  const bool were_there = absl::IsFailedPrecondition(written.status());
  co_return were_there ? absl::OkStatus() : written.status();
}

// There are so many increments at least.
Task<absl::Status> Check(World* world, int least) {
  const auto counter = co_await world->engine->Get("counter");
  if (!counter.ok()) co_return counter.status();
  const int count = NumberIn(*counter);
  if (count < least || count > world->tried) {
    co_return absl::DataLossError(absl::StrCat("the counter is ", count, ", expected ", least,
                                               " at least, tried ", world->tried));
  }
  int sum = 0;
  for (uint64_t number = 0; number < kAccounts; ++number) {
    const auto balance = co_await world->engine->Get(AccountOf(number));
    if (!balance.ok()) co_return balance.status();
    sum += NumberIn(*balance);
  }
  if (sum == kAccounts * kBalance) co_return absl::OkStatus();
  co_return absl::DataLossError(absl::StrCat("the accounts have ", sum));
}

Task<absl::Status> Live(Shard& shard, World* world) {
  auto engine = co_await Open(shard);
  if (!engine.ok()) co_return engine.status();
  world->engine = engine->get();
  absl::Status status = co_await MakeAccounts(engine->get());
  if (status.ok()) status = co_await Check(world, world->acknowledged);
  if (!status.ok()) co_return status;
  const auto counter = co_await world->engine->Get("counter");
  if (!counter.ok()) co_return counter.status();
  world->tried = world->acknowledged = NumberIn(*counter);
  using Answer = decltype(shard.SubmitTo(0, KeepOn, world));
  std::vector<Answer> answers;
  answers.reserve(kShards);
  for (ShardId id = 0; id < kShards; ++id) answers.push_back(shard.SubmitTo(id, KeepOn, world));
  for (Answer& answer : answers) {
    const absl::Status one = co_await answer;
    status.Update(one);
  }
  // All of this life are there, though not all are durable yet.
  if (status.ok()) status = co_await Check(world, world->tried);
  if (status.ok()) status = co_await (*engine)->Close();
  co_return status;
}

absl::Status RunSeed(uint64_t seed, World* totals) {
  Simulation simulation(
      {.seed = seed, .shard_count = kShards, .buffer_pool_bytes = size_t{4} << 20});
  World world;
  world.simulation = &simulation;
  for (int life = 0; life < 4; ++life) {
    if (life < 3) simulation.CutPowerAfter(simulation.random().Below(3000));
    const SimulationResult result = simulation.Run(Live, &world);
    if (result.end != SimulationEnd::kPowerCut && !result.ok()) {
      const auto code = result.status.ok() ? absl::StatusCode::kUnknown : result.status.code();
      return absl::Status(code, absl::StrCat("seed ", seed, ", life ", life, ": ", result.message));
    }
  }
  totals->transfers += world.transfers;
  totals->refused += world.refused;
  return absl::OkStatus();
}

class EngineUpdateTest : public testing::Test {
 protected:
  ~EngineUpdateTest() override { SetCanary(""); }
};

TEST_F(EngineUpdateTest, NobodyComesBetweenReadAndWrite) {
  World totals;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    ASSERT_EQ(RunSeed(seed, &totals), absl::OkStatus());
  }
  // Else nothing was tried.
  EXPECT_GT(totals.transfers, 100);
  EXPECT_GT(totals.refused, 100);
}

TEST_F(EngineUpdateTest, PlantedBugsAreFound) {
  for (const char* const name : {"update-does-not-hold", "batch-condition-not-checked"}) {
    SetCanary(name);
    absl::Status found;
    World totals;
    for (uint64_t seed = 1; found.ok() && seed <= 100; ++seed) found = RunSeed(seed, &totals);
    EXPECT_TRUE(absl::IsDataLoss(found)) << name << ": " << found;
  }
}

Task<absl::Status> UpdateInAllWays(Shard& shard, size_t value_bytes) {
  auto engine = co_await Open(shard);
  if (!engine.ok()) co_return engine.status();
  const std::string value(value_bytes, 'Z');
  const auto refuse = [](const Engine::Value&) -> absl::StatusOr<Engine::Value> {
    return absl::OutOfRangeError("not this one");
  };
  const auto remove = [](const Engine::Value&) -> absl::StatusOr<Engine::Value> {
    return Engine::Value();
  };
  auto written = co_await (*engine)->CompareAndSet("key", std::nullopt, value);
  if (!written.ok()) co_return written.status();
  written = co_await (*engine)->CompareAndSet("key", std::nullopt, "other");
  EXPECT_TRUE(absl::IsFailedPrecondition(written.status())) << written.status();
  EXPECT_EQ(written.status().message().find(value), std::string::npos) << "values are not told";
  written = co_await (*engine)->Update("key", refuse);
  EXPECT_TRUE(absl::IsOutOfRange(written.status())) << written.status();
  const auto kept = co_await (*engine)->Get("key");
  if (!kept.ok()) co_return kept.status();
  EXPECT_EQ(*kept, value);
  written = co_await (*engine)->CompareAndSet("key", value, value + "2");
  if (!written.ok()) co_return written.status();
  written = co_await (*engine)->Update("key", remove);
  if (!written.ok()) co_return written.status();
  const auto gone = co_await (*engine)->Get("key");
  if (!gone.ok()) co_return gone.status();
  EXPECT_EQ(*gone, std::nullopt);
  std::string long_key(kMaxKeyBytes + 1, 'k');
  written = co_await (*engine)->Update(long_key, remove);
  EXPECT_TRUE(absl::IsInvalidArgument(written.status())) << written.status();
  co_return co_await (*engine)->Close();
}

TEST_F(EngineUpdateTest, ErrorsAndDeletes) {
  for (const size_t value_bytes : {1, 10'000}) {
    Simulation simulation({.seed = 1, .shard_count = 2, .buffer_pool_bytes = size_t{4} << 20});
    EXPECT_EQ(simulation.Run(UpdateInAllWays, value_bytes).status, absl::OkStatus());
  }
}

// Of keys of any shard, also such as the batch does not change.
Task<absl::Status> RequireOthers(Shard& shard) {
  auto engine = co_await Open(shard);
  if (!engine.ok()) co_return engine.status();
  const auto put = co_await (*engine)->Put("guard0", "open");
  if (!put.ok()) co_return put.status();
  for (int i = 0; i < 12; ++i) {
    WriteBatch good;
    good.Require("guard0", "open");
    good.Require("guard1", std::nullopt);
    good.Put(absl::StrCat("key", i), "1");
    const auto written = co_await (*engine)->Write(std::move(good));
    if (!written.ok()) co_return written.status();
    WriteBatch bad;
    bad.Require("guard0", "shut");
    bad.Delete(absl::StrCat("key", i));
    bad.Put(absl::StrCat("other", i), "1");
    const auto refused = co_await (*engine)->Write(std::move(bad));
    EXPECT_TRUE(absl::IsFailedPrecondition(refused.status())) << refused.status();
    const auto kept = co_await (*engine)->Get(absl::StrCat("key", i));
    if (!kept.ok()) co_return kept.status();
    EXPECT_EQ(*kept, "1");
  }
  WriteBatch nothing;
  nothing.Require("guard0", "open");
  EXPECT_TRUE(absl::IsInvalidArgument((co_await (*engine)->Write(std::move(nothing))).status()));
  // No key is held any more.
  const auto shut = co_await (*engine)->Put("guard0", "shut");
  if (!shut.ok()) co_return shut.status();
  co_return co_await (*engine)->Close();
}

TEST_F(EngineUpdateTest, ABatchMayRequireSomethingOfAnyKey) {
  Simulation simulation({.seed = 1, .shard_count = 3, .buffer_pool_bytes = size_t{4} << 20});
  EXPECT_EQ(simulation.Run(RequireOthers).status, absl::OkStatus());
}

}  // namespace
}  // namespace ioengine
