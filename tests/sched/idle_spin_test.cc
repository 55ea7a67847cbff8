// What an executor does between its last task and its sleep: what ends a spin, what spins teach,
// what turn pollers are told, how wake-ups for timers are rationed. In simulated time.

#include "ioengine/sched/idle_spin.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/turn_poller.h"
#include "ioengine/sched/wake_budget.h"
#include "ioengine/tests/sched/scripted_poller.h"
#include "ioengine/tests/sched/task_helpers.h"

namespace ioengine {
namespace {

using testing::Each;
using testing::ElementsAre;

// Each look at it takes 100 ns, so that a spin comes to its end.
class LookingClock final : public Clock {
 public:
  uint64_t NowNs() const override { return now_ns += kLookNs; }

  static constexpr uint64_t kLookNs = 100;
  mutable uint64_t now_ns = 0;
};

// Notes when it fired, if anybody looks.
class NotedTimer final : public Timer {
 public:
  explicit NotedTimer(const uint64_t* now_ns) : now_ns_(now_ns) {}

  uint64_t fired_at_ns = 0;

 private:
  void OnTimer() override { fired_at_ns = *now_ns_; }

  const uint64_t* const now_ns_;
};

// Has work when the test says so.
class ScriptedTurnPoller final : public TurnPoller {
 public:
  size_t Poll() override { return on_poll ? on_poll() : 0; }
  bool HasWork() const override { return has_work && has_work(); }
  bool PrepareToSleep() override {
    ++prepared;
    return may_sleep;
  }
  void WokeUp() override { ++woken; }

  std::function<size_t()> on_poll;
  std::function<bool()> has_work;
  bool may_sleep = true;
  int prepared = 0;
  int woken = 0;
};

class SpinTest : public testing::Test {
 protected:
  static constexpr uint64_t kSpinNs = 80'000;

  LookingClock clock_;
  ScriptedPoller poller_;
  Executor executor_{poller_, ExecutorOptions{.idle_spin_ns = kSpinNs}, clock_};
};

TEST_F(SpinTest, ATimerEndsIt) {
  NotedTimer timer(&clock_.now_ns);
  poller_.on_wait = [&]() -> size_t {
    executor_.RequestStop();
    return 0;
  };
  const uint64_t deadline_ns = clock_.now_ns + 20'000;
  ASSERT_EQ(CallOn(executor_, [&] { executor_.ArmTimer(timer, deadline_ns); }),
            CallOutcome::kAccepted);
  executor_.Run();
  EXPECT_GE(timer.fired_at_ns, deadline_ns);
  EXPECT_LE(timer.fired_at_ns, deadline_ns + 5 * LookingClock::kLookNs);
}

TEST_F(SpinTest, WorkOfATurnPollerEndsIt) {
  ScriptedTurnPoller mesh;
  executor_.AddPoller(mesh);
  const uint64_t due_ns = clock_.now_ns + 20'000;
  uint64_t taken_ns = 0;
  mesh.has_work = [&] { return clock_.now_ns >= due_ns; };
  mesh.on_poll = [&]() -> size_t {
    if (clock_.now_ns < due_ns) return 0;
    taken_ns = clock_.now_ns;
    executor_.RequestStop();
    return 1;
  };
  executor_.Run();
  EXPECT_GE(taken_ns, due_ns);
  EXPECT_LE(taken_ns, due_ns + 5 * LookingClock::kLookNs);
  EXPECT_EQ(poller_.waits, 0);
}

TEST_F(SpinTest, ACallEndsItAtOnce) {
  const uint64_t due_ns = clock_.now_ns + 20'000;
  uint64_t called_ns = 0;
  bool sent = false;
  poller_.has_completions = [&] {  // asked in each round of the spin
    if (clock_.now_ns < due_ns || sent) return false;
    sent = true;
    EXPECT_EQ(CallOn(executor_,
                     [&] {
                       called_ns = clock_.now_ns;
                       executor_.RequestStop();
                     }),
              CallOutcome::kAccepted);
    return false;
  };
  executor_.Run();
  EXPECT_GE(called_ns, due_ns);
  EXPECT_LE(called_ns, due_ns + 5 * LookingClock::kLookNs);
}

TEST_F(SpinTest, ShardsWhoseSpinsFindNothingStopSpinning) {
  std::vector<int> rounds(8);
  size_t sleep = 0;
  poller_.has_completions = [&] {
    ++rounds[sleep];
    return false;
  };
  poller_.on_wait = [&]() -> size_t {
    if (++sleep == rounds.size()) executor_.RequestStop();
    return 0;
  };
  executor_.Run();
  for (int& looks : rounds) looks /= 16;  // it reads the clock once in so many
  EXPECT_THAT(rounds, ElementsAre(800, 400, 200, 100, 0, 0, 0, 0));
}

TEST_F(SpinTest, ShardsWhoseSpinsFindSomethingGoOnSpinning) {
  int found = 0;
  poller_.has_completions = [&] { return true; };
  poller_.on_poll = [&]() -> size_t {
    // In each idle time it is polled before the spin, and then by it.
    if (poller_.polls % 2 == 1) return 0;
    if (++found == 100) executor_.RequestStop();
    return 1;
  };
  executor_.Run();
  EXPECT_EQ(found, 100);
  EXPECT_EQ(poller_.waits, 0);
}

TEST(TurnPollerSleepTest, NoneIsSleptOverAndAllAreTold) {
  LookingClock clock;
  ScriptedPoller poller;
  const auto owned = std::make_unique<Executor>(poller, ExecutorOptions(), clock);
  Executor& executor = *owned;
  ScriptedTurnPoller pollers[3];
  for (ScriptedTurnPoller& one : pollers) executor.AddPoller(one);
  pollers[1].may_sleep = false;
  int turns = 0;
  pollers[0].on_poll = [&]() -> size_t {
    for (const ScriptedTurnPoller& one : pollers) {
      EXPECT_EQ(one.prepared, turns) << "each is asked before each sleep";
      EXPECT_EQ(one.woken, turns) << "and told of its end";
    }
    if (++turns == 3) pollers[1].may_sleep = true;
    return 0;
  };
  poller.on_wait = [&]() -> size_t {
    EXPECT_EQ(turns, 3) << "it slept though something had come";
    executor.RequestStop();
    return 0;
  };
  executor.Run();
  EXPECT_EQ(poller.waits, 1);
  EXPECT_EQ(poller.polls, 2) << "instead of each sleep that was not to be";
}

// Sleeps move it; it says that it is real, since only real wake-ups cost anything.
class SleptClock final : public Clock {
 public:
  explicit SleptClock(bool real) : real_(real) {}
  uint64_t NowNs() const override { return now_ns; }
  bool is_real() const override { return real_; }

  uint64_t now_ns = 1'000'000'000;

 private:
  const bool real_;
};

class RationTest : public testing::Test {
 protected:
  static constexpr uint64_t kBatchNs = 1'000'000;
  static constexpr uint64_t kApartNs = 10'000;
  static constexpr int kTimers = 1000;
  // The wheel wakes the shard up to sort timers, too.
  static constexpr size_t kAtOnce = WakeBudget::kBurst / 2;

  // How late each of kTimers timers fires that are due kApartNs after each other, on a shard which
  // was woken up `times` for other reasons before.
  std::vector<uint64_t> LatenessNs(bool real, int times_woken = 0) {
    SleptClock clock(real);
    ScriptedPoller poller;
    const auto owned =
        std::make_unique<Executor>(poller, ExecutorOptions{.timer_batch_ns = kBatchNs}, clock);
    Executor& executor = *owned;
    poller.on_wait = [&]() -> size_t {
      if (poller.last_timeout_ns == Poller::kForever) {
        executor.RequestStop();
      } else if (poller.waits > times_woken) {
        clock.now_ns += poller.last_timeout_ns;
      }
      return 0;
    };
    std::vector<std::unique_ptr<NotedTimer>> timers;
    const uint64_t begin_ns = clock.now_ns + kApartNs;
    EXPECT_EQ(CallOn(executor,
                     [&] {
                       for (uint64_t i = 0; i < kTimers; ++i) {
                         timers.push_back(std::make_unique<NotedTimer>(&clock.now_ns));
                         executor.ArmTimer(*timers.back(), begin_ns + i * kApartNs);
                       }
                     }),
              CallOutcome::kAccepted);
    executor.Run();
    waits_ = poller.waits;
    std::vector<uint64_t> lateness_ns;
    for (const auto& timer : timers) {
      lateness_ns.push_back(timer->fired_at_ns - timer->deadline_ns());
    }
    return lateness_ns;
  }

  int waits_ = 0;
};

TEST_F(RationTest, ACrowdOfTimersFiresInBatches) {
  const std::vector<uint64_t> lateness_ns = LatenessNs(true);
  EXPECT_THAT(lateness_ns, Each(testing::Le(kBatchNs)));
  // 10 ms: one wake-up in each, those saved up, and the sleep that ends the test.
  EXPECT_LE(waits_, 10 + static_cast<int>(WakeBudget::kBurst) + 2);
  for (size_t i = 0; i < kAtOnce; ++i) EXPECT_EQ(lateness_ns[i], 0u) << i;
}

TEST_F(RationTest, WakeUpsForOtherReasonsAreNotCounted) {
  const std::vector<uint64_t> lateness_ns = LatenessNs(true, 100);
  for (size_t i = 0; i < kAtOnce; ++i) EXPECT_EQ(lateness_ns[i], 0u) << i;
}

TEST_F(RationTest, NothingIsLateInSimulatedTime) { EXPECT_THAT(LatenessNs(false), Each(0u)); }

}  // namespace
}  // namespace ioengine
