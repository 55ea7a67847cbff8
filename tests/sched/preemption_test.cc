// How a slice ends: by time, for a timer, for an urgent class, by the poller's flag.

#include "ioengine/sched/preemption.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/scripted_poller.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone
using testing::ElementsAre;

using Log = std::vector<std::string>;

constexpr uint64_t kSliceNs = Executor::kSliceNs;

// How long a task that only asks MaybeYield keeps the shard from another of its class.
Task<> ComputeUntilItYields(TestShard* shard, uint64_t piece_ns, bool* other_ran,
                            uint64_t* kept_ns) {
  const uint64_t begin_ns = shard->NowNs();
  while (!*other_ran) {
    shard->clock().Advance(piece_ns);
    *kept_ns = shard->NowNs() - begin_ns;
    co_await MaybeYield();
  }
}

Task<> SetTrue(bool* value) {
  *value = true;
  co_return;
}

TEST(MaybeYieldTest, LetsOthersRunWhenTheSliceIsOverAndNotBefore) {
  TestShard shard;
  bool other_ran = false;
  uint64_t kept_ns = 0;
  shard.Run([&] {
    shard.executor().Spawn(ComputeUntilItYields(&shard, 10'000, &other_ran, &kept_ns));
    shard.executor().Spawn(SetTrue(&other_ran));
  });
  EXPECT_GE(kept_ns, kSliceNs);
  EXPECT_LE(kept_ns, kSliceNs + 10'000);
}

TEST(MaybeYieldTest, LetsATimerFireInTime) {
  TestShard shard;
  const ClassId urgent = shard.executor().CreateClass({.latency_goal_ns = 1'000'000}).value();
  bool other_ran = false;
  uint64_t kept_ns = 0;
  shard.Run([&] {
    shard.executor().Spawn(
        [](TestShard* on, bool* woke) -> Task<> {
          co_await Sleep(100us);
          EXPECT_LE(on->NowNs(), 110'000u);
          *woke = true;
        }(&shard, &other_ran),
        urgent);
    shard.executor().Spawn(ComputeUntilItYields(&shard, 10'000, &other_ran, &kept_ns));
  });
  EXPECT_LE(kept_ns, 110'000u);
}

TEST(MaybeYieldTest, LetsAClassWithALatencyGoalRunAtOnce) {
  for (const bool urgent : {false, true}) {
    TestShard shard;
    const uint64_t goal_ns = urgent ? 1'000'000 : 0;
    const ClassId id = shard.executor().CreateClass({.latency_goal_ns = goal_ns}).value();
    bool other_ran = false;
    uint64_t kept_ns = 0;
    shard.Run([&] {
      shard.executor().Spawn([](TestShard* on, ClassId other, bool* ran, uint64_t* kept) -> Task<> {
        on->executor().Spawn(SetTrue(ran), other);
        co_await ComputeUntilItYields(on, 10'000, ran, kept);
      }(&shard, id, &other_ran, &kept_ns));
    });
    if (urgent) {
      EXPECT_EQ(kept_ns, 10'000u);
    } else {
      EXPECT_GE(kept_ns, kSliceNs);
    }
  }
}

TEST(MaybeYieldDeathTest, OutsideOfATask) {
  EXPECT_DEATH(static_cast<void>(MaybeYield()), "outside of a shard's task");
  EXPECT_DEATH(static_cast<void>(Yield()), "outside of a shard's task");
}

// A poller with a flag that the test raises, over a clock that is real.
class FlagPoller final : public Poller {
 public:
  size_t Poll() override { return 0; }
  size_t Wait(uint64_t) override { return 0; }
  bool HasCompletions() const override { return false; }
  void Wake() override {}
  Flag flag() const override { return {.word = &word, .mask = 2}; }
  bool ArmFlag(uint64_t after_ns) override {
    armed_for_ns.push_back(after_ns);
    armed = may_arm;
    return may_arm;
  }
  bool flag_armed() const override { return armed; }

  unsigned word = 0;
  bool may_arm = true;
  bool armed = false;
  std::vector<uint64_t> armed_for_ns;
};

class FlagTest : public testing::Test {
 protected:
  // Longer than a busy machine keeps a thread from its CPU. The counter's rate is known roughly
  // only, if that happened between the two looks that give it: hence the margins below.
  static constexpr uint64_t kLimitNs = 30'000'000;

  void SpinFor(uint64_t duration_ns) const {
    const uint64_t begin_ns = MonotonicClock::Get().NowNs();
    while (MonotonicClock::Get().NowNs() - begin_ns < duration_ns) {
    }
  }
  void Begin() {
    // Twice, so that the rate of the counter is known.
    preemption_.BeginSlice(MonotonicClock::Get().NowNs(), kLimitNs, false);
    SpinFor(2'000'000);
    preemption_.BeginSlice(MonotonicClock::Get().NowNs(), kLimitNs, false);
  }

  FlagPoller poller_;
  Preemption preemption_{poller_, MonotonicClock::Get()};
};

TEST_F(FlagTest, AShortSliceAsksForNoFlag) {
  Begin();
  EXPECT_FALSE(preemption_.IsDue());
  EXPECT_TRUE(poller_.armed_for_ns.empty());
}

TEST_F(FlagTest, ALongSliceArmsTheFlagForItsRestAndThenOnlyLooksAtIt) {
  Begin();
  SpinFor(Preemption::kArmAfterNs + 10'000);
  EXPECT_FALSE(preemption_.IsDue());
  ASSERT_EQ(poller_.armed_for_ns.size(), 1u);
  EXPECT_LT(poller_.armed_for_ns[0], kLimitNs - Preemption::kArmAfterNs);
  SpinFor(2 * kLimitNs);
  EXPECT_FALSE(preemption_.IsDue()) << "the kernel has not raised it";
  poller_.word = 1;  // another bit
  EXPECT_FALSE(preemption_.IsDue());
  poller_.word = 2;
  EXPECT_TRUE(preemption_.IsDue());
}

TEST_F(FlagTest, ACompletionEndsTheSliceOnlyAfterItsLeastLength) {
  Begin();
  poller_.word = 2;
  EXPECT_FALSE(preemption_.IsDue());
  SpinFor(Preemption::kMinSliceNs + 1000);
  EXPECT_TRUE(preemption_.IsDue());
}

TEST_F(FlagTest, WithoutAFlagTheCounterEndsTheSlice) {
  poller_.may_arm = false;
  Begin();
  SpinFor(Preemption::kArmAfterNs + 10'000);
  EXPECT_FALSE(preemption_.IsDue());
  SpinFor(2 * kLimitNs);
  EXPECT_TRUE(preemption_.IsDue());
}

TEST_F(FlagTest, ARequestAndAnEarlierEndGetAroundTheFlag) {
  Begin();
  SpinFor(Preemption::kArmAfterNs + 10'000);
  EXPECT_FALSE(preemption_.IsDue());
  preemption_.LimitTo(MonotonicClock::Get().NowNs() + 10'000'000);
  EXPECT_FALSE(preemption_.IsDue());
  SpinFor(30'000'000);
  EXPECT_TRUE(preemption_.IsDue());
  EXPECT_FALSE(preemption_.requested());
  Begin();
  EXPECT_FALSE(preemption_.IsDue());
  preemption_.Request();
  EXPECT_TRUE(preemption_.IsDue());
  EXPECT_TRUE(preemption_.requested());
}

TEST_F(FlagTest, AClassThatIsAloneLooksSeldomAndStillEndsItsSlice) {
  poller_.may_arm = false;
  Begin();
  preemption_.BeginSlice(MonotonicClock::Get().NowNs(), kLimitNs, true);
  const uint64_t begin_ns = MonotonicClock::Get().NowNs();
  while (!preemption_.IsDue()) {
    ASSERT_LT(MonotonicClock::Get().NowNs() - begin_ns, 100 * kLimitNs);
  }
  EXPECT_GE(MonotonicClock::Get().NowNs() - begin_ns, kLimitNs / 2);
  EXPECT_TRUE(preemption_.IsDue()) << "and it stays over";
  preemption_.BeginSlice(MonotonicClock::Get().NowNs(), kLimitNs, true);
  EXPECT_FALSE(preemption_.IsDue());
  EXPECT_FALSE(preemption_.IsDue());  // skipped from here on
  SpinFor(2 * kLimitNs);
  preemption_.BePrecise();
  EXPECT_TRUE(preemption_.IsDue());
}

}  // namespace
}  // namespace ioengine
