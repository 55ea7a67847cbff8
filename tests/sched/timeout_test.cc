// Timeout, WithDeadline and WithStop: what they give, and what is released when.

#include "ioengine/sched/timeout.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/with_stop.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/cancel_sweep.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone
using std::chrono::nanoseconds;
using testing::ElementsAre;
using testing::IsEmpty;

using Log = std::vector<std::string>;

using TimeoutTest = TimedTest;

template <typename T>
Task<T> GiveAfter(nanoseconds duration, T value) {
  co_await Sleep(duration);
  co_return value;
}

Task<> SleepFor(nanoseconds duration) { co_await Sleep(duration); }

TEST_P(TimeoutTest, GivesWhatTheTaskGivesInItsOwnForm) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log) -> Task<> {
      const absl::StatusOr<int> plain = co_await Timeout(10s, GiveAfter(1us, 7));
      EXPECT_EQ(plain.value(), 7);
      const absl::Status nothing = co_await Timeout(10s, SleepFor(1us));
      EXPECT_TRUE(nothing.ok());
      const absl::Status status = co_await Timeout(10s, GiveAfter(1us, absl::NotFoundError("x")));
      EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
      const absl::StatusOr<std::string> either =
          co_await Timeout(10s, GiveAfter(1us, absl::StatusOr<std::string>("y")));
      EXPECT_EQ(either.value(), "y");
      const auto movable = [](int value) -> Task<std::unique_ptr<int>> {
        co_return std::make_unique<int>(value);
      };
      absl::StatusOr<std::unique_ptr<int>> moved = co_await Timeout(10s, movable(3));
      EXPECT_EQ(**moved, 3);
      log->push_back("end");
    }(&log_));
  });
  EXPECT_THAT(log_, ElementsAre("end"));
}

Task<int> HoldAndSleep(Log* log, nanoseconds duration) {
  const Probe probe(log, "released");
  co_await Sleep(duration);
  log->push_back("returns");
  co_return 1;
}

TEST_P(TimeoutTest, ReleasesWhatTheTaskHoldsBeforeTheOtherGoesOn) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log) -> Task<> {
      const absl::StatusOr<int> result = co_await Timeout(2ms, HoldAndSleep(log, 1h));
      log->push_back(std::string(absl::StatusCodeToString(result.status().code())));
    }(&log_));
  });
  EXPECT_THAT(log_, ElementsAre("released", "DEADLINE_EXCEEDED"));
}

TEST_P(TimeoutTest, TheInnerAndTheOuterMayEndFirst) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log) -> Task<> {
      const auto nest = [](Log* of, nanoseconds inner) -> Task<> {
        const absl::StatusOr<int> result = co_await Timeout(inner, HoldAndSleep(of, 1h));
        of->push_back("inner " + std::string(absl::StatusCodeToString(result.status().code())));
      };
      const absl::Status first = co_await Timeout(1h, nest(log, 2ms));
      EXPECT_TRUE(first.ok());
      const absl::Status second = co_await Timeout(2ms, nest(log, 1h));
      log->push_back("outer " + std::string(absl::StatusCodeToString(second.code())));
    }(&log_));
  });
  EXPECT_THAT(log_, ElementsAre("released", "inner DEADLINE_EXCEEDED", "released",
                                "outer DEADLINE_EXCEEDED"));
}

Task<uint64_t> DeadlineSeenBelow() {
  const auto deeper = []() -> Task<uint64_t> {
    co_await Yield();
    co_return CurrentDeadlineNs();
  };
  co_return co_await deeper();
}

TEST_P(TimeoutTest, TheEarliestDeadlineIsSeenByAllBelow) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      EXPECT_EQ(CurrentDeadlineNs(), TaskContext::kNoDeadline);
      const uint64_t late_ns = executor->clock().NowNs() + 3'600'000'000'000;
      EXPECT_EQ((co_await WithDeadline(late_ns, DeadlineSeenBelow())).value(), late_ns);
      const auto nest = [](uint64_t inner_ns) -> Task<uint64_t> {
        co_return (co_await WithDeadline(inner_ns, DeadlineSeenBelow())).value();
      };
      EXPECT_EQ((co_await WithDeadline(late_ns, nest(late_ns - 5))).value(), late_ns - 5);
      EXPECT_EQ((co_await WithDeadline(late_ns, nest(late_ns + 5))).value(), late_ns);
      EXPECT_EQ(CurrentDeadlineNs(), TaskContext::kNoDeadline);
      log->push_back("end");
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("end"));
}

TEST_P(TimeoutTest, AStopEndsTheTask) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      StopSource stop;
      executor->Spawn([](StopSource source) -> Task<> {
        co_await Sleep(1ms);
        source.RequestStop();
      }(stop));
      const absl::StatusOr<int> stopped = co_await WithStop(stop.token(), HoldAndSleep(log, 1h));
      log->push_back(std::string(absl::StatusCodeToString(stopped.status().code())));
      // Not even started.
      const absl::StatusOr<int> late = co_await WithStop(stop.token(), HoldAndSleep(log, 1us));
      log->push_back(std::string(absl::StatusCodeToString(late.status().code())));
      const absl::StatusOr<int> never = co_await WithStop(StopToken(), HoldAndSleep(log, 1us));
      EXPECT_TRUE(never.ok());
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("released", "CANCELLED", "CANCELLED", "returns", "released"));
}

TEST_P(TimeoutTest, ATaskMayRequestItsOwnStop) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log) -> Task<> {
      StopSource stop;
      const auto stop_itself = [](StopSource source, bool returns, Log* of) -> Task<int> {
        const Probe probe(of, "released");
        source.RequestStop();
        of->push_back("still runs");
        if (!returns) co_await Sleep(1h);
        co_return 4;
      };
      const absl::StatusOr<int> stopped =
          co_await WithStop(stop.token(), stop_itself(stop, false, log));
      EXPECT_EQ(stopped.status().code(), absl::StatusCode::kCancelled);
      StopSource other;
      const absl::StatusOr<int> result =
          co_await WithStop(other.token(), stop_itself(other, true, log));
      EXPECT_EQ(result.value(), 4) << "what it returned is not thrown away";
    }(&log_));
  });
  EXPECT_THAT(log_, ElementsAre("still runs", "released", "still runs", "released"));
}

TEST_P(TimeoutTest, DestroyingTheTaskThatWaitsDestroysTheOther) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      TaskScope scope(*executor);
      scope.Spawn([](Log* of) -> Task<> {
        EXPECT_TRUE((co_await Timeout(1h, HoldAndSleep(of, 1h))).ok());
      }(log));
      co_await Yield();
      co_await Yield();
      scope.Cancel();
      log->push_back("cancelled");
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("released", "cancelled"));
}

TEST_P(TimeoutTest, TheTaskInheritsTheClass) {
  const ClassId batch = shard_.executor().CreateClass({.name = "batch"}).value();
  shard_.Run([&] {
    shard_.executor().Spawn(
        [](Log* log) -> Task<> {
          const auto look = []() -> Task<int> { co_return co_await ClassOfTask(); };
          log->push_back(std::to_string((co_await Timeout(1h, look())).value()));
        }(&log_),
        batch);
  });
  EXPECT_THAT(log_, ElementsAre(std::to_string(batch)));
}

TEST_P(TimeoutTest, CancelledAtEveryAwait) {
  int bystanders = 0;
  std::vector<std::string> released;
  CancelSweep::Run(
      GetParam(),
      [&](TestShard& shard, TaskScope& victims) {
        bystanders = 0;
        released.clear();
        for (int i = 0; i < 2; ++i) {
          victims.Spawn([](Log* log) -> Task<> {
            (co_await Timeout(60us, HoldAndSleep(log, 1h))).status().IgnoreError();
            (co_await Timeout(1h, HoldAndSleep(log, 60us))).status().IgnoreError();
            (co_await Timeout(0ns, HoldAndSleep(log, 60us))).status().IgnoreError();
          }(&released));
        }
        victims.Spawn([]() -> Task<> {
          StopSource stop;
          const auto work = [](StopSource source) -> Task<> {
            co_await Sleep(50us);
            co_await Yield();
            co_await MaybeYield();
            source.RequestStop();
            co_await Sleep(1h);
          };
          EXPECT_EQ((co_await WithStop(stop.token(), work(stop))).code(),
                    absl::StatusCode::kCancelled);
        }());
        shard.executor().Spawn([](int* ended, Log* log) -> Task<> {
          EXPECT_FALSE((co_await Timeout(90us, HoldAndSleep(log, 1h))).ok());
          ++*ended;
        }(&bystanders, &released));
      },
      [&](bool ended) {
        EXPECT_EQ(bystanders, 1);
        if (ended) {
          EXPECT_EQ(std::count(released.begin(), released.end(), "released"), 7);
        }
      });
}

INSTANTIATE_TEST_SUITE_P(Time, TimeoutTest, testing::Values(TimeKind::kSimulated, TimeKind::kReal),
                         TimeKindName);

TEST(SimulatedTimeoutTest, ATaskThatWouldGoOnAtTheSameInstantIsTooLate) {
  TestShard shard;
  Log log;
  shard.Run([&] {
    shard.executor().Spawn([](Log* of) -> Task<> {
      // Both timers are due in the same turn; the sleep was armed second.
      of->push_back((co_await Timeout(1ms, HoldAndSleep(of, 1ms))).ok() ? "result" : "timeout");
    }(&log));
  });
  EXPECT_THAT(log, ElementsAre("released", "timeout"));
}

TEST(SimulatedTimeoutTest, AfterATimeoutTheTaskDoesNotRunAnyMore) {
  TestShard shard;
  Event event;
  Log log;
  shard.Run([&] {
    shard.executor().Spawn([](Event* of, Log* seen) -> Task<> {
      const auto wait = [](Event* on, Log* to) -> Task<> {
        co_await on->Wait();
        to->push_back("ran");
      };
      EXPECT_EQ((co_await Timeout(1ms, wait(of, seen))).code(),
                absl::StatusCode::kDeadlineExceeded);
      EXPECT_FALSE(of->has_waiters());
      of->Set();
      co_await Sleep(1ms);
    }(&event, &log));
  });
  EXPECT_THAT(log, IsEmpty());
}

TEST(TimeoutDeathTest, OutsideOfATask) {
  EXPECT_DEATH(static_cast<void>(Timeout(1ms, SleepFor(1ms))), "outside of a shard's task");
  EXPECT_DEATH(static_cast<void>(WithStop(StopToken(), SleepFor(1ms))), "outside of a shard");
}

}  // namespace
}  // namespace ioengine
