// Executor::Pump: a shard in its host's event loop, without threads of its own.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/simulated_time.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/turn_poller.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/task_helpers.h"

namespace ioengine {
namespace {

using testing::ElementsAre;

using Log = std::vector<std::string>;

constexpr uint64_t kLongNs = 1'000'000'000;

class PumpTest : public testing::Test {
 protected:
  struct Shard {
    explicit Shard(SimulatedClock& clock)
        : poller(clock), executor(std::make_unique<Executor>(poller, ExecutorOptions(), clock)) {}
    PumpOutcome Pump(uint64_t max_ns = kLongNs) { return executor->Pump(max_ns); }

    SimulatedPoller poller;
    std::unique_ptr<Executor> executor;
  };

  static Task<> ComputeInPieces(SimulatedClock* clock, int pieces, Log* log) {
    const Probe probe(log, "~computed");
    for (int i = 0; i < pieces; ++i) {
      clock->Advance(100'000);
      co_await Yield();
    }
    log->push_back("computed");
  }

  static Task<> SleepAndNote(uint64_t until_ns, Log* log, std::string name) {
    const Probe probe(log, "~" + name);
    co_await SleepUntil(until_ns);
    log->push_back(name);
  }

  SimulatedClock clock_;
  Shard shard_{clock_};
  Log log_;
};

TEST_F(PumpTest, ReturnsWhenItsTimeIsOverAndGoesOnTheNextTime) {
  ASSERT_EQ(CallOn(*shard_.executor,
                   [&] { shard_.executor->Spawn(ComputeInPieces(&clock_, 100, &log_)); }),
            CallOutcome::kAccepted);
  int pumps = 0;
  while (log_.empty()) {
    const uint64_t begin_ns = clock_.NowNs();
    const PumpOutcome outcome = shard_.Pump(1'000'000);
    ASSERT_EQ(outcome, log_.empty() ? PumpOutcome::kMore : PumpOutcome::kIdle);
    EXPECT_LE(clock_.NowNs() - begin_ns, 1'000'000 + Executor::kSliceNs + 100'000);
    ++pumps;
  }
  EXPECT_GE(pumps, 6);
  EXPECT_EQ(Executor::Current(), nullptr) << "the thread is the host's again";
}

TEST_F(PumpTest, SaysUntilWhenItHasNothingToDo) {
  EXPECT_EQ(shard_.Pump(), PumpOutcome::kIdle);
  EXPECT_EQ(shard_.poller.wake_at_ns(), Poller::kForever);
  ASSERT_EQ(CallOn(*shard_.executor,
                   [&] { shard_.executor->Spawn(SleepAndNote(5'000'000, &log_, "slept")); }),
            CallOutcome::kAccepted);
  EXPECT_TRUE(shard_.poller.woken()) << "a call to a shard that waits wakes its host";
  EXPECT_EQ(shard_.Pump(), PumpOutcome::kIdle);
  EXPECT_FALSE(shard_.poller.woken());
  EXPECT_EQ(shard_.poller.wake_at_ns(), 5'000'000u);
  clock_.Advance(5'000'000);
  EXPECT_EQ(shard_.Pump(), PumpOutcome::kIdle);
  EXPECT_THAT(log_, ElementsAre("slept", "~slept"));
}

TEST_F(PumpTest, SeveralShardsTakeTurnsOnOneThread) {
  Shard other(clock_);
  for (Shard* shard : {&shard_, &other}) {
    const std::string name = shard == &other ? "other" : "this";
    ASSERT_EQ(
        CallOn(*shard->executor,
               [this, shard, name] {
                 shard->executor->Spawn(SleepAndNote(name == "this" ? 2000 : 1000, &log_, name));
               }),
        CallOutcome::kAccepted);
  }
  for (int round = 0; round < 10 && log_.size() < 4; ++round) {
    uint64_t wake_at_ns = Poller::kForever;
    for (Shard* shard : {&shard_, &other}) {
      if (shard->Pump() == PumpOutcome::kIdle) {
        wake_at_ns = std::min(wake_at_ns, shard->poller.wake_at_ns());
      }
    }
    if (wake_at_ns != Poller::kForever) clock_.Advance(wake_at_ns - clock_.NowNs());
  }
  EXPECT_THAT(log_, ElementsAre("other", "~other", "this", "~this"));
}

TEST_F(PumpTest, TheStopEndsTasksInTheNextPump) {
  ASSERT_EQ(CallOn(*shard_.executor,
                   [&] { shard_.executor->Spawn(SleepAndNote(kLongNs, &log_, "task")); }),
            CallOutcome::kAccepted);
  EXPECT_EQ(shard_.Pump(), PumpOutcome::kIdle);
  shard_.executor->RequestStop();
  EXPECT_THAT(log_, ElementsAre());
  EXPECT_EQ(shard_.Pump(), PumpOutcome::kStopped);
  EXPECT_THAT(log_, ElementsAre("~task"));
  EXPECT_EQ(CallOn(*shard_.executor, [] {}), CallOutcome::kStopped);
  // And it can begin again.
  EXPECT_EQ(shard_.Pump(), PumpOutcome::kIdle);
  EXPECT_EQ(CallOn(*shard_.executor, [] {}), CallOutcome::kAccepted);
}

TEST_F(PumpTest, AnExecutorThatIsDestroyedBetweenPumpsEndsItsTasks) {
  ASSERT_EQ(CallOn(*shard_.executor,
                   [&] { shard_.executor->Spawn(SleepAndNote(kLongNs, &log_, "task")); }),
            CallOutcome::kAccepted);
  EXPECT_EQ(shard_.Pump(), PumpOutcome::kIdle);
  shard_.executor.reset();
  EXPECT_THAT(log_, ElementsAre("~task"));
}

TEST_F(PumpTest, AnExecutorThatIsDestroyedBetweenPumpsDestroysTheCallsThatItHasNotRun) {
  EXPECT_EQ(shard_.Pump(), PumpOutcome::kIdle);
  const auto waiting = std::make_shared<int>(0);
  ASSERT_EQ(CallOn(*shard_.executor, [waiting] { ++*waiting; }), CallOutcome::kAccepted);
  ASSERT_EQ(waiting.use_count(), 2);
  shard_.executor.reset();
  EXPECT_EQ(waiting.use_count(), 1);
  EXPECT_EQ(*waiting, 0);
}

TEST_F(PumpTest, AStopThatComesBeforeTheFirstPumpLetsNothingRun) {
  bool ran = false;
  ASSERT_EQ(CallOn(*shard_.executor, [&] { ran = true; }), CallOutcome::kAccepted);
  shard_.executor->RequestStop();
  EXPECT_EQ(shard_.Pump(), PumpOutcome::kStopped);
  EXPECT_FALSE(ran);
}

TEST_F(PumpTest, EachPumpMakesATurnHoweverLittleTimeItIsGiven) {
  ASSERT_EQ(
      CallOn(*shard_.executor, [&] { shard_.executor->Spawn(ComputeInPieces(&clock_, 3, &log_)); }),
      CallOutcome::kAccepted);
  for (int pumps = 0; pumps < 10 && log_.empty(); ++pumps) {
    static_cast<void>(shard_.Pump(0));
  }
  EXPECT_THAT(log_, ElementsAre("computed", "~computed"));
}

// There is always more to do: until a bound that tells a Pump without end from one that ends.
class Pieces final : public IdleWork {
 public:
  static constexpr int kWithoutEnd = 100'000;

  Pieces(SimulatedClock* clock, int pieces) : clock_(clock), left_(pieces) {}
  bool RunPiece() override {
    if (left_ == 0) return false;
    --left_;
    clock_->Advance(10'000);
    return true;
  }
  int left() const { return left_; }

 private:
  SimulatedClock* const clock_;
  int left_;
};

TEST_F(PumpTest, IdleWorkWithoutEndGivesTheThreadBackInTime) {
  Pieces work(&clock_, Pieces::kWithoutEnd);
  shard_.executor->SetIdleWork(&work);
  EXPECT_EQ(shard_.Pump(1'000'000), PumpOutcome::kMore);
  EXPECT_LE(clock_.NowNs(), 1'000'000u + 2 * 10'000u);
  EXPECT_LT(work.left(), Pieces::kWithoutEnd - 90) << "it may use the time that it is given";
  shard_.executor->SetIdleWork(nullptr);
}

TEST_F(PumpTest, AShardIsIdleOnlyWhenItsIdleWorkIsDone) {
  Pieces work(&clock_, 20);
  shard_.executor->SetIdleWork(&work);
  EXPECT_EQ(shard_.Pump(), PumpOutcome::kIdle);
  EXPECT_EQ(work.left(), 0);
  shard_.executor->SetIdleWork(nullptr);
}

// Says in PrepareWait what the test put there.
class WaitingPoller final : public Poller {
 public:
  size_t Poll() override {
    ++polls;
    return 0;
  }
  size_t Wait(uint64_t) override {
    ADD_FAILURE() << "a Pump sleeps in its host's loop only";
    return 0;
  }
  bool HasCompletions() const override { return false; }
  bool PrepareWait(uint64_t) override { return on_prepare(); }
  void Wake() override { ++wakes; }

  std::function<bool()> on_prepare;
  int polls = 0;
  int wakes = 0;
};

TEST_F(PumpTest, APollerThatFindsSomethingInsteadOfWaitingIsPolledAgain) {
  WaitingPoller poller;
  const auto executor = std::make_unique<Executor>(poller, ExecutorOptions(), clock_);
  int asked = 0;
  poller.on_prepare = [&] {
    // As Poll, which takes it.
    EXPECT_EQ(poller.polls, ++asked);
    return asked == 3;
  };
  EXPECT_EQ(executor->Pump(kLongNs), PumpOutcome::kIdle);
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(executor->stats().sleeps, 1u);
}

TEST_F(PumpTest, APollerThatIsNeverReadyToWaitDoesNotKeepTheThread) {
  WaitingPoller poller;
  const auto executor = std::make_unique<Executor>(poller, ExecutorOptions(), clock_);
  int asked = 0;
  poller.on_prepare = [&] {
    clock_.Advance(1000);
    return ++asked == 1000;  // ends a Pump that would go on for ever
  };
  EXPECT_EQ(executor->Pump(10'000), PumpOutcome::kMore);
  EXPECT_LE(clock_.NowNs(), 12'000u);
  EXPECT_EQ(executor->fd(), -1) << "a host that has nothing to wait for";
}

TEST_F(PumpTest, ACallThatComesWhileTheShardGoesToSleepWakesTheHost) {
  WaitingPoller poller;
  const auto executor = std::make_unique<Executor>(poller, ExecutorOptions(), clock_);
  bool ran = false;
  poller.on_prepare = [&] {
    EXPECT_EQ(CallOn(*executor, [&] { ran = true; }), CallOutcome::kAccepted);
    return true;
  };
  EXPECT_EQ(executor->Pump(kLongNs), PumpOutcome::kIdle);
  EXPECT_EQ(poller.wakes, 1);
  EXPECT_FALSE(ran);
  poller.on_prepare = [] { return true; };
  EXPECT_EQ(executor->Pump(kLongNs), PumpOutcome::kIdle);
  EXPECT_TRUE(ran);
  EXPECT_EQ(poller.wakes, 1) << "it was awake";
}

// A mesh of one: work that was brought to it in time keeps the shard awake.
class Bell final : public TurnPoller {
 public:
  size_t Poll() override { return static_cast<size_t>(std::exchange(rung, false)); }
  bool HasWork() const override { return rung; }
  bool PrepareToSleep() override {
    EXPECT_FALSE(std::exchange(asleep, true));
    if (std::exchange(ring_in_time, false)) rung = true;
    return !rung;
  }
  void WokeUp() override { asleep = false; }

  bool rung = false;
  bool ring_in_time = false;
  bool asleep = false;
};

TEST_F(PumpTest, TurnPollersAreToldOfTheSleepAndOfItsEnd) {
  Bell bell;
  shard_.executor->AddPoller(bell);
  bell.ring_in_time = true;
  EXPECT_EQ(shard_.Pump(), PumpOutcome::kIdle);
  EXPECT_FALSE(bell.rung) << "it was looked at once more before the sleep";
  EXPECT_TRUE(bell.asleep) << "from now on, who brings work wakes the shard";
  shard_.executor->WakeUp();
  EXPECT_TRUE(shard_.poller.woken());
  EXPECT_EQ(shard_.Pump(), PumpOutcome::kIdle);
  bell.rung = true;
  EXPECT_EQ(shard_.Pump(), PumpOutcome::kIdle);
  EXPECT_FALSE(bell.rung);
}

using PumpDeathTest = PumpTest;

TEST_F(PumpDeathTest, OnAThreadThatRunsAShardAlready) {
  Shard other(clock_);
  ASSERT_EQ(CallOn(*shard_.executor, [&] { static_cast<void>(other.Pump()); }),
            CallOutcome::kAccepted);
  EXPECT_DEATH(static_cast<void>(shard_.Pump()), "this thread runs an executor already");
}

}  // namespace
}  // namespace ioengine
