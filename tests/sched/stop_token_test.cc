// StopToken, and how a stop passes through the tree of scopes and timeouts.

#include "ioengine/sched/stop_token.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_context.h"
#include "ioengine/sched/timeout.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone
using testing::ElementsAre;
using testing::IsEmpty;

using Log = std::vector<std::string>;

class Noting final : public StopCallback {
 public:
  Noting(Log* log, std::string name, std::function<void()> action = nullptr)
      : log_(log), name_(std::move(name)), action_(std::move(action)) {}
  void OnStop() override {
    log_->push_back(name_);
    if (action_) action_();
  }

 private:
  Log* log_;
  std::string name_;
  std::function<void()> action_;
};

TEST(StopTokenTest, ARequestTellsTheCallbacksOnceInTheirOrder) {
  Log log;
  StopSource stop;
  Noting first(&log, "first");
  Noting second(&log, "second");
  const StopToken token = stop.token();
  EXPECT_TRUE(token.stop_possible());
  EXPECT_TRUE(token.Register(first));
  EXPECT_TRUE(token.Register(second));
  EXPECT_FALSE(token.stop_requested());
  stop.RequestStop();
  StopSource(stop).RequestStop();  // a copy is a source of the same stop
  EXPECT_TRUE(token.stop_requested());
  EXPECT_TRUE(stop.stop_requested());
  EXPECT_THAT(log, ElementsAre("first", "second"));
  Noting late(&log, "late");
  EXPECT_FALSE(token.Register(late));
}

TEST(StopTokenTest, ATokenOfNothingNeverStops) {
  Log log;
  Noting callback(&log, "never");
  const StopToken token;
  EXPECT_FALSE(token.stop_possible());
  EXPECT_FALSE(token.stop_requested());
  EXPECT_TRUE(token.Register(callback));
}

TEST(StopTokenTest, ATokenOutlivesItsSource) {
  auto stop = std::make_unique<StopSource>();
  const StopToken token = stop->token();
  StopToken copy = token;
  stop->RequestStop();
  stop.reset();
  EXPECT_TRUE(token.stop_requested());
  copy = StopToken();
  EXPECT_FALSE(copy.stop_requested());
  EXPECT_TRUE(token.stop_requested());
}

TEST(StopTokenTest, ACallbackThatIsDestroyedIsNotTold) {
  Log log;
  StopSource stop;
  auto gone = std::make_unique<Noting>(&log, "gone");
  ASSERT_TRUE(stop.token().Register(*gone));
  gone.reset();
  stop.RequestStop();
  EXPECT_THAT(log, IsEmpty());
}

TEST(StopTokenTest, ACallbackMayDestroyOthersAndTheSource) {
  Log log;
  auto stop = std::make_unique<StopSource>();
  const StopToken token = stop->token();
  std::unique_ptr<Noting> next;
  Noting first(&log, "first", [&] {
    next.reset();
    stop.reset();
  });
  next = std::make_unique<Noting>(&log, "next");
  Noting last(&log, "last");
  for (StopCallback* one : {static_cast<StopCallback*>(&first), static_cast<StopCallback*>(&*next),
                            static_cast<StopCallback*>(&last)}) {
    ASSERT_TRUE(token.Register(*one));
  }
  stop->RequestStop();
  EXPECT_THAT(log, ElementsAre("first", "last"));
}

// Waits until its own stop is requested, which it says.
Task<> WaitForStop(Log* log, std::string name) {
  const absl::Status status = co_await Sleep(1h, CurrentStopToken());
  if (absl::IsCancelled(status)) log->push_back(name);
}

TEST(StopTreeTest, AStopOfAScopeReachesAllBelowItAndNothingBeside) {
  TestShard shard;
  Log log;
  shard.Run([&] {
    shard.executor().Spawn([](Executor* executor, Log* seen) -> Task<> {
      TaskScope outer(*executor);
      TaskScope beside(*executor);
      beside.Spawn(WaitForStop(seen, "beside"));
      outer.Spawn(WaitForStop(seen, "child"));
      outer.Spawn([](Executor* on, Log* of) -> Task<> {
        TaskScope inner(*on);
        inner.Spawn(WaitForStop(of, "grandchild"));
        EXPECT_TRUE((co_await Timeout(2h, WaitForStop(of, "under a timeout"))).ok());
        EXPECT_TRUE((co_await inner.Join()).ok());
        EXPECT_TRUE(CurrentStopToken().stop_requested());
        TaskScope late(*on);
        late.Spawn(WaitForStop(of, "in a scope that was made after the stop"));
        EXPECT_TRUE((co_await late.Join()).ok());
      }(executor, seen));
      co_await Sleep(1ms);
      EXPECT_THAT(*seen, IsEmpty());
      outer.RequestStop();
      EXPECT_TRUE(outer.stop_token().stop_requested());
      EXPECT_TRUE((co_await outer.Join()).ok());
      EXPECT_FALSE(CurrentStopToken().stop_possible()) << "a detached task has none";
    }(&shard.executor(), &log));
  });
  EXPECT_THAT(log, ElementsAre("child", "grandchild", "under a timeout",
                               "in a scope that was made after the stop"));
}

TEST(StopTreeTest, AScopeThatOutlivesTheOneAboveIsOnItsOwn) {
  TaskContext outer(nullptr, 100);
  auto middle = std::make_unique<TaskContext>(&outer, 50);
  TaskContext inner(middle.get(), 70);
  EXPECT_EQ(inner.deadline_ns(), 50u);
  middle.reset();
  EXPECT_EQ(inner.parent(), nullptr);
  outer.RequestStop();
  EXPECT_TRUE(outer.stop_requested());
  EXPECT_FALSE(inner.stop_requested());
}

}  // namespace
}  // namespace ioengine
