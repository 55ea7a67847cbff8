// SpscRing: its bounds, what is published when, whose the elements are, and that nothing is lost
// between two threads.
// Rings are not on the stack, which g++ 12 with ASan does not align as they ask for.

#include "ioengine/sched/spsc_ring.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <thread>

#include "gtest/gtest.h"
#include "ioengine/sched/random.h"
#include "ioengine/tests/sched/task_helpers.h"

namespace ioengine {
namespace {

// How many there was room for.
int Fill(SpscRing<int>& ring, int first = 0) {
  int pushed = 0;
  for (int value = first; ring.TryPush(value); ++value) ++pushed;
  return pushed;
}

class SpscRingTest : public testing::TestWithParam<size_t> {
 protected:
  int capacity() const { return static_cast<int>(ring_.capacity()); }

  SpscRing<int> ring_{GetParam()};
};

TEST_P(SpscRingTest, HoldsItsCapacityRoundedUp) {
  EXPECT_GE(ring_.capacity(), GetParam());
  EXPECT_LT(ring_.capacity(), 2 * GetParam());
  EXPECT_TRUE(ring_.HasRoom());
  EXPECT_EQ(Fill(ring_), capacity());
  EXPECT_FALSE(ring_.HasRoom());
  EXPECT_FALSE(ring_.HasRoomFresh());
  EXPECT_EQ(ring_.unpublished(), ring_.capacity());
}

TEST_P(SpscRingTest, IsEmptyAtFirst) {
  EXPECT_FALSE(ring_.HasValues());
  EXPECT_FALSE(ring_.HasValuesFresh());
  EXPECT_EQ(ring_.Refresh(), 0u);
  EXPECT_EQ(ring_.left(), 0u);
  EXPECT_FALSE(ring_.Publish());
  EXPECT_FALSE(ring_.Release());
}

TEST_P(SpscRingTest, ShowsNothingBeforeItIsPublishedAndThenAll) {
  Fill(ring_);
  EXPECT_FALSE(ring_.HasValues());
  EXPECT_EQ(ring_.Refresh(), 0u);
  EXPECT_TRUE(ring_.Publish());
  EXPECT_FALSE(ring_.Publish()) << "it was all";
  EXPECT_EQ(ring_.unpublished(), 0u);
  EXPECT_TRUE(ring_.HasValues());
  EXPECT_TRUE(ring_.HasValuesFresh());
  EXPECT_EQ(ring_.left(), 0u) << "before it looks";
  EXPECT_EQ(ring_.Refresh(), ring_.capacity());
  for (size_t i = 0; i < ring_.capacity(); ++i) EXPECT_EQ(ring_.Peek(i), static_cast<int>(i));
  for (int i = 0; i < capacity(); ++i) {
    EXPECT_EQ(ring_.left(), ring_.capacity() - static_cast<size_t>(i));
    EXPECT_EQ(ring_.Pop(), i);
  }
  EXPECT_FALSE(ring_.HasValues());
  EXPECT_EQ(ring_.Refresh(), 0u);
}

TEST_P(SpscRingTest, HasRoomAgainWhenThatIsGivenBack) {
  Fill(ring_);
  ring_.Publish();
  ring_.Refresh();
  ring_.Pop();
  EXPECT_EQ(ring_.unreleased(), 1u);
  EXPECT_FALSE(ring_.HasRoom());
  EXPECT_FALSE(ring_.HasRoomFresh());
  EXPECT_TRUE(ring_.Release());
  EXPECT_FALSE(ring_.Release());
  EXPECT_EQ(ring_.unreleased(), 0u);
  EXPECT_TRUE(ring_.HasRoom());
  EXPECT_EQ(Fill(ring_), 1);
}

// Full at each position of the array.
TEST_P(SpscRingTest, WrapsAround) {
  int next = 0;
  for (int lap = 0; lap < 3 * capacity(); ++lap) {
    EXPECT_EQ(Fill(ring_, next), capacity());
    ring_.Publish();
    EXPECT_EQ(ring_.Refresh(), ring_.capacity());
    for (size_t i = 0; i < ring_.capacity(); ++i) EXPECT_EQ(ring_.Pop(), next++);
    // The next lap begins one further.
    ring_.Release();
    EXPECT_TRUE(ring_.TryPush(next));
    ring_.Publish();
    ring_.Refresh();
    EXPECT_EQ(ring_.Pop(), next++);
    ring_.Release();
  }
}

// Against a queue, with everything that either side may do at any time.
TEST_P(SpscRingTest, IsAQueue) {
  Random random(GetParam());
  std::deque<int> pushed;
  std::deque<int> published;
  size_t seen = 0;
  size_t unreleased = 0;
  for (int i = 0; i < 200'000; ++i) {
    switch (random.Below(6)) {
      case 0:
      case 1: {
        int value = i;
        const bool has_room = pushed.size() + published.size() + unreleased < ring_.capacity();
        ASSERT_EQ(ring_.TryPush(value), has_room);
        if (has_room) pushed.push_back(i);
        break;
      }
      case 2:
        ASSERT_EQ(ring_.Publish(), !pushed.empty());
        published.insert(published.end(), pushed.begin(), pushed.end());
        pushed.clear();
        break;
      case 3:
        ASSERT_EQ(ring_.HasValues(), !published.empty());
        seen = ring_.Refresh();
        ASSERT_EQ(seen, published.size());
        break;
      case 4:
        if (seen == 0) break;
        ASSERT_EQ(ring_.Peek(seen - 1), published[seen - 1]);
        ASSERT_EQ(ring_.Pop(), published.front());
        published.pop_front();
        --seen;
        ++unreleased;
        break;
      default:
        ASSERT_EQ(ring_.Release(), unreleased > 0);
        unreleased = 0;
    }
    ASSERT_EQ(ring_.unpublished(), pushed.size());
    ASSERT_EQ(ring_.left(), seen);
    ASSERT_EQ(ring_.unreleased(), unreleased);
  }
}

// Boxed: what one thread wrote, the other one reads and frees.
TEST_P(SpscRingTest, GivesAllInTheirOrderBetweenThreads) {
  // Through a short ring the threads take turns, which costs a switch for each.
  const uint64_t count = GetParam() >= 100 ? 1'000'000 : 50'000;
  const auto ring = std::make_unique<SpscRing<std::unique_ptr<uint64_t>>>(GetParam());
  std::thread producer([&] {
    Random random(1);
    for (uint64_t i = 0; i < count; ++i) {
      auto value = std::make_unique<uint64_t>(i);
      while (!ring->TryPush(value)) {
        ring->Publish();
        std::this_thread::yield();
      }
      if (random.OneIn(4)) ring->Publish();
    }
    ring->Publish();
  });
  Random random(2);
  bool in_order = true;
  for (uint64_t next = 0; next < count;) {
    if (ring->left() == 0 && ring->Refresh() == 0) {
      ring->Release();
      std::this_thread::yield();
      continue;
    }
    in_order &= *ring->Pop() == next++;
    if (random.OneIn(4)) ring->Release();
  }
  EXPECT_TRUE(in_order);
  producer.join();
  EXPECT_EQ(ring->Refresh(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Capacities, SpscRingTest, testing::Values(1, 2, 3, 4, 7, 100, 1024));

TEST(SpscRingOwnershipTest, AFullRingLeavesTheValueWithTheCaller) {
  const auto ring = std::make_unique<SpscRing<std::unique_ptr<int>>>(1);
  auto one = std::make_unique<int>(1);
  EXPECT_TRUE(ring->TryPush(one));
  EXPECT_EQ(one, nullptr);
  auto two = std::make_unique<int>(2);
  EXPECT_FALSE(ring->TryPush(two));
  ASSERT_NE(two, nullptr);
  ring->Publish();
  ASSERT_EQ(ring->Refresh(), 1u);
  EXPECT_EQ(*ring->Peek(0), 1);
  EXPECT_EQ(*ring->Pop(), 1);
  ring->Release();
  EXPECT_TRUE(ring->TryPush(two));
}

TEST(SpscRingOwnershipTest, AnElementEndsWhenItIsTaken) {
  int live = 0;
  const auto ring = std::make_unique<SpscRing<Counted>>(4);
  Counted value(&live);
  EXPECT_TRUE(ring->TryPush(value));
  EXPECT_EQ(live, 2);
  ring->Publish();
  ring->Refresh();
  {
    const Counted taken = ring->Pop();
    EXPECT_EQ(live, 2);
  }
  EXPECT_EQ(live, 1) << "before its room is given back";
}

// Those that are published, also across the end of the array, and those that are not.
TEST(SpscRingOwnershipTest, WhatIsLeftGoesWithTheRing) {
  for (int taken = 0; taken <= 8; ++taken) {
    for (int left = 0; left <= 8; ++left) {
      int live = 0;
      {
        const auto ring = std::make_unique<SpscRing<Counted>>(8);
        const auto push = [&](int count) {
          for (int i = 0; i < count; ++i) {
            Counted value(&live);
            ASSERT_TRUE(ring->TryPush(value));
          }
        };
        push(taken);
        ring->Publish();
        ring->Refresh();
        for (int i = 0; i < taken; ++i) static_cast<void>(ring->Pop());
        ring->Release();
        EXPECT_EQ(live, 0);
        push(left / 2);
        ring->Publish();
        push(left - left / 2);
        EXPECT_EQ(live, left);
      }
      EXPECT_EQ(live, 0) << taken << " taken, " << left << " left";
    }
  }
}

TEST(SpscRingOwnershipTest, ElementsAreAligned) {
  struct alignas(64) Line {
    uint64_t number;
  };
  const auto ring = std::make_unique<SpscRing<Line>>(2);
  for (uint64_t i = 0; i < 2; ++i) {
    const auto line = std::make_unique<Line>();
    line->number = i;
    EXPECT_TRUE(ring->TryPush(*line));
  }
  ring->Publish();
  ASSERT_EQ(ring->Refresh(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(&ring->Peek(i)) % 64, 0u);
    EXPECT_EQ(ring->Peek(i).number, i);
  }
}

TEST(SpscRingDeathTest, OfNothing) { EXPECT_DEATH(SpscRing<int>(0), "room for one value"); }

}  // namespace
}  // namespace ioengine
