// Executor and the threads around it: calls at the bound of the inbox, wake-ups, and the stop.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/sched/executor.h"
#include "ioengine/tests/sched/scripted_poller.h"
#include "ioengine/tests/sched/task_helpers.h"

namespace ioengine {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kThreads = 6;
constexpr milliseconds kStressTime{700};

// Runs `body(i)` in each of kThreads threads, and joins them.
void InThreads(const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(body, i);
  for (std::thread& thread : threads) thread.join();
}

// Hands `function` over, as often as it takes.
void CallUntilAccepted(Executor& executor, const std::function<void()>& function) {
  std::unique_ptr<ForeignCall> call = FunctionCall::Make(function);
  for (;;) {
    const CallOutcome outcome = executor.TryCall(call);
    if (outcome == CallOutcome::kAccepted) return;
    ASSERT_EQ(outcome, CallOutcome::kInboxFull);
    ASSERT_NE(call, nullptr);
    std::this_thread::yield();
  }
}

// An executor on a thread of its own.
//
// Executors live on the heap here, as in a Runtime: g++ 12 does not align locals beyond 32 bytes
// where ASan looks for uses after return.
class RunningExecutor {
 public:
  explicit RunningExecutor(const ExecutorOptions& options)
      : executor_(std::make_unique<Executor>(poller_, options)) {
    thread_ = std::thread([this] { executor_->Run(); });
  }
  ~RunningExecutor() {
    Stop();
    EXPECT_EQ(poller_.lost_wakeups(), 0);
  }

  void Stop() {
    if (!thread_.joinable()) return;
    executor_->RequestStop();
    thread_.join();
  }

  Executor& operator*() { return *executor_; }

 private:
  SleepingPoller poller_;
  std::unique_ptr<Executor> executor_;
  std::thread thread_;
};

TEST(ExecutorThreadsTest, EveryAcceptedCallRunsInTheOrderOfItsThread) {
  constexpr int kCalls = 2000;
  std::vector<int> next(kThreads);  // on the shard alone
  int out_of_order = 0;
  RunningExecutor running(ExecutorOptions{.inbox_capacity = 4});
  InThreads([&](int thread) {
    for (int i = 0; i < kCalls; ++i) {
      CallUntilAccepted(*running, [&, thread, i] {
        if (next[static_cast<size_t>(thread)]++ != i) ++out_of_order;
      });
    }
  });
  // What a call does is visible to whoever stops the executor afterwards.
  std::atomic<bool> last{false};
  CallUntilAccepted(*running, [&] { last.store(true); });
  while (!last.load()) std::this_thread::yield();
  running.Stop();
  EXPECT_EQ(out_of_order, 0);
  EXPECT_EQ(next, std::vector<int>(kThreads, kCalls));
}

// One call at a time, each of which is likely to find the executor on its way into sleep.
TEST(ExecutorThreadsTest, NoWakeUpIsLost) {
  for (const uint64_t spin_ns : {uint64_t{0}, uint64_t{2000}}) {
    RunningExecutor running(ExecutorOptions{.idle_spin_ns = spin_ns});
    const auto end = steady_clock::now() + kStressTime;
    int64_t trips = 0;
    while (steady_clock::now() < end) {
      for (int i = 0; i < 100; ++i, ++trips) {
        std::atomic<bool> done{false};
        ASSERT_EQ(CallOn(*running, [&] { done.store(true, std::memory_order_release); }),
                  CallOutcome::kAccepted);
        // Now and then at once, now and then when it is sure to sleep.
        while (!done.load(std::memory_order_acquire)) {
          if (trips % 2 == 0) std::this_thread::yield();
        }
      }
    }
    EXPECT_GT(trips, 0);
  }
}

TEST(ExecutorThreadsTest, NoWakeUpIsLostAmongManyThreads) {
  RunningExecutor running(ExecutorOptions{.inbox_capacity = 2});
  const auto end = steady_clock::now() + kStressTime;
  InThreads([&](int) {
    while (steady_clock::now() < end) {
      std::atomic<bool> done{false};
      CallUntilAccepted(*running, [&] { done.store(true, std::memory_order_release); });
      while (!done.load(std::memory_order_acquire)) std::this_thread::yield();
    }
  });
}

// A call that tells what became of it: run, or destroyed without having run; and where.
class CountedCall final : public ForeignCall {
 public:
  struct Counts {
    std::atomic<int> run{0};
    std::atomic<int> dropped{0};
    std::atomic<int> off_shard{0};
  };

  CountedCall(Executor* executor, Counts* counts) : executor_(executor), counts_(counts) {}
  ~CountedCall() override {
    if (!accepted_) return;
    if (Executor::Current() != executor_) counts_->off_shard.fetch_add(1);
    if (!ran_) counts_->dropped.fetch_add(1);
  }
  void Run() override {
    ran_ = true;
    counts_->run.fetch_add(1);
  }
  void set_accepted(bool accepted) { accepted_ = accepted; }

 private:
  Executor* executor_;
  Counts* counts_;
  bool ran_ = false;
  bool accepted_ = true;  // taken back by a caller that was refused
};

TEST(ExecutorThreadsTest, AStopLosesNoCall) {
  constexpr int kRounds = 40;
  for (int round = 0; round < kRounds; ++round) {
    SleepingPoller poller;
    const auto owner = std::make_unique<Executor>(poller, ExecutorOptions{.inbox_capacity = 8});
    Executor& executor = *owner;
    CountedCall::Counts counts;
    std::atomic<int> accepted{0};
    std::atomic<int> stopped{0};
    std::thread shard([&] { executor.Run(); });
    std::thread stopper([&] {
      while (accepted.load() < 5 * round) std::this_thread::yield();
      executor.RequestStop();
    });
    InThreads([&](int) {
      std::unique_ptr<ForeignCall> call;
      for (;;) {
        if (call == nullptr) call = std::make_unique<CountedCall>(&executor, &counts);
        const CallOutcome outcome = executor.TryCall(call);
        if (outcome == CallOutcome::kStopped) break;
        if (outcome == CallOutcome::kAccepted) {
          EXPECT_EQ(call, nullptr);
          accepted.fetch_add(1);
        } else {
          std::this_thread::yield();
        }
      }
      static_cast<CountedCall&>(*call).set_accepted(false);
      stopped.fetch_add(1);
    });
    shard.join();
    stopper.join();
    EXPECT_EQ(stopped.load(), kThreads);
    EXPECT_EQ(counts.run.load() + counts.dropped.load(), accepted.load());
    EXPECT_EQ(counts.off_shard.load(), 0);
    EXPECT_EQ(poller.lost_wakeups(), 0);
  }
}

TEST(ExecutorThreadsTest, StopsFromManyThreadsWhileItGoesToSleep) {
  for (int round = 0; round < 300; ++round) {
    SleepingPoller poller;
    const auto owner = std::make_unique<Executor>(poller, ExecutorOptions());
    Executor& executor = *owner;
    std::thread shard([&] { executor.Run(); });
    std::thread first([&] { executor.RequestStop(); });
    executor.RequestStop();
    first.join();
    shard.join();
    ASSERT_EQ(poller.lost_wakeups(), 0);
  }
}

// Whoever wakes the executor uses its poller, which may go as soon as Run has returned. So Run
// must not return while a thread is inside Wake, even when it woke for another reason.
class PollerInUse final : public Poller {
 public:
  size_t Poll() override { return 0; }
  size_t Wait(uint64_t /*timeout_ns*/) override {
    sleeping.store(true);
    while (!wake_entered.load()) std::this_thread::yield();
    return 0;
  }
  bool HasCompletions() const override { return false; }
  void Wake() override {
    wake_entered.store(true);
    std::this_thread::sleep_for(milliseconds(50));
    if (run_returned.load()) used_too_late.store(true);
  }

  std::atomic<bool> sleeping{false};
  std::atomic<bool> wake_entered{false};
  std::atomic<bool> run_returned{false};
  std::atomic<bool> used_too_late{false};
};

TEST(ExecutorThreadsTest, RunDoesNotReturnWhileAStopUsesThePoller) {
  PollerInUse poller;
  const auto owner = std::make_unique<Executor>(poller, ExecutorOptions());
  Executor& executor = *owner;
  std::thread shard([&] {
    executor.Run();
    poller.run_returned.store(true);
  });
  while (!poller.sleeping.load()) std::this_thread::yield();
  executor.RequestStop();
  shard.join();
  EXPECT_FALSE(poller.used_too_late.load());
}

TEST(ExecutorThreadsTest, RunDoesNotReturnWhileACallUsesThePoller) {
  PollerInUse poller;
  const auto owner = std::make_unique<Executor>(poller, ExecutorOptions());
  Executor& executor = *owner;
  std::thread shard([&] {
    executor.Run();
    poller.run_returned.store(true);
  });
  while (!poller.sleeping.load()) std::this_thread::yield();
  EXPECT_EQ(CallOn(executor, [&] { executor.RequestStop(); }), CallOutcome::kAccepted);
  shard.join();
  EXPECT_FALSE(poller.used_too_late.load());
}

}  // namespace
}  // namespace ioengine
