// Shards on threads that the host lends: run, pumped, and in any state when they are stopped.

#include <poll.h>
#include <sys/resource.h>

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
#include "ioengine/engine/client.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/tests/engine/runtime_fixture.h"

namespace ioengine {
namespace {

using testing::HasSubstr;

RuntimeOptions Lent(int shards) {
  return {
      .shard_count = shards, .threads = ShardThreads::kLent, .buffer_pool_bytes = kSmallPoolBytes};
}

ShardId GiveId(Shard& shard) { return shard.id(); }
// Of the other one of two.
Task<absl::StatusOr<ShardId>> AskOther(Shard& shard) {
  co_return co_await shard.SubmitTo(1 - shard.id(), GiveId);
}

TEST(LentThreadsTest, RunOnTheHostsThreads) {
  const auto runtime = StartRuntime(Lent(2));
  ASSERT_NE(runtime, nullptr);
  std::vector<std::thread> threads;
  std::atomic<int> ended{0};
  for (const ShardId id : {0u, 1u}) {
    threads.emplace_back([&runtime, &ended, id] {
      EXPECT_TRUE(runtime->RunShard(id).ok());
      ended.fetch_add(1);
    });
  }
  EXPECT_TRUE(runtime->WaitUntilRunning().ok());
  EXPECT_EQ(runtime->Info().shards.size(), 2u);
  EXPECT_FALSE(runtime->Info().shards[1].memory.empty());
  EXPECT_EQ(runtime->Submit(0, AskOther).Wait().value(), 1u);
  EXPECT_EQ(runtime->Submit(1, AskOther).Wait().value(), 0u);
  runtime->Stop();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ended.load(), 2);
  EXPECT_EQ(runtime->Submit(0, GiveId).Wait().status().code(), absl::StatusCode::kUnavailable);
}

// One thread with a loop of its own for both.
TEST(LentThreadsTest, ArePumpedByTheHostsLoop) {
  const auto runtime = StartRuntime(Lent(2));
  ASSERT_NE(runtime, nullptr);
  std::atomic<bool> done{false};
  std::thread host([&] {
    pollfd fds[2];
    bool ended[2] = {};
    for (const ShardId id : {0u, 1u}) {
      EXPECT_TRUE(runtime->PumpShard(id, 0).ok());
      fds[id] = {.fd = runtime->ShardFd(id), .events = POLLIN, .revents = 0};
      EXPECT_GE(fds[id].fd, 0);
    }
    while (!ended[0] || !ended[1]) {
      bool idle = true;
      for (const ShardId id : {0u, 1u}) {
        if (ended[id]) continue;
        const absl::StatusOr<PumpOutcome> outcome = runtime->PumpShard(id, 1'000'000);
        ASSERT_TRUE(outcome.ok()) << outcome.status();
        ended[id] = *outcome == PumpOutcome::kStopped;
        idle &= *outcome == PumpOutcome::kIdle;
      }
      if (idle) poll(fds, 2, 10'000);
    }
    done.store(true);
  });
  EXPECT_TRUE(runtime->WaitUntilRunning().ok());
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(runtime->Submit(0, AskOther).Wait().value(), 1u);
  }
  runtime->Stop();
  host.join();
  EXPECT_TRUE(done.load());
}

// A host may ask for the descriptor when there is nothing to do for the first time.
TEST(LentThreadsTest, ACallBeforeTheHostAsksForTheDescriptorMakesItReadable) {
  for (int calls = 1; calls <= 3; ++calls) {
    const auto runtime = StartRuntime(Lent(1));
    ASSERT_NE(runtime, nullptr);
    while (runtime->PumpShard(0, 0).value() != PumpOutcome::kIdle) {
    }
    std::vector<Future<ShardId>> futures;
    for (int i = 0; i < calls; ++i) futures.push_back(runtime->Submit(0, GiveId));
    pollfd fd = {.fd = runtime->ShardFd(0), .events = POLLIN, .revents = 0};
    EXPECT_EQ(poll(&fd, 1, 10'000), 1);
    for (Future<ShardId>& future : futures) {
      while (!future.ready()) EXPECT_TRUE(runtime->PumpShard(0, 0).ok());
      EXPECT_EQ(future.Wait().value(), 0u);
    }
    runtime->Stop();
    EXPECT_EQ(runtime->PumpShard(0, 0).value(), PumpOutcome::kStopped);
  }
}

TEST(LentThreadsTest, ACallBeforeThereIsAThreadIsRefused) {
  const auto runtime = StartRuntime(Lent(1));
  ASSERT_NE(runtime, nullptr);
  const absl::Status status = runtime->Submit(0, GiveId).Wait().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("RunShard or PumpShard"));
}

TEST(LentThreadsTest, ASecondThreadIsRefused) {
  const auto runtime = StartRuntime(Lent(1));
  ASSERT_NE(runtime, nullptr);
  EXPECT_TRUE(runtime->PumpShard(0, 0).ok());
  const absl::Status status = runtime->RunShard(0);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("has a thread already"));
  runtime->Stop();
  EXPECT_EQ(runtime->PumpShard(0, 0).value(), PumpOutcome::kStopped);
  EXPECT_EQ(runtime->PumpShard(0, 0).value(), PumpOutcome::kStopped);
}

TEST(LentThreadsTest, CallsToAShardThatCannotBeSetUpGetUnavailable) {
  const auto runtime = StartRuntime(Lent(2));
  ASSERT_NE(runtime, nullptr);
  std::thread good([&] { EXPECT_TRUE(runtime->RunShard(0).ok()); });
  std::thread bad([&] {
    rlimit old;
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    // No descriptor for the ring.
    while (!absl::IsFailedPrecondition(runtime->Submit(1, GiveId).Wait().status())) {
    }
    rlimit none = old;
    none.rlim_cur = 0;
    while (runtime->Submit(0, GiveId).Wait().status().code() ==
           absl::StatusCode::kFailedPrecondition) {
    }
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    const absl::Status status = runtime->RunShard(1);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(runtime->RunShard(1).code(), absl::StatusCode::kUnavailable);
    EXPECT_FALSE(runtime->PumpShard(1, 0).ok());
  });
  bad.join();
  EXPECT_FALSE(runtime->WaitUntilRunning().ok());
  EXPECT_EQ(runtime->Submit(0, AskOther).Wait().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(runtime->Submit(1, GiveId).Wait().status().code(), absl::StatusCode::kUnavailable);
  runtime->Stop();
  good.join();
}

TEST(LentThreadsTest, MayStopBeforeTheyBegin) {
  const auto runtime = StartRuntime(Lent(2));
  ASSERT_NE(runtime, nullptr);
  runtime->Stop();
  EXPECT_EQ(runtime->RunShard(0).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(runtime->Submit(0, GiveId).Wait().status().code(), absl::StatusCode::kUnavailable);
}

TEST(LentThreadsTest, MayStopAtAnyTime) {
  for (int round = 0; round < 20; ++round) {
    const auto runtime = StartRuntime(Lent(2));
    ASSERT_NE(runtime, nullptr);
    std::vector<std::thread> threads;
    for (const ShardId id : {0u, 1u}) {
      threads.emplace_back([&runtime, id] {
        const absl::Status status = runtime->RunShard(id);
        EXPECT_TRUE(status.ok() || absl::IsUnavailable(status)) << status;
      });
    }
    std::this_thread::sleep_for(std::chrono::microseconds(100 * round));
    runtime->Stop();
    for (std::thread& thread : threads) thread.join();
  }
}

TEST(LentThreadsTest, APeerThatIsNotPumpedIsNotWaitedForWithoutEnd) {
  RuntimeOptions options = Lent(2);
  options.peer_timeout_ms = 50;
  const auto runtime = StartRuntime(options);
  ASSERT_NE(runtime, nullptr);
  EXPECT_TRUE(runtime->PumpShard(1, 0).ok());  // once, and then no more
  std::thread thread([&] { EXPECT_TRUE(runtime->RunShard(0).ok()); });
  EXPECT_TRUE(runtime->WaitUntilRunning().ok());
  EXPECT_EQ(runtime->Submit(0, AskOther).Wait().status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(runtime->Submit(1, GiveId).Wait().status().code(), absl::StatusCode::kDeadlineExceeded);
  runtime->Stop();
  thread.join();
  EXPECT_EQ(runtime->PumpShard(1, 0).value(), PumpOutcome::kStopped);
}

// Pumped once, to be set up, and never again.
class PumpedOnceTest : public testing::Test {
 protected:
  static std::unique_ptr<Runtime> StartLent() {
    RuntimeOptions options = Lent(1);
    options.peer_timeout_ms = 50;
    return StartRuntime(options);
  }

  // Its thread, if it is not this one, has done its pump.
  static void End(Runtime& runtime) {
    runtime.Stop();
    EXPECT_EQ(runtime.PumpShard(0, 0).value(), PumpOutcome::kStopped);
  }

  // Not waited for without end: the test would hang.
  static void ExpectSilence(Future<ShardId> future) {
    const absl::Status status = future.WaitFor(std::chrono::minutes(5)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_THAT(std::string(status.message()), HasSubstr("the shard does not run"));
  }
};

TEST_F(PumpedOnceTest, ABatchThatWasBegunBeforeTheShardIsSetUpIsNotWaitedForWithoutEnd) {
  const auto runtime = StartLent();
  ASSERT_NE(runtime, nullptr);
  Client client(*runtime);
  Batch batch(client, 0);
  Future<ShardId> future = batch.Add(GiveId);
  EXPECT_TRUE(runtime->PumpShard(0, 0).ok());
  EXPECT_TRUE(batch.Submit().ok());
  ExpectSilence(std::move(future));
  End(*runtime);
}

// Of the calls that are made all the time some ask how long to wait just before the shard is set
// up, and are accepted just after.
TEST_F(PumpedOnceTest, ACallAtItsSetUpIsNotWaitedForWithoutEnd) {
  for (int round = 0; round < 10; ++round) {
    const auto runtime = StartLent();
    ASSERT_NE(runtime, nullptr);
    std::vector<std::thread> callers;
    for (int i = 0; i < 2; ++i) {
      callers.emplace_back([&runtime, i] {
        Client client(*runtime);
        for (;;) {
          Future<ShardId> future = i == 0 ? runtime->Submit(0, GiveId) : client.Submit(0, GiveId);
          if (future.ready()) {
            const absl::StatusOr<ShardId> result = future.Wait();
            if (absl::IsFailedPrecondition(result.status())) continue;
            EXPECT_TRUE(result.ok()) << result.status();  // the one turn ran it
          } else {
            const absl::StatusOr<ShardId> result = future.WaitFor(std::chrono::minutes(5));
            if (!result.ok()) {
              EXPECT_THAT(std::string(result.status().message()), HasSubstr("does not run"));
            }
          }
          return;
        }
      });
    }
    EXPECT_TRUE(runtime->PumpShard(0, 0).ok());
    for (std::thread& caller : callers) caller.join();
    End(*runtime);
  }
}

TEST(LentThreadsTest, AShardThatIsNeverSetUpIsNotWaitedForWithoutEnd) {
  RuntimeOptions options = Lent(1);
  options.peer_timeout_ms = 50;
  const auto runtime = StartRuntime(options);
  ASSERT_NE(runtime, nullptr);
  Client client(*runtime);
  Batch batch(client, 0);
  Future<ShardId> future = batch.Add(GiveId);
  EXPECT_EQ(future.WaitFor(std::chrono::minutes(5)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(batch.Submit().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(LentThreadsDeathTest, DestroyedWhilePumped) {
  const auto destroy = [] {
    const auto runtime = StartRuntime(Lent(1));
    static_cast<void>(runtime->PumpShard(0, 0));
  };
  EXPECT_DEATH(destroy(), "call PumpShard until it gives kStopped");
}

}  // namespace
}  // namespace ioengine
