// TaskScope: how it ends early: failures, Cancel, its deadline.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/cancel_sweep.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone
using std::chrono::nanoseconds;
using testing::ElementsAre;

using Log = std::vector<std::string>;

using TaskScopeEndTest = TimedTest;

Task<absl::Status> GiveAfter(nanoseconds duration, Log* log, absl::Status status) {
  const Probe probe(log, "~" + std::string(absl::StatusCodeToString(status.code())));
  co_await Sleep(duration);
  log->push_back("gives");
  co_return status;
}

TEST_P(TaskScopeEndTest, TheFirstErrorIsWhatJoinGives) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      TaskScope scope(*executor);
      scope.Spawn(GiveAfter(20ms, log, absl::AbortedError("second")));
      scope.Spawn(GiveAfter(5ms, log, absl::NotFoundError("first")));
      scope.Spawn(GiveAfter(0ms, log, absl::OkStatus()));
      const absl::Status status = co_await scope.Join();
      EXPECT_EQ(status, absl::NotFoundError("first"));
      EXPECT_TRUE((co_await scope.Join()).ok()) << "an error is given once";
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("gives", "~OK", "gives", "~NOT_FOUND", "gives", "~ABORTED"));
}

TEST_P(TaskScopeEndTest, AFailureEndsTheOthersWhereThatIsAskedFor) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      TaskScope scope(*executor, {.cancel_on_failure = true});
      scope.Spawn(GiveAfter(1h, log, absl::OkStatus()));
      scope.Spawn(GiveAfter(1ms, log, absl::DataLossError("x")));
      scope.Spawn(GiveAfter(1h, log, absl::AbortedError("")));
      EXPECT_EQ(co_await scope.Join(), absl::DataLossError("x"));
      EXPECT_EQ(scope.size(), 0u);
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("gives", "~DATA_LOSS", "~OK", "~ABORTED"));
}

TEST_P(TaskScopeEndTest, CancelEndsAllAndTheScopeCanBeUsedAgain) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      TaskScope scope(*executor);
      scope.Cancel();
      EXPECT_TRUE((co_await scope.Join()).ok()) << "there was nothing to cancel";
      scope.Spawn(GiveAfter(1h, log, absl::OkStatus()));
      co_await Yield();
      scope.Cancel();
      EXPECT_EQ((co_await scope.Join()).code(), absl::StatusCode::kCancelled);
      scope.Spawn(GiveAfter(0ns, log, absl::OkStatus()));
      EXPECT_TRUE((co_await scope.Join()).ok());
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("~OK", "gives", "~OK"));
}

TEST_P(TaskScopeEndTest, ItsDeadlineEndsTheChildrenThatAreLeft) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      const uint64_t deadline_ns = DeadlineAfter(*executor, 100ms);
      TaskScope scope(*executor, {.deadline_ns = deadline_ns});
      scope.Spawn(GiveAfter(0ns, log, absl::OkStatus()));
      scope.Spawn(GiveAfter(1h, log, absl::AbortedError("")));
      scope.Spawn([](uint64_t due_ns) -> Task<> {
        EXPECT_EQ(CurrentDeadlineNs(), due_ns);
        co_return;
      }(deadline_ns));
      EXPECT_EQ((co_await scope.Join()).code(), absl::StatusCode::kDeadlineExceeded);
      EXPECT_GE(executor->clock().NowNs(), deadline_ns);
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("gives", "~OK", "~ABORTED"));
}

TEST_P(TaskScopeEndTest, ADeadlineThatFindsNoChildrenDoesNothing) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      TaskScope scope(*executor, {.deadline_ns = DeadlineAfter(*executor, 100ms)});
      scope.Spawn(GiveAfter(0ns, log, absl::OkStatus()));
      EXPECT_TRUE((co_await scope.Join()).ok());
      co_await Sleep(120ms);
      EXPECT_TRUE((co_await scope.Join()).ok());
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("gives", "~OK"));
}

TEST_P(TaskScopeEndTest, CancelledAtEveryAwait) {
  int bystanders = 0;
  Log released;
  CancelSweep::Run(
      GetParam(),
      [&](TestShard& shard, TaskScope& victims) {
        bystanders = 0;
        released.clear();
        victims.Spawn([](Executor* executor, Log* log) -> Task<> {
          TaskScope inner(*executor, {.cancel_on_failure = true});
          inner.Spawn(GiveAfter(40us, log, absl::OkStatus()));
          inner.Spawn(GiveAfter(80us, log, absl::AbortedError("")));
          inner.Spawn(GiveAfter(1h, log, absl::OkStatus()));
          (co_await inner.Join()).IgnoreError();
          TaskScope second(*executor, {.deadline_ns = DeadlineAfter(*executor, 50us)});
          second.Spawn(GiveAfter(1h, log, absl::OkStatus()));
          (co_await second.Join()).IgnoreError();
        }(&shard.executor(), &released));
        shard.executor().Spawn([](Executor* executor, int* ended) -> Task<> {
          TaskScope scope(*executor);
          scope.Spawn([]() -> Task<> { co_await Sleep(60us); }());
          EXPECT_TRUE((co_await scope.Join()).ok());
          ++*ended;
        }(&shard.executor(), &bystanders));
      },
      [&](bool) { EXPECT_EQ(bystanders, 1); });
}

INSTANTIATE_TEST_SUITE_P(Time, TaskScopeEndTest,
                         testing::Values(TimeKind::kSimulated, TimeKind::kReal), TimeKindName);

TEST(TaskScopeEndDeathTest, CancelledByItsOwnChildOrByWhatThatAwaits) {
  const auto run = [](bool deep) {
    TestShard shard;
    shard.Run([&] {
      shard.executor().Spawn([](Executor* executor, bool below) -> Task<> {
        TaskScope scope(*executor);
        scope.Spawn([](TaskScope* own, Executor* on, bool nested) -> Task<> {
          if (!nested) own->Cancel();
          TaskScope inner(*on);
          inner.Spawn([](TaskScope* above) -> Task<> {
            above->Cancel();
            co_return;
          }(own));
          (co_await inner.Join()).IgnoreError();
        }(&scope, executor, below));
        (co_await scope.Join()).IgnoreError();
      }(&shard.executor(), deep));
    });
  };
  EXPECT_DEATH(run(false), "cancelled by one of its own tasks");
  EXPECT_DEATH(run(true), "cancelled by one of its own tasks");
}

}  // namespace
}  // namespace ioengine
