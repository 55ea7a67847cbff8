// WhenAll and WhenAny with very many tasks, and what those that lose do while they go.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/when_all.h"
#include "ioengine/sched/when_any.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone
using std::chrono::nanoseconds;
using testing::ElementsAre;

using Log = std::vector<std::string>;

constexpr int kWide = 10'000;

using WhenWideTest = SimulatedTest;

TEST_F(WhenWideTest, AllOfTenThousandGivesThemInTheirOrder) {
  std::vector<int> results;
  shard_.Run([&] {
    shard_.executor().Spawn([](std::vector<int>* to) -> Task<> {
      std::mt19937_64 random(1);
      std::vector<Task<int>> tasks;
      for (int i = 0; i < kWide; ++i) {
        tasks.push_back(GiveAfter(nanoseconds(random() % 1'000'000'000), i));
      }
      *to = co_await WhenAll(std::move(tasks));
    }(&results));
  });
  ASSERT_EQ(results.size(), size_t{kWide});
  for (int i = 0; i < kWide; ++i) ASSERT_EQ(results[static_cast<size_t>(i)], i);
}

TEST_F(WhenWideTest, AnyOfTenThousandEndsAllOthersBeforeItGoesOn) {
  size_t index = 0;
  shard_.Run([&] {
    shard_.executor().Spawn([](size_t* first) -> Task<> {
      int live = 0;
      const auto hold = [](Counted, nanoseconds duration) -> Task<> { co_await Sleep(duration); };
      std::vector<Task<>> tasks;
      for (int i = 0; i < kWide; ++i) tasks.push_back(hold(Counted(&live), i == 7'777 ? 1ms : 1h));
      EXPECT_EQ(live, kWide);
      const FirstResult<std::monostate> result = co_await WhenAny(std::move(tasks));
      EXPECT_EQ(live, 0);
      *first = result.index;
    }(&index));
  });
  EXPECT_EQ(index, 7'777u);
  EXPECT_EQ(shard_.NowNs(), 1'000'000u) << "a task that lost left its timer";
}

TEST_F(WhenWideTest, AllOfAVectorOfVoid) {
  size_t count = 0;
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log, size_t* results) -> Task<> {
      std::vector<Task<>> tasks;
      tasks.push_back(NoteAfter(2ms, log, "0"));
      tasks.push_back(NoteAfter(1ms, log, "1"));
      const std::vector<std::monostate> all = co_await WhenAll(std::move(tasks));
      *results = all.size();
    }(&log_, &count));
  });
  EXPECT_EQ(count, 2u);
  EXPECT_THAT(log_, ElementsAre("1", "~1", "0", "~0"));
}

TEST_F(WhenWideTest, AnyGivesWhatCanOnlyBeMoved) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log) -> Task<> {
      auto first =
          co_await WhenAny(NoteAfter(1h, log, "slow"), GiveAfter(1ms, std::make_unique<int>(3)));
      EXPECT_EQ(*std::get<1>(first), 3);
      std::vector<Task<std::unique_ptr<int>>> tasks;
      tasks.push_back(GiveAfter(1h, std::make_unique<int>(4)));
      tasks.push_back(GiveAfter(1ms, std::make_unique<int>(5)));
      EXPECT_EQ(*(co_await WhenAny(std::move(tasks))).value, 5);
      log->push_back("end");
    }(&log_));
  });
  EXPECT_THAT(log_, ElementsAre("~slow", "end"));
}

TEST_F(WhenWideTest, AnErrorEndsNoneOfTheOthersOfAll) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log) -> Task<> {
      auto [status, none] = co_await WhenAll(GiveAfter(0ns, absl::Status(absl::DataLossError("x"))),
                                             NoteAfter(1ms, log, "other"));
      static_cast<void>(none);
      EXPECT_EQ(status, absl::DataLossError("x"));
      log->push_back("end");
    }(&log_));
  });
  EXPECT_THAT(log_, ElementsAre("other", "~other", "end"));
}

TEST_F(WhenWideTest, ATaskThatIsRunnableWhenAnotherIsFirstDoesNotRun) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log) -> Task<> {
      const auto note = [](Log* of, Probe, std::string name) -> Task<> {
        of->push_back(name);
        co_return;
      };
      const auto first = co_await WhenAny(note(log, Probe(log, "~first"), "first"),
                                          note(log, Probe(log, "~second"), "second"));
      EXPECT_EQ(first.index(), 0u);
      log->push_back("end");
      co_await Yield();
    }(&log_));
  });
  EXPECT_THAT(log_, testing::UnorderedElementsAre("first", "~first", "~second", "end"));
  EXPECT_EQ(log_.back(), "end");
}

TEST_F(WhenWideTest, ATaskThatLosesMayWakeAnotherWhileItGoes) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log) -> Task<> {
      struct SetAtEnd {
        explicit SetAtEnd(Event* of) : event(of) {}
        SetAtEnd(const SetAtEnd&) = delete;
        SetAtEnd& operator=(const SetAtEnd&) = delete;
        ~SetAtEnd() { event->Set(); }
        Event* event;
      };
      const auto set_at_end = [](Event* event) -> Task<> {
        const SetAtEnd at_end(event);
        co_await Sleep(1h);
      };
      const auto wait = [](Event* event, Log* of) -> Task<> {
        co_await event->Wait();
        of->push_back("ran");
      };
      Event event;
      std::vector<Task<>> tasks;
      tasks.push_back(set_at_end(&event));
      tasks.push_back(NoteAfter(1ms, log, "first"));
      tasks.push_back(wait(&event, log));
      EXPECT_EQ((co_await WhenAny(std::move(tasks))).index, 1u);
      EXPECT_TRUE(event.is_set());
      co_await Sleep(1ms);
      log->push_back("end");
    }(&log_));
  });
  EXPECT_THAT(log_, ElementsAre("first", "~first", "end"));
}

TEST_F(WhenWideTest, AStopOfTheScopeReachesTheTasks) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      TaskScope scope(*executor);
      scope.Spawn([](Log* of) -> Task<> {
        const auto wait = [](Log* to, std::string name) -> Task<> {
          if (absl::IsCancelled(co_await Sleep(1h, CurrentStopToken()))) to->push_back(name);
        };
        co_await WhenAll(wait(of, "one of all"), wait(of, "the other"));
        EXPECT_EQ((co_await WhenAny(wait(of, "the first of any"), NoteAfter(1h, of, "x"))).index(),
                  0u);
      }(log));
      co_await Sleep(1ms);
      scope.RequestStop();
      EXPECT_TRUE((co_await scope.Join()).ok());
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("one of all", "the other", "the first of any"));
}

TEST_F(WhenWideTest, TheTasksOfAnyHaveTheClassOfTheOneThatWaits) {
  const ClassId batch = shard_.executor().CreateClass({.name = "batch"}).value();
  int seen = -1;
  shard_.Run([&] {
    shard_.executor().Spawn(
        [](int* to) -> Task<> {
          const auto look = []() -> Task<int> { co_return co_await ClassOfTask(); };
          std::vector<Task<int>> tasks;
          tasks.push_back(look());
          *to = (co_await WhenAny(std::move(tasks))).value;
        }(&seen),
        batch);
  });
  EXPECT_EQ(seen, batch);
}

// As deep as the stack would not hold; under a sanitizer g++ 12 makes no tail call out of a
// coroutine with temporaries on the stack (see task.h), so that each return takes some of it.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kChainDepth = 1000;
#else
constexpr int kChainDepth = 50'000;
#endif

Task<int> Chain(int depth) {
  if (depth == 0) co_return 0;
  const std::variant<int> below = co_await WhenAny(Chain(depth - 1));
  co_return std::get<0>(below) + 1;
}

TEST_F(WhenWideTest, AChainOfAnyReturnsWithoutGrowingTheStack) {
  int depth = 0;
  shard_.Run([&] {
    shard_.executor().Spawn(
        [](int* deep) -> Task<> { *deep = co_await Chain(kChainDepth); }(&depth));
  });
  EXPECT_EQ(depth, kChainDepth);
}

Task<> Nest(int depth, int* reached, Counted held) {
  if (depth == 0) {
    ++*reached;
    co_await Sleep(1h);
  } else if (depth % 2 == 0) {
    co_await WhenAll(Nest(depth - 1, reached, held));
  } else {
    co_await WhenAny(Nest(depth - 1, reached, held));
  }
}

TEST_F(WhenWideTest, AThousandLevelsAreDestroyedWhileTheyWait) {
  int reached = 0;
  int live = 0;
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, int* bottom, int* count) -> Task<> {
      TaskScope scope(*executor);
      scope.Spawn(Nest(1000, bottom, Counted(count)));
      co_await Sleep(1ms);
      EXPECT_EQ(*bottom, 1);
      EXPECT_GT(*count, 1000);
      scope.Cancel();
      EXPECT_EQ(*count, 0);
    }(&shard_.executor(), &reached, &live));
  });
  EXPECT_EQ(reached, 1);
  EXPECT_EQ(shard_.NowNs(), 1'000'000u);
}

TEST(WhenAllDeathTest, OfAnEmptyTask) {
  const auto run = [] {
    TestShard shard;
    shard.Run([&] { shard.executor().Spawn([]() -> Task<> { co_await WhenAll(Task<int>()); }()); });
  };
  EXPECT_DEATH(run(), "an empty task is started");
}

}  // namespace
}  // namespace ioengine
