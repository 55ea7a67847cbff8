// Engine in simulated time: power cuts and kills at any turn of making, opening and writing.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/engine.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/timeout.h"
#include "ioengine/tests/engine/store_fixture.h"

namespace ioengine {
namespace {

// What the program knows of the database; outlives its crashes.
struct History {
  struct Key {
    int acknowledged = -1;  // the newest value that was
    int tried = -1;         // and the newest at all
  };
  std::map<std::string, Key> keys;
  int next = 0;
  int opens = 0;
};

EngineOptions SmallEngine() {
  EngineOptions options;
  options.store = SmallStore();
  // The disk of the simulation has no random numbers.
  options.store.database = MakeUuid(1, 2);
  return options;
}

// Each key shows its last acknowledged value, or one that was tried later.
Task<absl::Status> CheckKeys(Engine* engine, History* history) {
  for (auto& [key, known] : history->keys) {
    const auto value = co_await engine->Get(key);
    if (!value.ok()) co_return value.status();
    const int shown = value->has_value() ? std::stoi(**value) : -1;
    if (shown < known.acknowledged || shown > known.tried) {
      co_return absl::DataLossError(absl::StrCat(key, " shows ", shown, ", acknowledged was ",
                                                 known.acknowledged, ", tried ", known.tried));
    }
    // From now on it is known to be so.
    known.acknowledged = known.tried = shown;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Write(Engine* engine, History* history, int writes) {
  for (int i = 0; i < writes; ++i) {
    const std::string key = absl::StrCat("key", i % 7);
    History::Key& known = history->keys[key];
    known.tried = history->next++;
    const auto put = co_await engine->Put(key, absl::StrCat(known.tried));
    if (!put.ok()) co_return put.status();
    known.acknowledged = known.tried;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Live(Shard& shard, History* history, int writes) {
  EngineOptions options = SmallEngine();
  auto engine = co_await Engine::Open(shard, "/db", std::move(options));
  if (!engine.ok()) co_return engine.status();
  ++history->opens;
  absl::Status status = co_await CheckKeys(engine->get(), history);
  if (status.ok()) status = co_await Write(engine->get(), history, writes);
  if (status.ok()) status = co_await (*engine)->Close();
  co_return status;
}

class EngineCrashTest : public testing::TestWithParam<bool> {
 protected:
  static constexpr SimulationOptions OptionsOf(uint64_t seed) {
    return {.seed = seed, .shard_count = 3, .buffer_pool_bytes = size_t{4} << 20};
  }
};

TEST_P(EngineCrashTest, LosesNothingAtAnyTurn) {
  const bool kills = GetParam();
  int crashes = 0;
  int opens = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Simulation simulation(OptionsOf(seed));
    History history;
    for (int life = 0; life < 5; ++life) {
      const uint64_t turns = simulation.random().Below(1500);
      if (kills) {
        simulation.KillAfter(turns);
      } else {
        simulation.CutPowerAfter(turns);
      }
      const SimulationResult result = simulation.Run(Live, &history, 20);
      crashes += result.end != SimulationEnd::kFinished;
      ASSERT_TRUE(result.end != SimulationEnd::kFinished || result.ok()) << result.message;
    }
    const SimulationResult last = simulation.Run(Live, &history, 20);
    ASSERT_TRUE(last.ok()) << last.message;
    opens += history.opens;
  }
  // Else nothing was tried.
  EXPECT_GT(crashes, 100);
  EXPECT_GT(opens, 100);
}

INSTANTIATE_TEST_SUITE_P(PowerCutsAndKills, EngineCrashTest, testing::Bool(),
                         [](const auto& with) { return with.param ? "Kills" : "PowerCuts"; });

Task<absl::Status> OpenAndLeave(Shard& shard) {
  EngineOptions options = SmallEngine();
  auto engine = co_await Engine::Open(shard, "/db", std::move(options));
  if (!engine.ok()) co_return engine.status();
  const auto put = co_await (*engine)->Put("key", "1");
  co_return put.status();
}

TEST(EngineLifeTest, OneThatIsNotClosedEndsWithItsShards) {
  Simulation simulation({.seed = 3, .shard_count = 2, .buffer_pool_bytes = size_t{4} << 20});
  EXPECT_EQ(simulation.Run(OpenAndLeave).status, absl::OkStatus());
  History history;
  history.keys["key"] = {.acknowledged = 1, .tried = 1};
  EXPECT_EQ(simulation.Run(Live, &history, 3).status, absl::OkStatus());
}

Task<absl::Status> GiveUpOpens(Shard& shard) {
  using std::chrono::microseconds;
  int given_up = 0;
  for (int most_us = 1;; most_us += most_us / 4 + 1) {
    EngineOptions options = SmallEngine();
    auto engine =
        co_await Timeout(microseconds(most_us), Engine::Open(shard, "/db", std::move(options)));
    if (engine.ok()) {
      EXPECT_GT(given_up, 5);
      co_return co_await (*engine)->Close();
    }
    if (!absl::IsDeadlineExceeded(engine.status())) co_return engine.status();
    ++given_up;
  }
}

TEST(EngineLifeTest, AnOpenThatIsGivenUpCanBeTriedAgain) {
  Simulation simulation({.seed = 4, .shard_count = 2, .buffer_pool_bytes = size_t{4} << 20});
  EXPECT_EQ(simulation.Run(GiveUpOpens).status, absl::OkStatus());
}

}  // namespace
}  // namespace ioengine
