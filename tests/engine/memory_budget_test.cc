// RuntimeOptions::memory_per_shard_bytes: what a shard does when its memory is used up.

#include "ioengine/sched/memory_budget.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/engine/client.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/tests/engine/runtime_fixture.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone
using std::chrono::steady_clock;
using testing::AllOf;
using testing::HasSubstr;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kLimitBytes = 16 * kMiB;
constexpr int kTasksPerCall = 64;

// The tasks of a phase, which wait until it is over. Of shard 0.
struct Crowd {
  Event gate;
  std::atomic<bool> over{false};
  std::atomic<int> parked{0};
};

template <size_t kBytes>
Task<> Park(Crowd* crowd) {
  char state[kBytes];
  state[0] = '?';  // lives across the suspension, so it is part of the frame
  ++crowd->parked;
  co_await crowd->gate.Wait();
  if (state[0] != '!') --crowd->parked;
}

template <size_t kBytes>
void AddTo(Shard& shard, Crowd* crowd) {
  for (int i = 0; i < kTasksPerCall; ++i) shard.executor().Spawn(Park<kBytes>(crowd));
}

Task<> OpenWhenOver(Shard& /*shard*/, Crowd* crowd) {
  while (!crowd->over.load()) co_await Sleep(1ms);
  crowd->gate.Set();
}

size_t UsedBytes(Shard& shard) { return shard.executor().memory()->used_bytes(); }

size_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  size_t total_pages = 0;
  size_t resident_pages = 0;
  file >> total_pages >> resident_pages;
  return resident_pages * 4096;
}

class MemoryBudgetTest : public testing::Test {
 protected:
  // Adds to a crowd until the shard takes no more; how many it has then, and what it used.
  template <size_t kBytes>
  int Fill(Crowd* crowd, absl::Status* refused) {
    for (int i = 0; i < 100'000; ++i) {
      absl::Status status = runtime_->Submit(0, AddTo<kBytes>, crowd).Wait();
      if (!status.ok()) {
        *refused = status;
        break;
      }
    }
    return crowd->parked.load();
  }

  // Ends a crowd, and waits until the shard takes calls again.
  void Empty(Crowd* crowd) {
    crowd->over.store(true);
    const auto end = steady_clock::now() + 60s;
    absl::Status status = absl::ResourceExhaustedError("");
    while (absl::IsResourceExhausted(status) && steady_clock::now() < end) {
      std::this_thread::sleep_for(1ms);
      status = runtime_->Submit(0, [](Shard&) {}).Wait();
    }
    ASSERT_TRUE(status.ok()) << status;
    while (crowd->parked.load() > 0) std::this_thread::sleep_for(1ms);
  }

  const std::unique_ptr<Runtime> runtime_ = StartRuntime(
      {.shard_count = 2, .memory_per_shard_bytes = kLimitBytes, .buffer_pool_bytes = 2 * kMiB});
};

TEST_F(MemoryBudgetTest, AFullShardRefusesCallsUntilItsTasksEnd) {
  Crowd crowd;
  Future<void> opener = runtime_->Submit(0, OpenWhenOver, &crowd);
  const size_t before_bytes = ResidentBytes();
  const size_t fixed_bytes = runtime_->Submit(0, UsedBytes).Wait().value();
  absl::Status refused;
  const int parked = Fill<200>(&crowd, &refused);
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_THAT(refused.message(), AllOf(HasSubstr("shard 0"), HasSubstr("memory_per_shard_bytes")));
  // What it has fits, and is not much less than what there is.
  EXPECT_GT(parked * size_t{200}, (kLimitBytes - fixed_bytes) / 2);
  EXPECT_LT(parked * size_t{200}, kLimitBytes);
  if (!kSanitized) {
    EXPECT_LT(ResidentBytes() - before_bytes, (kLimitBytes - fixed_bytes) * 105 / 100 + 2 * kMiB);
  }
  // The other shard is not concerned.
  EXPECT_TRUE(runtime_->Submit(1, [](Shard&) {}).Wait().ok());
  Empty(&crowd);
  EXPECT_TRUE(opener.Wait().ok());
}

// Slabs of one size of frames become those of another.
TEST_F(MemoryBudgetTest, MemoryIsNotTiedToTheSizeItWasUsedFor) {
  for (int round = 0; round < 3; ++round) {
    Crowd small;
    Future<void> small_opener = runtime_->Submit(0, OpenWhenOver, &small);
    absl::Status refused;
    const size_t small_bytes = static_cast<size_t>(Fill<64>(&small, &refused)) * 64;
    EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
    Empty(&small);
    EXPECT_TRUE(small_opener.Wait().ok());
    Crowd large;
    Future<void> large_opener = runtime_->Submit(0, OpenWhenOver, &large);
    const size_t large_bytes = static_cast<size_t>(Fill<600>(&large, &refused)) * 600;
    EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
    EXPECT_GT(large_bytes, small_bytes) << "a larger frame has less of its own around";
    EXPECT_LT(large_bytes, kLimitBytes);
    Empty(&large);
    EXPECT_TRUE(large_opener.Wait().ok());
  }
}

// Frames above 1 KiB come from the heap, and count.
TEST_F(MemoryBudgetTest, LargeFramesCountToo) {
  Crowd crowd;
  Future<void> opener = runtime_->Submit(0, OpenWhenOver, &crowd);
  absl::Status refused;
  const int parked = Fill<8000>(&crowd, &refused);
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_GT(parked * size_t{8000}, kLimitBytes / 2);
  EXPECT_LT(parked * size_t{8000}, kLimitBytes + kTasksPerCall * size_t{8200});
  Empty(&crowd);
  EXPECT_TRUE(opener.Wait().ok());
}

// A client that waits gets its turn.
TEST_F(MemoryBudgetTest, AClientMayWaitForMemory) {
  Crowd crowd;
  Future<void> opener = runtime_->Submit(0, OpenWhenOver, &crowd);
  absl::Status refused;
  Fill<200>(&crowd, &refused);
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  std::thread waiting([&] {
    Client client(*runtime_, {.when_full = ClientOptions::WhenFull::kWait});
    EXPECT_TRUE(client.Submit(0, [](Shard&) {}).Wait().ok());
  });
  std::this_thread::sleep_for(5ms);
  Empty(&crowd);
  waiting.join();
  EXPECT_TRUE(opener.Wait().ok());
}

Task<absl::Status> CallUntilFull(Shard& shard) {
  std::vector<MeshResult<int>> results;
  absl::Status status;
  while (shard.executor().memory()->used_bytes() < 4 * kLimitBytes) {
    for (int i = 0; i < 1000; ++i) {
      results.push_back(shard.SubmitTo(
          1, [](Shard&, std::array<char, 400>) { return 1; }, std::array<char, 400>()));
    }
    if (shard.mesh().stats().times_calls_full > 0) break;
  }
  for (auto& result : results) {
    absl::StatusOr<int> value = co_await result;
    if (!value.ok()) status = value.status();
  }
  co_return status;
}

TEST_F(MemoryBudgetTest, CallsToOtherShardsAreRefusedToo) {
  const absl::Status status = runtime_->Submit(0, CallUntilFull).Wait();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr("the shard's memory"));
  EXPECT_TRUE(runtime_->Submit(0, [](Shard&) {}).Wait().ok());
}

TEST(MemoryBudgetOptionsTest, WhatIsTooSmallForItsPartsIsAnErrorThatNamesThem) {
  const auto runtime =
      Runtime::Start({.memory_per_shard_bytes = 3 * kMiB, .buffer_pool_bytes = 2 * kMiB});
  ASSERT_TRUE(absl::IsInvalidArgument(runtime.status())) << runtime.status();
  EXPECT_THAT(runtime.status().message(),
              AllOf(HasSubstr("memory_per_shard_bytes is 3145728"), HasSubstr("2097152 of buffers"),
                    HasSubstr("for tasks")));
}

}  // namespace
}  // namespace ioengine
