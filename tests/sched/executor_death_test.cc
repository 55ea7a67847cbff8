// Executor: what its contract forbids ends the process, and says why.

#include <cstddef>
#include <memory>
#include <optional>
#include <thread>

#include "gtest/gtest.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/tests/sched/executor_fixture.h"

namespace ioengine {
namespace {

using ExecutorDeathTest = ExecutorFixture;

Task<> Nothing() { co_return; }

Task<> YieldForEver(Executor* executor) {
  for (;;) co_await executor->Yield();
}

Task<> WaitAt(WaitPoint* point) { co_await point->Wait(); }

TEST_F(ExecutorDeathTest, SpawnFromAForeignThread) {
  EXPECT_DEATH(executor_.Spawn(Nothing()), "Spawn from a thread that does not run this executor");
}

TEST_F(ExecutorDeathTest, SpawnOnAnotherExecutorsThread) {
  const auto other = std::make_unique<Executor>(poller_, ExecutorOptions());
  EXPECT_DEATH(RunUntilIdle([&] { other->Spawn(Nothing()); }),
               "Spawn from a thread that does not run this executor");
}

TEST_F(ExecutorDeathTest, SpawnOfAnEmptyTask) {
  EXPECT_DEATH(RunUntilIdle([&] { executor_.Spawn(Task<>()); }), "an empty task is started");
}

TEST_F(ExecutorDeathTest, RunWithinRun) {
  EXPECT_DEATH(RunUntilIdle([&] { executor_.Run(); }), "this thread runs an executor already");
}

TEST_F(ExecutorDeathTest, DestructionWhileItRuns) {
  auto executor = std::make_unique<Executor>(poller_, ExecutorOptions());
  ASSERT_EQ(CallOn(*executor, [&] { executor.reset(); }), CallOutcome::kAccepted);
  EXPECT_DEATH(executor->Run(), "an executor is destroyed while it runs");
}

// A task that lives outside of the executor, in a scope of the test's, and is still in the run
// queue when the executor has destroyed its own.
TEST_F(ExecutorDeathTest, ARunnableTaskOutlivesTheStop) {
  TaskScope scope(executor_);
  EXPECT_DEATH(RunUntilIdle([&] {
                 executor_.RequestStop();
                 scope.Spawn(YieldForEver(&executor_));
               }),
               "a task outlives the tasks that the executor owns");
}

TEST_F(ExecutorDeathTest, DestructionOfARunnableTaskOnAThreadWithoutAnExecutor) {
  std::optional<TaskScope> scope(executor_);
  EXPECT_DEATH(RunUntilIdle([&] {
                 scope->Spawn(Nothing());
                 std::thread([&] { scope.reset(); }).join();
               }),
               "destroyed on a thread that does not run their executor");
}

TEST_F(ExecutorDeathTest, DestructionOfARunnableTaskOnAnotherExecutorsThread) {
  std::optional<TaskScope> scope(executor_);
  EXPECT_DEATH(RunUntilIdle([&] {
                 scope->Spawn(Nothing());
                 std::thread([&] {
                   ScriptedPoller poller;
                   const auto other = std::make_unique<Executor>(poller, ExecutorOptions());
                   EXPECT_EQ(CallOn(*other, [&] { scope.reset(); }), CallOutcome::kAccepted);
                   other->Run();
                 }).join();
               }),
               "destroyed on a thread that does not run their executor");
}

TEST_F(ExecutorDeathTest, ATaskIsMadeRunnableTwice) {
  WaitPoint point;
  EXPECT_DEATH(RunUntilIdle([&] { executor_.Spawn(WaitAt(&point)); },
                            [&] {
                              Runnable& task = point.waiter();
                              executor_.MakeRunnable(task);
                              executor_.MakeRunnable(task);
                            }),
               "is in a list already");
}

}  // namespace
}  // namespace ioengine
