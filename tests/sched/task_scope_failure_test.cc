// TaskScope: which of several ends Join tells of, deadlines of scopes in scopes, and misuse.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/timeout.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone
using std::chrono::nanoseconds;
using testing::ElementsAre;

using Log = std::vector<std::string>;

constexpr uint64_t kDeadlineNs = 5'000'000;

using TaskScopeFailureTest = SimulatedTest;

Task<absl::Status> GiveAfter(nanoseconds duration, absl::Status status) {
  co_await Sleep(duration);
  co_return status;
}

Task<> HoldForAnHour(Log* log, std::string name) {
  const Probe probe(log, "~" + name);
  co_await Sleep(1h);
  log->push_back(name);
}

TEST_F(TaskScopeFailureTest, AnErrorThatCameBeforeACancelIsJoins) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      TaskScope scope(*executor);
      scope.Spawn(GiveAfter(0ns, absl::DataLossError("first")));
      scope.Spawn(HoldForAnHour(log, "other"));
      co_await Sleep(1ms);
      EXPECT_EQ(scope.size(), 1u);
      scope.Cancel();
      EXPECT_EQ(co_await scope.Join(), absl::DataLossError("first"));
      log->push_back("end");
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("~other", "end"));
}

TEST_F(TaskScopeFailureTest, AnErrorThatCameBeforeTheDeadlineIsJoins) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      TaskScope scope(*executor, {.deadline_ns = 5'000'000});
      scope.Spawn(GiveAfter(1ms, absl::DataLossError("first")));
      scope.Spawn(HoldForAnHour(log, "other"));
      EXPECT_EQ(co_await scope.Join(), absl::DataLossError("first"));
      EXPECT_EQ(executor->clock().NowNs(), 5'000'000u);
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("~other"));
}

TEST_F(TaskScopeFailureTest, OnlyTheFirstOfTwoThatFailInOneTurnFails) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      const auto fail = [](Log* of, std::string name) -> Task<absl::Status> {
        of->push_back(name);
        co_return absl::AbortedError(name);
      };
      TaskScope scope(*executor, {.cancel_on_failure = true});
      for (const char* const name : {"a", "b"}) scope.Spawn(fail(log, name));
      EXPECT_EQ(co_await scope.Join(), absl::AbortedError("a"));
      scope.Spawn(fail(log, "c"));
      scope.Spawn(HoldForAnHour(log, "d"));
      EXPECT_EQ(co_await scope.Join(), absl::AbortedError("c")) << "used again, it fails again";
    }(&shard_.executor(), &log_));
  });
  // What was never started had no locals to release.
  EXPECT_THAT(log_, ElementsAre("a", "c"));
}

TEST_F(TaskScopeFailureTest, AFailureBeforeTheJoinIsKeptForIt) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      TaskScope scope(*executor, {.cancel_on_failure = true});
      scope.Spawn(HoldForAnHour(log, "other"));
      scope.Spawn(GiveAfter(0ns, absl::DataLossError("x")));
      co_await Sleep(1ms);
      EXPECT_THAT(*log, ElementsAre("~other"));
      EXPECT_EQ(co_await scope.Join(), absl::DataLossError("x"));
      log->push_back("end");
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("~other", "end"));
}

TEST_F(TaskScopeFailureTest, SuccessEndsNothing) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor) -> Task<> {
      TaskScope scope(*executor, {.cancel_on_failure = true});
      scope.Spawn(GiveAfter(0ns, absl::OkStatus()));
      scope.Spawn(GiveAfter(1ms, absl::OkStatus()));
      scope.Spawn([]() -> Task<> { co_await Sleep(2ms); }());
      EXPECT_TRUE((co_await scope.Join()).ok());
    }(&shard_.executor()));
  });
  EXPECT_EQ(shard_.NowNs(), 2'000'000u);
}

TEST_F(TaskScopeFailureTest, WhatIsSpawnedByTheEndOfAnotherIsEndedToo) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      struct SpawnAtEnd {
        SpawnAtEnd(TaskScope* in, Log* of) : scope(in), log(of) {}
        SpawnAtEnd(const SpawnAtEnd&) = delete;
        SpawnAtEnd& operator=(const SpawnAtEnd&) = delete;
        ~SpawnAtEnd() {
          scope->Spawn([](Log* to, Probe) -> Task<> {
            to->push_back("late runs");
            co_return;
          }(log, Probe(log, "~late")));
        }
        TaskScope* scope;
        Log* log;
      };
      TaskScope scope(*executor, {.cancel_on_failure = true});
      scope.Spawn([](TaskScope* in, Log* of) -> Task<> {
        const SpawnAtEnd at_end(in, of);
        co_await Sleep(1h);
      }(&scope, log));
      scope.Spawn(GiveAfter(1ms, absl::DataLossError("x")));
      EXPECT_EQ(co_await scope.Join(), absl::DataLossError("x"));
      EXPECT_EQ(scope.size(), 0u);
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("~late"));
}

TEST_F(TaskScopeFailureTest, ATaskBesideMayCancel) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      TaskScope scope(*executor);
      TaskScope beside(*executor);
      scope.Spawn(HoldForAnHour(log, "child"));
      beside.Spawn([](TaskScope* other) -> Task<> {
        co_await Sleep(1ms);
        other->Cancel();
      }(&scope));
      EXPECT_EQ((co_await scope.Join()).code(), absl::StatusCode::kCancelled);
      EXPECT_TRUE((co_await beside.Join()).ok());
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("~child"));
}

TEST_F(TaskScopeFailureTest, TheDeadlineOfAScopeHoldsInTheScopesBelow) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      TaskScope outer(*executor, {.deadline_ns = kDeadlineNs});
      outer.Spawn([](Executor* on, Log* of) -> Task<> {
        TaskScope inner(*on, {.deadline_ns = 2 * kDeadlineNs});
        inner.Spawn([](Log* to) -> Task<> {
          EXPECT_EQ(CurrentDeadlineNs(), kDeadlineNs);
          co_await HoldForAnHour(to, "grandchild");
        }(of));
        EXPECT_TRUE((co_await inner.Join()).ok());
        of->push_back("inner goes on");
      }(executor, log));
      EXPECT_EQ((co_await outer.Join()).code(), absl::StatusCode::kDeadlineExceeded);
      EXPECT_EQ(executor->clock().NowNs(), kDeadlineNs);
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("~grandchild"));
}

TEST_F(TaskScopeFailureTest, AnEarlierDeadlineBelowEndsOnlyWhatIsBelow) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      TaskScope outer(*executor, {.deadline_ns = 9'000'000});
      outer.Spawn([](Executor* on, Log* of) -> Task<absl::Status> {
        TaskScope inner(*on, {.deadline_ns = 4'000'000});
        inner.Spawn(HoldForAnHour(of, "grandchild"));
        co_return co_await inner.Join();
      }(executor, log));
      outer.Spawn(GiveAfter(8ms, absl::OkStatus()));
      EXPECT_EQ((co_await outer.Join()).code(), absl::StatusCode::kDeadlineExceeded);
      EXPECT_EQ(executor->clock().NowNs(), 8'000'000u);
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("~grandchild"));
}

TEST_F(TaskScopeFailureTest, ADeadlineThatHasPassedEndsTheChildrenAtOnce) {
  shard_.Run([&] {
    shard_.clock().Advance(1000);
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      TaskScope scope(*executor, {.deadline_ns = 1});
      scope.Spawn(HoldForAnHour(log, "child"));
      EXPECT_EQ((co_await scope.Join()).code(), absl::StatusCode::kDeadlineExceeded);
      log->push_back("end");
    }(&shard_.executor(), &log_));
  });
  EXPECT_EQ(log_.back(), "end");
  EXPECT_EQ(shard_.NowNs(), 1000u);
}

TEST_F(TaskScopeFailureTest, ATimeoutEndsTheScopesBelowItBeforeItsTaskGoesOn) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      const auto join = [](Executor* on, Log* of) -> Task<absl::Status> {
        TaskScope scope(*on);
        for (const char* const name : {"0", "1"}) scope.Spawn(HoldForAnHour(of, name));
        co_return co_await scope.Join();
      };
      EXPECT_EQ((co_await Timeout(1ms, join(executor, log))).code(),
                absl::StatusCode::kDeadlineExceeded);
      log->push_back("end");
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("~0", "~1", "end"));
}

class TaskScopeMisuseDeathTest : public TaskScopeFailureTest {};

TEST_F(TaskScopeMisuseDeathTest, DestroyedByItsOwnChild) {
  std::unique_ptr<TaskScope> scope;
  EXPECT_DEATH(shard_.Run([&] {
    scope = std::make_unique<TaskScope>(shard_.executor());
    scope->Spawn([](std::unique_ptr<TaskScope>* own) -> Task<> {
      co_await Yield();
      own->reset();
    }(&scope));
  }),
               "cancelled by one of its own tasks");
}

TEST_F(TaskScopeMisuseDeathTest, CancelledBelowATimeoutOfItsOwnChild) {
  EXPECT_DEATH(shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor) -> Task<> {
      TaskScope scope(*executor);
      scope.Spawn([](TaskScope* own) -> Task<> {
        const auto cancel = [](TaskScope* above) -> Task<> {
          above->Cancel();
          co_return;
        };
        (co_await Timeout(1h, cancel(own))).IgnoreError();
      }(&scope));
      (co_await scope.Join()).IgnoreError();
    }(&shard_.executor()));
  }),
               "cancelled by one of its own tasks");
}

TEST_F(TaskScopeMisuseDeathTest, DestroyedWhileATaskJoins) {
  std::optional<TaskScope> scope;
  EXPECT_DEATH(shard_.Run([&] {
    scope.emplace(shard_.executor());
    scope->Spawn(HoldForAnHour(&log_, "child"));
    shard_.executor().Spawn([](std::optional<TaskScope>* joined) -> Task<> {
      (co_await (*joined)->Join()).IgnoreError();
    }(&scope));
    shard_.executor().Spawn([](std::optional<TaskScope>* joined) -> Task<> {
      joined->reset();
      co_return;
    }(&scope));
  }),
               "a TaskScope is destroyed while a task waits in its Join");
}

TEST_F(TaskScopeMisuseDeathTest, SpawnInAClassThatWasNotCreated) {
  EXPECT_DEATH(shard_.Run([&] {
    TaskScope scope(shard_.executor());
    scope.Spawn(HoldForAnHour(&log_, "child"), ClassId{9});
  }),
               "Spawn in a class that was not created");
}

TEST_F(TaskScopeMisuseDeathTest, ItsEndOnAnotherThreadThanItsShards) {
  EXPECT_DEATH(
      {
        auto scope = std::make_unique<TaskScope>(shard_.executor());
        Event never;
        shard_.Run([&] {
          shard_.executor().Spawn([](TaskScope* in, Event* event, Executor* on) -> Task<> {
            in->Spawn([](Event* of) -> Task<> { co_await of->Wait(); }(event));
            co_await Yield();
            on->RequestStop();
          }(scope.get(), &never, &shard_.executor()));
        });
        scope.reset();
      },
      "tasks are destroyed on a thread that does not run their executor");
}

}  // namespace
}  // namespace ioengine
