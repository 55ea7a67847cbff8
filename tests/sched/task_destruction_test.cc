// Task: destroyed at each await, it releases its locals and children; destroyed in the run queue,
// it leaves that.

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/tests/sched/executor_fixture.h"

namespace ioengine {
namespace {

using testing::ElementsAre;

using Log = std::vector<std::string>;

// Gates that are passed one after the other; a task that has used up its number stays at the next.
struct Steps {
  WaitPoint point;
  int taken = 0;
  auto Next() {
    ++taken;
    return point.Wait();
  }
};

Task<int> Leaf(Log* log, Steps* steps, [[maybe_unused]] Probe parameter) {
  const Probe local(log, "leaf local");
  co_await steps->Next();
  const Probe late(log, "leaf late");
  co_await steps->Next();
  co_return 1;
}

Task<Probe> GiveProbe(Log* log, Steps* steps) {
  co_await steps->Next();
  co_return Probe(log, "result");
}

Task<> Root(Log* log, Steps* steps) {
  const Probe first(log, "root first");
  co_await steps->Next();
  co_await Leaf(log, steps, Probe(log, "parameter"));
  const Probe result = co_await GiveProbe(log, steps);
  const Probe second(log, "root second");
  Task<int> never_started = Leaf(log, steps, Probe(log, "parameter of the unstarted"));
  co_await steps->Next();
}

class TaskDestructionTest : public ExecutorFixture {
 protected:
  // Runs Root until it stands at its `count`-th point, and destroys it there.
  Log LogOfCutAt(int count) {
    Steps steps;
    bool cut = false;
    poller_.on_wait = [&]() -> size_t {
      cut = steps.taken == count;
      if (cut || !steps.point.has_waiter()) {
        log_.emplace_back("cut");
        executor_.RequestStop();
      } else {
        steps.point.Open();
      }
      return 0;
    };
    EXPECT_EQ(CallOn(executor_, [&] { executor_.Spawn(Root(&log_, &steps)); }),
              CallOutcome::kAccepted);
    executor_.Run();
    EXPECT_EQ(cut, count <= 5);
    return log_;
  }
};

// What is gone before the cut, and what the cut releases: in the order in which a block that is
// left would.
TEST_F(TaskDestructionTest, AtTheFirstAwait) {
  EXPECT_THAT(LogOfCutAt(1), ElementsAre("cut", "root first"));
}

TEST_F(TaskDestructionTest, InAChild) {
  EXPECT_THAT(LogOfCutAt(2), ElementsAre("cut", "leaf local", "parameter", "root first"));
}

TEST_F(TaskDestructionTest, AtTheSecondAwaitOfAChild) {
  EXPECT_THAT(LogOfCutAt(3),
              ElementsAre("cut", "leaf late", "leaf local", "parameter", "root first"));
}

TEST_F(TaskDestructionTest, InASecondChildAfterTheFirstEnded) {
  EXPECT_THAT(LogOfCutAt(4),
              ElementsAre("leaf late", "leaf local", "parameter", "cut", "root first"));
}

TEST_F(TaskDestructionTest, WithAChildThatWasNeverStarted) {
  EXPECT_THAT(LogOfCutAt(5),
              ElementsAre("leaf late", "leaf local", "parameter", "cut",
                          "parameter of the unstarted", "root second", "result", "root first"));
}

TEST_F(TaskDestructionTest, NothingIsReleasedTwiceByATaskThatEnded) {
  const Log log = LogOfCutAt(6);
  EXPECT_EQ(log.back(), "cut");
  EXPECT_EQ(log.size(), 8u);
}

Task<> YieldAndNote(Executor* executor, Log* log, std::string name) {
  const Probe probe(log, "~" + name);
  co_await executor->Yield();
  log->push_back(name);
}

// A task of its own scope at the given place of the run queue is destroyed while it is queued; the
// others run, in their order.
class DestroyedInTheRunQueueTest : public ExecutorFixture,
                                   public testing::WithParamInterface<int> {};

Task<> DestroyOneOfThree(Executor* executor, Log* log, int victim) {
  std::optional<TaskScope> scopes[3];
  for (int i = 0; i < 3; ++i) {
    scopes[i].emplace(*executor);
    scopes[i]->Spawn(YieldAndNote(executor, log, std::to_string(i)));
  }
  co_await executor->Yield();  // now each is queued a second time, by its own Yield
  log->push_back("cut");
  if (victim < 3) {
    scopes[victim].reset();
  } else {
    for (auto& scope : scopes) scope.reset();
  }
  co_await executor->Yield();
  co_await executor->Yield();
  log->push_back("end");
}

TEST_P(DestroyedInTheRunQueueTest, LeavesItAndTheOthersRun) {
  const int victim = GetParam();
  RunUntilIdle([&] { executor_.Spawn(DestroyOneOfThree(&executor_, &log_, victim)); });
  Log expected = {"cut"};
  if (victim == 3) {
    expected.insert(expected.end(), {"~0", "~1", "~2"});
  } else {
    expected.push_back("~" + std::to_string(victim));
    for (int i = 0; i < 3; ++i) {
      if (i == victim) continue;
      expected.push_back(std::to_string(i));
      expected.push_back("~" + std::to_string(i));
    }
  }
  expected.emplace_back("end");
  EXPECT_EQ(log_, expected);
}

INSTANTIATE_TEST_SUITE_P(FirstMiddleLastAll, DestroyedInTheRunQueueTest,
                         testing::Values(0, 1, 2, 3));

// One task's end destroys another that would have run next in the same turn.
Task<> DestroyScope(std::optional<TaskScope>* scope) {
  scope->reset();
  co_return;
}

TEST_F(TaskDestructionTest, ByATaskThatRunsBeforeItInTheSameTurn) {
  std::optional<TaskScope> scope(executor_);
  RunUntilIdle([&] {
    executor_.Spawn(DestroyScope(&scope));
    scope->Spawn(YieldAndNote(&executor_, &log_, "victim"));
    executor_.Spawn(YieldAndNote(&executor_, &log_, "bystander"));
  });
  EXPECT_THAT(log_, ElementsAre("bystander", "~bystander"));
}

Task<> YieldForEver(Executor* executor, [[maybe_unused]] Probe probe) {
  for (;;) co_await executor->Yield();
}

// Destroyed by the destructor of the executor's own tasks, while both are queued.
Task<> OwnAndYield(Executor* executor, Log* log) {
  TaskScope scope(*executor);
  scope.Spawn(YieldForEver(executor, Probe(log, "~child")));
  for (;;) co_await executor->Yield();
}

TEST_F(TaskDestructionTest, AtTheStopWhileAllIsQueued) {
  poller_.has_completions = [] { return true; };
  poller_.on_poll = [&]() -> size_t {
    if (poller_.polls == 2) executor_.RequestStop();
    return 0;
  };
  ASSERT_EQ(CallOn(executor_, [&] { executor_.Spawn(OwnAndYield(&executor_, &log_)); }),
            CallOutcome::kAccepted);
  executor_.Run();
  EXPECT_THAT(log_, ElementsAre("~child"));
}

}  // namespace
}  // namespace ioengine
