// Executor::Pump: a shard in its host's event loop, without threads of its own.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/simulated_time.h"
#include "ioengine/sched/sleep.h"
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

}  // namespace
}  // namespace ioengine
