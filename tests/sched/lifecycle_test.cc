// Executor: what is left after a thousand lives, and what a child process is told.

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/scripted_poller.h"
#include "ioengine/tests/sched/task_helpers.h"

#if defined(__SANITIZE_ADDRESS__)
// Of sanitizer/allocator_interface.h, which g++ does not bring.
extern "C" size_t __sanitizer_get_current_allocated_bytes();
#endif

namespace ioengine {
namespace {

using std::chrono::nanoseconds;

Task<> DoALittle(Executor* executor) {
  TaskScope scope(*executor);
  for (int i = 0; i < 3; ++i) {
    scope.Spawn([]() -> Task<> {
      co_await Yield();
      co_await Sleep(nanoseconds(100));
    }());
  }
  (co_await scope.Join()).IgnoreError();
  executor->RequestStop();
  co_await Sleep(std::chrono::hours(1));  // the stop ends it
}

void LiveOnce() {
  SleepingPoller poller;
  const auto executor = std::make_unique<Executor>(poller, ExecutorOptions{.inbox_capacity = 16});
  ASSERT_EQ(CallOn(*executor, [&] { executor->Spawn(DoALittle(executor.get())); }),
            CallOutcome::kAccepted);
  std::thread([&] { executor->Run(); }).join();
}

size_t EntriesOf(const char* directory) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(directory), {}));
}

size_t Mappings() {
  std::ifstream maps("/proc/self/maps");
  return static_cast<size_t>(
      std::count(std::istreambuf_iterator<char>(maps), std::istreambuf_iterator<char>(), '\n'));
}

size_t AllocatedBytes() {
#if defined(__SANITIZE_ADDRESS__)
  return __sanitizer_get_current_allocated_bytes();
#else
  return mallinfo2().uordblks;
#endif
}

TEST(LifecycleTest, AThousandLivesLeaveNothing) {
  for (int i = 0; i < 50; ++i) LiveOnce();
  const size_t fds = EntriesOf("/proc/self/fd");
  const size_t threads = EntriesOf("/proc/self/task");
  const size_t mappings = Mappings();
  const size_t bytes = AllocatedBytes();
  for (int i = 0; i < 1000; ++i) LiveOnce();
  // The allocator's own use varies by a few hundred bytes; a leak is one at least in each life.
  EXPECT_LT(AllocatedBytes(), bytes + 1000);
  EXPECT_EQ(EntriesOf("/proc/self/fd"), fds);
  EXPECT_EQ(EntriesOf("/proc/self/task"), threads);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they keep mappings
  EXPECT_EQ(Mappings(), mappings);
#else
  static_cast<void>(mappings);
#endif
}

TEST(LifecycleTest, SeveralExecutorsRunAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([] {
      for (int life = 0; life < 20; ++life) LiveOnce();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Gives the child's exit status.
template <typename Function>
int InChild(Function function) {
  const pid_t pid = fork();
  if (pid == 0) _exit(function());
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

TEST(ForkTest, AChildIsToldThatTheShardIsItsParents) {
  SleepingPoller poller;
  const auto executor = std::make_unique<Executor>(poller, ExecutorOptions());
  std::thread runner([&] { executor->Run(); });
  const int status = InChild([&] {
    if (CallOn(*executor, [] {}) != CallOutcome::kForked) return 1;
    executor->RequestStop();  // does nothing: the parent's goes on
    executor->WakeUp();
    return 0;
  });
  EXPECT_EQ(status, 0);
  std::atomic<bool> ran{false};
  EXPECT_EQ(CallOn(*executor, [&] { ran.store(true); }), CallOutcome::kAccepted);
  while (!ran.load()) std::this_thread::yield();
  executor->RequestStop();
  runner.join();
}

TEST(ForkTest, AChildThatRunsTheShardIsStopped) {
  SleepingPoller poller;
  const auto executor = std::make_unique<Executor>(poller, ExecutorOptions());
  EXPECT_EQ(InChild([&] {
              executor->Run();
              return 0;
            }),
            1000 + SIGABRT);
  EXPECT_EQ(InChild([&] {
              static_cast<void>(executor->Pump(1000));
              return 0;
            }),
            1000 + SIGABRT);
}

TEST(ForkTest, AChildIsGivenBackTheCallThatItCannotMake) {
  SleepingPoller poller;
  const auto executor = std::make_unique<Executor>(poller, ExecutorOptions());
  EXPECT_EQ(InChild([&] {
              std::unique_ptr<ForeignCall> call = FunctionCall::Make([] {});
              ForeignCall* const made = call.get();
              if (executor->TryCall(call) != CallOutcome::kForked) return 1;
              return call.get() == made ? 0 : 2;
            }),
            0);
}

TEST(ForkTest, AChildOfAHostThatPumpsIsStoppedToo) {
  SleepingPoller poller;
  const auto executor = std::make_unique<Executor>(poller, ExecutorOptions());
  EXPECT_EQ(executor->Pump(1000), PumpOutcome::kMore) << "it has begun";
  EXPECT_EQ(InChild([&] {
              static_cast<void>(executor->Pump(1000));
              return 0;
            }),
            1000 + SIGABRT);
  EXPECT_EQ(executor->Pump(1000), PumpOutcome::kMore);
}

TEST(ForkDeathTest, AChildThatRunsTheShardIsToldWhatToDo) {
  SleepingPoller poller;
  const auto executor = std::make_unique<Executor>(poller, ExecutorOptions());
  // What the child writes is looked at, and its parent then ends as it did.
  EXPECT_DEATH(
      {
        InChild([&] {
          executor->Run();
          return 0;
        });
        std::abort();
      },
      "after fork.*must call exec, or start a runtime of its own");
}

TEST(ForkTest, AChildMayStartAShardOfItsOwn) {
  SleepingPoller poller;
  const auto parents = std::make_unique<Executor>(poller, ExecutorOptions());
  EXPECT_EQ(InChild([] {
              LiveOnce();
              return testing::Test::HasFailure() ? 1 : 0;
            }),
            0);
}

}  // namespace
}  // namespace ioengine
