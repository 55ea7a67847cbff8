// Executor on one thread: the order of its turns, how it idles, stops and runs again.

#include "ioengine/sched/executor.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/tests/sched/executor_fixture.h"

namespace ioengine {
namespace {

using testing::ElementsAre;
using testing::Le;
using testing::SizeIs;
using testing::UnorderedElementsAre;

using Log = std::vector<std::string>;
using ExecutorTest = ExecutorFixture;

Task<> NoteAndYield(Executor* executor, Log* log, std::string name, int times) {
  const Probe probe(log, "~" + name);
  for (int i = 0; i < times; ++i) {
    log->push_back(name + std::to_string(i));
    co_await executor->Yield();
  }
}

TEST_F(ExecutorTest, RunsTasksInTheOrderInWhichTheyBecameRunnable) {
  RunUntilIdle([&] {
    executor_.Spawn(NoteAndYield(&executor_, &log_, "a", 2));
    executor_.Spawn(NoteAndYield(&executor_, &log_, "b", 1));
    executor_.Spawn(NoteAndYield(&executor_, &log_, "c", 2));
  });
  EXPECT_THAT(log_, ElementsAre("a0", "b0", "c0", "a1", "~b", "c1", "~a", "~c"));
}

TEST_F(ExecutorTest, CallsComeBeforeTasksAndThenThePoller) {
  poller_.has_completions = [] { return true; };
  poller_.on_poll = [&]() -> size_t {
    log_.emplace_back("poll");
    return 0;
  };
  RunUntilIdle([&] {
    log_.emplace_back("call");
    executor_.Spawn(NoteAndYield(&executor_, &log_, "a", 65));
    EXPECT_EQ(CallOn(executor_, [&] { log_.emplace_back("second call"); }), CallOutcome::kAccepted);
  });
  Log expected = {"call", "second call"};
  for (int i = 0; i < 65; ++i) expected.push_back("a" + std::to_string(i));
  expected.push_back("~a");
  const auto poll = std::find(log_.begin(), log_.end(), "poll");
  EXPECT_GT(poll - log_.begin(), 2) << "not before a task ran";
  EXPECT_LE(poll - log_.begin(), 2 + 64) << "earlier where the slice was over before";
  std::erase(log_, "poll");
  EXPECT_EQ(log_, expected);
}

Task<> YieldForEver(Executor* executor, int* count) {
  for (;;) {
    ++*count;
    co_await executor->Yield();
  }
}

TEST_F(ExecutorTest, ATaskThatYieldsForEverStarvesNobody) {
  int first = 0;
  int second = 0;
  int calls = 0;
  poller_.has_completions = [] { return true; };
  poller_.on_poll = [&]() -> size_t {
    EXPECT_EQ(CallOn(executor_, [&] { ++calls; }), CallOutcome::kAccepted);
    if (poller_.polls == 1000) executor_.RequestStop();
    return 0;
  };
  ASSERT_EQ(CallOn(executor_,
                   [&] {
                     executor_.Spawn(YieldForEver(&executor_, &first));
                     executor_.Spawn(YieldForEver(&executor_, &second));
                   }),
            CallOutcome::kAccepted);
  executor_.Run();
  EXPECT_GE(first, 1000);
  EXPECT_NEAR(first, second, 1);
  EXPECT_EQ(calls, 999);
}

Task<> SpawnForEver(Executor* executor, int* count) {
  // The bound is for compilers that take the recursion for a mistake.
  if (++*count < 1'000'000) executor->Spawn(SpawnForEver(executor, count));
  co_return;
}

TEST_F(ExecutorTest, TasksThatSpawnForEverDoNotKeepATurnFromEnding) {
  int count = 0;
  poller_.has_completions = [] { return true; };
  poller_.on_poll = [&]() -> size_t {
    if (poller_.polls == 100) executor_.RequestStop();
    return 0;
  };
  ASSERT_EQ(CallOn(executor_, [&] { executor_.Spawn(SpawnForEver(&executor_, &count)); }),
            CallOutcome::kAccepted);
  executor_.Run();
  EXPECT_GE(count, 99);
  EXPECT_LT(count, 10'000);
}

// Each call makes the next, and no task is ever runnable.
void CallForEver(Executor* executor, int* count) {
  ++*count;
  EXPECT_EQ(CallOn(*executor, [=] { CallForEver(executor, count); }), CallOutcome::kAccepted);
}

TEST_F(ExecutorTest, CallsWithoutEndDoNotKeepThePollerFromItsTurn) {
  int count = 0;
  poller_.on_poll = [&]() -> size_t {
    if (poller_.polls == 3) executor_.RequestStop();
    return 0;
  };
  ASSERT_EQ(CallOn(executor_, [&] { CallForEver(&executor_, &count); }), CallOutcome::kAccepted);
  // So that the test fails rather than hangs.
  ASSERT_EQ(CallOn(executor_, [] {}), CallOutcome::kAccepted);
  poller_.on_wait = [&]() -> size_t {
    ADD_FAILURE() << "sleeps with calls in the inbox";
    executor_.RequestStop();
    return 0;
  };
  std::function<void()> guard = [&] {
    if (count > 100'000) {
      ADD_FAILURE() << "no poll in " << count << " calls";
      executor_.RequestStop();
      return;
    }
    EXPECT_EQ(CallOn(executor_, guard), CallOutcome::kAccepted);
  };
  ASSERT_EQ(CallOn(executor_, guard), CallOutcome::kAccepted);
  executor_.Run();
  EXPECT_GE(poller_.polls, 3);
}

TEST_F(ExecutorTest, CurrentIsTheExecutorThatRuns) {
  EXPECT_EQ(Executor::Current(), nullptr);
  Executor* in_task = nullptr;
  Executor* at_destruction = nullptr;
  struct Watch {
    Executor** seen;
    ~Watch() { *seen = Executor::Current(); }
  };
  const auto look = [](Executor* executor, Executor** seen, Executor** seen_late) -> Task<> {
    const Watch watch{seen_late};
    *seen = Executor::Current();
    for (;;) co_await executor->Yield();
  };
  poller_.on_poll = [&]() -> size_t {
    if (poller_.polls == 3) executor_.RequestStop();
    return 0;
  };
  ASSERT_EQ(
      CallOn(executor_, [&] { executor_.Spawn(look(&executor_, &in_task, &at_destruction)); }),
      CallOutcome::kAccepted);
  executor_.Run();
  EXPECT_EQ(in_task, &executor_);
  EXPECT_EQ(at_destruction, &executor_);
  EXPECT_EQ(Executor::Current(), nullptr);
}

TEST_F(ExecutorTest, TheStopDestroysWhatIsLeft) {
  WaitPoint point;
  const auto wait = [](Log* log, WaitPoint* at) -> Task<> {
    const Probe probe(log, "~suspended");
    co_await at->Wait();
  };
  const auto yield = [](Executor* executor, Log* log) -> Task<> {
    const Probe probe(log, "~runnable");
    for (;;) co_await executor->Yield();
  };
  poller_.has_completions = [] { return true; };
  poller_.on_poll = [&]() -> size_t {
    if (poller_.polls == 2) executor_.RequestStop();
    return 0;
  };
  ASSERT_EQ(CallOn(executor_,
                   [&] {
                     executor_.Spawn(wait(&log_, &point));
                     executor_.Spawn(yield(&executor_, &log_));
                   }),
            CallOutcome::kAccepted);
  executor_.Run();
  EXPECT_THAT(log_, UnorderedElementsAre("~suspended", "~runnable"));
}

TEST_F(ExecutorTest, TheStopEndsTheTurnSoonAndNotAtOnce) {
  const auto stop = [](Executor* executor, Log* log) -> Task<> {
    executor->RequestStop();
    log->push_back("goes on");
    for (;;) {
      co_await executor->Yield();
      log->push_back("again");
    }
  };
  RunUntilIdle([&] {
    executor_.Spawn(stop(&executor_, &log_));
    executor_.Spawn(NoteAndYield(&executor_, &log_, "same turn", 1));
  });
  EXPECT_THAT(Log(log_.begin(), log_.begin() + 4),
              ElementsAre("goes on", "same turn0", "again", "~same turn"));
  EXPECT_THAT(log_, SizeIs(Le(70)));
}

TEST_F(ExecutorTest, TheStopDestroysCallsThatDidNotRunOnTheShard) {
  struct Call final : ForeignCall {
    explicit Call(Log* to) : log(to) {}
    ~Call() override { log->push_back(Executor::Current() != nullptr ? "on shard" : "off shard"); }
    void Run() override { log->push_back("run"); }
    Log* log;
  };
  std::unique_ptr<ForeignCall> call = std::make_unique<Call>(&log_);
  ASSERT_EQ(executor_.TryCall(call), CallOutcome::kAccepted);
  executor_.RequestStop();
  executor_.Run();
  EXPECT_THAT(log_, ElementsAre("on shard"));
}

TEST_F(ExecutorTest, RefusesCallsWhenItHasStoppedAndLeavesThemToTheCaller) {
  executor_.RequestStop();
  executor_.Run();
  std::unique_ptr<ForeignCall> call = FunctionCall::Make([&] { log_.emplace_back("run"); });
  EXPECT_EQ(executor_.TryCall(call), CallOutcome::kStopped);
  ASSERT_NE(call, nullptr);
  call->Run();
  EXPECT_THAT(log_, ElementsAre("run"));
}

TEST_F(ExecutorTest, ItsEndDestroysCallsThatWereNeverRun) {
  int live = 0;
  {
    const auto executor = std::make_unique<Executor>(poller_, ExecutorOptions());
    const Counted counted(&live);
    ASSERT_EQ(CallOn(*executor, [counted] {}), CallOutcome::kAccepted);
    EXPECT_GE(live, 2);
  }
  EXPECT_EQ(live, 0);
}

TEST_F(ExecutorTest, AStopThatComesBeforeRunIsNotLost) {
  executor_.RequestStop();
  executor_.Run();
  EXPECT_EQ(executor_.stats().turns, 0u);
}

TEST_F(ExecutorTest, RunsAgainAfterAStop) {
  for (int round = 0; round < 3; ++round) {
    if (round > 0) {
      EXPECT_EQ(CallOn(executor_, [] {}), CallOutcome::kStopped);
    }
    WaitPoint point;
    poller_.on_wait = [&]() -> size_t {
      if (point.has_waiter()) {
        executor_.RequestStop();
      } else {
        executor_.Spawn([](WaitPoint* at) -> Task<> { co_await at->Wait(); }(&point));
      }
      return 0;
    };
    executor_.Run();
    EXPECT_TRUE(point.has_waiter());
  }
}

TEST_F(ExecutorTest, RefusesCallsWhenTheInboxIsFull) {
  const auto owner = std::make_unique<Executor>(poller_, ExecutorOptions{.inbox_capacity = 4});
  Executor& executor = *owner;
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(CallOn(executor, [&] { log_.emplace_back("ran"); }), CallOutcome::kAccepted);
  }
  std::unique_ptr<ForeignCall> call = FunctionCall::Make([&] { log_.emplace_back("late"); });
  EXPECT_EQ(executor.TryCall(call), CallOutcome::kInboxFull);
  EXPECT_NE(call, nullptr);
  EXPECT_EQ(executor.inbox_times_full(), 1u);
  poller_.on_wait = [&]() -> size_t {
    if (call != nullptr) {
      EXPECT_EQ(executor.TryCall(call), CallOutcome::kAccepted);
    } else {
      executor.RequestStop();
    }
    return 0;
  };
  executor.Run();
  EXPECT_THAT(log_, ElementsAre("ran", "ran", "ran", "ran", "late"));
  EXPECT_EQ(executor.stats().foreign_calls, 5u);
}

TEST_F(ExecutorTest, CountsWhatItDoes) {
  RunUntilIdle([&] { executor_.Spawn(NoteAndYield(&executor_, &log_, "a", 2)); });
  EXPECT_EQ(executor_.stats().foreign_calls, 1u);
  EXPECT_EQ(executor_.stats().tasks_resumed, 3u);
  EXPECT_EQ(executor_.stats().sleeps, 2u);
  EXPECT_EQ(executor_.stats().turns, 2u);
  EXPECT_EQ(poller_.last_timeout_ns, Poller::kForever);
}

}  // namespace
}  // namespace ioengine
