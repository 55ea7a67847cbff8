// Task: when it runs, and what it gives.

#include "ioengine/sched/task.h"

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/tests/sched/executor_fixture.h"

namespace ioengine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Log = std::vector<std::string>;
using TaskTest = ExecutorFixture;

static_assert(!std::is_copy_constructible_v<Task<int>>);
static_assert(!std::is_copy_assignable_v<Task<int>>);
static_assert(std::is_nothrow_move_constructible_v<Task<int>>);

Task<int> Number(int number) { co_return number; }

Task<> Note(Log* log, std::string text) {
  log->push_back(std::move(text));
  co_return;
}

Task<> AwaitLate(Log* log) {
  Task<> note = Note(log, "body");
  log->push_back("made");
  co_await std::move(note);
  log->push_back("after");
}

TEST_F(TaskTest, BodyStartsWhenAwaited) {
  RunUntilIdle([&] { executor_.Spawn(AwaitLate(&log_)); });
  EXPECT_THAT(log_, ElementsAre("made", "body", "after"));
}

TEST_F(TaskTest, BodyNeverStartsWhenNotAwaited) {
  { Task<> note = Note(&log_, "body"); }
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(TaskTest, ParametersOfATaskThatNeverRanAreReleased) {
  int live = 0;
  {
    Task<> task = [](Counted) -> Task<> { co_return; }(Counted(&live));
    EXPECT_EQ(live, 1);
  }
  EXPECT_EQ(live, 0);
}

Task<int> Sum(int first, int second) {
  const int sum = co_await Number(first);
  co_return sum + co_await Number(second);
}

Task<> StoreSum(int* result) { *result = co_await Sum(40, 2); }

TEST_F(TaskTest, GivesItsValue) {
  int result = 0;
  RunUntilIdle([&] { executor_.Spawn(StoreSum(&result)); });
  EXPECT_EQ(result, 42);
}

TEST_F(TaskTest, ChildrenRunWithoutATripThroughTheRunQueue) {
  int result = 0;
  RunUntilIdle([&] { executor_.Spawn(StoreSum(&result)); });
  EXPECT_EQ(executor_.stats().tasks_resumed, 1u);
}

Task<std::unique_ptr<int>> Boxed(int number) { co_return std::make_unique<int>(number); }
Task<std::string> Text() { co_return "converted from a literal"; }
Task<std::optional<int>> Nothing() { co_return std::nullopt; }
Task<absl::Status> Fail() { co_return absl::DataLossError("rotten"); }
Task<absl::StatusOr<std::unique_ptr<int>>> BoxedOr(bool ok) {
  if (!ok) co_return absl::NotFoundError("none");
  co_return std::make_unique<int>(7);
}

Task<> TakeAllKinds(Log* log) {
  std::unique_ptr<int> boxed = co_await Boxed(3);
  log->push_back(std::to_string(*boxed));
  log->push_back(co_await Text());
  log->push_back((co_await Nothing()).has_value() ? "something" : "nothing");
  log->push_back(std::string((co_await Fail()).message()));
  log->push_back(std::to_string(**(co_await BoxedOr(true))));
  log->push_back(std::string((co_await BoxedOr(false)).status().message()));
}

TEST_F(TaskTest, GivesResultsOfEveryKind) {
  RunUntilIdle([&] { executor_.Spawn(TakeAllKinds(&log_)); });
  EXPECT_THAT(log_, ElementsAre("3", "converted from a literal", "nothing", "rotten", "7", "none"));
}

// Counts how a result travels.
struct Traveller {
  explicit Traveller(Log* log) : log_(log) {}
  Traveller(const Traveller& other) : log_(other.log_) { log_->push_back("copy"); }
  Traveller(Traveller&& other) noexcept : log_(other.log_) { log_->push_back("move"); }
  Traveller& operator=(const Traveller&) = delete;

  Log* log_;
};

Task<Traveller> Travel(Log* log) { co_return Traveller(log); }
Task<> TakeTraveller(Log* log) {
  const Traveller traveller = co_await Travel(log);
  traveller.log_->push_back("taken");
}

TEST_F(TaskTest, ResultsAreMovedTwiceAndNeverCopied) {
  RunUntilIdle([&] { executor_.Spawn(TakeTraveller(&log_)); });
  EXPECT_THAT(log_, ElementsAre("move", "move", "taken"));  // into the promise, and out
}

Task<Counted> Count(int* live) { co_return Counted(live); }
Task<> TakeCounted(int* live, int* while_held) {
  {
    const Counted counted = co_await Count(live);
    *while_held = *live;
  }
  co_await Count(live);  // dropped
}

TEST_F(TaskTest, ResultsAreReleased) {
  int live = 0;
  int while_held = 0;
  RunUntilIdle([&] { executor_.Spawn(TakeCounted(&live, &while_held)); });
  EXPECT_EQ(while_held, 1);
  EXPECT_EQ(live, 0);
}

TEST_F(TaskTest, IsEmptyWhenDefaultConstructedOrMovedFrom) {
  Task<> empty;
  EXPECT_FALSE(empty.valid());
  Task<> task = Note(&log_, "");
  EXPECT_TRUE(task.valid());
  Task<> moved = std::move(task);
  EXPECT_TRUE(moved.valid());
  EXPECT_FALSE(task.valid());  // NOLINT(bugprone-use-after-move)
}

TEST_F(TaskTest, AssignmentReleasesTheTaskThatWasThere) {
  int live = 0;
  const auto make = [](Counted) -> Task<> { co_return; };
  Task<> task = make(Counted(&live));
  task = make(Counted(&live));
  EXPECT_EQ(live, 1);
  Task<>& same = task;
  task = std::move(same);
  EXPECT_TRUE(task.valid());
  EXPECT_EQ(live, 1);
  task = Task<>();
  EXPECT_EQ(live, 0);
}

Task<> NoteClass(Log* log) { log->push_back(std::to_string(co_await ClassOfTask())); }
Task<int> NoteClassAndGive(Log* log, Executor* executor) {
  co_await NoteClass(log);
  co_await executor->Yield();
  co_await NoteClass(log);
  co_return 0;
}
Task<> Parent(Log* log, Executor* executor) {
  co_await NoteClass(log);
  co_await NoteClassAndGive(log, executor);
}

TEST_F(TaskTest, ChildrenInheritTheClass) {
  for (int id = 1; id <= 255; ++id) ASSERT_EQ(executor_.CreateClass({}).value(), id);
  RunUntilIdle([&] { executor_.Spawn(Parent(&log_, &executor_), 255); });
  EXPECT_THAT(log_, ElementsAre("255", "255", "255"));
}

using TaskDeathTest = ExecutorFixture;

Task<> AwaitEmpty() { co_await Task<int>(); }

TEST_F(TaskDeathTest, AwaitOfAnEmptyTask) {
  EXPECT_DEATH(RunUntilIdle([&] { executor_.Spawn(AwaitEmpty()); }), "co_await on an empty Task");
}

Task<> AwaitTwice(Log* log) {
  Task<> task = Note(log, "once");
  co_await std::move(task);
  co_await std::move(task);  // NOLINT(bugprone-use-after-move)
}

TEST_F(TaskDeathTest, AwaitOfATaskThatEnded) {
  EXPECT_DEATH(RunUntilIdle([&] { executor_.Spawn(AwaitTwice(&log_)); }),
               "a Task is awaited twice");
}

Task<int> WaitAt(WaitPoint* point) {
  co_await point->Wait();
  co_return 1;
}
Task<> AwaitGated(WaitPoint* point, WaitPoint* parent) {
  // Leaves its own Runnable where the test finds it.
  struct Remember {
    WaitPoint* point;
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<internal::TaskPromise<void>> handle) noexcept {
      point->Wait().await_suspend(handle);
      return false;
    }
    void await_resume() const noexcept {}
  };
  co_await Remember{parent};
  co_await WaitAt(point);
}

TEST_F(TaskDeathTest, ResumptionBeforeTheAwaitedTaskHasAResult) {
  WaitPoint point;
  WaitPoint parent;
  EXPECT_DEATH(
      RunUntilIdle([&] { executor_.Spawn(AwaitGated(&point, &parent)); }, [&] { parent.Open(); }),
      "resumed before the task that it awaits had a result");
}

Task<> Throw() {
  throw std::runtime_error("thrown by a task");
  co_return;
}

TEST_F(TaskDeathTest, AnExceptionThatLeavesATask) {
  EXPECT_DEATH(RunUntilIdle([&] { executor_.Spawn(Throw()); }), "thrown by a task");
}

}  // namespace
}  // namespace ioengine
