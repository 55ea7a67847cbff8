// A shard without I/O on the test's own thread, in simulated or in real time.

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
      : simulated_(kind == TimeKind::kSimulated), real_poller_([this] { End(); }) {
    simulated_poller_.set_on_idle([this] { End(); });
    Poller& poller = simulated_ ? static_cast<Poller&>(simulated_poller_) : real_poller_;
    const Clock& clock = simulated_ ? static_cast<const Clock&>(clock_) : MonotonicClock::Get();
    executor_ = std::make_unique<Executor>(poller, options, clock);
  }

  // Runs `start` on the shard, and then tasks until all that are left wait for ever; then `at_end`,
  // also on the shard, which is to make nothing runnable. What is left is destroyed.
  void Run(
      std::function<void()> start, std::function<void()> at_end = [] {}) {
    at_end_ = std::move(at_end);
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
  void End() {
    at_end_();
    executor_->RequestStop();
  }

  const bool simulated_;
  SimulatedClock clock_;
  SimulatedPoller simulated_poller_{clock_};
  RealTimePoller real_poller_;
  std::unique_ptr<Executor> executor_;
  std::function<void()> at_end_;
};

// A shard in simulated time, where what happens at one instant is in the test's hands, and a log.
class SimulatedTest : public testing::Test {
 protected:
  TestShard shard_;
  std::vector<std::string> log_;
};

// A shard in the kind of time that is the parameter, and a log.
class TimedTest : public testing::TestWithParam<TimeKind> {
 protected:
  TestShard shard_{GetParam()};
  std::vector<std::string> log_;
};

// Gives `value` when so much time has passed.
template <typename T>
Task<T> GiveAfter(std::chrono::nanoseconds duration, T value) {
  co_await Sleep(duration);
  co_return std::move(value);
}

// Notes its name then; and its end in any case.
inline Task<> NoteAfter(std::chrono::nanoseconds duration, std::vector<std::string>* log,
                        std::string name) {
  const Probe probe(log, "~" + name);
  co_await Sleep(duration);
  log->push_back(name);
}

}  // namespace ioengine

#endif  // IOENGINE_TESTS_SCHED_TEST_SHARD_H_
