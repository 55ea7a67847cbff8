// Executor: how long it looks for work before it sleeps, in simulated time.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "gtest/gtest.h"
#include "ioengine/sched/clock.h"
#include "ioengine/sched/executor.h"
#include "ioengine/tests/sched/scripted_poller.h"
#include "ioengine/tests/sched/task_helpers.h"

namespace ioengine {
namespace {

// Each look at it takes 100 ns.
class FakeClock final : public Clock {
 public:
  uint64_t NowNs() const override {
    ++reads;
    if (on_read) on_read();
    return now_ns += 100;
  }

  std::function<void()> on_read;
  mutable uint64_t now_ns = 0;
  mutable int reads = 0;
};

class ExecutorIdleTest : public testing::Test {
 protected:
  static constexpr uint64_t kSpinNs = 10'000;

  ExecutorIdleTest() {
    poller_.on_wait = [this]() -> size_t {
      executor_.RequestStop();
      return 0;
    };
  }

  ScriptedPoller poller_;
  FakeClock clock_;
  Executor executor_{poller_, ExecutorOptions{.idle_spin_ns = kSpinNs}, clock_};
  const uint64_t begin_ns_ = clock_.now_ns;
};

TEST_F(ExecutorIdleTest, SleepsWhenTheSpinFoundNothing) {
  executor_.Run();
  EXPECT_EQ(poller_.waits, 1);
  EXPECT_EQ(executor_.stats().sleeps, 1u);
  EXPECT_GE(clock_.now_ns, begin_ns_ + kSpinNs);
  EXPECT_LE(clock_.now_ns, begin_ns_ + kSpinNs + 300);
}

TEST_F(ExecutorIdleTest, SubmitsBeforeItSpins) {
  poller_.has_completions = [&] {
    EXPECT_EQ(poller_.polls, 1);
    return false;
  };
  executor_.Run();
  EXPECT_EQ(poller_.polls, 1);
}

TEST_F(ExecutorIdleTest, ACompletionEndsTheSpin) {
  poller_.has_completions = [&] { return clock_.now_ns >= begin_ns_ + 1000 && poller_.polls == 1; };
  poller_.on_poll = [&]() -> size_t {
    if (poller_.polls < 2) return 0;
    EXPECT_LT(clock_.now_ns, begin_ns_ + kSpinNs);
    executor_.RequestStop();
    return 1;
  };
  executor_.Run();
  EXPECT_EQ(poller_.polls, 2);
  EXPECT_EQ(poller_.waits, 0);
}

TEST_F(ExecutorIdleTest, ACallEndsTheSpin) {
  bool called = false;
  clock_.on_read = [&] {
    if (clock_.now_ns != begin_ns_ + 500) return;
    EXPECT_EQ(CallOn(executor_,
                     [&] {
                       called = true;
                       executor_.RequestStop();
                     }),
              CallOutcome::kAccepted);
  };
  executor_.Run();
  EXPECT_TRUE(called);
  EXPECT_EQ(poller_.waits, 0);
  EXPECT_EQ(executor_.stats().sleeps, 0u);
}

TEST_F(ExecutorIdleTest, AStopEndsTheSpin) {
  clock_.on_read = [&] {
    if (clock_.now_ns == begin_ns_ + 500) executor_.RequestStop();
  };
  executor_.Run();
  EXPECT_EQ(poller_.waits, 0);
}

TEST_F(ExecutorIdleTest, ACallJustBeforeTheSleepIsNotSleptOver) {
  // The last thing that the executor does before it announces its sleep is to read the clock.
  bool called = false;
  clock_.on_read = [&] {
    if (clock_.now_ns + 100 < begin_ns_ + kSpinNs || called) return;
    called = true;
    EXPECT_EQ(CallOn(executor_, [&] { executor_.RequestStop(); }), CallOutcome::kAccepted);
  };
  poller_.on_wait = [&]() -> size_t {
    ADD_FAILURE() << "slept with a call in the inbox";
    executor_.RequestStop();
    return 0;
  };
  executor_.Run();
  EXPECT_TRUE(called);
}

TEST_F(ExecutorIdleTest, AStopJustBeforeTheSleepIsNotSleptOver) {
  clock_.on_read = [&] {
    if (clock_.now_ns + 100 >= begin_ns_ + kSpinNs) executor_.RequestStop();
  };
  poller_.on_wait = [&]() -> size_t {
    ADD_FAILURE() << "slept though it was to stop";
    executor_.RequestStop();
    return 0;
  };
  executor_.Run();
  EXPECT_EQ(poller_.waits, 0);
}

TEST_F(ExecutorIdleTest, WakesOnceForCallsThatFindItAsleep) {
  int wakes = 0;
  int calls = 0;
  poller_.on_wake = [&] { ++wakes; };
  poller_.on_wait = [&]() -> size_t {
    if (calls > 0) {
      executor_.RequestStop();
      return 0;
    }
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(CallOn(executor_, [&] { ++calls; }), CallOutcome::kAccepted);
    }
    EXPECT_EQ(wakes, 1);
    return 0;
  };
  executor_.Run();
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(wakes, 2);  // the stop found it asleep too
}

TEST_F(ExecutorIdleTest, DoesNotWakeAnExecutorThatIsAwake) {
  int wakes = 0;
  poller_.on_wake = [&] { ++wakes; };
  ASSERT_EQ(CallOn(executor_,
                   [&] {
                     EXPECT_EQ(CallOn(executor_, [&] { executor_.RequestStop(); }),
                               CallOutcome::kAccepted);
                   }),
            CallOutcome::kAccepted);
  executor_.Run();
  EXPECT_EQ(wakes, 0);
}

TEST_F(ExecutorIdleTest, TheClockIsReadOncePerTurnAndSlice) {
  const auto owner = std::make_unique<Executor>(poller_, ExecutorOptions(), clock_);
  Executor& executor = *owner;
  const uint64_t begin_ns = clock_.now_ns;
  uint64_t times[3];
  int reads = 0;
  const auto stamp = [](Executor* on, uint64_t* stamps) -> Task<> {
    stamps[0] = on->TurnTimeNs();
    co_await on->Yield();
    stamps[1] = on->TurnTimeNs();
    CallOn(*on, [on, stamps] { stamps[2] = on->TurnTimeNs(); });
  };
  poller_.on_wait = [&]() -> size_t {
    reads = clock_.reads;
    executor.RequestStop();
    return 0;
  };
  clock_.reads = 0;
  ASSERT_EQ(CallOn(executor, [&] { executor.Spawn(stamp(&executor, times)); }),
            CallOutcome::kAccepted);
  executor.Run();
  EXPECT_EQ(times[0], begin_ns + 100);
  EXPECT_EQ(times[1], times[0]);
  EXPECT_GT(times[2], times[1]);
  // Two turns and a slice; in simulated time the end of a slice is looked for after each task too.
  EXPECT_LE(reads, 6);
}

}  // namespace
}  // namespace ioengine
