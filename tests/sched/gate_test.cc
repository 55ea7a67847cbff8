// Gate: who may enter, and when its Close goes on.

#include "ioengine/sched/gate.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using testing::ElementsAre;

using Log = std::vector<std::string>;

Task<> StayInside(Gate* gate, int yields, Log* log) {
  const absl::StatusOr<Gate::Pass> pass = gate->Enter();
  if (!pass.ok()) {
    log->push_back(std::string(absl::StatusCodeToString(pass.status().code())));
    co_return;
  }
  for (int i = 0; i < yields; ++i) co_await Yield();
  log->push_back("leaves");
}

Task<> CloseAndNote(Gate* gate, Log* log) {
  co_await gate->Close();
  EXPECT_EQ(gate->inside(), 0u);
  log->push_back("closed");
}

TEST(GateTest, CloseWaitsForThoseInsideAndLetsNobodyIn) {
  TestShard shard;
  Gate gate;
  Log log;
  shard.Run([&] {
    shard.executor().Spawn(StayInside(&gate, 3, &log));
    shard.executor().Spawn(StayInside(&gate, 5, &log));
    shard.executor().Spawn(CloseAndNote(&gate, &log));
    shard.executor().Spawn(StayInside(&gate, 0, &log));
    shard.executor().Spawn(CloseAndNote(&gate, &log));
  });
  EXPECT_THAT(log, ElementsAre("UNAVAILABLE", "leaves", "leaves", "closed", "closed"));
  EXPECT_TRUE(gate.closing());
}

TEST(GateTest, CloseOfAnEmptyGateGoesOnAtOnce) {
  TestShard shard;
  Gate gate;
  Log log;
  shard.Run([&] { shard.executor().Spawn(CloseAndNote(&gate, &log)); });
  EXPECT_THAT(log, ElementsAre("closed"));
}

TEST(GateTest, APassMovesAndCountsOnce) {
  TestShard shard;
  Gate gate;
  shard.Run([&] {
    std::optional<Gate::Pass> pass = *gate.Enter();
    EXPECT_EQ(gate.inside(), 1u);
    Gate::Pass other = *gate.Enter();
    EXPECT_EQ(gate.inside(), 2u);
    other = *std::move(pass);
    pass.reset();
    EXPECT_EQ(gate.inside(), 1u);
  });
  EXPECT_EQ(gate.inside(), 0u);
}

TEST(GateDeathTest, DestructionWhileSomebodyIsInside) {
  auto gate = std::make_unique<Gate>();
  const absl::StatusOr<Gate::Pass> pass = gate->Enter();
  EXPECT_DEATH(gate.reset(), "destroyed while tasks are inside");
}

class GateCancelTest : public testing::TestWithParam<TimeKind> {};

TEST_P(GateCancelTest, AtEveryAwaitAClosingGateCloses) {
  std::optional<Gate> gate;
  Log log;
  CancelSweep::Run(
      GetParam(),
      [&](TestShard& shard, TaskScope& victims) {
        log.clear();
        gate.emplace();
        for (int i = 0; i < 3; ++i) victims.Spawn(StayInside(&*gate, 2 * i, &log));
        victims.Spawn(CloseAndNote(&*gate, &log));
        shard.executor().Spawn(StayInside(&*gate, 4, &log));
        shard.executor().Spawn([](Gate* of, Log* seen) -> Task<> {
          co_await Yield();
          co_await of->Close();
          seen->push_back("bystander closed");
        }(&*gate, &log));
      },
      [&](bool) {
        EXPECT_EQ(std::count(log.begin(), log.end(), "bystander closed"), 1);
        EXPECT_EQ(gate->inside(), 0u);
      });
}

INSTANTIATE_TEST_SUITE_P(Time, GateCancelTest,
                         testing::Values(TimeKind::kSimulated, TimeKind::kReal), TimeKindName);

}  // namespace
}  // namespace ioengine
