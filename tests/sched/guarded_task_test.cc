// What Timeout and WithStop do where the end of the task and that of its time come together.

#include "ioengine/sched/guarded_task.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/timeout.h"
#include "ioengine/sched/with_stop.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone
using std::chrono::nanoseconds;
using testing::ElementsAre;

using Log = std::vector<std::string>;

std::string CodeOf(const absl::Status& status) {
  return std::string(absl::StatusCodeToString(status.code()));
}

Task<int> HoldAndSleep(Log* log, nanoseconds duration) {
  const Probe probe(log, "released");
  co_await Sleep(duration);
  log->push_back("returns");
  co_return 1;
}

class GuardedTaskTest : public SimulatedTest {
 protected:
  // Runs HoldAndSleep(`sleep`) under a timeout. Both are over when the shard next looks at its
  // clock.
  void RunWhileTheShardIsBusy(nanoseconds timeout, nanoseconds sleep) {
    shard_.Run([&] {
      shard_.executor().Spawn([](Log* log, nanoseconds limit, nanoseconds duration) -> Task<> {
        const absl::StatusOr<int> result = co_await Timeout(limit, HoldAndSleep(log, duration));
        log->push_back(CodeOf(result.status()));
      }(&log_, timeout, sleep));
      shard_.executor().Spawn([](TestShard* shard) -> Task<> {
        shard->clock().Advance(10'000'000);
        co_return;
      }(&shard_));
    });
  }
};

TEST_F(GuardedTaskTest, WhatReturnsBeforeTheWaitersTurnIsGiven) {
  RunWhileTheShardIsBusy(2ms, 1ms);
  EXPECT_THAT(log_, ElementsAre("returns", "released", "OK"));
}

TEST_F(GuardedTaskTest, WhatIsRunnableWhenItsTimeIsOverDoesNotRun) {
  RunWhileTheShardIsBusy(1ms, 2ms);
  EXPECT_THAT(log_, ElementsAre("released", "DEADLINE_EXCEEDED"));
}

TEST_F(GuardedTaskTest, ATaskThatDoesNotSuspendIsNeverTooLate) {
  shard_.Run([&] {
    shard_.clock().Advance(1000);
    shard_.executor().Spawn([](Log* log) -> Task<> {
      const auto give = []() -> Task<int> { co_return 7; };
      EXPECT_EQ((co_await Timeout(-1s, give())).value(), 7);
      EXPECT_EQ((co_await WithDeadline(0, give())).value(), 7);
      log->push_back("end");
    }(&log_));
  });
  EXPECT_THAT(log_, ElementsAre("end"));
}

TEST_F(GuardedTaskTest, ATimeoutThatWasNotNeededLeavesNoTimer) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log) -> Task<> {
      const absl::StatusOr<int> result = co_await Timeout(1h, HoldAndSleep(log, 1ms));
      EXPECT_TRUE(result.ok());
    }(&log_));
  });
  EXPECT_THAT(log_, ElementsAre("returns", "released"));
  EXPECT_LT(shard_.NowNs(), 3'600'000'000'000u);
}

// As Sleep with a token has it: what counts is whether the stop was requested when it is awaited.
TEST_F(GuardedTaskTest, AStopBetweenTheCallAndItsAwaitIsNotLost) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log) -> Task<> {
      StopSource stop;
      auto wait = WithStop(stop.token(), HoldAndSleep(log, 1h));
      stop.RequestStop();
      log->push_back(CodeOf((co_await wait).status()));
    }(&log_));
  });
  EXPECT_THAT(log_, ElementsAre("CANCELLED")) << "the task is not started at all";
  EXPECT_EQ(shard_.NowNs(), 0u);
}

TEST_F(GuardedTaskTest, AStopAndATimeoutAtOneInstantEndTheTaskOnce) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      StopSource stop;
      executor->Spawn([](StopSource source) -> Task<> {
        co_await Sleep(1ms);
        source.RequestStop();
      }(stop));
      const auto limited = [](Log* of) -> Task<int> {
        co_return (co_await Timeout(1ms, HoldAndSleep(of, 1h))).value_or(-1);
      };
      const absl::StatusOr<int> result = co_await WithStop(stop.token(), limited(log));
      log->push_back(CodeOf(result.status()));
      co_await Sleep(1ms);
      log->push_back("later");
    }(&shard_.executor(), &log_));
  });
  // The timeout was armed before the sleep of the one that stops, so its task returns in time.
  EXPECT_THAT(log_, ElementsAre("released", "OK", "later"));
}

// Requests a stop when it goes.
struct StopAtEnd {
  explicit StopAtEnd(StopSource of) : source(std::move(of)) {}
  StopAtEnd(const StopAtEnd&) = delete;
  StopAtEnd& operator=(const StopAtEnd&) = delete;
  ~StopAtEnd() { source.RequestStop(); }

  StopSource source;
};

TEST_F(GuardedTaskTest, WhatATimeoutReleasesMayStopTheTaskThatWaitsForIt) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log) -> Task<> {
      StopSource stop;
      const auto limited = [](StopSource source, Log* of) -> Task<> {
        const auto hold = [](StopSource to_stop) -> Task<> {
          const StopAtEnd at_end(std::move(to_stop));
          co_await Sleep(1h);
        };
        of->push_back(CodeOf(co_await Timeout(1ms, hold(std::move(source)))));
        co_await Sleep(1h);
      };
      log->push_back(CodeOf(co_await WithStop(stop.token(), limited(stop, log))));
    }(&log_));
  });
  EXPECT_THAT(log_, ElementsAre("DEADLINE_EXCEEDED", "CANCELLED"));
  EXPECT_LT(shard_.NowNs(), 3'600'000'000'000u);
}

TEST_F(GuardedTaskTest, AStopWhoseSourceIsGoneNeverComes) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log) -> Task<> {
      const absl::StatusOr<int> result =
          co_await WithStop(StopSource().token(), HoldAndSleep(log, 1ms));
      log->push_back(CodeOf(result.status()));
    }(&log_));
  });
  EXPECT_THAT(log_, ElementsAre("returns", "released", "OK"));
}

TEST_F(GuardedTaskTest, NestedTasksAreReleasedFromTheInside) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log) -> Task<> {
      const auto middle = [](Log* of) -> Task<> {
        const Probe probe(of, "middle");
        EXPECT_TRUE((co_await WithStop(StopToken(), HoldAndSleep(of, 1h))).ok());
      };
      log->push_back(CodeOf(co_await Timeout(1ms, middle(log))));
    }(&log_));
  });
  EXPECT_THAT(log_, ElementsAre("released", "middle", "DEADLINE_EXCEEDED"));
}

TEST(GuardedTaskDeathTest, OfAnEmptyTask) {
  const auto run = [] {
    TestShard shard;
    shard.Run([&] {
      shard.executor().Spawn(
          []() -> Task<> { (co_await Timeout(1ms, Task<int>())).status().IgnoreError(); }());
    });
  };
  EXPECT_DEATH(run(), "an empty task is started");
}

}  // namespace
}  // namespace ioengine
