// Gate: who may enter, and when its Close goes on.

#include "ioengine/sched/gate.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/cancel_sweep.h"
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

TEST(GateTest, ClosesWhenCloseIsCalledNotWhenItIsAwaited) {
  TestShard shard;
  Gate gate;
  Log log;
  shard.Run([&] {
    shard.executor().Spawn([](Gate* of, Log* seen) -> Task<> {
      std::optional<Gate::Pass> pass = *of->Enter();
      auto closed = of->Close();
      EXPECT_TRUE(of->closing());
      EXPECT_EQ(of->Enter().status().code(), absl::StatusCode::kUnavailable);
      pass.reset();
      co_await closed;
      seen->push_back("closed");
    }(&gate, &log));
  });
  EXPECT_THAT(log, ElementsAre("closed"));
}

TEST(GateTest, StaysClosedWhenTheTaskThatClosesItIsDestroyed) {
  TestShard shard;
  Gate gate;
  Log log;
  shard.Run([&] {
    shard.executor().Spawn([](Executor* executor, Gate* of, Log* seen) -> Task<> {
      std::optional<Gate::Pass> pass = *of->Enter();
      TaskScope waits(*executor);
      waits.Spawn(CloseAndNote(of, seen));
      TaskScope woken(*executor);
      woken.Spawn(CloseAndNote(of, seen));
      TaskScope last(*executor);
      last.Spawn(CloseAndNote(of, seen));
      co_await Yield();
      waits.Cancel();
      EXPECT_EQ(of->Enter().status().code(), absl::StatusCode::kUnavailable);
      pass.reset();
      woken.Cancel();
      EXPECT_TRUE((co_await last.Join()).ok());
    }(&shard.executor(), &gate, &log));
  });
  EXPECT_THAT(log, ElementsAre("closed"));
}

TEST(GateTest, MayBeDestroyedAsSoonAsItsCloseGoesOnAlsoBeforeOthersThatWaitForThat) {
  TestShard shard;
  auto gate = std::make_unique<Gate>();
  Log log;
  shard.Run([&] {
    shard.executor().Spawn(StayInside(gate.get(), 3, &log));
    shard.executor().Spawn([](std::unique_ptr<Gate>* of) -> Task<> {
      co_await (*of)->Close();
      of->reset();
    }(&gate));
    shard.executor().Spawn([](Gate* of, Log* seen) -> Task<> {
      co_await of->Close();
      seen->push_back("closed");
    }(gate.get(), &log));
  });
  EXPECT_EQ(gate, nullptr);
  EXPECT_THAT(log, ElementsAre("leaves", "closed"));
}

TEST(GateTest, WaitsForTasksOfAllClasses) {
  TestShard shard;
  Gate gate;
  Event leave;
  Log log;
  const ClassId batch = shard.executor().CreateClass({.name = "batch", .shares = 1}).value();
  const auto stay = [](Gate* in, Event* until, Log* seen) -> Task<> {
    const absl::StatusOr<Gate::Pass> pass = in->Enter();
    co_await until->Wait();
    seen->push_back("leaves");
  };
  shard.Run([&] {
    shard.executor().Spawn(stay(&gate, &leave, &log), batch);
    shard.executor().Spawn(stay(&gate, &leave, &log));
    shard.executor().Spawn([](Gate* of, Event* set, Log* seen) -> Task<> {
      co_await Sleep(std::chrono::milliseconds(1));  // both classes have had their turn
      EXPECT_EQ(of->inside(), 2u);
      set->Set();
      co_await CloseAndNote(of, seen);
    }(&gate, &leave, &log));
  });
  EXPECT_THAT(log, ElementsAre("leaves", "leaves", "closed"));
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

INSTANTIATE_TEST_SUITE_P(Time, GateCancelTest, kBothTimes, TimeKindName);

}  // namespace
}  // namespace ioengine
