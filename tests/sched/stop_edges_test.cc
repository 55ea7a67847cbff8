// Stops at their edges: callbacks that change what is being told, tokens that outlive their scope,
// sleepers that are woken twice.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/stop_token.h"
#include "ioengine/sched/task_context.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone
using testing::ElementsAre;
using testing::IsEmpty;

using Log = std::vector<std::string>;

class Calling final : public StopCallback {
 public:
  explicit Calling(std::function<void()> function) : function_(std::move(function)) {}
  void OnStop() override { function_(); }

 private:
  std::function<void()> function_;
};

Task<> SleepAndNote(StopToken token, Log* log) {
  const Probe probe(log, "~sleeper");
  const absl::Status status = co_await Sleep(1h, token);
  log->push_back(std::string(absl::StatusCodeToString(status.code())));
}

TEST(StopEdgesTest, ACallbackMayRegisterOthers) {
  Log log;
  StopSource stop;
  StopSource other;
  Calling late([&] { log.push_back("late"); });
  Calling first([&] {
    EXPECT_FALSE(stop.token().Register(late)) << "this stop was requested";
    EXPECT_TRUE(other.token().Register(late));
  });
  ASSERT_TRUE(stop.token().Register(first));
  stop.RequestStop();
  EXPECT_THAT(log, IsEmpty());
  other.RequestStop();
  EXPECT_THAT(log, ElementsAre("late"));
}

TEST(StopEdgesTest, ACallbackThatAsksAgainIsNotToldAgain) {
  StopSource stop;
  int calls = 0;
  Calling again([&] {
    ++calls;
    stop.RequestStop();
  });
  ASSERT_TRUE(stop.token().Register(again));
  stop.RequestStop();
  EXPECT_EQ(calls, 1);
}

TEST(StopEdgesTest, ACallbackThatOutlivesItsTokensIsNeverTold) {
  bool told = false;
  Calling callback([&] { told = true; });
  {
    StopSource stop;
    ASSERT_TRUE(stop.token().Register(callback));
  }
  EXPECT_FALSE(callback.linked());
  StopSource other;
  ASSERT_TRUE(other.token().Register(callback)) << "it is free for another";
  other.RequestStop();
  EXPECT_TRUE(told);
}

TEST(StopEdgesTest, ACallbackMayEndTheContextsThatAreBeingTold) {
  Log log;
  auto outer = std::make_unique<TaskContext>(nullptr);
  auto inner = std::make_unique<TaskContext>(outer.get());
  auto innermost = std::make_unique<TaskContext>(inner.get());
  auto ended = std::make_unique<Calling>([&] { log.push_back("ended"); });
  Calling left([&] { log.push_back("left"); });
  Calling first([&] {
    log.push_back("first");
    ended.reset();
    inner.reset();
    outer.reset();
  });
  ASSERT_TRUE(outer->stop_token().Register(first));
  ASSERT_TRUE(inner->stop_token().Register(*ended));
  ASSERT_TRUE(innermost->stop_token().Register(left));
  outer->RequestStop();
  EXPECT_THAT(log, ElementsAre("first", "left"));
  EXPECT_TRUE(innermost->stop_requested());
}

TEST(StopEdgesTest, AllAreMarkedBeforeTheFirstIsTold) {
  TaskContext outer(nullptr);
  TaskContext left(&outer);
  TaskContext below(&left);
  TaskContext right(&outer);
  const StopToken of_right = right.stop_token();
  bool told = false;
  Calling first([&] {
    told = true;
    EXPECT_TRUE(below.stop_requested());
    EXPECT_TRUE(of_right.stop_requested());
  });
  ASSERT_TRUE(outer.stop_token().Register(first));
  outer.RequestStop();
  EXPECT_TRUE(told);
}

TEST(StopEdgesTest, ATokenThatIsMadeAfterTheStopHasSeenIt) {
  TaskContext outer(nullptr);
  TaskContext inner(&outer);
  outer.RequestStop();
  EXPECT_TRUE(inner.stop_token().stop_requested());
  EXPECT_TRUE(TaskContext(&inner).stop_token().stop_requested());
}

TEST(StopEdgesTest, AStopBelowDoesNotReachAbove) {
  TaskContext outer(nullptr);
  TaskContext inner(&outer);
  TaskContext beside(&outer);
  const StopToken above = outer.stop_token();
  inner.RequestStop();
  EXPECT_TRUE(inner.stop_requested());
  EXPECT_FALSE(above.stop_requested());
  EXPECT_FALSE(beside.stop_requested());
}

TEST(StopEdgesTest, ATokenOutlivesItsScope) {
  TestShard shard;
  StopToken asked;
  StopToken unasked;
  shard.Run([&] {
    TaskScope first(shard.executor());
    TaskScope second(shard.executor());
    asked = first.stop_token();
    unasked = second.stop_token();
    first.RequestStop();
  });
  EXPECT_TRUE(asked.stop_requested());
  EXPECT_FALSE(unasked.stop_requested());
}

TEST(StopEdgesTest, ChildrenThatAreSpawnedAfterTheStopSeeIt) {
  TestShard shard;
  Log log;
  shard.Run([&] {
    shard.executor().Spawn([](Executor* executor, Log* to) -> Task<> {
      TaskScope scope(*executor);
      scope.RequestStop();
      scope.Spawn([](Log* of) -> Task<> { co_await SleepAndNote(CurrentStopToken(), of); }(to));
      EXPECT_TRUE((co_await scope.Join()).ok()) << "a request is no error";
    }(&shard.executor(), &log));
  });
  EXPECT_THAT(log, ElementsAre("CANCELLED", "~sleeper"));
  EXPECT_EQ(shard.NowNs(), 0u);
}

TEST(StopEdgesTest, ACallbackMayCancelTheScopeThatIsBeingTold) {
  TestShard shard;
  Log log;
  shard.Run([&] {
    shard.executor().Spawn([](Executor* executor, Log* to) -> Task<> {
      TaskScope scope(*executor);
      Calling cancel([&] { scope.Cancel(); });
      EXPECT_TRUE(scope.stop_token().Register(cancel));
      for (int i = 0; i < 2; ++i) scope.Spawn(SleepAndNote(scope.stop_token(), to));
      co_await Yield();
      scope.RequestStop();
      EXPECT_EQ(scope.size(), 0u);
      EXPECT_EQ((co_await scope.Join()).code(), absl::StatusCode::kCancelled);
    }(&shard.executor(), &log));
  });
  EXPECT_THAT(log, ElementsAre("~sleeper", "~sleeper"));
}

TEST(StopEdgesTest, AChildMayAskItsOwnScopeToStop) {
  TestShard shard;
  Log log;
  shard.Run([&] {
    shard.executor().Spawn([](Executor* executor, Log* to) -> Task<> {
      TaskScope scope(*executor);
      scope.Spawn(SleepAndNote(scope.stop_token(), to));
      scope.Spawn([](TaskScope* own) -> Task<> {
        own->RequestStop();
        EXPECT_TRUE(CurrentStopToken().stop_requested());
        co_return;
      }(&scope));
      EXPECT_TRUE((co_await scope.Join()).ok());
    }(&shard.executor(), &log));
  });
  EXPECT_THAT(log, ElementsAre("CANCELLED", "~sleeper"));
}

TEST(SleepStopTest, AStopBetweenTheCallAndItsAwaitIsNotLost) {
  TestShard shard;
  bool ended = false;
  shard.Run([&] {
    shard.executor().Spawn([](bool* end) -> Task<> {
      StopSource stop;
      auto sleep = Sleep(1h, stop.token());
      stop.RequestStop();
      EXPECT_EQ((co_await sleep).code(), absl::StatusCode::kCancelled);
      *end = true;
    }(&ended));
  });
  EXPECT_TRUE(ended);
  EXPECT_EQ(shard.NowNs(), 0u);
}

TEST(SleepStopTest, ASleeperThatIsAboutToRunIsNotWokenTwice) {
  TestShard shard;
  int ends = 0;
  shard.Run([&] {
    StopSource stop;
    // Its timer comes first, and so does its turn.
    shard.executor().Spawn([](StopSource source) -> Task<> {
      co_await Sleep(1ms);
      source.RequestStop();
    }(stop));
    shard.executor().Spawn([](StopToken token, int* count) -> Task<> {
      (co_await Sleep(1ms, token)).IgnoreError();
      ++*count;
      co_await Sleep(1ms);
      ++*count;
    }(stop.token(), &ends));
  });
  EXPECT_EQ(ends, 2);
  EXPECT_EQ(shard.NowNs(), 2'000'000u);
}

TEST(SleepStopTest, AStopLeavesNoTimer) {
  TestShard shard;
  Log log;
  shard.Run([&] {
    StopSource stop;
    shard.executor().Spawn(SleepAndNote(stop.token(), &log));
    shard.executor().Spawn([](StopSource source) -> Task<> {
      co_await Sleep(1ms);
      source.RequestStop();
    }(stop));
  });
  EXPECT_THAT(log, ElementsAre("CANCELLED", "~sleeper"));
  EXPECT_EQ(shard.NowNs(), 1'000'000u);
}

TEST(SleepStopTest, ASleeperThatIsDestroyedIsNotTold) {
  TestShard shard;
  Log log;
  shard.Run([&] {
    shard.executor().Spawn([](Executor* executor, Log* to) -> Task<> {
      StopSource stop;
      TaskScope scope(*executor);
      scope.Spawn(SleepAndNote(stop.token(), to));
      co_await Yield();
      scope.Cancel();
      stop.RequestStop();
    }(&shard.executor(), &log));
  });
  EXPECT_THAT(log, ElementsAre("~sleeper"));
}

TEST(SleepStopTest, ASleeperWhoseSourceIsGoneSleepsToItsEnd) {
  TestShard shard;
  Log log;
  shard.Run([&] {
    shard.executor().Spawn([](Log* to) -> Task<> {
      const absl::Status status = co_await Sleep(1h, StopSource().token());
      to->push_back(std::string(absl::StatusCodeToString(status.code())));
    }(&log));
  });
  EXPECT_THAT(log, ElementsAre("OK"));
  EXPECT_EQ(shard.NowNs(), 3'600'000'000'000u);
}

}  // namespace
}  // namespace ioengine
