// TaskScope: one that inherits neither deadline nor stop, and owns its children all the same.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
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
using testing::ElementsAre;

using Log = std::vector<std::string>;

using TaskScopeDetachedTest = TimedTest;

// What a child notes of what holds for it.
Task<> NoteContext(Log* log, std::string name) {
  log->push_back(name + (CurrentDeadlineNs() == TaskContext::kNoDeadline ? ": no" : ": a") +
                 " deadline");
  co_return;
}

Task<> NoteStop(Log* log, std::string name) {
  log->push_back(name + (CurrentStopToken().stop_requested() ? ": stopped" : ": not stopped"));
  co_return;
}

Task<> AwaitStop(Log* log, std::string name) {
  const absl::Status slept = co_await Sleep(1h, CurrentStopToken());
  log->push_back(name + (absl::IsCancelled(slept) ? ": is stopped" : ": has slept"));
}

Task<> AwaitEvent(Event* event, Log* log, std::string name) {
  const Probe probe(log, "~" + name);
  co_await event->Wait();
  log->push_back(name);
}

Task<> HoldForLong(Log* log, std::string name) {
  const Probe probe(log, "~" + name);
  co_await Sleep(1h);
}

// As a store's: it has tasks of its own, and outlives whoever made it.
struct Service {
  Service(Executor& executor, Log* log) : scope(executor, {.detached = true}) {
    scope.Spawn(NoteContext(log, "service"));
    scope.Spawn(AwaitEvent(&work, log, "worker"));
  }
  Event work;
  TaskScope scope;
};

Task<std::unique_ptr<Service>> MakeService(Executor* executor, Log* log) {
  EXPECT_NE(CurrentDeadlineNs(), TaskContext::kNoDeadline);
  co_await Yield();
  co_return std::make_unique<Service>(*executor, log);
}

TEST_P(TaskScopeDetachedTest, OutlivesTheTimeoutThatItIsMadeUnder) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      auto service = co_await Timeout(200ms, MakeService(executor, log));
      EXPECT_TRUE(service.ok());
      co_await Sleep(220ms);
      log->push_back("the deadline has passed");
      (*service)->scope.Spawn(NoteContext(log, "spawned late"));
      (*service)->work.Set();
      EXPECT_TRUE((co_await (*service)->scope.Join()).ok());
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("service: no deadline", "the deadline has passed",
                                "spawned late: no deadline", "worker", "~worker"));
}

TEST_P(TaskScopeDetachedTest, ADeadlineOfAScopeAroundItDoesNotHold) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      TaskScope outer(*executor, {.deadline_ns = DeadlineAfter(*executor, 1h)});
      outer.Spawn([](Executor* on, Log* to) -> Task<> {
        TaskScope detached(*on, {.detached = true});
        TaskScope beside(*on);
        detached.Spawn(NoteContext(to, "detached"));
        EXPECT_TRUE((co_await detached.Join()).ok());
        beside.Spawn(NoteContext(to, "beside"));
        EXPECT_TRUE((co_await beside.Join()).ok());
      }(executor, log));
      EXPECT_TRUE((co_await outer.Join()).ok());
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("detached: no deadline", "beside: a deadline"));
}

TEST_P(TaskScopeDetachedTest, ItsOwnDeadlineAndStopHoldAlsoForScopesBelow) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      const uint64_t due_ns = DeadlineAfter(*executor, 1h);
      TaskScope scope(*executor, {.deadline_ns = due_ns, .detached = true});
      scope.Spawn([](Executor* on, Log* to, uint64_t expected_ns) -> Task<> {
        EXPECT_EQ(CurrentDeadlineNs(), expected_ns);
        TaskScope below(*on);
        below.Spawn(NoteContext(to, "below"));
        below.Spawn(AwaitStop(to, "below"));
        TaskScope detached(*on, {.detached = true});
        EXPECT_TRUE((co_await below.Join()).ok());
        detached.Spawn(NoteStop(to, "detached"));
        EXPECT_TRUE((co_await detached.Join()).ok());
      }(executor, log, due_ns));
      co_await Yield();
      co_await Yield();
      scope.RequestStop();
      EXPECT_TRUE((co_await scope.Join()).ok());
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("below: a deadline", "below: is stopped", "detached: not stopped"));
}

TEST_P(TaskScopeDetachedTest, IsMadeAfterAStopAndHasNone) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      TaskScope outer(*executor);
      outer.RequestStop();
      outer.Spawn([](Executor* on, Log* to) -> Task<> {
        TaskScope detached(*on, {.detached = true});
        detached.Spawn(NoteStop(to, "detached"));
        EXPECT_TRUE((co_await detached.Join()).ok());
        TaskScope beside(*on);
        beside.Spawn(NoteStop(to, "beside"));
        EXPECT_TRUE((co_await beside.Join()).ok());
      }(executor, log));
      EXPECT_TRUE((co_await outer.Join()).ok());
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("detached: not stopped", "beside: stopped"));
}

TEST_P(TaskScopeDetachedTest, ItsChildrenAreDestroyedWithIt) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      {
        TaskScope scope(*executor, {.detached = true});
        scope.Spawn(HoldForLong(log, "child"));
        co_await Yield();
      }
      log->push_back("end of the scope");
      TaskScope outer(*executor);
      outer.Spawn([](Executor* on, Log* to) -> Task<> {
        TaskScope inner(*on, {.detached = true});
        inner.Spawn(HoldForLong(to, "grandchild"));
        EXPECT_TRUE((co_await inner.Join()).ok());
      }(executor, log));
      co_await Yield();
      co_await Yield();
      outer.Cancel();
      log->push_back("end of the scope around it");
      (co_await outer.Join()).IgnoreError();
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(
      log_, ElementsAre("~child", "end of the scope", "~grandchild", "end of the scope around it"));
}

INSTANTIATE_TEST_SUITE_P(Time, TaskScopeDetachedTest,
                         testing::Values(TimeKind::kSimulated, TimeKind::kReal), TimeKindName);

TEST(TaskContextTest, AStopPassesThoseByThatInheritNothing) {
  using Inherits = TaskContext::Inherits;
  TaskContext outer(nullptr, 100);
  TaskContext first(&outer, TaskContext::kNoDeadline, Inherits::kNothing);
  TaskContext below_first(&first);
  TaskContext second(&outer);
  TaskContext below_second(&second, TaskContext::kNoDeadline, Inherits::kNothing);
  TaskContext beside(&second);
  TaskContext last(&outer, 200, Inherits::kNothing);
  EXPECT_EQ(below_first.deadline_ns(), TaskContext::kNoDeadline);
  EXPECT_EQ(beside.deadline_ns(), 100u);
  EXPECT_EQ(last.deadline_ns(), 200u);
  outer.RequestStop();
  for (const TaskContext* const stopped : {&outer, &second, &beside}) {
    EXPECT_TRUE(stopped->stop_requested());
  }
  for (const TaskContext* const left : {&first, &below_first, &below_second, &last}) {
    EXPECT_FALSE(left->stop_requested());
  }
  first.RequestStop();
  EXPECT_TRUE(below_first.stop_requested());
}

TEST(TaskScopeDetachedDeathTest, AScopeIsCancelledByAChildOfADetachedOneBelow) {
  const auto run = [] {
    TestShard shard;
    shard.Run([&] {
      shard.executor().Spawn([](Executor* executor) -> Task<> {
        TaskScope scope(*executor);
        scope.Spawn([](TaskScope* own, Executor* on) -> Task<> {
          TaskScope inner(*on, {.detached = true});
          inner.Spawn([](TaskScope* above) -> Task<> {
            above->Cancel();
            co_return;
          }(own));
          (co_await inner.Join()).IgnoreError();
        }(&scope, executor));
        (co_await scope.Join()).IgnoreError();
      }(&shard.executor()));
    });
  };
  EXPECT_DEATH(run(), "cancelled by one of its own tasks");
}

}  // namespace
}  // namespace ioengine
