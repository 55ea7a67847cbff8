// Runtime::Submit: what travels to a shard and back.

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/sched/future.h"
#include "ioengine/sched/task.h"
#include "ioengine/tests/engine/runtime_fixture.h"

namespace ioengine {
namespace {

using testing::HasSubstr;

using SubmitTest = RuntimeFixture;

Task<int> Add(Shard& /*shard*/, int first, int second) { co_return first + second; }
Task<> Set(Shard& /*shard*/, std::atomic<int>* value) {
  value->store(1);
  co_return;
}
Task<absl::Status> GiveStatus(Shard& /*shard*/, bool ok) {
  co_return ok ? absl::OkStatus() : absl::DataLossError("rotten");
}
Task<absl::StatusOr<std::string>> GiveText(Shard& /*shard*/, std::string text) {
  if (text.empty()) co_return absl::NotFoundError("no text");
  co_return text + "!";
}
Task<std::unique_ptr<int>> PassOn(Shard& shard, std::unique_ptr<int> box) {
  co_await shard.executor().Yield();
  co_return std::move(box);
}
Task<ShardId> GiveId(Shard& shard) { co_return shard.id(); }

TEST_F(SubmitTest, GivesValues) { EXPECT_EQ(runtime_->Submit(0, Add, 40, 2).Wait().value(), 42); }

TEST_F(SubmitTest, GivesNothing) {
  std::atomic<int> value{0};
  const absl::Status status = runtime_->Submit(1, Set, &value).Wait();
  EXPECT_EQ(status, absl::OkStatus());
  EXPECT_EQ(value.load(), 1);
}

TEST_F(SubmitTest, GivesStatusAndStatusOrAsTheyAre) {
  EXPECT_EQ(runtime_->Submit(0, GiveStatus, true).Wait(), absl::OkStatus());
  EXPECT_EQ(runtime_->Submit(0, GiveStatus, false).Wait(), absl::DataLossError("rotten"));
  const absl::StatusOr<std::string> text = runtime_->Submit(0, GiveText, "text").Wait();
  EXPECT_EQ(text.value(), "text!");
  EXPECT_EQ(runtime_->Submit(0, GiveText, "").Wait().status(), absl::NotFoundError("no text"));
}

TEST_F(SubmitTest, MovesWhatCannotBeCopied) {
  auto box = runtime_->Submit(1, PassOn, std::make_unique<int>(5)).Wait();
  ASSERT_TRUE(box.ok());
  EXPECT_EQ(**box, 5);
}

TEST_F(SubmitTest, RunsOnTheShardThatItIsToldTo) {
  EXPECT_EQ(runtime_->Submit(0, GiveId).Wait().value(), 0u);
  EXPECT_EQ(runtime_->Submit(1, GiveId).Wait().value(), 1u);
}

TEST_F(SubmitTest, KeepsAFunctionObjectUntilItsTaskIsDone) {
  // The captures outlive the suspension because Submit keeps the object.
  auto box = std::make_shared<int>(7);
  auto function = [box](Shard& shard) -> Task<int> {  // NOLINT(*-avoid-capturing-lambda-coroutines)
    for (int i = 0; i < 10; ++i) co_await shard.executor().Yield();
    co_return *box;
  };
  EXPECT_EQ(runtime_->Submit(0, std::move(function)).Wait().value(), 7);
  EXPECT_EQ(box.use_count(), 1) << "nothing of the call is left when the caller goes on";
}

// Notes the thread on which it ends, once it is not moved from.
class EndsOn {
 public:
  explicit EndsOn(std::atomic<std::thread::id>* thread) : thread_(thread) {}
  EndsOn(EndsOn&& other) noexcept : thread_(std::exchange(other.thread_, nullptr)) {}
  EndsOn& operator=(EndsOn&&) = delete;
  ~EndsOn() {
    if (thread_ == nullptr) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // time to be overtaken
    thread_->store(std::this_thread::get_id());
  }

 private:
  std::atomic<std::thread::id>* thread_;
};

Task<> TakeEndsOn(Shard& /*shard*/, EndsOn /*argument*/) { co_return; }

TEST_F(SubmitTest, ArgumentsEndOnTheShardBeforeTheFutureIsReady) {
  for (int i = 0; i < 50; ++i) {
    std::atomic<std::thread::id> ended_on{};
    ASSERT_TRUE(runtime_->Submit(0, TakeEndsOn, EndsOn(&ended_on)).Wait().ok());
    ASSERT_NE(ended_on.load(), std::thread::id());
    ASSERT_NE(ended_on.load(), std::this_thread::get_id());
  }
}

TEST_F(SubmitTest, ArgumentsOfARefusedCallEndWithTheCaller) {
  runtime_->Stop();
  std::atomic<std::thread::id> ended_on{};
  EXPECT_FALSE(runtime_->Submit(0, TakeEndsOn, EndsOn(&ended_on)).Wait().ok());
  EXPECT_EQ(ended_on.load(), std::this_thread::get_id());
}

// Holds the shard: nothing else runs on it until `go` is set.
Task<> Block(Shard& /*shard*/, std::atomic<bool>* entered, std::atomic<bool>* go) {
  entered->store(true);
  while (!go->load()) std::this_thread::yield();
  co_return;
}

TEST_F(SubmitTest, AFullInboxIsToldAndPasses) {
  std::atomic<bool> entered{false};
  std::atomic<bool> go{false};
  Future<void> blocker = runtime_->Submit(0, Block, &entered, &go);
  while (!entered.load()) std::this_thread::yield();
  std::vector<Future<int>> accepted;
  absl::Status refusal;
  while (refusal.ok()) {
    Future<int> future = runtime_->Submit(0, Add, 1, 1);
    if (future.ready()) {
      refusal = future.Wait().status();
    } else {
      accepted.push_back(std::move(future));
    }
    ASSERT_LE(accepted.size(), 8u);
  }
  EXPECT_EQ(accepted.size(), 8u);
  EXPECT_EQ(refusal.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refusal.message()), HasSubstr("shard 0 has 8 calls waiting"));
  EXPECT_THAT(std::string(refusal.message()), HasSubstr("inbox_capacity"));
  EXPECT_EQ(runtime_->Submit(1, Add, 1, 1).Wait().value(), 2) << "another shard's is not full";
  go.store(true);
  EXPECT_TRUE(blocker.Wait().ok());
  for (Future<int>& future : accepted) EXPECT_EQ(future.Wait().value(), 2);
  EXPECT_EQ(runtime_->Submit(0, Add, 1, 1).Wait().value(), 2);
}

TEST_F(SubmitTest, FromManyThreads) {
  constexpr int kThreads = 6;
  constexpr int kCalls = 1000;
  std::atomic<int> answered{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kCalls;) {
        Future<int> first = runtime_->Submit(static_cast<ShardId>(i % 2), Add, thread, i);
        Future<int> second = runtime_->Submit(static_cast<ShardId>((i + 1) % 2), Add, thread, i);
        for (Future<int>* future : {&first, &second}) {
          const absl::StatusOr<int> sum = future->Wait();
          if (sum.ok()) {
            EXPECT_EQ(*sum, thread + i);
            answered.fetch_add(1);
            ++i;
          } else {
            EXPECT_EQ(sum.status().code(), absl::StatusCode::kResourceExhausted);
            refused.fetch_add(1);
            std::this_thread::yield();
          }
          if (&first == future && sum.ok()) --i;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(answered.load(), kThreads * kCalls);
}

TEST(SubmitDeathTest, ToAShardThatDoesNotExist) {
  const auto submit = [] {
    const auto runtime = StartRuntime({.buffer_pool_bytes = kSmallPoolBytes});
    static_cast<void>(runtime->Submit(1, GiveId));
  };
  EXPECT_DEATH(submit(), "Submit to a shard that does not exist");
}

Task<> WaitOnAShard(Shard& /*shard*/, Runtime* runtime) {
  static_cast<void>(runtime->Submit(1, GiveId).Wait());
  co_return;
}

TEST(SubmitDeathTest, WaitOnAShard) {
  const auto wait = [] {
    const auto runtime = StartRuntime({.shard_count = 2, .buffer_pool_bytes = kSmallPoolBytes});
    static_cast<void>(runtime->Submit(0, WaitOnAShard, runtime.get()).Wait());
  };
  EXPECT_DEATH(wait(), "Future::Wait on a shard would block it");
}

}  // namespace
}  // namespace ioengine
