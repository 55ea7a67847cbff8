#include "ioengine/sched/future.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ioengine {
namespace {

using testing::HasSubstr;

static_assert(std::is_same_v<Future<void>::Result, absl::Status>);
static_assert(std::is_same_v<Future<absl::Status>::Result, absl::Status>);
static_assert(std::is_same_v<Future<int>::Result, absl::StatusOr<int>>);
static_assert(std::is_same_v<Future<absl::StatusOr<int>>::Result, absl::StatusOr<int>>);
static_assert(!std::is_copy_constructible_v<Future<int>>);
static_assert(!std::is_copy_constructible_v<Promise<int>>);

TEST(FutureTest, GivesWhatThePromiseWasSetTo) {
  Promise<std::unique_ptr<int>> promise;
  Future<std::unique_ptr<int>> future = promise.future();
  EXPECT_FALSE(future.ready());
  promise.Set(std::make_unique<int>(5));
  EXPECT_TRUE(future.ready());
  absl::StatusOr<std::unique_ptr<int>> result = future.Wait();
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(**result, 5);
  EXPECT_FALSE(future.ready());
}

TEST(FutureTest, PassesErrorsOn) {
  Promise<int> promise;
  Future<int> future = promise.future();
  promise.Set(absl::DataLossError("rotten"));
  EXPECT_EQ(future.Wait().status(), absl::DataLossError("rotten"));
}

TEST(FutureTest, IsUnavailableWhenThePromiseGoesUnset) {
  std::optional<Future<void>> future;
  {
    Promise<void> promise;
    future = promise.future();
    Promise<void> moved = std::move(promise);
    EXPECT_FALSE(future->ready());
  }
  EXPECT_TRUE(future->ready());
  const absl::Status status = future->Wait();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("stopped"));
}

TEST(FutureTest, AResultThatNobodyWaitsForIsReleased) {
  auto shared = std::make_shared<int>(1);
  Promise<std::shared_ptr<int>> promise;
  { const Future<std::shared_ptr<int>> dropped = promise.future(); }
  promise.Set(shared);
  EXPECT_EQ(shared.use_count(), 1);
}

TEST(FutureTest, WaitBlocksUntilTheResultIsThere) {
  Promise<std::string> promise;
  Future<std::string> future = promise.future();
  std::atomic<bool> set{false};
  std::thread setter([&, moved = std::move(promise)]() mutable {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    set.store(true);
    moved.Set(std::string("late"));
  });
  absl::StatusOr<std::string> result = future.Wait();
  EXPECT_TRUE(set.load());
  EXPECT_EQ(result.value(), "late");
  setter.join();
}

// The setter must not touch the state after the waiting thread may have let go of it.
TEST(FutureTest, TheWaitingThreadMayGoAtOnce) {
  constexpr int kRounds = 2000;
  std::vector<Promise<int>> promises(kRounds);
  std::vector<Future<int>> futures;
  futures.reserve(kRounds);
  for (Promise<int>& promise : promises) futures.push_back(promise.future());
  std::thread setter([&] {
    for (int i = 0; i < kRounds; ++i) promises[static_cast<size_t>(i)].Set(i);
  });
  for (int i = 0; i < kRounds; ++i) {
    ASSERT_EQ(futures[static_cast<size_t>(i)].Wait().value(), i);
  }
  setter.join();
}

TEST(FutureDeathTest, WaitTwice) {
  Promise<int> promise;
  Future<int> future = promise.future();
  promise.Set(1);
  ASSERT_TRUE(future.Wait().ok());
  EXPECT_DEATH(static_cast<void>(future.Wait()), "Wait on an empty Future, or twice on one");
}

TEST(FutureDeathTest, SetTwice) {
  Promise<int> promise;
  promise.Set(1);
  EXPECT_DEATH(promise.Set(2), "Set on a Promise that was set or moved from");
}

}  // namespace
}  // namespace ioengine
