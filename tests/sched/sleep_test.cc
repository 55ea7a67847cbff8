// Sleep: when sleepers go on, in simulated and in real time.

#include "ioengine/sched/sleep.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/cancel_sweep.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone
using std::chrono::nanoseconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

using Log = std::vector<std::string>;

using SleepTest = TimedTest;

Task<> SleepAndNote(Executor* executor, nanoseconds duration, Log* log, std::string name) {
  const uint64_t begin_ns = executor->clock().NowNs();
  co_await Sleep(duration);
  EXPECT_GE(executor->clock().NowNs() - begin_ns, static_cast<uint64_t>(duration.count()));
  log->push_back(name);
}

TEST_P(SleepTest, TheShorterSleepEndsFirst) {
  shard_.Run([&] {
    shard_.executor().Spawn(SleepAndNote(&shard_.executor(), 30ms, &log_, "30"));
    shard_.executor().Spawn(SleepAndNote(&shard_.executor(), 1ms, &log_, "1"));
    shard_.executor().Spawn(SleepAndNote(&shard_.executor(), 15ms, &log_, "15"));
  });
  EXPECT_THAT(log_, ElementsAre("1", "15", "30"));
}

TEST_P(SleepTest, UntilATimeThatHasPassedOrForNoTimeLetsOthersRunFirst) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log) -> Task<> {
      co_await SleepUntil(0);
      log->push_back("past");
      co_await Sleep(0ns);
      log->push_back("none");
      co_await Sleep(-5s);
      log->push_back("negative");
    }(&log_));
    shard_.executor().Spawn([](Log* log) -> Task<> {
      log->push_back("other");
      co_return;
    }(&log_));
  });
  EXPECT_THAT(log_, ElementsAre("other", "past", "none", "negative"));
}

TEST_P(SleepTest, ASleeperThatIsDestroyedLeavesNoTimer) {
  const uint64_t begin_ns = shard_.NowNs();
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      TaskScope scope(*executor);
      scope.Spawn(SleepAndNote(executor, 1h, log, "never"));
      co_await Yield();
      scope.Cancel();
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, IsEmpty());
  EXPECT_LT(shard_.NowNs() - begin_ns, 60'000'000'000u) << "slept for a timer that was gone";
}

Task<> SleepUnlessStopped(StopToken token, nanoseconds duration, Log* log) {
  const absl::Status status = co_await Sleep(duration, token);
  log->push_back(std::string(absl::StatusCodeToString(status.code())));
}

TEST_P(SleepTest, AStopEndsASleepThatLooksForIt) {
  StopSource stop;
  shard_.Run([&] {
    shard_.executor().Spawn(SleepUnlessStopped(stop.token(), 1h, &log_));
    shard_.executor().Spawn(SleepUnlessStopped(stop.token(), 1ms, &log_));
    shard_.executor().Spawn(SleepUnlessStopped(StopToken(), 8ms, &log_));
    shard_.executor().Spawn([](StopSource source, Log* log) -> Task<> {
      co_await Sleep(4ms);
      source.RequestStop();
      co_await SleepUnlessStopped(source.token(), 1h, log);
    }(stop, &log_));
  });
  EXPECT_THAT(log_, UnorderedElementsAre("OK", "CANCELLED", "CANCELLED", "OK"));
}

TEST_P(SleepTest, CancelledAtEveryAwait) {
  int bystanders = 0;
  CancelSweep::Run(
      GetParam(),
      [&](TestShard& shard, TaskScope& victims) {
        bystanders = 0;
        StopSource stop;
        for (int i = 0; i < 2; ++i) {
          victims.Spawn([](StopToken token) -> Task<> {
            co_await Sleep(40us);
            (co_await Sleep(90us, token)).IgnoreError();
            co_await SleepUntil(0);
          }(stop.token()));
        }
        shard.executor().Spawn([](StopSource source, int* ended) -> Task<> {
          co_await Sleep(100us);
          source.RequestStop();
          ++*ended;
        }(stop, &bystanders));
      },
      [&](bool) { EXPECT_EQ(bystanders, 1); });
}

INSTANTIATE_TEST_SUITE_P(Time, SleepTest, testing::Values(TimeKind::kSimulated, TimeKind::kReal),
                         TimeKindName);

TEST(SimulatedSleepTest, TenThousandSleepersGoOnInOrderEachAtItsTime) {
  TestShard shard;
  std::vector<uint64_t> ended_ns;
  std::mt19937_64 random(1);
  shard.Run([&] {
    for (int i = 0; i < 10'000; ++i) {
      shard.executor().Spawn(
          [](Executor* on, uint64_t until_ns, std::vector<uint64_t>* at) -> Task<> {
            co_await SleepUntil(until_ns);
            EXPECT_EQ(on->clock().NowNs(), until_ns);
            at->push_back(until_ns);
          }(&shard.executor(), random() % 3'600'000'000'000, &ended_ns));
    }
  });
  EXPECT_EQ(ended_ns.size(), 10'000u);
  EXPECT_TRUE(std::is_sorted(ended_ns.begin(), ended_ns.end()));
}

TEST(SimulatedSleepTest, ADurationBeyondTheEndOfTimeIsForEver) {
  TestShard shard;
  shard.Run([&] {
    shard.clock().Advance(1000);
    EXPECT_EQ(DeadlineAfter(shard.executor(), nanoseconds::max()), uint64_t{INT64_MAX} + 1000);
    shard.clock().Advance(UINT64_MAX - 2000);
    EXPECT_EQ(DeadlineAfter(shard.executor(), nanoseconds::max()), TimerWheel::kNever);
    EXPECT_EQ(DeadlineAfter(shard.executor(), -1ns), shard.NowNs());
  });
}

TEST(SleepDeathTest, OutsideOfATask) {
  EXPECT_DEATH(static_cast<void>(Sleep(1ms)), "outside of a shard's task");
  EXPECT_DEATH(static_cast<void>(SleepUntil(1)), "outside of a shard's task");
}

}  // namespace
}  // namespace ioengine
