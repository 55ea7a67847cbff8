#include "ioengine/engine/runtime.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/io/dma_file.h"

namespace ioengine {
namespace {

using ::testing::HasSubstr;

// Small, so that it also starts where little memory may be locked.
RuntimeOptions Small(int shard_count = 1) {
  RuntimeOptions options;
  options.shard_count = shard_count;
  options.buffer_pool_bytes = size_t{2} << 20;
  options.queue_depth = 32;
  options.max_open_files = 16;
  return options;
}

std::unique_ptr<Runtime> StartOrDie(const RuntimeOptions& options) {
  absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Start(options);
  EXPECT_TRUE(runtime.ok()) << runtime.status();
  return runtime.ok() ? *std::move(runtime) : nullptr;
}

size_t EntriesOf(const char* directory) {
  const std::filesystem::directory_iterator entries(directory);
  return static_cast<size_t>(std::distance(begin(entries), end(entries)));
}

// Awaits for ever; counts how often it is destroyed.
class Never {
 public:
  explicit Never(std::atomic<int>* destroyed) : destroyed_(destroyed) {}
  ~Never() { destroyed_->fetch_add(1); }
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<>) const {}
  void await_resume() const {}

 private:
  std::atomic<int>* destroyed_;
};

Task<absl::Status> WaitForEver(Shard&, std::atomic<int>* started, std::atomic<int>* destroyed) {
  started->fetch_add(1);
  co_await Never(destroyed);
  co_return absl::OkStatus();
}

Task<int> AddOne(Shard&, int value) { co_return value + 1; }
Task<void> Nothing(Shard&) { co_return; }
Task<absl::Status> Fail(Shard&, std::string why) { co_return absl::AbortedError(why); }
Task<absl::StatusOr<std::unique_ptr<int>>> Box(Shard&, std::unique_ptr<int> value) {
  co_return std::move(value);
}
Task<ShardId> WhichShard(Shard& shard) {
  co_await shard.executor().Yield();
  co_return shard.id();
}

TEST(RuntimeTest, HandsResultsOfEveryKindToTheCaller) {
  const auto runtime = StartOrDie(Small());
  EXPECT_EQ(*runtime->Submit(0, AddOne, 41).Wait(), 42);
  EXPECT_TRUE(runtime->Submit(0, Nothing).Wait().ok());
  EXPECT_EQ(runtime->Submit(0, Fail, std::string("no")).Wait(), absl::AbortedError("no"));
  auto boxed = runtime->Submit(0, Box, std::make_unique<int>(7)).Wait();
  ASSERT_TRUE(boxed.ok());
  EXPECT_EQ(**boxed, 7);
}

TEST(RuntimeTest, RunsEachCallOnItsShard) {
  const auto runtime = StartOrDie(Small(4));
  ASSERT_EQ(runtime->shard_count(), 4u);
  for (ShardId id = 0; id < 4; ++id) EXPECT_EQ(*runtime->Submit(id, WhichShard).Wait(), id);
}

TEST(RuntimeTest, TakesCallsFromManyThreads) {
  const auto runtime = StartOrDie(Small(2));
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&runtime, &wrong, t] {
      for (int i = 0; i < 500; ++i) {
        const auto sum = runtime->Submit(static_cast<ShardId>((t + i) % 2), AddOne, i).Wait();
        if (!sum.ok() || *sum != i + 1) wrong.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
}

// Keeps its shard from its inbox until it is told to go on.
Task<void> BlockShard(Shard&, std::promise<void>* blocked, std::shared_future<void> go_on) {
  blocked->set_value();
  go_on.wait();
  co_return;
}

TEST(RuntimeTest, RefusesCallsThatFindTheInboxFull) {
  RuntimeOptions options = Small();
  options.inbox_capacity = 4;
  const auto runtime = StartOrDie(options);
  std::promise<void> blocked;
  std::promise<void> go_on;
  auto blocker = runtime->Submit(0, BlockShard, &blocked, go_on.get_future().share());
  blocked.get_future().wait();

  std::vector<Future<int>> calls;
  for (int i = 0; i < 4; ++i) calls.push_back(runtime->Submit(0, AddOne, i));
  const auto refused = runtime->Submit(0, AddOne, 4).Wait();
  EXPECT_TRUE(absl::IsResourceExhausted(refused.status())) << refused.status();
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("inbox_capacity"));

  go_on.set_value();
  EXPECT_TRUE(blocker.Wait().ok());
  for (int i = 0; i < 4; ++i) EXPECT_EQ(*calls[static_cast<size_t>(i)].Wait(), i + 1);
}

TEST(RuntimeTest, StopDestroysWhatIsSuspendedAndAnswersEveryFuture) {
  std::atomic<int> started{0};
  std::atomic<int> destroyed{0};
  const auto runtime = StartOrDie(Small(2));
  std::vector<Future<absl::Status>> waiting;
  for (int i = 0; i < 10; ++i) {
    waiting.push_back(
        runtime->Submit(static_cast<ShardId>(i % 2), WaitForEver, &started, &destroyed));
  }
  while (started.load() < 10) std::this_thread::yield();
  std::thread waiter([&waiting] { EXPECT_TRUE(absl::IsUnavailable(waiting[0].Wait())); });
  runtime->Stop();
  waiter.join();
  EXPECT_EQ(destroyed.load(), 10);
  for (size_t i = 1; i < waiting.size(); ++i) {
    EXPECT_TRUE(absl::IsUnavailable(waiting[i].Wait())) << i;
  }
  EXPECT_TRUE(absl::IsUnavailable(runtime->Submit(1, AddOne, 1).Wait().status()));
  runtime->Stop();
}

TEST(RuntimeTest, CallsThatRaceWithStopAreAllAnswered) {
  for (int round = 0; round < 20; ++round) {
    const auto runtime = StartOrDie(Small());
    std::atomic<bool> go{false};
    std::thread caller([&] {
      while (!go.load()) std::this_thread::yield();
      for (int i = 0; i < 200; ++i) {
        const auto sum = runtime->Submit(0, AddOne, i).Wait();
        EXPECT_TRUE(sum.ok() || absl::IsUnavailable(sum.status())) << sum.status();
      }
    });
    go.store(true);
    std::this_thread::sleep_for(std::chrono::microseconds(50 * round));
    runtime->Stop();
    caller.join();
  }
}

TEST(RuntimeTest, StartsAndStopsWithoutLeavingAnythingBehind) {
  StartOrDie(Small(2));
  const size_t files_before = EntriesOf("/proc/self/fd");
  const size_t threads_before = EntriesOf("/proc/self/task");
  for (int i = 0; i < 50; ++i) {
    const auto runtime = StartOrDie(Small(2));
    if (i % 2 == 0) {
      EXPECT_TRUE(runtime->Submit(1, Nothing).Wait().ok());
    }
  }
  EXPECT_EQ(EntriesOf("/proc/self/fd"), files_before);
  EXPECT_EQ(EntriesOf("/proc/self/task"), threads_before);
}

TEST(RuntimeTest, TwoInOneProcessKeepApart) {
  const auto one = StartOrDie(Small());
  auto two = StartOrDie(Small());
  EXPECT_EQ(*one->Submit(0, AddOne, 1).Wait(), 2);
  EXPECT_EQ(*two->Submit(0, AddOne, 2).Wait(), 3);
  two.reset();
  EXPECT_EQ(*one->Submit(0, AddOne, 3).Wait(), 4);
}

TEST(RuntimeTest, NamesTheOptionThatIsWrong) {
  const auto complaint = [](auto change) {
    RuntimeOptions options = Small();
    change(options);
    return std::string(Runtime::Start(options).status().message());
  };
  EXPECT_THAT(complaint([](auto& o) { o.shard_count = 0; }), HasSubstr("shard"));
  EXPECT_THAT(complaint([](auto& o) { o.buffer_pool_bytes = 0; }), HasSubstr("buffer_pool_bytes"));
  EXPECT_THAT(complaint([](auto& o) { o.queue_depth = 0; }), HasSubstr("queue_depth is 0"));
  EXPECT_THAT(complaint([](auto& o) { o.queue_depth = 1 << 20; }), HasSubstr("queue_depth"));
  EXPECT_THAT(complaint([](auto& o) { o.max_open_files = 0; }), HasSubstr("max_open_files"));
  EXPECT_THAT(complaint([](auto& o) { o.inbox_capacity = 0; }), HasSubstr("inbox_capacity"));
  EXPECT_THAT(complaint([](auto& o) { o.idle_spin_us = 2'000'000; }), HasSubstr("idle_spin_us"));
  EXPECT_THAT(complaint([](auto& o) {
                o.placement.policy = PlacementPolicy::kPack;
                o.shard_count = 10'000;
              }),
              HasSubstr("10000 shards"));
}

TEST(RuntimeTest, TellsWhatWasGranted) {
  RuntimeOptions options = Small();
  options.placement.policy = PlacementPolicy::kPack;
  const auto runtime = StartOrDie(options);
  const RuntimeInfo& info = runtime->Info();
  EXPECT_THAT(info.placement, HasSubstr("pack"));
  ASSERT_EQ(info.shards.size(), 1u);
  EXPECT_GE(info.shards[0].cpu, 0);
  EXPECT_THAT(info.shards[0].memory, HasSubstr("2 MiB"));
  EXPECT_EQ(info.shards[0].backend.name, "io_uring");
  EXPECT_FALSE(info.shards[0].backend.features.empty());
  for (const Degradation& one : info.Degraded()) {
    EXPECT_FALSE(one.reason.empty() || one.consequence.empty()) << one.feature;
  }
}

Task<absl::Status> WriteAndReadBack(Shard& shard, std::string path) {
  using Options = DmaFileOptions;
  auto file = co_await DmaFile::Open(
      shard.io(), path,
      {.access = Options::Access::kReadWrite, .create = Options::Create::kMustBeNew});
  if (!file.ok()) co_return file.status();
  auto out = shard.io().AllocateBuffer(65536);
  auto in = shard.io().AllocateBuffer(65536);
  if (!out.ok() || !in.ok()) co_return absl::ResourceExhaustedError("buffers");
  std::memset(out->data(), 'a' + static_cast<int>(shard.id()), 65536);
  absl::Status status = co_await file->Write(4096, *out, 65536, {.durable = true});
  if (!status.ok()) co_return status;
  const auto read = co_await file->Read(4096, *in, 65536);
  if (!read.ok()) co_return read.status();
  if (*read != 65536 || std::memcmp(in->data(), out->data(), 65536) != 0) {
    co_return absl::DataLossError("read back something else");
  }
  status = co_await file->Close();
  status.Update(co_await RemoveFile(shard.io(), path));
  co_return status;
}

TEST(RuntimeTest, EveryShardDoesIo) {
  const auto runtime = StartOrDie(Small(3));
  std::string directory = "/var/tmp/runtime_test.XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  std::vector<Future<absl::Status>> done;
  for (ShardId id = 0; id < 3; ++id) {
    done.push_back(runtime->Submit(id, WriteAndReadBack, directory + "/" + std::to_string(id)));
  }
  for (auto& future : done) {
    const absl::Status status = future.Wait();
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory));
  std::filesystem::remove(directory);
}

// Reads in a loop until the runtime is stopped under it.
Task<absl::Status> ReadForEver(Shard& shard, std::string path, std::atomic<int>* reads) {
  auto file = co_await DmaFile::Open(shard.io(), path, {.direct = false});
  if (!file.ok()) co_return file.status();
  auto buffer = shard.io().AllocateBuffer(4096);
  for (;;) {
    const auto read = co_await file->Read(0, *buffer, 4096);
    if (!read.ok()) co_return read.status();
    reads->fetch_add(1);
  }
}

TEST(RuntimeTest, StopsInTheMiddleOfIo) {
  for (int round = 0; round < 10; ++round) {
    const auto runtime = StartOrDie(Small(2));
    std::atomic<int> reads{0};
    std::vector<Future<absl::Status>> running;
    for (int i = 0; i < 8; ++i) {
      running.push_back(runtime->Submit(static_cast<ShardId>(i % 2), ReadForEver,
                                        std::string("/proc/self/exe"), &reads));
    }
    while (reads.load() < 100) std::this_thread::yield();
    runtime->Stop();
    for (auto& future : running) EXPECT_TRUE(absl::IsUnavailable(future.Wait()));
  }
}

using RuntimeDeathTest = ::testing::Test;

TEST(RuntimeDeathTest, AShardThatDoesNotExist) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const auto runtime = StartOrDie(Small());
        (void)runtime->Submit(1, Nothing);
      },
      "a shard that does not exist");
}

Task<void> WaitOnTheShard(Shard&, Runtime* runtime) {
  (void)runtime->Submit(0, Nothing).Wait();
  co_return;
}

TEST(RuntimeDeathTest, WaitingForAFutureOnAShard) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const auto runtime = StartOrDie(Small());
        (void)runtime->Submit(0, WaitOnTheShard, runtime.get()).Wait();
      },
      "would block it");
}

Task<void> StopFromTheShard(Shard&, Runtime* runtime) {
  runtime->Stop();
  co_return;
}

TEST(RuntimeDeathTest, StoppingFromAShard) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const auto runtime = StartOrDie(Small());
        (void)runtime->Submit(0, StopFromTheShard, runtime.get()).Wait();
      },
      "stopped from a shard");
}

// Tells when it is destroyed.
class Witness {
 public:
  explicit Witness(std::atomic<bool>* gone) : gone_(gone) {}
  Witness(Witness&& other) noexcept : gone_(std::exchange(other.gone_, nullptr)) {}
  ~Witness() {
    if (gone_ != nullptr) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      gone_->store(true);
    }
  }

 private:
  std::atomic<bool>* gone_;
};

Task<int> Take(Shard& shard, Witness) {
  co_await shard.executor().Yield();
  co_return 1;
}

TEST(RuntimeTest, NothingOfACallIsLeftWhenItsFutureIsReady) {
  const auto runtime = StartOrDie(Small());
  for (int i = 0; i < 50; ++i) {
    std::atomic<bool> gone{false};
    EXPECT_TRUE(runtime->Submit(0, Take, Witness(&gone)).Wait().ok());
    ASSERT_TRUE(gone.load());
  }
}

}  // namespace
}  // namespace ioengine
