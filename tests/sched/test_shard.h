// A shard without I/O on the test's own thread, in simulated or in real time; and the sweep that
// ends tasks at every await.

#ifndef IOENGINE_TESTS_SCHED_TEST_SHARD_H_
#define IOENGINE_TESTS_SCHED_TEST_SHARD_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/sched/clock.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/simulated_time.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/tests/sched/task_helpers.h"

namespace ioengine {

enum class TimeKind { kSimulated, kReal };

inline std::string TimeKindName(const testing::TestParamInfo<TimeKind>& info) {
  return info.param == TimeKind::kSimulated ? "Simulated" : "Real";
}

// Sleeps for real. One thread: nobody wakes it.
class RealTimePoller final : public Poller {
 public:
  explicit RealTimePoller(std::function<void()> on_idle) : on_idle_(std::move(on_idle)) {}

  size_t Poll() override { return 0; }
  size_t Wait(uint64_t timeout_ns) override {
    if (timeout_ns == kForever) {
      on_idle_();
    } else {
      std::this_thread::sleep_for(std::chrono::nanoseconds(timeout_ns));
    }
    return 0;
  }
  bool HasCompletions() const override { return false; }
  void Wake() override {}

 private:
  const std::function<void()> on_idle_;
};

class TestShard {
 public:
  explicit TestShard(TimeKind kind = TimeKind::kSimulated, const ExecutorOptions& options = {})
      : simulated_(kind == TimeKind::kSimulated),
        real_poller_([this] { executor_->RequestStop(); }) {
    simulated_poller_.set_on_idle([this] { executor_->RequestStop(); });
    Poller& poller = simulated_ ? static_cast<Poller&>(simulated_poller_) : real_poller_;
    const Clock& clock = simulated_ ? static_cast<const Clock&>(clock_) : MonotonicClock::Get();
    executor_ = std::make_unique<Executor>(poller, options, clock);
  }

  // Runs `start` on the shard, and then tasks until all that are left wait for ever. Those are
  // destroyed.
  void Run(std::function<void()> start) {
    ASSERT_EQ(CallOn(*executor_, std::move(start)), CallOutcome::kAccepted);
    executor_->Run();
  }

  Executor& executor() { return *executor_; }
  uint64_t NowNs() const { return executor_->clock().NowNs(); }

  // A task computes: simulated time goes on.
  SimulatedClock& clock() { return clock_; }

  // Without letting it go on to the next timer, in simulated time.
  Task<> LetTimePass(std::chrono::nanoseconds duration) {
    if (simulated_) {
      clock_.Advance(static_cast<uint64_t>(duration.count()));
    } else {
      co_await Sleep(duration);
    }
  }

 private:
  const bool simulated_;
  SimulatedClock clock_;
  SimulatedPoller simulated_poller_{clock_};
  RealTimePoller real_poller_;
  std::unique_ptr<Executor> executor_;
};

// A shard in the kind of time that is the parameter, and a log.
class TimedTest : public testing::TestWithParam<TimeKind> {
 protected:
  TestShard shard_{GetParam()};
  std::vector<std::string> log_;
};

// Ends tasks at every await. `scenario(shard, victims)` spawns tasks into the scope `victims` and
// others, the bystanders, as it likes. In run k the victims are cancelled by a task that yields k
// times first, for k = 0, 1, 2, … until a run in which they ended by themselves; `check(ended)`,
// which is told whether they did, is called on the shard when all tasks wait for ever, and after it
// no frame may be left. Then the same again with the tasks of each slice in a random order.
class CancelSweep {
 public:
  using Scenario = std::function<void(TestShard& shard, TaskScope& victims)>;
  using Check = std::function<void(bool ended)>;

  static void Run(TimeKind kind, const Scenario& scenario, const Check& check) {
    constexpr int kMostCuts = 2000;
    int cuts = 0;
    while (!RunOnce(kind, 0, cuts, scenario, check)) {
      if (testing::Test::HasFailure()) return;
      ASSERT_LT(++cuts, kMostCuts) << "the victims never end";
    }
    EXPECT_GT(cuts, 1) << "nothing was cut";
    const int seeds = kind == TimeKind::kSimulated ? 100 : 5;  // real time takes time
    for (int seed = 1; seed <= seeds && !testing::Test::HasFailure(); ++seed) {
      RunOnce(kind, static_cast<uint64_t>(seed), seed * 7 % (cuts + 1), scenario, check);
    }
  }

 private:
  static Task<> CancelAfter(TestShard* shard, TaskScope* victims, int yields, bool* ended) {
    for (int i = 0; i < yields && victims->size() > 0; ++i) {
      co_await shard->executor().Yield();
      if (i % 4 == 3) co_await shard->LetTimePass(std::chrono::microseconds(50));
    }
    *ended = victims->size() == 0;
    victims->Cancel();
  }

  static bool RunOnce(TimeKind kind, uint64_t seed, int cut, const Scenario& scenario,
                      const Check& check) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", cut after " + std::to_string(cut));
    TestShard shard(kind, {.shuffle_seed = seed});
    bool ended = false;
    std::unique_ptr<TaskScope> victims;
    shard.Run([&] {
      victims = std::make_unique<TaskScope>(shard.executor());
      scenario(shard, *victims);
      shard.executor().Spawn(CancelAfter(&shard, victims.get(), cut, &ended));
    });
    victims.reset();
    check(ended);
    EXPECT_EQ(shard.executor().frames().live(), 0u);
    return ended;
  }
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_SCHED_TEST_SHARD_H_
