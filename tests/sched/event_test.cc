// Event: who waits, who goes on, and what becomes of waiters that are destroyed.

#include "ioengine/sched/event.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/cancel_sweep.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Log = std::vector<std::string>;

Task<> WaitAndNote(Event* event, Log* log, std::string name) {
  co_await event->Wait();
  log->push_back(name);
}

TEST(EventTest, SetWakesAllInTheOrderInWhichTheyCame) {
  TestShard shard;
  Event event;
  Log log;
  shard.Run([&] {
    for (const char* name : {"a", "b", "c"})
      shard.executor().Spawn(WaitAndNote(&event, &log, name));
    shard.executor().Spawn([](Event* set, Log* seen) -> Task<> {
      co_await Yield();
      EXPECT_THAT(*seen, IsEmpty());
      EXPECT_TRUE(set->has_waiters());
      set->Set();
      EXPECT_FALSE(set->has_waiters());
      EXPECT_THAT(*seen, IsEmpty()) << "they run in their turn, not within Set";
    }(&event, &log));
  });
  EXPECT_THAT(log, ElementsAre("a", "b", "c"));
}

TEST(EventTest, AnEventThatIsSetSuspendsNobodyUntilItIsReset) {
  TestShard shard;
  Event event;
  Log log;
  shard.Run([&] {
    event.Set();
    event.Set();
    shard.executor().Spawn([](Event* set, Log* seen) -> Task<> {
      co_await set->Wait();
      seen->push_back("at once");
      set->Reset();
      EXPECT_FALSE(set->is_set());
      co_await set->Wait();
      seen->push_back("never");
    }(&event, &log));
  });
  EXPECT_THAT(log, ElementsAre("at once"));
}

TEST(EventTest, ATaskThatWasWokenGoesOnAlsoAfterAReset) {
  TestShard shard;
  Event event;
  Log log;
  shard.Run([&] {
    shard.executor().Spawn(WaitAndNote(&event, &log, "woken"));
    shard.executor().Spawn([](Event* set) -> Task<> {
      set->Set();
      set->Reset();
      co_return;
    }(&event));
  });
  EXPECT_THAT(log, ElementsAre("woken"));
}

TEST(EventTest, AWaiterThatIsDestroyedLeavesAndTheOthersStay) {
  TestShard shard;
  Event event;
  Log log;
  shard.Run([&] {
    shard.executor().Spawn([](Executor* executor, Event* set, Log* seen) -> Task<> {
      TaskScope first(*executor);
      first.Spawn(WaitAndNote(set, seen, "first"));
      TaskScope second(*executor);
      second.Spawn(WaitAndNote(set, seen, "second"));
      co_await Yield();
      first.Cancel();
      EXPECT_TRUE(set->has_waiters());
      set->Set();
      EXPECT_TRUE((co_await second.Join()).ok());
    }(&shard.executor(), &event, &log));
  });
  EXPECT_THAT(log, ElementsAre("second"));
}

TEST(EventTest, ItsEndLeavesItsWaitersToTheirOwner) {
  TestShard shard;
  auto event = std::make_unique<Event>();
  Log log;
  shard.Run([&] {
    shard.executor().Spawn(WaitAndNote(event.get(), &log, "never"));
    shard.executor().Spawn([](std::unique_ptr<Event>* gone) -> Task<> {
      co_await Yield();
      gone->reset();
    }(&event));
  });
  EXPECT_THAT(log, IsEmpty());
  EXPECT_EQ(shard.executor().frames().live(), 0u);
}

TEST(EventTest, ItsEndDoesNotTakeBackAWakeUp) {
  TestShard shard;
  auto event = std::make_unique<Event>();
  Log log;
  shard.Run([&] {
    shard.executor().Spawn(WaitAndNote(event.get(), &log, "woken"));
    shard.executor().Spawn([](std::unique_ptr<Event>* gone) -> Task<> {
      (*gone)->Set();
      gone->reset();
      co_return;
    }(&event));
  });
  EXPECT_THAT(log, ElementsAre("woken"));
}

TEST(EventTest, OneThatIsDestroyedBetweenItsWakeUpAndItsTurnTakesNobodyWithIt) {
  TestShard shard;
  Event event;
  Log log;
  shard.Run([&] {
    shard.executor().Spawn([](Executor* executor, Event* set, Log* seen) -> Task<> {
      TaskScope victims(*executor);
      TaskScope others(*executor);
      others.Spawn(WaitAndNote(set, seen, "before"));
      victims.Spawn(WaitAndNote(set, seen, "victim"));
      others.Spawn(WaitAndNote(set, seen, "behind"));
      co_await Yield();
      set->Set();
      victims.Cancel();
      EXPECT_TRUE((co_await others.Join()).ok());
    }(&shard.executor(), &event, &log));
  });
  EXPECT_THAT(log, ElementsAre("before", "behind"));
}

TEST(EventTest, ATaskThatWaitsAgainGetsBehindThoseThatWaitAlready) {
  TestShard shard;
  Event event;
  Log log;
  shard.Run([&] {
    shard.executor().Spawn([](Event* set, Log* seen) -> Task<> {
      co_await WaitAndNote(set, seen, "a");
      co_await WaitAndNote(set, seen, "a again");
    }(&event, &log));
    shard.executor().Spawn([](Executor* executor, Event* set, Log* seen) -> Task<> {
      for (const char* name : {"b", "c"}) {
        set->Set();
        set->Reset();
        executor->Spawn(WaitAndNote(set, seen, name));
        co_await Yield();
        co_await Yield();
      }
      set->Set();
    }(&shard.executor(), &event, &log));
  });
  EXPECT_THAT(log, ElementsAre("a", "a again", "b", "c"));
}

TEST(EventTest, WaitersOfSeveralClassesAllGoOn) {
  TestShard shard;
  Event event;
  Log log;
  const ClassId batch = shard.executor().CreateClass({.name = "batch"}).value();
  shard.Run([&] {
    shard.executor().Spawn(WaitAndNote(&event, &log, "batch"), batch);
    shard.executor().Spawn(WaitAndNote(&event, &log, "default"));
    shard.executor().Spawn([](Event* set) -> Task<> {
      for (int i = 0; i < 9; ++i) co_await Yield();
      set->Set();
    }(&event));
  });
  EXPECT_THAT(log, testing::UnorderedElementsAre("batch", "default"));
}

class EventCancelTest : public testing::TestWithParam<TimeKind> {};

Task<> SetAfterYields(Event* event, int yields) {
  for (int i = 0; i < yields; ++i) co_await Yield();
  event->Set();
}

TEST_P(EventCancelTest, AtEveryAwait) {
  Event events[2];
  Log log;
  CancelSweep::Run(
      GetParam(),
      [&](TestShard& shard, TaskScope& victims) {
        log.clear();
        for (Event& event : events) event.Reset();
        for (int i = 0; i < 3; ++i) {
          victims.Spawn([](Event* first, Event* second) -> Task<> {
            co_await first->Wait();
            co_await second->Wait();
          }(&events[0], &events[1]));
        }
        shard.executor().Spawn(WaitAndNote(&events[1], &log, "bystander"));
        shard.executor().Spawn(SetAfterYields(&events[0], 3));
        shard.executor().Spawn(SetAfterYields(&events[1], 6));
      },
      [&](bool) {
        EXPECT_THAT(log, ElementsAre("bystander"));
        EXPECT_FALSE(events[0].has_waiters());
        EXPECT_FALSE(events[1].has_waiters());
      });
}

INSTANTIATE_TEST_SUITE_P(Time, EventCancelTest, kBothTimes, TimeKindName);

}  // namespace
}  // namespace ioengine
