// Client and Batch: calls of foreign threads, with everything that may become of them.

#include "ioengine/engine/client.h"

#include <atomic>
#include <chrono>
#include <cstdint>
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
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_context.h"
#include "ioengine/tests/engine/runtime_fixture.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone
using testing::HasSubstr;
using WhenFull = ClientOptions::WhenFull;

int Add(Shard& /*shard*/, int first, int second) { return first + second; }
Task<int> AddLater(Shard& /*shard*/, int first, int second) {
  co_await Sleep(1us);
  co_return first + second;
}
ShardId GiveId(Shard& shard) { return shard.id(); }
Task<> SleepFor(Shard& /*shard*/, std::chrono::nanoseconds duration) { co_await Sleep(duration); }

// Keeps a shard for as long as it lives.
class Blocker {
 public:
  Blocker(Runtime& runtime, ShardId id)
      : done_(Client(runtime).Submit(
            id,
            [](Shard&, std::atomic<bool>* entered, std::atomic<bool>* go) {
              entered->store(true);
              while (!go->load()) std::this_thread::yield();
            },
            &entered_, &go_)) {
    while (!entered_.load()) std::this_thread::yield();
  }
  ~Blocker() {
    Release();
    EXPECT_TRUE(done_.Wait().ok());
  }
  void Release() const { go_.store(true); }

 private:
  std::atomic<bool> entered_{false};
  mutable std::atomic<bool> go_{false};
  Future<void> done_;
};

class ClientTest : public RuntimeFixture {
 protected:
  Client client_{*runtime_};
};

TEST_F(ClientTest, CallsFunctionsAndCoroutines) {
  EXPECT_EQ(client_.Submit(0, Add, 1, 2).Wait().value(), 3);
  EXPECT_EQ(client_.Submit(1, AddLater, 3, 4).Wait().value(), 7);
  EXPECT_EQ(client_.Submit(1, GiveId).Wait().value(), 1u);
  EXPECT_TRUE(client_.Submit(0, [](Shard&) {}).Wait().ok());
  EXPECT_EQ(client_.Submit(0, [](Shard&) { return absl::DataLossError("rotten"); }).Wait(),
            absl::DataLossError("rotten"));
}

TEST_F(ClientTest, GivesResultsToACallbackOnTheShard) {
  std::atomic<int> sum{0};
  std::atomic<bool> on_shard{false};
  client_.SubmitThen(
      1,
      [&](absl::StatusOr<int> result) {
        on_shard.store(Shard::Current() != nullptr && Shard::Current()->id() == 1);
        sum.store(result.value());
      },
      AddLater, 20, 22);
  while (sum.load() == 0) std::this_thread::yield();
  EXPECT_EQ(sum.load(), 42);
  EXPECT_TRUE(on_shard.load());
}

TEST_F(ClientTest, ACallbackOfACallThatIsRefusedIsCalledHere) {
  runtime_->Stop();
  absl::Status status;
  client_.SubmitThen(
      0, [&](absl::StatusOr<int> result) { status = result.status(); }, Add, 1, 2);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
}

TEST_F(ClientTest, ACallbackOfATaskThatTheStopEndsIsCalled) {
  std::atomic<int> code{-1};
  client_.SubmitThen(
      0, [&](const absl::Status& result) { code.store(result.raw_code()); }, SleepFor, 1h);
  EXPECT_TRUE(client_.Submit(0, SleepFor, 1us).Wait().ok());
  runtime_->Stop();
  EXPECT_EQ(code.load(), static_cast<int>(absl::StatusCode::kUnavailable));
}

TEST_F(ClientTest, ACallbackOfACallThatTheStopOvertakesMaySpawn) {
  const Blocker blocker(*runtime_, 0);
  std::atomic<bool> called{false};
  client_.SubmitThen(
      0,
      [&](const absl::StatusOr<int>& result) {
        called.store(!result.ok());
        Shard::Current()->executor().Spawn(SleepFor(*Shard::Current(), 1h));
      },
      Add, 1, 2);
  // The call is still in the inbox when the shard stops.
  runtime_->RequestStop();
  blocker.Release();
  runtime_->Stop();
  EXPECT_TRUE(called.load());
}

TEST_F(ClientTest, ATimeoutEndsTheWaitAndTheTask) {
  const Client hasty(*runtime_, {.timeout = 5ms});
  Client client = hasty;
  std::atomic<bool> ended{false};
  class SetsAtEnd {
   public:
    explicit SetsAtEnd(std::atomic<bool>* flag) : flag_(flag) {}
    SetsAtEnd(SetsAtEnd&& other) noexcept : flag_(std::exchange(other.flag_, nullptr)) {}
    SetsAtEnd& operator=(SetsAtEnd&&) = delete;
    ~SetsAtEnd() {
      if (flag_ != nullptr) flag_->store(true);
    }

   private:
    std::atomic<bool>* flag_;
  };
  const absl::Status status =
      client
          .Submit(
              0, [](Shard&, SetsAtEnd) -> Task<> { co_await Sleep(1h); }, SetsAtEnd(&ended))
          .Wait();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  while (!ended.load()) std::this_thread::yield();
}

TEST_F(ClientTest, TheDeadlineIsTheTasks) {
  Client client(*runtime_, {.timeout = 1h});
  const uint64_t now_ns = MonotonicClock::Get().NowNs();
  const absl::StatusOr<uint64_t> deadline_ns =
      client.Submit(0, [](Shard&) -> Task<uint64_t> { co_return CurrentDeadlineNs(); }).Wait();
  EXPECT_GE(deadline_ns.value(), now_ns + 3'600'000'000'000);
  EXPECT_LT(deadline_ns.value(), now_ns + 3'660'000'000'000);
}

TEST_F(ClientTest, WaitForGivesUp) {
  Future<void> future = client_.Submit(0, SleepFor, 1h);
  EXPECT_EQ(future.WaitFor(1ms).code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ClientTest, RefusesWhenTheInboxIsFullIfAskedTo) {
  Client refuses(*runtime_, {.when_full = WhenFull::kRefuse});
  const Blocker blocker(*runtime_, 0);
  std::vector<Future<int>> accepted;
  for (;;) {
    Future<int> future = refuses.Submit(0, Add, 1, 1);
    if (future.ready()) {
      const absl::Status status = future.Wait().status();
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
      EXPECT_THAT(std::string(status.message()), HasSubstr("shard 0 has 8 calls waiting"));
      break;
    }
    accepted.push_back(std::move(future));
  }
  EXPECT_EQ(accepted.size(), 8u);
}

TEST_F(ClientTest, WaitsForRoomIfAskedTo) {
  constexpr int kCalls = 100;
  std::vector<Future<int>> futures;
  {
    std::thread submitter;
    {
      const Blocker blocker(*runtime_, 0);
      submitter = std::thread([&] {
        for (int i = 0; i < kCalls; ++i) futures.push_back(client_.Submit(0, Add, i, 1));
      });
      std::this_thread::sleep_for(5ms);
    }
    submitter.join();
  }
  for (int i = 0; i < kCalls; ++i) EXPECT_EQ(futures[static_cast<size_t>(i)].Wait().value(), i + 1);
}

TEST_F(ClientTest, WaitsForRoomNoLongerThanItsTimeout) {
  const Blocker blocker(*runtime_, 0);
  Client client(*runtime_, {.timeout = 3ms});
  std::vector<Future<int>> futures;
  for (int i = 0; i < 9; ++i) futures.push_back(client.Submit(0, Add, i, 1));
  EXPECT_TRUE(futures.back().ready());
  const absl::Status status = futures.back().Wait().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(status.message()), HasSubstr("inbox_capacity"));
}

TEST(ClientSilenceTest, AShardThatDoesNotRunIsNotWaitedForWithoutEnd) {
  const auto runtime =
      StartRuntime({.shard_count = 1, .buffer_pool_bytes = kSmallPoolBytes, .peer_timeout_ms = 50});
  ASSERT_NE(runtime, nullptr);
  Client client(*runtime);
  // An idle shard is not a silent one.
  EXPECT_TRUE(client.Submit(0, SleepFor, 200ms).Wait().ok());
  const Blocker blocker(*runtime, 0);
  const absl::Status status = client.Submit(0, Add, 1, 2).Wait().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(status.message()), HasSubstr("does not run"));
}

// ---- Batches ----

TEST_F(ClientTest, ABatchTakesOnePlaceInTheInbox) {
  Batch batch(client_, 1);
  std::vector<Future<int>> futures;
  for (int i = 0; i < 100; ++i) {
    futures.push_back(i % 3 == 0 ? batch.Add(AddLater, i, 1) : batch.Add(Add, i, 1));
  }
  Future<void> nothing = batch.Add([](Shard&) {});
  EXPECT_EQ(batch.size(), 101u);
  EXPECT_TRUE(batch.Submit().ok());
  EXPECT_EQ(batch.size(), 0u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(futures[static_cast<size_t>(i)].Wait().value(), i + 1);
  EXPECT_TRUE(nothing.Wait().ok());
  const absl::StatusOr<uint64_t> calls =
      client_.Submit(1, [](Shard& shard) { return shard.executor().stats().foreign_calls; }).Wait();
  EXPECT_EQ(calls.value(), 2u);
}

TEST_F(ClientTest, FunctionsOfABatchRunInTheirOrder) {
  std::vector<int> order;
  Batch batch(client_, 0);
  std::vector<Future<void>> futures;
  for (int i = 0; i < 50; ++i) {
    futures.push_back(batch.Add(
        [](Shard&, std::vector<int>* to, int value) { to->push_back(value); }, &order, i));
  }
  EXPECT_TRUE(batch.Submit().ok());
  for (Future<void>& future : futures) EXPECT_TRUE(future.Wait().ok());
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(order.size(), 50u);
}

TEST_F(ClientTest, ABatchThatIsRefusedFailsAsAWhole) {
  runtime_->Stop();
  Batch batch(client_, 0);
  Future<int> one = batch.Add(Add, 1, 2);
  Future<int> other = batch.Add(AddLater, 1, 2);
  EXPECT_EQ(batch.Submit().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(one.Wait().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(other.Wait().status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ClientTest, ABatchThatIsNotSubmittedFails) {
  Future<int> future = [&] {
    Batch batch(client_, 0);
    return batch.Add(Add, 1, 2);
  }();
  EXPECT_EQ(future.Wait().status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ClientTest, ABatchHasABound) {
  Batch batch(client_, 0);
  std::vector<Future<int>> futures;
  for (size_t i = 0; i <= Batch::kMaxCalls; ++i) futures.push_back(batch.Add(Add, 1, 1));
  EXPECT_TRUE(batch.Submit().ok());
  EXPECT_EQ(futures.front().Wait().value(), 2);
  EXPECT_EQ(futures.back().Wait().status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(ClientTest, BatchesThatTheStopOvertakesEnd) {
  for (int round = 0; round < 20; ++round) {
    const auto runtime = StartRuntime({.shard_count = 1, .buffer_pool_bytes = kSmallPoolBytes});
    Client client(*runtime);
    std::vector<Future<int>> futures;
    std::thread submitter([&] {
      for (int i = 0; i < 50; ++i) {
        Batch batch(client, 0);
        for (int call = 0; call < 10; ++call) {
          futures.push_back(call % 2 == 0 ? batch.Add(Add, 1, 1) : batch.Add(AddLater, 1, 1));
        }
        batch.Submit().IgnoreError();
      }
    });
    std::this_thread::sleep_for(std::chrono::microseconds(20 * round));
    runtime->Stop();
    submitter.join();
    for (Future<int>& future : futures) {
      const absl::StatusOr<int> result = future.Wait();
      EXPECT_TRUE(result.ok() || absl::IsUnavailable(result.status())) << result.status();
    }
  }
}

// ---- Between shards ----

TEST_F(ClientTest, ShardsCallEachOther) {
  const absl::StatusOr<ShardId> id = client_
                                         .Submit(0,
                                                 [](Shard& shard) -> Task<absl::StatusOr<ShardId>> {
                                                   co_return co_await shard.SubmitTo(1, GiveId);
                                                 })
                                         .Wait();
  EXPECT_EQ(id.value(), 1u);
}

TEST(ClientDeathTest, WaitsForRoomOnAShard) {
  const auto block = [] {
    const auto runtime =
        StartRuntime({.shard_count = 1, .buffer_pool_bytes = kSmallPoolBytes, .inbox_capacity = 2});
    Client client(*runtime);
    client
        .Submit(
            0,
            [](Shard&, Client* of) {
              for (int i = 0; i < 3; ++i) static_cast<void>(of->Submit(0, Add, 1, 1));
            },
            &client)
        .Wait()
        .IgnoreError();
  };
  EXPECT_DEATH(block(), "would block the shard; use SubmitTo");
}

}  // namespace
}  // namespace ioengine
