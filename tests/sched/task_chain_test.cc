// Task: chains of any depth use constant stack.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "gtest/gtest.h"
#include "ioengine/sched/task.h"
#include "ioengine/tests/sched/executor_fixture.h"

namespace ioengine {
namespace {

// g++ ends every function with work for these sanitizers, so a transfer is not the last thing that
// it does and cannot be a tail call: each level costs up to 1 KiB of stack until the chain
// suspends. clang, which does not define these names, has tail calls under its sanitizers too.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kDepth = 1000;
constexpr int kAwaits = 1000;
constexpr int kAbandonedDepth = 1000;
constexpr size_t kStackBytes = size_t{7} << 20;
#else
constexpr int kDepth = 1'000'000;
constexpr int kAwaits = 1'000'000;
constexpr int kAbandonedDepth = 10'000;
constexpr size_t kStackBytes = 4096;
#endif

// How far the stack reached down and up, wherever Touch was called.
class StackRange {
 public:
  __attribute__((noinline)) void Touch() {
    const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    low_ = std::min(low_, here);
    high_ = std::max(high_, here);
  }
  size_t bytes() const { return high_ - low_; }

 private:
  uintptr_t low_ = UINTPTR_MAX;
  uintptr_t high_ = 0;
};

using TaskChainTest = ExecutorFixture;

Task<int> Child(int number, StackRange* stack) {
  stack->Touch();
  co_return number;
}

Task<> AwaitInALoop(int64_t* sum, StackRange* stack) {
  for (int i = 0; i < kAwaits; ++i) {
    *sum += co_await Child(i, stack);
    stack->Touch();
  }
}

TEST_F(TaskChainTest, AwaitingInALoopUsesConstantStack) {
  int64_t sum = 0;
  StackRange stack;
  RunUntilIdle([&] { executor_.Spawn(AwaitInALoop(&sum, &stack)); });
  EXPECT_EQ(sum, int64_t{kAwaits} * (kAwaits - 1) / 2);
  EXPECT_LE(stack.bytes(), kStackBytes);
}

Task<int> Descend(int depth, WaitPoint* point, StackRange* stack) {
  stack->Touch();
  int below = 0;
  if (depth > 1) {
    below = co_await Descend(depth - 1, point, stack);
  } else if (point != nullptr) {
    co_await point->Wait();
  }
  stack->Touch();
  co_return below + 1;
}

Task<> StoreDepth(int* result, int depth, WaitPoint* point, StackRange* stack) {
  *result = co_await Descend(depth, point, stack);
}

TEST_F(TaskChainTest, ADeepChainUsesConstantStackOnTheWayDownAndUp) {
  int depth = 0;
  StackRange stack;
  RunUntilIdle([&] { executor_.Spawn(StoreDepth(&depth, kDepth, nullptr, &stack)); });
  EXPECT_EQ(depth, kDepth);
  EXPECT_LE(stack.bytes(), kStackBytes);
}

TEST_F(TaskChainTest, ADeepChainReturnsFromASuspensionAtItsEnd) {
  int depth = 0;
  StackRange stack;
  WaitPoint point;
  RunUntilIdle([&] { executor_.Spawn(StoreDepth(&depth, kDepth, &point, &stack)); },
               [&] { point.Open(); });
  EXPECT_EQ(depth, kDepth);
  EXPECT_LE(stack.bytes(), kStackBytes);
}

// Destruction is recursive: each frame destroys the task that it holds. That bounds the depth at
// which a chain may be abandoned, far above what code written by people reaches.
TEST_F(TaskChainTest, ALongSuspendedChainCanBeDestroyed) {
  int depth = 0;
  StackRange stack;
  WaitPoint point;
  RunUntilIdle([&] { executor_.Spawn(StoreDepth(&depth, kAbandonedDepth, &point, &stack)); });
  EXPECT_TRUE(point.has_waiter());
  EXPECT_EQ(depth, 0);
}

}  // namespace
}  // namespace ioengine
