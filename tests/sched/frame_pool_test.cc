// FramePool and BlockPool: where frames come from, and the bounds.

#include "ioengine/sched/frame_pool.h"

#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
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

using testing::IsEmpty;

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

// As much as the process has already.
[[noreturn]] void ReserveWithoutAddressSpace() {
  std::ifstream statm("/proc/self/statm");
  size_t pages = 0;
  statm >> pages;
  if (pages == 0) _exit(8);
  const rlimit limit = {pages * 4096, pages * 4096};
  if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(9);
  BlockPool pool(size_t{1} << 30);
  if (pool.reserved_bytes() != 0) _exit(1);
  if (pool.TryAllocate(100) != nullptr) _exit(2);
  _exit(pool.Contains(&pool) || pool.Contains(nullptr) ? 3 : 0);
}

TEST(BlockPoolDeathTest, GivesNothingWhereThereIsNoAddressSpace) {
  EXPECT_EXIT(ReserveWithoutAddressSpace(), testing::ExitedWithCode(0), "");
}

#if defined(__SANITIZE_ADDRESS__)
TEST(BlockPoolDeathTest, AFreedBlockIsNotTouched) {
  BlockPool pool(BlockPool::kSlabBytes);
  auto* const block = static_cast<volatile char*>(pool.TryAllocate(72));
  block[71] = 1;
  pool.Free(const_cast<char*>(block), 72);
  EXPECT_DEATH(block[71] = 2, "use-after-poison");
  EXPECT_EQ(pool.TryAllocate(72), const_cast<char*>(block));
  block[71] = 3;
}
#endif

TEST(BlockPoolTest, BlocksMayBeFreedAndTakenWhileTheyAreLookedThrough) {
  constexpr size_t kSize = 96;
  BlockPool pool(size_t{1} << 20);
  std::set<void*> live;
  for (int i = 0; i < 1000; ++i) {
    void* const block = pool.TryAllocate(kSize);
    Fill(block);
    live.insert(block);
  }
  std::set<void*> taken;  // meanwhile, which may be missed
  int seen = 0;
  pool.ForEachBlock([&](void* block) {
    if (taken.contains(block)) return;
    ASSERT_EQ(live.erase(block), 1u) << "seen twice, or after it was freed";
    pool.Free(block, kSize);
    if (++seen % 2 == 0 && !live.empty()) {
      pool.Free(*live.rbegin(), kSize);  // one that is still to come
      live.erase(std::prev(live.end()));
    }
    void* const other = pool.TryAllocate(2 * kSize);
    Fill(other);
    taken.insert(other);
  });
  EXPECT_THAT(live, IsEmpty());
  EXPECT_EQ(seen, 667) << "each second one took another with it";
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

TEST(FramePoolTest, TheStopFindsLargeFramesThatOwnOneAnother) {
  TestShard shard;
  Event event;
  shard.Run([&] {
    for (int i = 0; i < 10; ++i) {
      // Its end ends the other one, which comes from the heap too.
      shard.executor().Spawn([](Event* of) -> Task<> {
        std::array<uint64_t, 300> much{};
        much[static_cast<size_t>(of->is_set())] = 1;
        co_await WaitWithMuch(of);
        EXPECT_EQ(much[0], 1u);
      }(&event));
    }
  });
  EXPECT_EQ(shard.executor().frames().heap_allocations(), 20u);
  EXPECT_EQ(shard.executor().frames().live(), 0u);
}

TEST(FramePoolTest, AFrameOfNoShardIsNotCountedByTheOneThatEndsIt) {
  Event event;
  Task<> elsewhere = WaitFor(&event);
  TestShard shard;
  shard.Run([&] {
    EXPECT_EQ(shard.executor().frames().live(), 0u);
    elsewhere = {};
    EXPECT_EQ(shard.executor().frames().live(), 0u);
    EXPECT_EQ(shard.executor().frames().heap_allocations(), 0u);
  });
}

TEST(FramePoolTest, NodesComeFromTheShardAndWithoutOneFromTheHeap) {
  void* const foreign = FramePool::AllocateNode(48);
  void* shards = nullptr;
  TestShard shard;
  shard.Run([&] {
    shards = FramePool::AllocateNode(48);
    FramePool::FreeNode(shards, 48);
    EXPECT_EQ(FramePool::AllocateNode(48), shards) << "from a free list";
    FramePool::FreeNode(shards, 48);
    FramePool::FreeNode(foreign, 48);
    EXPECT_EQ(FramePool::AllocateNode(48), shards) << "the foreign one went to the heap";
    FramePool::FreeNode(shards, 48);
    EXPECT_EQ(shard.executor().frames().live(), 0u) << "they are no frames";
  });
}

TEST(FramePoolDeathTest, ATaskIsDestroyedOnAnotherShard) {
  const auto destroy_there = [](bool large) {
    TestShard shard;
    Event event;
    shard.Run([&] {
      Task<> task = large ? WaitWithMuch(&event) : WaitFor(&event);
      std::thread([&] {
        TestShard other;
        other.Run([&] { task = {}; });
      }).join();
    });
  };
  EXPECT_DEATH(destroy_there(false), "destroyed on a thread that does not run its executor");
  EXPECT_DEATH(destroy_there(true), "destroyed on a thread that does not run its executor");
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
