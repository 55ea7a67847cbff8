// Several shards without I/O and a mesh between them: on one thread in simulated time, or each on a
// thread of its own.
#ifndef IOENGINE_TESTS_SCHED_MESH_SHARDS_H_
#define IOENGINE_TESTS_SCHED_MESH_SHARDS_H_

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/mesh.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/simulated_time.h"
#include "ioengine/tests/sched/task_helpers.h"

namespace ioengine {

// Counted, wherever it is.
class Token {
 public:
  Token() { live_.fetch_add(1); }
  Token(Token&& other) noexcept : counted_(std::exchange(other.counted_, false)) {}
  Token& operator=(Token&&) = delete;
  ~Token() {
    if (counted_) live_.fetch_sub(1);
  }

  static int64_t live() { return live_.load(); }

 private:
  static inline std::atomic<int64_t> live_{0};

  bool counted_ = true;
};

// Any number each time.
class RandomOrder final : public DeliveryOrder {
 public:
  explicit RandomOrder(uint64_t seed) : random_(seed) {}
  size_t Choose(size_t choices) override { return random_.Below(choices); }

 private:
  Random random_;
};

// Shards that the test pumps, in simulated time.
class SimulatedShards {
 public:
  explicit SimulatedShards(size_t count, const MeshOptions& options = {},
                           const ExecutorOptions& executor_options = {})
      : mesh_(count, options) {
    for (size_t i = 0; i < count; ++i) {
      pollers_.push_back(std::make_unique<SimulatedPoller>(clock_));
      executors_.push_back(std::make_unique<Executor>(*pollers_.back(), executor_options, clock_));
      mesh_.port(static_cast<ShardId>(i)).Attach(*executors_.back());
    }
  }
  ~SimulatedShards() {
    for (size_t i = 0; i < executors_.size(); ++i) Stop(static_cast<ShardId>(i));
  }
  SimulatedShards(const SimulatedShards&) = delete;
  SimulatedShards& operator=(const SimulatedShards&) = delete;

  Mesh& mesh() { return mesh_; }
  MeshPort& port(ShardId id) { return mesh_.port(id); }
  Executor& executor(ShardId id) { return *executors_[id]; }
  SimulatedClock& clock() { return clock_; }
  size_t count() const { return executors_.size(); }

  // Has `function` called on shard `id`, when that is pumped.
  void On(ShardId id, std::function<void()> function) {
    ASSERT_EQ(CallOn(*executors_[id], std::move(function)), CallOutcome::kAccepted);
  }

  // One turn, as far as the shard has anything to do.
  PumpOutcome Pump(ShardId id) { return executors_[id]->Pump(0); }

  void Stop(ShardId id) {
    executors_[id]->RequestStop();
    while (executors_[id]->Pump(0) != PumpOutcome::kStopped) {
    }
  }

  // Until no shard has anything to do; time goes on to the next timer if `with_timers`.
  void RunUntilIdle(bool with_timers = true) {
    for (;;) {
      bool idle = true;
      uint64_t next_ns = Poller::kForever;
      for (size_t i = 0; i < executors_.size(); ++i) {
        idle &= Pump(static_cast<ShardId>(i)) == PumpOutcome::kIdle;
      }
      for (const auto& poller : pollers_) {
        idle &= !poller->woken();
        next_ns = std::min(next_ns, poller->wake_at_ns());
      }
      if (!idle) continue;
      if (!with_timers || next_ns == Poller::kForever) return;
      if (next_ns > clock_.NowNs()) clock_.Advance(next_ns - clock_.NowNs());
    }
  }

 private:
  SimulatedClock clock_;
  Mesh mesh_;
  std::vector<std::unique_ptr<SimulatedPoller>> pollers_;
  std::vector<std::unique_ptr<Executor>> executors_;
};

// Sleeps until it is woken.
class ThreadPoller final : public Poller {
 public:
  size_t Poll() override { return 0; }
  size_t Wait(uint64_t timeout_ns) override {
    std::unique_lock lock(mutex_);
    const auto woken = [&] { return std::exchange(woken_, false); };
    if (timeout_ns == kForever) {
      condition_.wait(lock, woken);
    } else {
      condition_.wait_for(lock, std::chrono::nanoseconds(timeout_ns), woken);
    }
    return 0;
  }
  bool HasCompletions() const override { return false; }
  void Wake() override {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    condition_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool woken_ = false;
};

// Shards that run until they are stopped.
class ThreadShards {
 public:
  explicit ThreadShards(size_t count, const MeshOptions& options = {},
                        const ExecutorOptions& executor_options = {})
      : mesh_(count, options), pollers_(count) {
    for (size_t i = 0; i < count; ++i) {
      executors_.push_back(std::make_unique<Executor>(pollers_[i], executor_options));
      mesh_.port(static_cast<ShardId>(i)).Attach(*executors_.back());
    }
    for (const auto& executor : executors_) {
      threads_.emplace_back([on = executor.get()] { on->Run(); });
    }
  }
  ~ThreadShards() { Stop(); }
  ThreadShards(const ThreadShards&) = delete;
  ThreadShards& operator=(const ThreadShards&) = delete;

  Mesh& mesh() { return mesh_; }
  MeshPort& port(ShardId id) { return mesh_.port(id); }
  Executor& executor(ShardId id) { return *executors_[id]; }
  size_t count() const { return executors_.size(); }

  void On(ShardId id, std::function<void()> function) {
    CallOutcome outcome;
    do {  // Run may not have begun
      outcome = CallOn(*executors_[id], function);
    } while (outcome == CallOutcome::kStopped);
    ASSERT_EQ(outcome, CallOutcome::kAccepted);
  }

  // Waits for the threads. What they did is visible to the test from here on.
  void Stop() {
    for (const auto& executor : executors_) executor->RequestStop();
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  void StopOne(ShardId id) {
    executors_[id]->RequestStop();
    threads_[id].join();
  }

 private:
  Mesh mesh_;
  std::vector<ThreadPoller> pollers_;
  std::vector<std::unique_ptr<Executor>> executors_;
  std::vector<std::thread> threads_;
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_SCHED_MESH_SHARDS_H_
