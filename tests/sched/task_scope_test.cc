#include "ioengine/sched/task_scope.h"

#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/task.h"
#include "ioengine/tests/sched/executor_fixture.h"

namespace ioengine {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

using Log = std::vector<std::string>;
using TaskScopeTest = ExecutorFixture;

Task<> WaitAndNote(Log* log, WaitPoint* point, std::string name) {
  const Probe probe(log, "~" + name);
  co_await point->Wait();
  log->push_back(name);
}

Task<> JoinAndNote(Log* log, TaskScope* scope, std::string name) {
  const Probe probe(log, "~" + name);
  co_await scope->Join();
  log->push_back(name);
}

Task<> SpawnTwoAndJoin(Executor* executor, Log* log, WaitPoint* points) {
  TaskScope scope(*executor);
  co_await scope.Join();
  log->push_back("joined nothing");
  scope.Spawn(WaitAndNote(log, &points[0], "0"));
  scope.Spawn(WaitAndNote(log, &points[1], "1"));
  log->push_back("spawned " + std::to_string(scope.size()));
  co_await scope.Join();
  log->push_back("joined, left: " + std::to_string(scope.size()));
}

TEST_F(TaskScopeTest, JoinWaitsForTheLastChild) {
  WaitPoint points[2];
  RunUntilIdle([&] { executor_.Spawn(SpawnTwoAndJoin(&executor_, &log_, points)); },
               [&] {
                 points[1].Open();
                 points[0].Open();
               });
  EXPECT_THAT(log_,
              ElementsAre("joined nothing", "spawned 2", "1", "~1", "0", "~0", "joined, left: 0"));
}

TEST_F(TaskScopeTest, JoinGoesOnWaitingForOneOfTwo) {
  WaitPoint points[2];
  RunUntilIdle([&] { executor_.Spawn(SpawnTwoAndJoin(&executor_, &log_, points)); },
               [&] { points[1].Open(); });
  EXPECT_THAT(log_, ElementsAre("joined nothing", "spawned 2", "1", "~1", "~0"));
}

TEST_F(TaskScopeTest, ItsEndDestroysChildrenInTheOrderOfSpawning) {
  WaitPoint points[3];
  std::optional<TaskScope> scope(executor_);
  RunUntilIdle(
      [&] {
        for (int i = 0; i < 3; ++i) {
          scope->Spawn(WaitAndNote(&log_, &points[i], std::to_string(i)));
        }
      },
      [&] { scope.reset(); });
  EXPECT_THAT(log_, ElementsAre("~0", "~1", "~2"));
}

TEST_F(TaskScopeTest, ChildrenCarryTheirClass) {
  std::optional<TaskScope> scope(executor_);
  const auto note = [](Log* log) -> Task<> {
    log->push_back(std::to_string(co_await ClassOfTask()));
  };
  const ClassId batch = executor_.CreateClass({.name = "batch", .shares = 10}).value();
  RunUntilIdle([&] {
    scope->Spawn(note(&log_), batch);
    scope->Spawn(note(&log_));
  });
  EXPECT_THAT(log_, UnorderedElementsAre(std::to_string(batch), "0"));
}

TEST_F(TaskScopeTest, CancelEndsAJoin) {
  WaitPoint point;
  std::optional<TaskScope> scope(executor_);
  RunUntilIdle(
      [&] {
        scope->Spawn(WaitAndNote(&log_, &point, "child"));
        executor_.Spawn(JoinAndNote(&log_, &*scope, "joiner"));
      },
      [&] { scope->Cancel(); });
  EXPECT_THAT(log_, ElementsAre("~child", "joiner", "~joiner"));
}

TEST_F(TaskScopeTest, AJoinerMayBeDestroyedBeforeTheScope) {
  WaitPoint point;
  std::optional<TaskScope> scope(executor_);
  std::optional<TaskScope> joiners(executor_);
  RunUntilIdle(
      [&] {
        scope->Spawn(WaitAndNote(&log_, &point, "child"));
        joiners->Spawn(JoinAndNote(&log_, &*scope, "joiner"));
      },
      [&] {
        joiners.reset();
        point.Open();  // whom the child would tell is gone
      });
  EXPECT_THAT(log_, ElementsAre("~joiner", "child", "~child"));
  EXPECT_EQ(scope->size(), 0u);
}

TEST_F(TaskScopeTest, AJoinerThatIsAboutToRunMayBeDestroyed) {
  WaitPoint point;
  std::optional<TaskScope> scope(executor_);
  std::optional<TaskScope> joiners(executor_);
  RunUntilIdle(
      [&] {
        scope->Spawn(WaitAndNote(&log_, &point, "child"));
        joiners->Spawn(JoinAndNote(&log_, &*scope, "joiner"));
      },
      [&] {
        scope->Cancel();
        joiners.reset();
      });
  EXPECT_THAT(log_, ElementsAre("~child", "~joiner"));
}

TEST_F(TaskScopeTest, ASecondJoinMayFollowTheFirst) {
  WaitPoint point;
  std::optional<TaskScope> scope(executor_);
  std::optional<TaskScope> joiners(executor_);
  RunUntilIdle(
      [&] {
        scope->Spawn(WaitAndNote(&log_, &point, "child"));
        joiners->Spawn(JoinAndNote(&log_, &*scope, "first"));
      },
      [&] {
        joiners->Cancel();
        joiners->Spawn(JoinAndNote(&log_, &*scope, "second"));
        executor_.Spawn([](WaitPoint* opened) -> Task<> {
          opened->Open();
          co_return;
        }(&point));
      });
  EXPECT_THAT(log_, ElementsAre("~first", "child", "~child", "second", "~second"));
}

Task<> Nest(Executor* executor, Log* log, WaitPoint* point, int depth) {
  const Probe probe(log, "~" + std::to_string(depth));
  TaskScope scope(*executor);
  if (depth > 0) scope.Spawn(Nest(executor, log, point, depth - 1));
  if (depth == 0) co_await point->Wait();
  co_await scope.Join();
}

TEST_F(TaskScopeTest, NestedScopesAreDestroyedFromTheInside) {
  WaitPoint point;
  RunUntilIdle([&] { executor_.Spawn(Nest(&executor_, &log_, &point, 3)); });
  EXPECT_THAT(log_, ElementsAre("~0", "~1", "~2", "~3"));
}

Task<> SpawnFromDestructor(Executor* executor, TaskScope* scope, Log* log) {
  struct Spawner {
    Executor* executor;
    TaskScope* scope;
    Log* log;
    ~Spawner() {
      scope->Spawn([](Probe) -> Task<> { co_return; }(Probe(log, "~late")));
    }
  };
  const Spawner spawner{executor, scope, log};
  for (;;) co_await executor->Yield();
}

TEST_F(TaskScopeTest, ChildrenThatAreSpawnedByTheEndOfOthersAreDestroyedToo) {
  std::optional<TaskScope> scope(executor_);
  poller_.on_poll = [&]() -> size_t {
    if (poller_.polls < 3) return 0;
    scope.reset();
    executor_.RequestStop();
    return 0;
  };
  ASSERT_EQ(
      CallOn(executor_, [&] { scope->Spawn(SpawnFromDestructor(&executor_, &*scope, &log_)); }),
      CallOutcome::kAccepted);
  executor_.Run();
  EXPECT_THAT(log_, ElementsAre("~late"));
}

using TaskScopeDeathTest = ExecutorFixture;

TEST_F(TaskScopeDeathTest, TwoTasksJoin) {
  WaitPoint point;
  std::optional<TaskScope> scope(executor_);
  EXPECT_DEATH(RunUntilIdle([&] {
                 scope->Spawn(WaitAndNote(&log_, &point, "child"));
                 executor_.Spawn(JoinAndNote(&log_, &*scope, "one"));
                 executor_.Spawn(JoinAndNote(&log_, &*scope, "two"));
               }),
               "two tasks join one TaskScope");
}

TEST_F(TaskScopeDeathTest, SpawnOnAThreadThatDoesNotRunTheExecutor) {
  WaitPoint point;
  TaskScope scope(executor_);
  EXPECT_DEATH(scope.Spawn(WaitAndNote(&log_, &point, "child")),
               "Spawn from a thread that does not run this executor");
}

}  // namespace
}  // namespace ioengine
