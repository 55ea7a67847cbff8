// MemoryBudget, and BlockPool under one.

#include "ioengine/sched/memory_budget.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/sched/block_pool.h"
#include "ioengine/sched/memory_charge.h"
#include "ioengine/sched/page_memory.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

constexpr size_t kSlab = BlockPool::kSlabBytes;

// As a frame has it: an address where BlockPool has its mark.
void* Filled(void* block) {
  if (block != nullptr) static_cast<uintptr_t*>(block)[1] = 0x1000;
  return block;
}

std::vector<void*> TakeAll(BlockPool& pool, size_t size_bytes) {
  std::vector<void*> blocks;
  while (void* const block = Filled(pool.TryAllocate(size_bytes))) blocks.push_back(block);
  return blocks;
}

std::set<void*> InUse(BlockPool& pool) {
  std::set<void*> blocks;
  pool.ForEachBlock([&](void* block) { blocks.insert(block); });
  return blocks;
}

TEST(MemoryBudgetTest, RefusesWhatExceedsTheLimit) {
  MemoryBudget budget(100);
  EXPECT_TRUE(budget.TryCharge(60));
  EXPECT_FALSE(budget.TryCharge(41));
  EXPECT_FALSE(budget.TryCharge(SIZE_MAX));
  EXPECT_TRUE(budget.has_room());
  EXPECT_TRUE(budget.TryCharge(40));
  EXPECT_FALSE(budget.has_room());
  budget.Charge(50);
  EXPECT_EQ(budget.used_bytes(), 150u);
  EXPECT_FALSE(budget.TryCharge(0)) << "above the limit there is no room for anything";
  budget.Release(150);
  EXPECT_TRUE(budget.has_room());
  EXPECT_EQ(budget.peak_bytes(), 150u);
  EXPECT_EQ(budget.times_full(), 3u);
}

TEST(MemoryBudgetTest, APartIsChargedToTheWholeBeyondItsReserve) {
  MemoryBudget whole(1000);
  whole.Charge(100);
  {
    MemoryBudget part(whole, 600, 200);
    EXPECT_EQ(whole.used_bytes(), 300u);
    EXPECT_TRUE(part.TryCharge(150));
    EXPECT_EQ(part.used_bytes(), 150u);
    EXPECT_EQ(whole.used_bytes(), 300u) << "from the reserve";
    EXPECT_TRUE(part.TryCharge(150));
    EXPECT_EQ(whole.used_bytes(), 400u);
    EXPECT_FALSE(part.HasRoomFor(301)) << "its own limit";
    EXPECT_EQ(part.room_bytes(), 300u);
    whole.Charge(500);
    EXPECT_FALSE(part.TryCharge(101)) << "that of the whole";
    part.Release(200);
    EXPECT_EQ(whole.used_bytes(), 800u);
    EXPECT_TRUE(part.TryCharge(100)) << "the reserve does not depend on others";
    part.Charge(1000);
    EXPECT_EQ(part.used_bytes(), 1200u);
    EXPECT_EQ(whole.used_bytes(), 1800u);
    EXPECT_EQ(part.room_bytes(), 0u);
    part.Release(1200);
    whole.Release(500);
  }
  EXPECT_EQ(whole.used_bytes(), 100u);
}

TEST(MemoryChargeTest, GivesBackWhatItHas) {
  MemoryBudget budget(100);
  MemoryBudget other(50);
  {
    MemoryCharge charge(&budget, 30);
    EXPECT_TRUE(charge.TryResize(80));
    EXPECT_FALSE(charge.TryResize(101));
    EXPECT_EQ(charge.bytes(), 80u);
    MemoryCharge moved(std::move(charge));
    EXPECT_EQ(budget.used_bytes(), 80u);
    EXPECT_FALSE(moved.TryMoveTo(&other));
    moved.Resize(40);
    EXPECT_TRUE(moved.TryMoveTo(&other));
    EXPECT_EQ(budget.used_bytes(), 0u);
    EXPECT_EQ(other.used_bytes(), 40u);
    moved = MemoryCharge(&budget, 150);
    EXPECT_EQ(other.used_bytes(), 0u);
    EXPECT_EQ(budget.used_bytes(), 150u);
  }
  EXPECT_EQ(budget.used_bytes(), 0u);
  MemoryCharge none;
  EXPECT_TRUE(none.TryResize(10));
}

TEST(MemoryBudgetDeathTest, APartIsNotUsedWhenItEnds) {
  MemoryBudget whole(100);
  EXPECT_DEATH(
      {
        MemoryBudget part(whole, 50);
        part.Charge(1);
      },
      "ends while it is used");
}

TEST(PageMemoryTest, IsZeroesInWholePages) {
  PageMemory memory(5000, PageMemory::Touch::kNow);
  EXPECT_EQ(memory.size_bytes(), 8192u);
  EXPECT_EQ(memory.data()[8191], std::byte{0});
  memory.data()[8191] = std::byte{1};
  const PageMemory moved(std::move(memory));
  EXPECT_EQ(moved.data()[8191], std::byte{1});
  EXPECT_EQ(PageMemory(0, PageMemory::Touch::kLater).size_bytes(), 0u);
}

TEST(MemoryBudgetDeathTest, WhatIsGivenBackWasCharged) {
  MemoryBudget budget(100);
  budget.Charge(10);
  EXPECT_DEATH(budget.Release(11), "more memory is given back");
}

TEST(BlockPoolBudgetTest, TakesNoSlabThatIsRefused) {
  const auto budget = std::make_shared<MemoryBudget>(3 * kSlab);
  {
    BlockPool pool(100 * kSlab);
    pool.SetBudget(budget, /*may_exceed=*/false);
    const std::vector<void*> blocks = TakeAll(pool, 64);
    EXPECT_EQ(budget->used_bytes(), 3 * kSlab);
    EXPECT_EQ(blocks.size(), 3 * kSlab / 64 - 1);
    EXPECT_EQ(pool.slab_bytes(), 3 * kSlab);
  }
  EXPECT_EQ(budget->used_bytes(), 0u) << "a pool that goes gives all back";
}

TEST(BlockPoolBudgetTest, OneThatMayExceedDoes) {
  const auto budget = std::make_shared<MemoryBudget>(kSlab);
  BlockPool pool(5 * kSlab);
  pool.SetBudget(budget, /*may_exceed=*/true);
  TakeAll(pool, 64);
  EXPECT_EQ(budget->used_bytes(), 5 * kSlab);
}

TEST(BlockPoolBudgetTest, EmptySlabsBecomeThoseOfAnotherSize) {
  const auto budget = std::make_shared<MemoryBudget>(3 * kSlab);
  BlockPool pool(100 * kSlab);
  pool.SetBudget(budget, /*may_exceed=*/false);
  for (int round = 0; round < 10; ++round) {
    for (const size_t size : {size_t{64}, size_t{1000}, size_t{24}}) {
      std::vector<void*> blocks = TakeAll(pool, size);
      EXPECT_GE(blocks.size() * size, 3 * kSlab - 3 * size - 64) << size;
      EXPECT_EQ(InUse(pool), std::set<void*>(blocks.begin(), blocks.end())) << size;
      EXPECT_EQ(budget->used_bytes(), 3 * kSlab);
      for (void* const block : blocks) pool.Free(block, size);
    }
  }
}

TEST(BlockPoolBudgetTest, TrimLeavesSlabsThatAreInUse) {
  const auto budget = std::make_shared<MemoryBudget>(10 * kSlab);
  BlockPool pool(10 * kSlab);
  pool.SetBudget(budget, /*may_exceed=*/false);
  std::vector<void*> blocks = TakeAll(pool, 1024);
  ASSERT_GE(blocks.size(), 300u);
  void* const kept = blocks[100];
  for (void* const block : blocks) {
    if (block != kept) pool.Free(block, 1024);
  }
  EXPECT_EQ(pool.Trim(), 9u);
  EXPECT_EQ(pool.Trim(), 0u);
  EXPECT_EQ(budget->used_bytes(), kSlab);
  EXPECT_EQ(InUse(pool), std::set<void*>{kept});
  std::vector<void*> again = TakeAll(pool, 1024);
  EXPECT_EQ(again.size(), blocks.size() - 1);
  EXPECT_EQ(std::set<void*>(again.begin(), again.end()).count(kept), 0u);
}

TEST(BlockPoolBudgetTest, TheNewestSlabIsTrimmedAlthoughItWasNotFull) {
  BlockPool pool(2 * kSlab);
  void* const first = Filled(pool.TryAllocate(64));
  pool.Free(first, 64);
  EXPECT_EQ(pool.Trim(), 1u);
  EXPECT_EQ(pool.slab_bytes(), 0u);
  EXPECT_EQ(TakeAll(pool, 512).size(), 2 * kSlab / 512 - 1);
}

TEST(BlockPoolBudgetTest, NothingIsTrimmedUnderAWalk) {
  const auto budget = std::make_shared<MemoryBudget>(2 * kSlab);
  BlockPool pool(10 * kSlab);
  pool.SetBudget(budget, /*may_exceed=*/false);
  const std::vector<void*> blocks = TakeAll(pool, 64);
  std::set<void*> walked;
  pool.ForEachBlock([&](void* block) {
    walked.insert(block);
    if (walked.size() > 1) return;
    for (void* const freed : blocks) pool.Free(freed, 64);
    EXPECT_EQ(pool.TryAllocate(128), nullptr);
    EXPECT_EQ(pool.Trim(), 0u);
  });
  EXPECT_EQ(walked, std::set<void*>{blocks[0]}) << "what was freed meanwhile is not in use";
  EXPECT_EQ(pool.Trim(), 2u);
}

TEST(FramePoolBudgetTest, FramesOfAllSizesAreCharged) {
  const auto budget = std::make_shared<MemoryBudget>(64 * kSlab);
  TestShard shard(TimeKind::kSimulated, {.memory = budget});
  shard.Run([&] {
    FramePool::Free(FramePool::Allocate(100), 100);  // its slab stays
    const size_t before = budget->used_bytes();
    EXPECT_EQ(before % kSlab, 0u);
    EXPECT_GT(before, 0u);
    void* const large = FramePool::Allocate(5000);
    EXPECT_GE(budget->used_bytes(), before + 5000);
    FramePool::Free(large, 5000);
    EXPECT_EQ(budget->used_bytes(), before);
  });
}

}  // namespace
}  // namespace ioengine
