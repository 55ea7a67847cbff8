// FramePool and BlockPool: where frames come from, and the bounds.

#include "ioengine/sched/frame_pool.h"

#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/block_pool.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

// As a frame has it: an address where BlockPool has its mark.
void Fill(void* block) { static_cast<uintptr_t*>(block)[1] = 0x1000; }

TEST(BlockPoolTest, TheBlockThatWasFreedLastIsGivenFirst) {
  BlockPool pool(BlockPool::kSlabBytes);
  void* const first = pool.TryAllocate(72);
  void* const second = pool.TryAllocate(72);
  EXPECT_NE(first, second);
  pool.Free(first, 72);
  pool.Free(second, 72);
  EXPECT_EQ(pool.TryAllocate(65), second) << "of one size class";
  EXPECT_EQ(pool.TryAllocate(72), first);
  EXPECT_NE(pool.TryAllocate(72), first);
}

TEST(BlockPoolTest, SizesAreMultiplesOfEightAndAlignedAsTheyNeed) {
  BlockPool pool(size_t{16} << 20);
  for (size_t size = 0; size <= BlockPool::kMaxBlockBytes; ++size) {
    const auto address = reinterpret_cast<uintptr_t>(pool.TryAllocate(size));
    ASSERT_NE(address, 0u) << size;
    const size_t rounded = (size + 7) / 8 * 8;
    EXPECT_EQ(address % (rounded % 16 == 0 ? 16 : 8), 0u) << size;
    EXPECT_TRUE(pool.Contains(reinterpret_cast<void*>(address)));
  }
  EXPECT_EQ(pool.TryAllocate(BlockPool::kMaxBlockBytes + 1), nullptr);
  int outside = 0;
  EXPECT_FALSE(pool.Contains(&outside));
}

TEST(BlockPoolTest, GivesAsMuchAsItReservedAndNoMore) {
  constexpr size_t kSize = 1024;
  BlockPool pool(2 * BlockPool::kSlabBytes);
  EXPECT_EQ(pool.reserved_bytes(), 2 * BlockPool::kSlabBytes);
  std::set<void*> blocks;
  while (void* const block = pool.TryAllocate(kSize)) blocks.insert(block);
  EXPECT_EQ(pool.slab_bytes(), 2 * BlockPool::kSlabBytes);
  EXPECT_EQ(blocks.size(), 2 * BlockPool::kSlabBytes / kSize - 1) << "all but the first 64 bytes";
  EXPECT_EQ(pool.TryAllocate(8), nullptr) << "no slab is left for another size";
  pool.Free(*blocks.begin(), kSize);
  EXPECT_EQ(pool.TryAllocate(kSize), *blocks.begin());
}

TEST(BlockPoolTest, FindsTheBlocksInUse) {
  BlockPool pool(size_t{1} << 20);
  std::vector<void*> kept;
  std::vector<void*> freed;
  for (const size_t size : {24, 72, 72, 1000, 24, 72, 512}) {
    for (int i = 0; i < 50; ++i) {
      void* const block = pool.TryAllocate(size);
      Fill(block);
      (i % 3 == 0 ? freed : kept).push_back(block);
      if (i % 3 == 0) pool.Free(block, size);
    }
  }
  std::vector<void*> seen;
  pool.ForEachBlock([&](void* block) { seen.push_back(block); });
  EXPECT_EQ(std::set<void*>(seen.begin(), seen.end()), std::set<void*>(kept.begin(), kept.end()));
}

[[noreturn]] void ReserveWithLittleAddressSpace() {
  const rlimit limit = {size_t{1} << 30, size_t{1} << 30};
  if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(9);
  BlockPool pool(size_t{8} << 30);
  if (pool.reserved_bytes() == 0 || pool.reserved_bytes() > size_t{1} << 30) _exit(1);
  _exit(pool.TryAllocate(100) != nullptr ? 0 : 2);
}

TEST(BlockPoolDeathTest, TakesLessAddressSpaceWhereThereIsLess) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they take terabytes of it
  EXPECT_EXIT(ReserveWithLittleAddressSpace(), testing::ExitedWithCode(0), "");
#else
  EXPECT_GT(BlockPool(size_t{8} << 30).reserved_bytes(), 0u);
  static_cast<void>(&ReserveWithLittleAddressSpace);
#endif
}

Task<> WaitFor(Event* event) { co_await event->Wait(); }

// More than a block of the pool can hold.
Task<> WaitWithMuch(Event* event) {
  std::array<uint64_t, 300> much{};
  much[static_cast<size_t>(event->is_set())] = 1;
  co_await event->Wait();
  EXPECT_EQ(much[0], 1u);
}

TEST(FramePoolTest, FramesComeAndGoWithTheirTasks) {
  TestShard shard;
  Event event;
  shard.Run([&] {
    for (int i = 0; i < 100; ++i) shard.executor().Spawn(WaitFor(&event));
    EXPECT_EQ(shard.executor().frames().live(), 100u);
    shard.executor().Spawn(WaitWithMuch(&event));
    EXPECT_EQ(shard.executor().frames().live(), 101u);
    EXPECT_EQ(shard.executor().frames().heap_allocations(), 1u);
  });
  EXPECT_EQ(shard.executor().frames().live(), 0u) << "the stop destroyed them";
}

TEST(FramePoolTest, WhatDoesNotFitComesFromTheHeapAndIsCounted) {
  TestShard shard(TimeKind::kSimulated, {.max_frame_bytes = 1});  // one slab
  Event event;
  int woken = 0;
  shard.Run([&] {
    for (int i = 0; i < 2000; ++i) {
      shard.executor().Spawn([](Event* of, int* count) -> Task<> {
        co_await of->Wait();
        ++*count;
      }(&event, &woken));
    }
    EXPECT_GT(shard.executor().frames().heap_allocations(), 1000u);
    EXPECT_EQ(shard.executor().frames().slab_bytes(), BlockPool::kSlabBytes);
    shard.executor().Spawn([](Event* of) -> Task<> {
      co_await Yield();
      of->Set();
    }(&event));
  });
  EXPECT_EQ(woken, 2000);
  EXPECT_EQ(shard.executor().frames().live(), 0u);
}

TEST(FramePoolTest, ATaskThatIsMadeWithoutAShardMayRunOnOneAndEndAnywhere) {
  TestShard shard;
  Event event;
  Task<> elsewhere = WaitFor(&event);
  std::thread([task = std::move(elsewhere)]() mutable { task = {}; }).join();
  bool ran = false;
  Task<> here = [](bool* done) -> Task<> {
    *done = true;
    co_return;
  }(&ran);
  shard.Run([&] { shard.executor().Spawn(std::move(here)); });
  EXPECT_TRUE(ran);
}

TEST(FramePoolDeathTest, ATaskIsDestroyedOnAnotherThread) {
  const auto destroy_elsewhere = [](bool large) {
    TestShard shard;
    Event event;
    shard.Run([&] {
      Task<> task = large ? WaitWithMuch(&event) : WaitFor(&event);
      std::thread([&] { task = {}; }).join();
    });
  };
  EXPECT_DEATH(destroy_elsewhere(false), "destroyed on a thread that does not run its executor");
  EXPECT_DEATH(destroy_elsewhere(true), "destroyed on a thread that does not run its executor");
}

TEST(FramePoolDeathTest, ATaskOutlivesItsExecutor) {
  const auto outlive = [] {
    Event event;
    Task<> task;
    {
      TestShard shard;
      shard.Run([&] { task = WaitFor(&event); });
    }
  };
  EXPECT_DEATH(outlive(), "outlives its executor");
}

}  // namespace
}  // namespace ioengine
