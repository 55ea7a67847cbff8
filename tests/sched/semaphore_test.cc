// Semaphore and Mutex: fairness, bounds, and units of tasks that are destroyed.

#include "ioengine/sched/semaphore.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/mutex.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/cancel_sweep.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Log = std::vector<std::string>;

// Takes `count` units, holds them for `yields`, and gives them back.
Task<> Hold(Semaphore* semaphore, size_t count, int yields, Log* log, std::string name) {
  const Semaphore::Units units = co_await semaphore->Acquire(count);
  EXPECT_EQ(units.count(), count);
  log->push_back("+" + name);
  for (int i = 0; i < yields; ++i) co_await Yield();
  log->push_back("-" + name);
}

TEST(SemaphoreTest, OneThatAsksForManyIsNotPassedByThoseThatAskForFew) {
  TestShard shard;
  Semaphore semaphore(3);
  Log log;
  shard.Run([&] {
    shard.executor().Spawn(Hold(&semaphore, 2, 3, &log, "a"));
    shard.executor().Spawn(Hold(&semaphore, 3, 0, &log, "all"));
    shard.executor().Spawn(Hold(&semaphore, 1, 0, &log, "one"));  // would fit beside a
  });
  EXPECT_THAT(log, ElementsAre("+a", "-a", "+all", "-all", "+one", "-one"));
  EXPECT_EQ(semaphore.available(), 3u);
  EXPECT_EQ(semaphore.times_full(), 2u);
}

TEST(SemaphoreTest, GivesWhatFitsAtOnce) {
  TestShard shard;
  Semaphore semaphore(4);
  Log log;
  shard.Run([&] {
    for (const char* name : {"a", "b"}) {
      shard.executor().Spawn(Hold(&semaphore, 2, 1, &log, name));
    }
  });
  EXPECT_THAT(log, ElementsAre("+a", "+b", "-a", "-b"));
  EXPECT_EQ(semaphore.times_full(), 0u);
}

TEST(SemaphoreTest, TryAcquireTakesNothingFromThoseThatWait) {
  TestShard shard;
  Semaphore semaphore(2);
  Log log;
  shard.Run([&] {
    std::optional<Semaphore::Units> units = semaphore.TryAcquire();
    ASSERT_TRUE(units.has_value());
    EXPECT_FALSE(semaphore.TryAcquire(2).has_value());
    shard.executor().Spawn(Hold(&semaphore, 2, 0, &log, "both"));
    shard.executor().Spawn([](Semaphore* of, Semaphore::Units held) -> Task<> {
      EXPECT_TRUE(of->has_waiters());
      EXPECT_EQ(of->available(), 1u);
      EXPECT_FALSE(of->TryAcquire().has_value()) << "somebody waits for it";
      held.Release();
      held.Release();  // nothing is left to give back
      EXPECT_EQ(held.count(), 0u);
      co_return;
    }(&semaphore, *std::move(units)));
  });
  EXPECT_THAT(log, ElementsAre("+both", "-both"));
  EXPECT_EQ(semaphore.available(), 2u);
}

TEST(SemaphoreTest, UnitsMoveAndSwap) {
  TestShard shard;
  Semaphore semaphore(3);
  shard.Run([&] {
    Semaphore::Units one = *semaphore.TryAcquire(1);
    Semaphore::Units two = *semaphore.TryAcquire(2);
    one = std::move(two);
    EXPECT_EQ(one.count(), 2u);
    two.Release();
    EXPECT_EQ(semaphore.available(), 1u);
    const Semaphore::Units moved(std::move(one));
    EXPECT_EQ(moved.count(), 2u);
    EXPECT_EQ(semaphore.available(), 1u);
  });
  EXPECT_EQ(semaphore.available(), 3u);
}

TEST(SemaphoreTest, AWaiterThatIsDestroyedInFrontLetsTheNextOnePass) {
  TestShard shard;
  Semaphore semaphore(2);
  Log log;
  shard.Run([&] {
    shard.executor().Spawn([](Executor* executor, Semaphore* of, Log* seen) -> Task<> {
      const Semaphore::Units held = co_await of->Acquire(1);
      TaskScope greedy(*executor);
      greedy.Spawn(Hold(of, 2, 0, seen, "greedy"));
      TaskScope modest(*executor);
      modest.Spawn(Hold(of, 1, 0, seen, "modest"));
      co_await Yield();
      EXPECT_THAT(*seen, IsEmpty());
      greedy.Cancel();
      EXPECT_TRUE((co_await modest.Join()).ok());
    }(&shard.executor(), &semaphore, &log));
  });
  EXPECT_THAT(log, ElementsAre("+modest", "-modest"));
}

TEST(SemaphoreTest, UnitsOfATaskThatIsDestroyedBeforeItGoesOnPassToTheNext) {
  TestShard shard;
  Semaphore semaphore(1);
  Log log;
  shard.Run([&] {
    shard.executor().Spawn([](Executor* executor, Semaphore* of, Log* seen) -> Task<> {
      Semaphore::Units held = co_await of->Acquire();
      TaskScope victim(*executor);
      victim.Spawn(Hold(of, 1, 0, seen, "victim"));
      TaskScope next(*executor);
      next.Spawn(Hold(of, 1, 0, seen, "next"));
      co_await Yield();
      held.Release();  // they are the victim's now, which has not run yet
      EXPECT_EQ(of->available(), 0u);
      victim.Cancel();
      EXPECT_TRUE((co_await next.Join()).ok());
    }(&shard.executor(), &semaphore, &log));
  });
  EXPECT_THAT(log, ElementsAre("+next", "-next"));
  EXPECT_EQ(semaphore.available(), 1u);
}

TEST(SemaphoreTest, AShardThatStopsGivesTheUnitsOfAllItsTasksBack) {
  Semaphore semaphore(2);
  Log log;
  TestShard shard;
  shard.Run([&] {
    for (const size_t count : {1, 1, 2, 1}) {
      shard.executor().Spawn([](Semaphore* of, size_t wanted, Log* seen) -> Task<> {
        const Semaphore::Units units = co_await of->Acquire(wanted);
        seen->push_back("holds");
        Event never;
        co_await never.Wait();
      }(&semaphore, count, &log));
    }
  });
  EXPECT_THAT(log, ElementsAre("holds", "holds")) << "the others were only waiting";
  EXPECT_EQ(semaphore.available(), 2u);
  EXPECT_FALSE(semaphore.has_waiters());
}

TEST(SemaphoreTest, AnAcquireThatNobodyAwaitsTakesNothing) {
  Semaphore semaphore(1);
  {
    const auto never_awaited = semaphore.Acquire();
    EXPECT_EQ(semaphore.available(), 1u);
  }
  EXPECT_EQ(semaphore.available(), 1u);
  EXPECT_EQ(semaphore.times_full(), 0u);
}

TEST(SemaphoreTest, OneThatAsksForNothingWaitsItsTurnToo) {
  TestShard shard;
  Semaphore semaphore(1);
  Log log;
  shard.Run([&] {
    const std::optional<Semaphore::Units> nothing = semaphore.TryAcquire(0);
    EXPECT_TRUE(nothing.has_value());
    shard.executor().Spawn(Hold(&semaphore, 1, 1, &log, "one"));
    shard.executor().Spawn(Hold(&semaphore, 0, 0, &log, "none"));  // nobody waits: at once
    shard.executor().Spawn(Hold(&semaphore, 1, 0, &log, "next"));
    shard.executor().Spawn(Hold(&semaphore, 0, 0, &log, "late"));
  });
  EXPECT_THAT(log,
              ElementsAre("+one", "+none", "-none", "-one", "+next", "-next", "+late", "-late"));
}

TEST(SemaphoreTest, AClassDoesNotPassAnotherThatAskedBefore) {
  TestShard shard;
  Semaphore semaphore(1);
  Log log;
  const ClassId batch = shard.executor().CreateClass({.name = "batch", .shares = 1}).value();
  const ClassId urgent =
      shard.executor().CreateClass({.name = "urgent", .latency_goal_ns = 1'000'000}).value();
  shard.Run([&] {
    shard.executor().Spawn(
        [](Executor* executor, Semaphore* of, Log* seen, ClassId first, ClassId next) -> Task<> {
          Semaphore::Units held = co_await of->Acquire();
          for (const ClassId id : {first, next, ClassId{0}}) {
            executor->Spawn(Hold(of, 1, 1, seen, executor->FindClass(id)->name()), id);
            co_await Sleep(std::chrono::milliseconds(1));  // each class has had its turn
          }
          EXPECT_THAT(*seen, IsEmpty());
          held.Release();
        }(&shard.executor(), &semaphore, &log, batch, urgent));
  });
  EXPECT_THAT(log, ElementsAre("+batch", "-batch", "+urgent", "-urgent", "+default", "-default"));
}

TEST(SemaphoreDeathTest, MoreUnitsThanThereAre) {
  Semaphore semaphore(2);
  EXPECT_DEATH(static_cast<void>(semaphore.Acquire(3)), "asked for more units than it has");
}

TEST(SemaphoreDeathTest, DestructionWhileUnitsAreHeld) {
  auto semaphore = std::make_unique<Semaphore>(2);
  const std::optional<Semaphore::Units> units = semaphore->TryAcquire();
  EXPECT_DEATH(semaphore.reset(), "destroyed while tasks hold units of it");
}

TEST(MutexDeathTest, DestructionWhileItIsLocked) {
  auto mutex = std::make_unique<Mutex>();
  const std::optional<Mutex::Guard> guard = mutex->TryLock();
  EXPECT_DEATH(mutex.reset(), "destroyed while tasks hold units of it");
}

TEST(MutexTest, LetsOneInAtATimeInTheOrderOfAsking) {
  TestShard shard;
  Mutex mutex;
  Log log;
  const auto enter = [](Mutex* of, Log* seen, std::string name) -> Task<> {
    const Mutex::Guard guard = co_await of->Lock();
    seen->push_back("+" + name);
    co_await Yield();
    EXPECT_TRUE(of->locked());
    EXPECT_FALSE(of->TryLock().has_value());
    seen->push_back("-" + name);
  };
  shard.Run([&] {
    for (const char* name : {"a", "b", "c"}) shard.executor().Spawn(enter(&mutex, &log, name));
  });
  EXPECT_THAT(log, ElementsAre("+a", "-a", "+b", "-b", "+c", "-c"));
  EXPECT_FALSE(mutex.locked());
}

class SemaphoreCancelTest : public testing::TestWithParam<TimeKind> {};

TEST_P(SemaphoreCancelTest, AtEveryAwaitAllUnitsComeBack) {
  std::unique_ptr<Semaphore> semaphore;
  Log log;
  CancelSweep::Run(
      GetParam(),
      [&](TestShard& shard, TaskScope& victims) {
        log.clear();
        semaphore = std::make_unique<Semaphore>(3);
        const ClassId batch = shard.executor().CreateClass({.name = "batch"}).value();
        for (const size_t count : {2, 3, 1, 2}) {
          const ClassId id = count % 2 == 0 ? batch : ClassId{0};
          victims.Spawn(Hold(semaphore.get(), count, 2, &log, "victim"), id);
          shard.executor().Spawn(Hold(semaphore.get(), count, 1, &log, "bystander"), batch - id);
        }
      },
      [&](bool ended) {
        EXPECT_EQ(semaphore->available(), 3u);
        EXPECT_FALSE(semaphore->has_waiters());
        EXPECT_EQ(std::count(log.begin(), log.end(), "-bystander"), 4);
        if (ended) {
          EXPECT_EQ(std::count(log.begin(), log.end(), "-victim"), 4);
        }
      });
}

TEST_P(SemaphoreCancelTest, AtEveryAwaitAMutexIsLetGo) {
  std::unique_ptr<Mutex> mutex;
  int inside = 0;
  int bystanders = 0;
  CancelSweep::Run(
      GetParam(),
      [&](TestShard& shard, TaskScope& victims) {
        mutex = std::make_unique<Mutex>();
        inside = bystanders = 0;
        const auto enter = [](Mutex* of, int* alone, int* done) -> Task<> {
          struct Inside {
            int* count;
            explicit Inside(int* c) : count(c) { EXPECT_EQ(++*count, 1); }
            ~Inside() { --*count; }
          };
          {
            const Mutex::Guard guard = co_await of->Lock();
            const Inside here(alone);
            co_await Yield();
            co_await Yield();
          }
          if (done != nullptr) ++*done;
        };
        for (int i = 0; i < 3; ++i) {
          victims.Spawn(enter(mutex.get(), &inside, nullptr));
          shard.executor().Spawn(enter(mutex.get(), &inside, &bystanders));
        }
      },
      [&](bool) {
        EXPECT_EQ(bystanders, 3);
        EXPECT_EQ(inside, 0);
        EXPECT_FALSE(mutex->locked());
      });
}

INSTANTIATE_TEST_SUITE_P(Time, SemaphoreCancelTest, kBothTimes, TimeKindName);

}  // namespace
}  // namespace ioengine
