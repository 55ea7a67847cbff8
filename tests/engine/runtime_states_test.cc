// Runtime: started and stopped in any state.

#include <sys/resource.h>

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/engine/client.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/tests/engine/runtime_fixture.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using Id = absl::StatusOr<ShardId>;

Id GiveId(Shard& shard) { return shard.id(); }
Task<Id> AskOther(Shard& shard) { co_return co_await shard.SubmitTo(1 - shard.id(), GiveId); }

// In each: no descriptor and no thread is left.
class RuntimeStatesTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    StartRuntime({.shard_count = 2, .buffer_pool_bytes = kSmallPoolBytes});
  }
  void SetUp() override {
    fds_ = CountOpenFds();
    threads_ = CountThreads();
  }
  void TearDown() override { ExpectNothingLeft(); }

  void ExpectNothingLeft() {
    EXPECT_EQ(CountOpenFds(), fds_);
    EXPECT_TRUE(ThreadsFallTo(threads_)) << CountThreads() << " threads, before " << threads_;
  }

  static std::unique_ptr<Runtime> StartTwo(ShardThreads threads) {
    return StartRuntime(
        {.shard_count = 2, .threads = threads, .buffer_pool_bytes = kSmallPoolBytes});
  }

  static void PumpToTheEnd(Runtime& runtime, ShardId id) {
    for (;;) {
      const absl::StatusOr<PumpOutcome> outcome = runtime.PumpShard(id, 0);
      ASSERT_TRUE(outcome.ok()) << outcome.status();
      if (*outcome == PumpOutcome::kStopped) return;
    }
  }

  static void ExpectUnavailable(Future<Id> future) {
    const absl::Status status = future.Wait().status();
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  }

 private:
  int fds_ = 0;
  int threads_ = 0;
};

TEST_F(RuntimeStatesTest, AStopThatIsRequestedBeforeLentThreadsCome) {
  const auto runtime = StartTwo(ShardThreads::kLent);
  ASSERT_NE(runtime, nullptr);
  runtime->RequestStop();
  runtime->RequestStop();
  EXPECT_TRUE(absl::IsUnavailable(runtime->RunShard(0)));
  EXPECT_TRUE(absl::IsUnavailable(runtime->PumpShard(1, 0).status()));
  EXPECT_TRUE(absl::IsUnavailable(runtime->WaitUntilRunning()));
  ExpectUnavailable(runtime->Submit(1, GiveId));
  runtime->Stop();
  runtime->Stop();
  EXPECT_TRUE(absl::IsUnavailable(runtime->RunShard(1)));
}

// Calls to the one that never came get an answer, not silence.
TEST_F(RuntimeStatesTest, AStopThatIsRequestedWhenOneOfTwoIsPumped) {
  const auto runtime = StartTwo(ShardThreads::kLent);
  ASSERT_NE(runtime, nullptr);
  EXPECT_TRUE(runtime->PumpShard(0, 0).ok());
  Future<Id> asks = runtime->Submit(0, AskOther);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(runtime->PumpShard(0, 0).ok());
  EXPECT_FALSE(asks.ready());
  runtime->RequestStop();
  EXPECT_TRUE(absl::IsUnavailable(runtime->PumpShard(1, 0).status()));
  PumpToTheEnd(*runtime, 0);
  ExpectUnavailable(std::move(asks));
  runtime->Stop();
}

TEST_F(RuntimeStatesTest, AStopThatIsRequestedByAShard) {
  for (const ShardThreads threads : {ShardThreads::kOwn, ShardThreads::kLent}) {
    const auto runtime = StartTwo(threads);
    ASSERT_NE(runtime, nullptr);
    std::vector<std::thread> lent;
    for (ShardId id = 0; id < 2 && threads == ShardThreads::kLent; ++id) {
      lent.emplace_back([&runtime, id] { EXPECT_TRUE(runtime->RunShard(id).ok()); });
    }
    EXPECT_TRUE(runtime->WaitUntilRunning().ok());
    EXPECT_TRUE(runtime
                    ->Submit(
                        1, [](Shard&, Runtime* of) { of->RequestStop(); }, runtime.get())
                    .Wait()
                    .ok());
    for (std::thread& thread : lent) thread.join();
    runtime->Stop();
    ExpectUnavailable(runtime->Submit(0, GiveId));
  }
}

TEST_F(RuntimeStatesTest, StopTwice) {
  const auto own = StartTwo(ShardThreads::kOwn);
  own->Stop();
  own->Stop();
  const auto pumped = StartTwo(ShardThreads::kLent);
  for (const ShardId id : {0u, 1u}) EXPECT_TRUE(pumped->PumpShard(id, 0).ok());
  pumped->Stop();
  PumpToTheEnd(*pumped, 0);
  pumped->Stop();  // one has ended, and one has not
  PumpToTheEnd(*pumped, 1);
  pumped->Stop();
  EXPECT_EQ(pumped->PumpShard(1, 0).value(), PumpOutcome::kStopped);
}

// Calls that wait in the inbox, and in the mesh, of a shard that runs no turn before it stops.
TEST_F(RuntimeStatesTest, StopWhileCallsAreQueued) {
  const auto runtime = StartTwo(ShardThreads::kLent);
  ASSERT_NE(runtime, nullptr);
  for (const ShardId id : {0u, 1u}) EXPECT_TRUE(runtime->PumpShard(id, 0).ok());
  std::vector<Future<Id>> waiting;
  for (int i = 0; i < 10; ++i) {
    waiting.push_back(runtime->Submit(0, AskOther));
    waiting.push_back(runtime->Submit(1, GiveId));
  }
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(runtime->PumpShard(0, 0).ok());
  for (int i = 0; i < 10; ++i) waiting.push_back(runtime->Submit(0, GiveId));
  Client client(*runtime);
  std::atomic<int> told{0};
  client.SubmitThen(
      1, [&](const Id& result) { told.fetch_add(result.ok() ? 0 : 1); }, GiveId);
  runtime->Stop();
  for (const Future<Id>& future : waiting) EXPECT_FALSE(future.ready());
  waiting.push_back(runtime->Submit(1, GiveId));  // it has not ended yet
  for (const ShardId id : {1u, 0u}) PumpToTheEnd(*runtime, id);
  waiting.push_back(runtime->Submit(1, GiveId));
  for (Future<Id>& future : waiting) ExpectUnavailable(std::move(future));
  EXPECT_EQ(told.load(), 1);
}

// The same where nobody can tell how far the shards are.
TEST_F(RuntimeStatesTest, StopWhileShardsOfTheirOwnAreFlooded) {
  for (int round = 0; round < 20; ++round) {
    const auto runtime = StartTwo(ShardThreads::kOwn);
    ASSERT_NE(runtime, nullptr);
    std::vector<Future<Id>> futures;
    for (int i = 0; i < 20 * round; ++i) {
      futures.push_back(runtime->Submit(static_cast<ShardId>(i % 2), AskOther));
    }
    runtime->Stop();
    for (Future<Id>& future : futures) {
      const absl::Status status = future.Wait().status();
      EXPECT_TRUE(status.ok() || absl::IsUnavailable(status)) << status;
    }
  }
}

// With one descriptor more each time: at some number, the one shard gets all of its own, and the
// other not.
TEST_F(RuntimeStatesTest, AStartThatFailsOnOneOfTwoShardsLeavesNothing) {
  rlimit old;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  int failures = 0;  // and the start in the end
  for (bool started = false; !started; ++failures) {
    ASSERT_LT(failures, 1000) << "it never starts";
    rlimit limit = old;
    limit.rlim_cur = static_cast<rlim_t>(failures);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    absl::StatusOr<std::unique_ptr<Runtime>> runtime =
        Runtime::Start({.shard_count = 2, .buffer_pool_bytes = kSmallPoolBytes});
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    started = runtime.ok();
    if (started) {
      EXPECT_EQ((*runtime)->Submit(0, AskOther).Wait().value(), 1u);
    } else {
      ExpectNothingLeft();
    }
  }
  EXPECT_GE(failures, 3) << "with none, and with one";
}

}  // namespace
}  // namespace ioengine
