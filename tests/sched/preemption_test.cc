// Preemption: what tells a slice to end, in real time through the poller's flag and in simulated
// time.

#include "ioengine/sched/preemption.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/sched/clock.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/poller.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/task_helpers.h"

namespace ioengine {
namespace {

// A poller with a flag that the test raises, over a clock that is real.
class FlagPoller final : public Poller {
 public:
  size_t Poll() override {
    ++polls;
    word = 0;
    return 0;
  }
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

  int polls = 0;
  unsigned word = 0;
  bool may_arm = true;
  bool armed = false;
  std::vector<uint64_t> armed_for_ns;
};

class FlagTest : public testing::Test {
 protected:
  // Longer than a busy machine keeps a thread from its CPU. The counter's rate is known roughly
  // only, if that happened between the two looks that give it: hence the margins below.
  static constexpr uint64_t kLimitNs = 150'000'000;

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
  // Tried until nothing keeps this thread from its CPU for as long as that.
  bool was_due = true;
  uint64_t took_ns = 0;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t begin_ns = MonotonicClock::Get().NowNs();
    preemption_.BeginSlice(begin_ns, kLimitNs, false);
    was_due = preemption_.IsDue();
    took_ns = MonotonicClock::Get().NowNs() - begin_ns;
    if (took_ns < Preemption::kMinSliceNs / 2) break;
  }
  ASSERT_LT(took_ns, Preemption::kMinSliceNs / 2);
  EXPECT_FALSE(was_due);
  SpinFor(2 * Preemption::kMinSliceNs);
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
  preemption_.LimitTo(MonotonicClock::Get().NowNs() + kLimitNs / 3);
  EXPECT_FALSE(preemption_.IsDue());
  SpinFor(kLimitNs);
  EXPECT_TRUE(preemption_.IsDue());
  EXPECT_FALSE(preemption_.requested());
  Begin();
  EXPECT_FALSE(preemption_.IsDue());
  preemption_.Request();
  EXPECT_TRUE(preemption_.IsDue());
  EXPECT_TRUE(preemption_.requested());
}

// The timeout of the slice before is still on its way.
TEST_F(FlagTest, ASliceThatEndsNoSoonerThanTheTimeoutLooksAtTheFlagFromTheBeginning) {
  Begin();
  SpinFor(Preemption::kArmAfterNs + 10'000);
  EXPECT_FALSE(preemption_.IsDue());
  preemption_.BeginSlice(MonotonicClock::Get().NowNs(), kLimitNs, false);
  SpinFor(2 * kLimitNs);
  EXPECT_FALSE(preemption_.IsDue()) << "the kernel has not raised it";
  poller_.word = 2;
  EXPECT_TRUE(preemption_.IsDue());
}

TEST_F(FlagTest, ASliceThatEndsBeforeTheTimeoutDoesNotTrustIt) {
  Begin();
  SpinFor(Preemption::kArmAfterNs + 10'000);
  EXPECT_FALSE(preemption_.IsDue());
  preemption_.BeginSlice(MonotonicClock::Get().NowNs(), kLimitNs / 3, false);
  SpinFor(kLimitNs);
  EXPECT_TRUE(preemption_.IsDue());
  EXPECT_EQ(poller_.armed_for_ns.size(), 1u);
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

// Time goes only where the test says so, and each look at it counts.
class CountingClock final : public Clock {
 public:
  uint64_t NowNs() const override {
    ++looks;
    return now_ns;
  }

  uint64_t now_ns = 1000;
  mutable int looks = 0;
};

class SimulatedSliceTest : public testing::Test {
 protected:
  void Begin(bool alone) { preemption_.BeginSlice(clock_.now_ns, 1000, alone); }
  bool IsDueAfter(uint64_t duration_ns) {
    clock_.now_ns += duration_ns;
    return preemption_.IsDue();
  }

  CountingClock clock_;
  FlagPoller poller_;
  Preemption preemption_{poller_, clock_};
};

TEST_F(SimulatedSliceTest, EndsToTheNanosecond) {
  Begin(false);
  EXPECT_FALSE(IsDueAfter(999));
  EXPECT_TRUE(IsDueAfter(1));
}

TEST_F(SimulatedSliceTest, TheFlagIsOfAnotherTime) {
  Begin(false);
  poller_.word = 2;
  EXPECT_FALSE(IsDueAfter(999));
}

TEST_F(SimulatedSliceTest, AnEarlierEndCountsAndALaterOneDoesNot) {
  Begin(false);
  preemption_.LimitTo(clock_.now_ns + 5000);
  EXPECT_FALSE(IsDueAfter(999));
  EXPECT_TRUE(IsDueAfter(1));
  Begin(false);
  preemption_.LimitTo(clock_.now_ns + 300);
  EXPECT_FALSE(IsDueAfter(299));
  EXPECT_TRUE(IsDueAfter(1));
  Begin(false);
  preemption_.LimitTo(clock_.now_ns - 1);  // passed already
  EXPECT_TRUE(IsDueAfter(0));
}

TEST_F(SimulatedSliceTest, ARequestIsForOneSlice) {
  Begin(false);
  preemption_.Request();
  EXPECT_TRUE(IsDueAfter(0));
  Begin(false);
  EXPECT_FALSE(preemption_.requested());
  EXPECT_FALSE(IsDueAfter(0));
}

TEST_F(SimulatedSliceTest, ThatOfAClassAloneLooksOnceInEightQuestionsAndOnlyThat) {
  Begin(true);
  clock_.looks = 0;
  for (int i = 0; i < 800; ++i) EXPECT_FALSE(IsDueAfter(1));
  EXPECT_EQ(clock_.looks, 100);
  Begin(true);
  EXPECT_FALSE(IsDueAfter(1));  // seven are skipped from here on
  Begin(false);
  clock_.looks = 0;
  for (int i = 0; i < 800; ++i) EXPECT_FALSE(IsDueAfter(1));
  EXPECT_EQ(clock_.looks, 800);
}

// Raises the flag again and again, and notes how long it is until the poller is asked.
Task<> RaiseAndCompute(Executor* executor, FlagPoller* poller, std::vector<uint64_t>* times_ns) {
  const auto now_ns = [] { return MonotonicClock::Get().NowNs(); };
  for (const uint64_t begin_ns = now_ns(); now_ns() - begin_ns < 2'000'000;) {
    co_await Yield();  // until the rate of the counter is known
  }
  for (int i = 0; i < 51; ++i) {
    const int polls = poller->polls;
    const uint64_t begin_ns = now_ns();
    poller->word = 2;
    while (poller->polls == polls) co_await MaybeYield();
    times_ns->push_back(now_ns() - begin_ns);
  }
  executor->RequestStop();
}

TEST(FlagInSliceTest, ACompletionBringsThePollerItsTurnLongBeforeTheSliceIsOver) {
  FlagPoller poller;
  const auto executor = std::make_unique<Executor>(poller, ExecutorOptions());
  std::vector<uint64_t> times_ns;
  ASSERT_EQ(CallOn(*executor,
                   [&] { executor->Spawn(RaiseAndCompute(executor.get(), &poller, &times_ns)); }),
            CallOutcome::kAccepted);
  executor->Run();
  ASSERT_EQ(times_ns.size(), 51u);
  std::sort(times_ns.begin(), times_ns.end());  // other processes make some of them long
  EXPECT_LT(times_ns[5], Executor::kSliceNs / 3);
}

}  // namespace
}  // namespace ioengine
