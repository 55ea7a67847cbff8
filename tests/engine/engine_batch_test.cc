// Batches over several shards, in simulated time: there on all of them or on none, for snapshots
// and after power cuts and kills at any turn; and no acknowledged one is lost, or comes back.
//
//   IOENGINE_BATCH_RECOVERIES=4 bazel-bin/tests/engine/engine_sim_test --gtest_filter='*EachStep*'

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
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
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task.h"
#include "ioengine/tests/engine/store_fixture.h"

namespace ioengine {
namespace {

constexpr int kGroups = 2;
constexpr int kKeys = 5;  // of a group, over all shards; the last one is also put alone
constexpr int kShards = 3;

// What is known of the writes to one key; they are told apart by their numbers.
struct Known {
  // The newest one that was acknowledged.
  int acknowledged = 0;
  Sequence sequence;
  // Those that are newer, or may be: they were tried, and not acknowledged.
  std::vector<int> tried;

  void Acknowledge(int number, Sequence at) {
    std::erase(tried, number);
    if (at < sequence) return;
    acknowledged = number;
    sequence = at;
  }
  bool MayShow(int number) const {
    return number == acknowledged || std::count(tried.begin(), tried.end(), number) > 0;
  }
};

// Outlives the crashes of the database.
struct History {
  Simulation* simulation = nullptr;
  Engine* engine = nullptr;
  std::map<std::string, Known> keys;
  int last_number = 0;
  int opens = 0;
  int batches = 0;
  bool writers_end = false;

  uint64_t Below(uint64_t bound) { return simulation->random().Below(bound); }
};

std::string NameOf(int group, int key) { return absl::StrCat("group", group, "/key", key); }

std::vector<std::string> NamesOf(int group) {
  std::vector<std::string> names;
  for (int key = 0; key < kKeys; ++key) names.push_back(NameOf(group, key));
  return names;
}

// The number comes first; what follows it makes flushes more frequent.
std::string ValueOf(History* history, int number) {
  return absl::StrCat(number, " ", std::string(history->Below(300), 'v'));
}

int NumberIn(const Engine::Value& value) { return value.has_value() ? std::stoi(*value) : 0; }

// All keys of a group but the last are only written together.
absl::Status CheckTogether(int group, const std::vector<Engine::Value>& values,
                           const std::string& when) {
  for (int key = 1; key < kKeys - 1; ++key) {
    if (NumberIn(values[key]) == NumberIn(values[0])) continue;
    return absl::DataLossError(absl::StrCat(when, ": ", NameOf(group, key), " shows ",
                                            NumberIn(values[key]), ", and ", NameOf(group, 0), " ",
                                            NumberIn(values[0])));
  }
  return absl::OkStatus();
}

// After an opening, with nothing on its way.
Task<absl::Status> CheckAll(History* history) {
  for (int group = 0; group < kGroups; ++group) {
    const std::vector<std::string> names = NamesOf(group);
    std::vector<std::string_view> views(names.begin(), names.end());
    const auto values = co_await history->engine->MultiGet(std::move(views));
    if (!values.ok()) co_return values.status();
    absl::Status together = CheckTogether(group, *values, "after an opening");
    if (!together.ok()) co_return together;
    for (int key = 0; key < kKeys; ++key) {
      Known& known = history->keys[names[key]];
      const int shown = NumberIn((*values)[key]);
      if (!known.MayShow(shown)) {
        co_return absl::DataLossError(
            absl::StrCat(names[key], " shows ", shown, ", acknowledged was ", known.acknowledged));
      }
      // From now on it is known to be so, whatever was tried.
      known = {.acknowledged = shown, .sequence = known.sequence, .tried = {}};
    }
  }
  co_return absl::OkStatus();
}

Task<absl::Status> WriteBatchOnce(History* history, int group) {
  const int number = ++history->last_number;
  WriteBatch batch;
  for (const std::string& name : NamesOf(group)) {
    history->keys[name].tried.push_back(number);
    batch.Put(name, ValueOf(history, number));
  }
  const auto written = co_await history->engine->Write(std::move(batch));
  if (!written.ok()) co_return written.status();
  EXPECT_EQ(written->reached, Durability::kDurable);
  ++history->batches;
  for (const std::string& name : NamesOf(group)) {
    history->keys[name].Acknowledge(number, written->sequence);
  }
  co_return absl::OkStatus();
}

Task<absl::Status> PutOnce(History* history, int group) {
  const int number = ++history->last_number;
  const std::string name = NameOf(group, kKeys - 1);
  history->keys[name].tried.push_back(number);
  const auto written = co_await history->engine->Put(name, ValueOf(history, number));
  if (!written.ok()) co_return written.status();
  history->keys[name].Acknowledge(number, written->sequence);
  co_return absl::OkStatus();
}

Task<absl::Status> KeepWriting(Shard&, History* history, int writes) {
  for (int i = 0; i < writes; ++i) {
    const int group = static_cast<int>(history->Below(kGroups));
    absl::Status status;
    if (history->Below(3) > 0) {
      status = co_await WriteBatchOnce(history, group);
    } else {
      status = co_await PutOnce(history, group);
    }
    if (!status.ok()) co_return status;
    if (history->Below(8) == 0) status = co_await history->engine->Flush();
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

// Snapshots show batches whole, and go on showing what they showed.
Task<absl::Status> KeepReading(Shard&, History* history) {
  while (!history->writers_end) {
    const absl::StatusOr<EngineSnapshot> snapshot = history->engine->TakeSnapshot();
    if (!snapshot.ok()) co_return snapshot.status();
    for (int group = 0; group < kGroups; ++group) {
      const std::vector<std::string> names = NamesOf(group);
      std::vector<Engine::Value> first;
      for (int round = 0; round < 2; ++round) {
        std::vector<std::string_view> views(names.begin(), names.end());
        auto values = co_await history->engine->MultiGet(std::move(views), *snapshot);
        if (!values.ok()) co_return values.status();
        absl::Status together = CheckTogether(group, *values, "in a snapshot");
        if (!together.ok()) co_return together;
        if (round == 0) first = *values;
        if (*values != first) co_return absl::DataLossError("a snapshot has changed");
      }
    }
    co_await Sleep(std::chrono::microseconds(1 + history->Below(400)));
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Live(Shard& shard, History* history, int writes) {
  EngineOptions options;
  options.store = SmallStore();
  // The disk of the simulation has no random numbers.
  options.store.database = MakeUuid(1, 2);
  auto engine = co_await Engine::Open(shard, "/db", std::move(options));
  if (!engine.ok()) co_return engine.status();
  history->engine = engine->get();
  history->writers_end = false;
  ++history->opens;
  absl::Status status = co_await CheckAll(history);
  if (status.ok()) {
    using Answer = decltype(shard.SubmitTo(0, KeepWriting, history, 0));
    std::vector<Answer> writers;
    writers.reserve(kShards);
    for (ShardId id = 0; id < kShards; ++id) {
      writers.push_back(shard.SubmitTo(id, KeepWriting, history, writes));
    }
    auto reader = shard.SubmitTo(1, KeepReading, history);
    for (Answer& writer : writers) {
      const absl::Status one = co_await writer;
      status.Update(one);
    }
    history->writers_end = true;
    const absl::Status read = co_await reader;
    status.Update(read);
  }
  if (status.ok()) status = co_await CheckAll(history);
  if (status.ok()) status = co_await (*engine)->Close();
  co_return status;
}

struct Totals {
  int crashes = 0;
  int opens = 0;
  int batches = 0;
};

constexpr int kLives = 5;

// The first failure of one seed.
absl::Status RunSeed(uint64_t seed, bool kills, Totals* totals) {
  Simulation simulation(
      {.seed = seed, .shard_count = kShards, .buffer_pool_bytes = size_t{4} << 20});
  History history;
  history.simulation = &simulation;
  for (int life = 0; life <= kLives; ++life) {
    const uint64_t turns = simulation.random().Below(3000);
    if (life < kLives && kills) simulation.KillAfter(turns);
    if (life < kLives && !kills) simulation.CutPowerAfter(turns);
    const SimulationResult result = simulation.Run(Live, &history, 12);
    const bool crashed =
        result.end == SimulationEnd::kKilled || result.end == SimulationEnd::kPowerCut;
    totals->crashes += crashed;
    if (!crashed && !result.ok()) {
      const auto code = result.status.ok() ? absl::StatusCode::kUnknown : result.status.code();
      return absl::Status(code, absl::StrCat("seed ", seed, ", life ", life, ": ", result.message));
    }
  }
  totals->opens += history.opens;
  totals->batches += history.batches;
  return absl::OkStatus();
}

class EngineBatchTest : public testing::TestWithParam<bool> {};

TEST_P(EngineBatchTest, AreThereWhollyOrNotAtAll) {
  Totals totals;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    ASSERT_EQ(RunSeed(seed, GetParam(), &totals), absl::OkStatus());
  }
  // Else nothing was tried.
  EXPECT_GT(totals.crashes, 100);
  EXPECT_GT(totals.opens, 100);
  EXPECT_GT(totals.batches, 500);
}

INSTANTIATE_TEST_SUITE_P(PowerCutsAndKills, EngineBatchTest, testing::Bool(),
                         [](const auto& with) { return with.param ? "Kills" : "PowerCuts"; });

// Opens, looks, and writes a batch over all shards.
Task<absl::Status> WriteOne(Shard& shard, History* history) {
  EngineOptions options;
  options.store = SmallStore();
  options.store.database = MakeUuid(1, 2);
  auto engine = co_await Engine::Open(shard, "/db", std::move(options));
  if (!engine.ok()) co_return engine.status();
  history->engine = engine->get();
  ++history->opens;
  absl::Status status = co_await CheckAll(history);
  if (status.ok()) status = co_await WriteBatchOnce(history, 0);
  co_return status;
}

// A batch, cut off at one turn; then another one, whose opening has to finish the first, cut off at
// another. False: both were over before.
absl::StatusOr<bool> CutOff(bool kills, uint64_t first_turn, uint64_t second_turn) {
  Simulation simulation({.seed = 1, .shard_count = kShards, .buffer_pool_bytes = size_t{4} << 20});
  History history;
  history.simulation = &simulation;
  bool crashed = false;
  for (const std::optional<uint64_t> turn :
       std::vector<std::optional<uint64_t>>{std::nullopt, first_turn, second_turn, std::nullopt}) {
    if (turn.has_value() && kills) simulation.KillAfter(*turn);
    if (turn.has_value() && !kills) simulation.CutPowerAfter(*turn);
    const SimulationResult result = simulation.Run(WriteOne, &history);
    const bool has_ended = result.end == SimulationEnd::kFinished;
    crashed |= !has_ended;
    if (has_ended && !result.ok()) {
      return absl::DataLossError(
          absl::StrCat("cut off at ", first_turn, " and ", second_turn, ": ", result.message));
    }
  }
  return crashed;
}

TEST_P(EngineBatchTest, SurviveACrashAtEachStepAndAtStepsOfItsRecovery) {
  // Of each first step.
  const char* const asked = std::getenv("IOENGINE_BATCH_RECOVERIES");
  const uint64_t recoveries = asked == nullptr ? 1 : std::strtoull(asked, nullptr, 10);
#if defined(__SANITIZE_ADDRESS__)
  constexpr uint64_t kStep = 7;
#else
  constexpr uint64_t kStep = 1;
#endif
  const auto second_turn = [](uint64_t first, uint64_t recovery) {
    return (first * 7 + recovery * 131) % 500;
  };
  constexpr uint64_t kNever = 1'000'000;
  uint64_t first = 0;
  for (bool is_over = false; !is_over; first += kStep) {
    for (uint64_t recovery = 0; recovery < recoveries; ++recovery) {
      const auto crashed = CutOff(GetParam(), first, second_turn(first, recovery));
      ASSERT_TRUE(crashed.ok()) << crashed.status();
    }
    const absl::StatusOr<bool> crashed = CutOff(GetParam(), first, kNever);
    ASSERT_TRUE(crashed.ok()) << crashed.status();
    is_over = !*crashed;
  }
  EXPECT_GT(first, 100u) << "an opening and a batch take more turns";
}

class EngineBatchCanaryTest : public testing::Test {
 protected:
  ~EngineBatchCanaryTest() override { SetCanary(""); }
};

TEST_F(EngineBatchCanaryTest, PlantedBugsAreFound) {
  for (const char* const name :
       {"batch-applied-before-durable", "batch-not-recovered", "batch-recovered-again",
        "batch-frees-keys-early", "batch-at-coordinators-proposal", "flush-does-not-settle",
        "flush-forgets-batches"}) {
    SetCanary(name);
    absl::Status found;
    Totals totals;
    uint64_t seed = 0;
    while (found.ok() && seed < 400) {
      ++seed;
      found = RunSeed(seed, false, &totals);
    }
    EXPECT_TRUE(absl::IsDataLoss(found)) << name << ": " << found;
  }
}

}  // namespace
}  // namespace ioengine
