// How the slice of a class ends, in simulated time: by time, for a timer, for an urgent class, for
// a call.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "gtest/gtest.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/simulated_time.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/scripted_poller.h"
#include "ioengine/tests/sched/task_helpers.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone

constexpr uint64_t kSliceNs = Executor::kSliceNs;

// How long a task that only asks MaybeYield keeps the shard from another of its class.
Task<> ComputeUntilItYields(TestShard* shard, uint64_t piece_ns, bool* other_ran,
                            uint64_t* kept_ns) {
  const uint64_t begin_ns = shard->NowNs();
  while (!*other_ran) {
    shard->clock().Advance(piece_ns);
    *kept_ns = shard->NowNs() - begin_ns;
    co_await MaybeYield();
  }
}

Task<> SetTrue(bool* value) {
  *value = true;
  co_return;
}

TEST(MaybeYieldTest, LetsOthersRunWhenTheSliceIsOverAndNotBefore) {
  TestShard shard;
  bool other_ran = false;
  uint64_t kept_ns = 0;
  shard.Run([&] {
    shard.executor().Spawn(ComputeUntilItYields(&shard, 10'000, &other_ran, &kept_ns));
    shard.executor().Spawn(SetTrue(&other_ran));
  });
  EXPECT_GE(kept_ns, kSliceNs);
  EXPECT_LE(kept_ns, kSliceNs + 10'000);
}

TEST(MaybeYieldTest, LetsATimerFireInTime) {
  TestShard shard;
  const ClassId urgent = shard.executor().CreateClass({.latency_goal_ns = 1'000'000}).value();
  bool other_ran = false;
  uint64_t kept_ns = 0;
  shard.Run([&] {
    shard.executor().Spawn(
        [](TestShard* on, bool* woke) -> Task<> {
          co_await Sleep(100us);
          EXPECT_LE(on->NowNs(), 110'000u);
          *woke = true;
        }(&shard, &other_ran),
        urgent);
    shard.executor().Spawn(ComputeUntilItYields(&shard, 10'000, &other_ran, &kept_ns));
  });
  EXPECT_LE(kept_ns, 110'000u);
}

TEST(MaybeYieldTest, LetsAClassWithALatencyGoalRunAtOnce) {
  for (const bool urgent : {false, true}) {
    TestShard shard;
    const uint64_t goal_ns = urgent ? 1'000'000 : 0;
    const ClassId id = shard.executor().CreateClass({.latency_goal_ns = goal_ns}).value();
    bool other_ran = false;
    uint64_t kept_ns = 0;
    shard.Run([&] {
      shard.executor().Spawn([](TestShard* on, ClassId other, bool* ran, uint64_t* kept) -> Task<> {
        on->executor().Spawn(SetTrue(ran), other);
        co_await ComputeUntilItYields(on, 10'000, ran, kept);
      }(&shard, id, &other_ran, &kept_ns));
    });
    if (urgent) {
      EXPECT_EQ(kept_ns, 10'000u);
    } else {
      EXPECT_GE(kept_ns, kSliceNs);
    }
  }
}

// Computes in pieces until so many timers have fired.
Task<> ComputeUntilTimersFired(TestShard* shard, uint64_t piece_ns, uint64_t timers) {
  while (shard->executor().stats().timers_fired < timers) {
    shard->clock().Advance(piece_ns);
    co_await MaybeYield();
  }
  shard->executor().RequestStop();
}

Task<> SleepAgainAndAgain(std::chrono::nanoseconds duration) {
  for (;;) co_await Sleep(duration);
}

// Pieces so short that a class that is alone does not look at the time after each.
TEST(MaybeYieldTest, ATimerThatIsArmedWithinTheSliceEndsItOnTime) {
  for (const uint64_t piece_ns : {97u, 100u, 103u}) {
    TestShard shard;
    shard.Run([&] {
      shard.executor().Spawn(SleepAgainAndAgain(100us));
      shard.executor().Spawn(ComputeUntilTimersFired(&shard, piece_ns, 1));
    });
    EXPECT_GE(shard.NowNs(), 100'000u);
    EXPECT_LT(shard.NowNs(), 100'000 + piece_ns);
    EXPECT_EQ(shard.executor().stats().preemptions, 1u);
  }
}

TEST(MaybeYieldTest, OfAClassThatIsNotAloneAnyMoreTheSliceEndsOnTime) {
  for (const uint64_t piece_ns : {97u, 100u, 103u}) {
    TestShard shard;
    const ClassId other = shard.executor().CreateClass({.name = "other"}).value();
    bool other_ran = false;
    uint64_t kept_ns = 0;
    shard.Run([&] {
      shard.executor().Spawn(
          [](TestShard* on, ClassId id, uint64_t length_ns, bool* ran, uint64_t* kept) -> Task<> {
            const uint64_t begin_ns = on->NowNs();
            for (int i = 0; i < 50; ++i) {  // alone
              on->clock().Advance(length_ns);
              co_await MaybeYield();
            }
            on->executor().Spawn(SetTrue(ran), id);
            co_await ComputeUntilItYields(on, length_ns, ran, kept);
            *kept = on->NowNs() - begin_ns;
          }(&shard, other, piece_ns, &other_ran, &kept_ns));
    });
    EXPECT_GE(kept_ns, kSliceNs);
    EXPECT_LT(kept_ns, kSliceNs + piece_ns);
  }
}

TEST(MaybeYieldTest, ATimerThatIsAlmostDueLeavesTheSliceAFewMicroseconds) {
  TestShard shard;
  shard.Run([&] {
    shard.executor().Spawn(SleepAgainAndAgain(1us));
    shard.executor().Spawn(ComputeUntilTimersFired(&shard, 100, 1));
  });
  EXPECT_GE(shard.NowNs(), 5000u);
  EXPECT_LE(shard.NowNs(), 5100u);
}

TEST(MaybeYieldTest, TimersWithoutEndLeaveSlicesOfAFewMicroseconds) {
  TestShard shard;
  const ClassId urgent = shard.executor().CreateClass({.latency_goal_ns = 1'000'000}).value();
  constexpr uint64_t kTimers = 1000;
  shard.Run([&] {
    shard.executor().Spawn(SleepAgainAndAgain(1us), urgent);
    shard.executor().Spawn(ComputeUntilTimersFired(&shard, 100, kTimers));
  });
  EXPECT_GE(shard.NowNs(), kTimers * 5000);
  EXPECT_LE(shard.NowNs(), kTimers * 5500);
}

TEST(SliceTest, ForAnotherClassTheTurnGoesOnAndForTimeThePollerHasItsTurn) {
  for (const bool urgent : {true, false}) {
    SimulatedClock clock;
    ScriptedPoller poller;
    const auto owned = std::make_unique<Executor>(poller, ExecutorOptions(), clock);
    Executor& executor = *owned;
    const ClassId id = executor.CreateClass({.latency_goal_ns = urgent ? 1'000'000u : 0u}).value();
    poller.on_wait = [&]() -> size_t {
      executor.RequestStop();
      return 0;
    };
    int polls_before_other = -1;
    ASSERT_EQ(CallOn(executor,
                     [&] {
                       executor.Spawn([](Executor* on, SimulatedClock* time, ClassId other,
                                         const int* polls, int* seen) -> Task<> {
                         on->Spawn(
                             [](const int* now, int* note) -> Task<> {
                               *note = *now;
                               co_return;
                             }(polls, seen),
                             other);
                         while (*seen < 0) {
                           time->Advance(10'000);
                           co_await MaybeYield();
                         }
                       }(&executor, &clock, id, &poller.polls, &polls_before_other));
                     }),
              CallOutcome::kAccepted);
    executor.Run();
    EXPECT_EQ(polls_before_other, urgent ? 0 : 1);
  }
}

// As many yields as a task has had when a call that it makes to its own shard comes.
TEST(SliceTest, ACallEndsASliceOfManyShortTasks) {
  TestShard shard;
  bool called = false;
  int yields = 0;
  shard.Run([&] {
    shard.executor().Spawn([](Executor* on, bool* done, int* count) -> Task<> {
      EXPECT_EQ(CallOn(*on, [done] { *done = true; }), CallOutcome::kAccepted);
      while (!*done && *count < 10'000) {
        ++*count;
        co_await Yield();
      }
    }(&shard.executor(), &called, &yields));
  });
  EXPECT_TRUE(called);
  EXPECT_LE(yields, 100);
}

TEST(SliceTest, ATimerThatIsDueGoesBeforeTheClassThatIsNext) {
  TestShard shard;
  const ClassId urgent = shard.executor().CreateClass({.latency_goal_ns = 1'000'000}).value();
  const ClassId other = shard.executor().CreateClass({.name = "other"}).value();
  uint64_t woke_ns = 0;
  const auto compute = [](TestShard* on, uint64_t duration_ns) -> Task<> {
    on->clock().Advance(duration_ns);
    co_return;
  };
  shard.Run([&] {
    shard.executor().Spawn(
        [](TestShard* on, uint64_t* at_ns) -> Task<> {
          co_await Sleep(50us);
          *at_ns = on->NowNs();
        }(&shard, &woke_ns),
        urgent);
    shard.executor().Spawn(compute(&shard, 100'000));
    shard.executor().Spawn(compute(&shard, 300'000), other);
  });
  EXPECT_LT(woke_ns, 400'000u) << "one of the two ran before it, not both";
}

TEST(SliceTest, ClassesThatCutEachOthersSlicesLeaveThePollerItsTurn) {
  SimulatedClock clock;
  ScriptedPoller poller;
  const auto owned = std::make_unique<Executor>(poller, ExecutorOptions(), clock);
  Executor& executor = *owned;
  const ClassId urgent = executor.CreateClass({.latency_goal_ns = 1'000'000}).value();
  ASSERT_EQ(CallOn(executor,
                   [&] {
                     executor.Spawn([](Executor* on, SimulatedClock* time, ClassId id) -> Task<> {
                       bool ran = false;
                       while (time->NowNs() < 10'000'000) {
                         on->Spawn(SetTrue(&ran), id);
                         time->Advance(10'000);
                         co_await MaybeYield();
                       }
                       on->RequestStop();
                     }(&executor, &clock, urgent));
                   }),
            CallOutcome::kAccepted);
  executor.Run();
  EXPECT_GE(poller.polls, 18);
  EXPECT_LE(poller.polls, 21);  // one in 500 µs, and the last
}

TEST(MaybeYieldDeathTest, OutsideOfATask) {
  EXPECT_DEATH(static_cast<void>(MaybeYield()), "outside of a shard's task");
  EXPECT_DEATH(static_cast<void>(Yield()), "outside of a shard's task");
}

}  // namespace
}  // namespace ioengine
