// WhenAll and WhenAny: results, order, and what becomes of the tasks that are left.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/timeout.h"
#include "ioengine/sched/when_all.h"
#include "ioengine/sched/when_any.h"
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

using WhenTest = TimedTest;

TEST_P(WhenTest, AllGivesTheResultsInTheOrderOfTheTasks) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log) -> Task<> {
      auto [number, text, none, movable] =
          co_await WhenAll(GiveAfter(8ms, 1), GiveAfter<std::string>(1us, "two"),
                           NoteAfter(4ms, log, "three"), GiveAfter(0ns, std::make_unique<int>(4)));
      static_assert(std::is_same_v<decltype(none), std::monostate>);
      EXPECT_EQ(number, 1);
      EXPECT_EQ(text, "two");
      EXPECT_EQ(*movable, 4);
      log->push_back("all");
    }(&log_));
  });
  EXPECT_THAT(log_, ElementsAre("three", "~three", "all"));
}

TEST_P(WhenTest, AllOfAVectorAndOfNothing) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log) -> Task<> {
      std::vector<Task<int>> tasks;
      for (int i = 0; i < 5; ++i) tasks.push_back(GiveAfter((5 - i) * 1ms, i));
      const std::vector<int> results = co_await WhenAll(std::move(tasks));
      EXPECT_THAT(results, ElementsAre(0, 1, 2, 3, 4));
      const std::vector<int> none = co_await WhenAll(std::vector<Task<int>>());
      EXPECT_THAT(none, IsEmpty());
      const std::tuple<> nothing = co_await WhenAll();
      static_cast<void>(nothing);
      log->push_back("end");
    }(&log_));
  });
  EXPECT_THAT(log_, ElementsAre("end"));
}

TEST_P(WhenTest, AnyGivesTheFirstAndEndsTheOthersBeforeItGoesOn) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log) -> Task<> {
      const std::variant<std::monostate, int> first =
          co_await WhenAny(NoteAfter(1h, log, "slow"), GiveAfter(1ms, 5));
      EXPECT_EQ(std::get<1>(first), 5);
      log->push_back("first");
      std::vector<Task<int>> tasks;
      for (int i = 0; i < 4; ++i) tasks.push_back(GiveAfter(i == 2 ? 0ms : 1h, 10 + i));
      const FirstResult<int> result = co_await WhenAny(std::move(tasks));
      EXPECT_EQ(result.index, 2u);
      EXPECT_EQ(result.value, 12);
      log->push_back("second");
    }(&log_));
  });
  EXPECT_THAT(log_, ElementsAre("~slow", "first", "second"));
}

TEST_P(WhenTest, AnyOfTasksThatReturnInTheSameTurn) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log) -> Task<> {
      const auto give = [](int value) -> Task<int> { co_return value; };
      const std::variant<int, int> first = co_await WhenAny(give(1), give(2));
      EXPECT_EQ(first.index(), 0u);
      log->push_back("end");
    }(&log_));
  });
  EXPECT_THAT(log_, ElementsAre("end"));
}

TEST_P(WhenTest, DestroyingTheTaskThatWaitsDestroysThem) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      TaskScope scope(*executor);
      scope.Spawn([](Log* of) -> Task<> {
        co_await WhenAll(NoteAfter(1h, of, "a"), NoteAfter(0ns, of, "b"));
      }(log));
      scope.Spawn([](Log* of) -> Task<> {
        co_await WhenAny(NoteAfter(1h, of, "c"), NoteAfter(1h, of, "d"));
      }(log));
      co_await Sleep(5ms);
      scope.Cancel();
      log->push_back("cancelled");
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("b", testing::_, testing::_, testing::_, testing::_, "cancelled"));
}

Task<uint64_t> SeeDeadline() {
  co_await Yield();
  co_return CurrentDeadlineNs();
}

Task<int> SeeClass() { co_return co_await ClassOfTask(); }

TEST_P(WhenTest, TheTasksHaveTheContextAndClassOfTheOneThatWaits) {
  const ClassId batch = shard_.executor().CreateClass({.name = "batch"}).value();
  shard_.Run([&] {
    shard_.executor().Spawn(
        [](Executor* executor, ClassId id, Log* log) -> Task<> {
          const uint64_t late_ns = executor->clock().NowNs() + 3'600'000'000'000;
          const auto both = [](uint64_t due_ns, ClassId expected) -> Task<> {
            const auto [deadline_ns, class_id] = co_await WhenAll(SeeDeadline(), SeeClass());
            EXPECT_EQ(deadline_ns, due_ns);
            EXPECT_EQ(class_id, expected);
            const auto any = co_await WhenAny(SeeDeadline(), SeeDeadline());
            EXPECT_EQ(std::get<0>(any), due_ns);
          };
          EXPECT_TRUE((co_await WithDeadline(late_ns, both(late_ns, id))).ok());
          log->push_back("end");
        }(&shard_.executor(), batch, &log_),
        batch);
  });
  EXPECT_THAT(log_, ElementsAre("end"));
}

Task<int> Tree(int depth) {
  if (depth == 0) {
    co_await Yield();
    co_return 1;
  }
  const auto [left, right] = co_await WhenAll(Tree(depth - 1), Tree(depth - 1));
  co_return left + right;
}

// Nothing but the await in its body: under ASan g++ 12 makes no tail call out of a coroutine with
// temporaries on the stack, and each symmetric transfer then takes some of it.
Task<int> Chain(int depth) {
  if (depth == 0) co_return 0;
  const std::tuple<int> below = co_await WhenAll(Chain(depth - 1));
  co_return std::get<0>(below) + 1;
}

TEST_P(WhenTest, WideAndDeepWithoutGrowingTheStack) {
  int width = 0;
  int depth = 0;
  shard_.Run([&] {
    shard_.executor().Spawn([](int* wide, int* deep) -> Task<> {
      *wide = co_await Tree(12);
      *deep = co_await Chain(20'000);
    }(&width, &depth));
  });
  EXPECT_EQ(width, 4096);
  EXPECT_EQ(depth, 20'000);
}

TEST_P(WhenTest, CancelledAtEveryAwait) {
  int bystanders = 0;
  CancelSweep::Run(
      GetParam(),
      [&](TestShard& shard, TaskScope& victims) {
        bystanders = 0;
        victims.Spawn([]() -> Task<> {
          const auto both = co_await WhenAll(GiveAfter(60us, 1), GiveAfter(20us, 2));
          EXPECT_EQ(both, std::make_tuple(1, 2));
          const auto any = co_await WhenAny(GiveAfter(70us, 1), GiveAfter(1h, 2));
          EXPECT_EQ(any.index(), 0u);
          EXPECT_EQ(co_await Tree(2), 4);
        }());
        shard.executor().Spawn([](int* ended) -> Task<> {
          co_await WhenAll(Tree(2), GiveAfter(80us, 1));
          ++*ended;
        }(&bystanders));
      },
      [&](bool) { EXPECT_EQ(bystanders, 1); });
}

INSTANTIATE_TEST_SUITE_P(Time, WhenTest, testing::Values(TimeKind::kSimulated, TimeKind::kReal),
                         TimeKindName);

TEST(WhenAnyDeathTest, OfNoTasks) {
  EXPECT_DEATH(static_cast<void>(WhenAny(std::vector<Task<int>>())), "would wait for ever");
}

}  // namespace
}  // namespace ioengine
