// Yield and MaybeYield: who runs in between.

#include "ioengine/sched/yield.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone
using testing::ElementsAre;

using Log = std::vector<std::string>;

using YieldTest = SimulatedTest;

Task<> NoteAndYield(Log* log, std::string name) {
  for (int i = 0; i < 3; ++i) {
    log->push_back(name + std::to_string(i));
    co_await Yield();
  }
}

// Computes for `piece_ns` between the notes.
Task<> NoteAndMaybeYield(TestShard* shard, Log* log, std::string name, uint64_t piece_ns) {
  for (int i = 0; i < 3; ++i) {
    log->push_back(name + std::to_string(i));
    shard->clock().Advance(piece_ns);
    co_await MaybeYield();
  }
}

TEST_F(YieldTest, TasksThatYieldTakeTurns) {
  shard_.Run([&] {
    for (const char* const name : {"a", "b"}) shard_.executor().Spawn(NoteAndYield(&log_, name));
  });
  EXPECT_THAT(log_, ElementsAre("a0", "b0", "a1", "b1", "a2", "b2"));
}

TEST_F(YieldTest, InATaskThatIsAwaitedItSuspendsTheWholeChain) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Log* log) -> Task<> {
      co_await NoteAndYield(log, "below");
      log->push_back("above");
    }(&log_));
    shard_.executor().Spawn(NoteAndYield(&log_, "b"));
  });
  EXPECT_THAT(log_, ElementsAre("below0", "b0", "below1", "b1", "below2", "b2", "above"));
}

TEST_F(YieldTest, MaybeYieldWithinTheSliceLetsNobodyIn) {
  shard_.Run([&] {
    for (const char* const name : {"a", "b"}) {
      shard_.executor().Spawn(NoteAndMaybeYield(&shard_, &log_, name, Executor::kSliceNs / 10));
    }
  });
  EXPECT_THAT(log_, ElementsAre("a0", "a1", "a2", "b0", "b1", "b2"));
}

TEST_F(YieldTest, MaybeYieldAfterTheSliceLetsTheOthersIn) {
  shard_.Run([&] {
    for (const char* const name : {"a", "b"}) {
      shard_.executor().Spawn(NoteAndMaybeYield(&shard_, &log_, name, Executor::kSliceNs));
    }
  });
  EXPECT_THAT(log_, ElementsAre("a0", "b0", "a1", "b1", "a2", "b2"));
}

TEST_F(YieldTest, MaybeYieldKeepsASleeperThatIsDueForNoMoreThanASlice) {
  uint64_t woke_ns = 0;
  shard_.Run([&] {
    shard_.executor().Spawn([](TestShard* shard, uint64_t* woke) -> Task<> {
      co_await Sleep(3ms);
      *woke = shard->NowNs();
    }(&shard_, &woke_ns));
    shard_.executor().Spawn([](TestShard* shard, const uint64_t* woke) -> Task<> {
      for (int i = 0; i < 1000 && *woke == 0; ++i) {
        shard->clock().Advance(Executor::kSliceNs / 5);
        co_await MaybeYield();
      }
    }(&shard_, &woke_ns));
  });
  EXPECT_GE(woke_ns, 3'000'000u);
  EXPECT_LE(woke_ns, 3'000'000u + Executor::kSliceNs + Executor::kSliceNs / 5);
}

TEST_F(YieldTest, ATaskThatYieldedMayBeDestroyedBeforeItsTurn) {
  shard_.Run([&] {
    shard_.executor().Spawn([](Executor* executor, Log* log) -> Task<> {
      TaskScope scope(*executor);
      scope.Spawn(NoteAndYield(log, "victim"));
      scope.Spawn(NoteAndYield(log, "other"));
      co_await Yield();
      scope.Cancel();
      co_await Yield();
      log->push_back("end");
    }(&shard_.executor(), &log_));
  });
  EXPECT_THAT(log_, ElementsAre("victim0", "other0", "end"));
}

}  // namespace
}  // namespace ioengine
