// Runtime: its end, whatever its tasks are at.

#include <sys/stat.h>

#include <atomic>
#include <cstddef>
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
#include "ioengine/io/dma_file.h"
#include "ioengine/sched/future.h"
#include "ioengine/sched/task.h"
#include "ioengine/tests/engine/runtime_fixture.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using testing::HasSubstr;

using RuntimeStopTest = RuntimeFixture;

Task<int> GiveOne(Shard& /*shard*/) { co_return 1; }

Task<> YieldForEver(Shard& shard) {
  for (;;) co_await shard.executor().Yield();
}

// Reads from a pipe into which nobody writes.
Task<absl::Status> ReadForEver(Shard& shard, std::string fifo, std::atomic<int>* reading) {
  auto file = co_await DmaFile::Open(
      shard.io(), fifo,
      {.access = DmaFileOptions::Access::kReadWrite, .direct = DmaFileOptions::Direct::kNever});
  if (!file.ok()) co_return file.status();
  auto buffer = shard.io().AllocateBuffer(4096);
  if (!buffer.ok()) co_return buffer.status();
  reading->fetch_add(1);
  co_return (co_await file->Read(0, *buffer, 4096)).status();
}

TEST_F(RuntimeStopTest, EndsTasksThatWaitForIo) {
  const TestDirectory directory;
  const std::string fifo = directory.File("fifo");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const int fds_before = CountOpenFds();
  std::atomic<int> reading{0};
  std::vector<Future<absl::Status>> futures;
  for (int i = 0; i < 6; ++i) {
    futures.push_back(runtime_->Submit(static_cast<ShardId>(i % 2), ReadForEver, fifo, &reading));
  }
  while (reading.load() < 6) std::this_thread::yield();
  EXPECT_FALSE(futures[0].ready());
  runtime_->Stop();
  for (Future<absl::Status>& future : futures) {
    const absl::Status status = future.Wait();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("stopped"));
  }
  EXPECT_LE(CountOpenFds(), fds_before) << "the pipe is still open";
}

TEST_F(RuntimeStopTest, EndsTasksThatRunAndCallsThatWait) {
  std::vector<Future<void>> tasks;
  for (int i = 0; i < 4; ++i) tasks.push_back(runtime_->Submit(0, YieldForEver));
  EXPECT_EQ(runtime_->Submit(0, GiveOne).Wait().value(), 1) << "they leave room for others";
  // Calls that are on their way when the stop comes.
  std::vector<Future<int>> calls;
  for (int i = 0; i < 4; ++i) calls.push_back(runtime_->Submit(0, GiveOne));
  runtime_->Stop();
  for (Future<void>& task : tasks) {
    EXPECT_EQ(task.Wait().code(), absl::StatusCode::kUnavailable);
  }
  for (Future<int>& call : calls) {
    const absl::StatusOr<int> result = call.Wait();
    EXPECT_TRUE(result.ok() || result.status().code() == absl::StatusCode::kUnavailable);
  }
}

// Reads without end, so that a stop finds operations at every stage.
Task<absl::Status> ReadAgainAndAgain(Shard& shard, std::string path, std::atomic<int>* reads) {
  auto file = co_await DmaFile::Open(shard.io(), path, {});
  if (!file.ok()) co_return file.status();
  auto buffer = shard.io().AllocateBuffer(4096);
  if (!buffer.ok()) co_return buffer.status();
  for (;;) {
    const auto read = co_await file->Read(0, *buffer, 4096);
    if (!read.ok()) co_return read.status();
    reads->fetch_add(1);
  }
}

TEST(RuntimeLifeTest, StopsInTheMiddleOfIo) {
  const TestDirectory directory;
  WriteWholeFile(directory.File("x"), std::string(4096, 'x'));
  for (int round = 0; round < 10; ++round) {
    const auto runtime = StartRuntime({.shard_count = 2, .buffer_pool_bytes = kSmallPoolBytes});
    std::atomic<int> reads{0};
    std::vector<Future<absl::Status>> futures;
    for (int i = 0; i < 8; ++i) {
      futures.push_back(runtime->Submit(static_cast<ShardId>(i % 2), ReadAgainAndAgain,
                                        directory.File("x"), &reads));
    }
    while (reads.load() < 100) std::this_thread::yield();
    runtime->Stop();
    for (Future<absl::Status>& future : futures) {
      EXPECT_EQ(future.Wait().code(), absl::StatusCode::kUnavailable);
    }
  }
}

TEST_F(RuntimeStopTest, CallsAfterItAreRefused) {
  runtime_->Stop();
  const absl::StatusOr<int> result = runtime_->Submit(1, GiveOne).Wait();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("shard 1 has stopped"));
  runtime_->Stop();
  EXPECT_EQ(runtime_->shard_count(), 2u);
  EXPECT_EQ(runtime_->Info().shards.size(), 2u);
}

TEST(RuntimeLifeTest, EveryCallIsAnsweredWhenAStopComesBetween) {
  for (int round = 0; round < 20; ++round) {
    const auto runtime = StartRuntime(
        {.shard_count = 2, .buffer_pool_bytes = kSmallPoolBytes, .inbox_capacity = 16});
    std::atomic<int> answered{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&, i] {
        for (;;) {
          const absl::StatusOr<int> result =
              runtime->Submit(static_cast<ShardId>(i % 2), GiveOne).Wait();
          if (result.status().code() == absl::StatusCode::kUnavailable) return;
          if (result.ok()) answered.fetch_add(1);
        }
      });
    }
    while (answered.load() < 10 * round) std::this_thread::yield();
    runtime->Stop();
    for (std::thread& thread : threads) thread.join();
  }
}

TEST(RuntimeLifeTest, ManyLivesLeakNeitherDescriptorsNorThreads) {
  StartRuntime({.buffer_pool_bytes = kSmallPoolBytes});  // what is made once, is made
  const int fds = CountOpenFds();
  const int threads = CountThreads();
  for (int i = 0; i < 100; ++i) {
    const auto runtime = StartRuntime({.shard_count = 1 + i % 3,
                                       .buffer_pool_bytes = kSmallPoolBytes,
                                       .queue_depth = 16,
                                       .max_open_files = 4});
    ASSERT_NE(runtime, nullptr);
    if (i % 3 == 0) {
      EXPECT_EQ(runtime->Submit(0, GiveOne).Wait().value(), 1);
    } else if (i % 3 == 1) {
      static_cast<void>(runtime->Submit(0, YieldForEver));
    }
    if (i % 2 == 0) runtime->Stop();
  }
  EXPECT_EQ(CountOpenFds(), fds);
  EXPECT_TRUE(ThreadsFallTo(threads)) << CountThreads() << " threads, before " << threads;
}

TEST(RuntimeLifeTest, TwoRuntimesKnowNothingOfEachOther) {
  auto first = StartRuntime({.shard_count = 2, .buffer_pool_bytes = kSmallPoolBytes});
  auto second = StartRuntime({.buffer_pool_bytes = kSmallPoolBytes});
  Future<void> endless = first->Submit(0, YieldForEver);
  EXPECT_EQ(second->Submit(0, GiveOne).Wait().value(), 1);
  first.reset();
  EXPECT_EQ(endless.Wait().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(second->Submit(0, GiveOne).Wait().value(), 1);
  first = StartRuntime({.buffer_pool_bytes = kSmallPoolBytes});
  second.reset();
  EXPECT_EQ(first->Submit(0, GiveOne).Wait().value(), 1);
}

Task<> StopFromAShard(Shard& /*shard*/, Runtime* runtime) {
  runtime->Stop();
  co_return;
}

TEST(RuntimeStopDeathTest, FromAShard) {
  const auto stop = [] {
    const auto runtime = StartRuntime({.buffer_pool_bytes = kSmallPoolBytes});
    static_cast<void>(runtime->Submit(0, StopFromAShard, runtime.get()).Wait());
  };
  EXPECT_DEATH(stop(), "a runtime is stopped from a shard");
}

}  // namespace
}  // namespace ioengine
