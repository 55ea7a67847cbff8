// EpochClock by threads: each moment is one, and none that is held is overlooked.

#include "ioengine/engine/epoch_clock.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace ioengine {
namespace {

TEST(EpochClockTest, MomentsAreHeldUntilTheyGo) {
  const auto clock = std::make_shared<EpochClock>();
  clock->RaiseTo(7);
  clock->RaiseTo(5);
  EXPECT_EQ(clock->now(), 7u);
  std::optional<EpochClock::Moment> first = EpochClock::TryTake(clock);
  const std::optional<EpochClock::Moment> second = EpochClock::TryTake(clock);
  EXPECT_EQ(first->epoch(), 7u);
  EXPECT_EQ(second->epoch(), 8u);
  EXPECT_EQ(clock->now(), 9u);
  EXPECT_EQ(clock->Held(), (std::vector<uint64_t>{7, 8}));
  first.reset();
  EXPECT_EQ(clock->Held(), std::vector<uint64_t>{8});
}

TEST(EpochClockTest, OutlivesWhoMadeIt) {
  auto clock = std::make_shared<EpochClock>();
  std::optional<EpochClock::Moment> moment = EpochClock::TryTake(clock);
  clock.reset();
  const EpochClock::Moment moved = *std::move(moment);
  moment.reset();
  EXPECT_EQ(moved.epoch(), 0u);
}

TEST(EpochClockTest, IsBounded) {
  const auto clock = std::make_shared<EpochClock>();
  std::vector<EpochClock::Moment> moments;
  while (auto moment = EpochClock::TryTake(clock)) moments.push_back(*std::move(moment));
  EXPECT_EQ(moments.size(), EpochClock::kMostSnapshots);
  moments.pop_back();
  EXPECT_TRUE(EpochClock::TryTake(clock).has_value());
}

TEST(EpochClockTest, NoMomentIsOverlookedByThreads) {
  constexpr size_t kTakers = 3;
  constexpr int kRounds = 500;
  constexpr uint64_t kNone = UINT64_MAX;
  const auto clock = std::make_shared<EpochClock>();
  std::array<std::atomic<uint64_t>, kTakers> held;
  for (auto& one : held) one = kNone;
  std::array<std::vector<uint64_t>, kTakers> taken;
  std::atomic<size_t> running = kTakers;
  std::vector<std::thread> threads;
  for (size_t id = 0; id < kTakers; ++id) {
    threads.emplace_back([&, id] {
      for (int i = 0; i < kRounds; ++i) {
        const auto moment = EpochClock::TryTake(clock);
        taken[id].push_back(moment->epoch());
        held[id] = moment->epoch();
        std::this_thread::yield();
        held[id] = kNone;
      }
      --running;
    });
  }
  size_t compared = 0;
  while (running > 0) {
    std::array<uint64_t, kTakers> before;
    std::copy(held.begin(), held.end(), before.begin());
    const std::vector<uint64_t> listed = clock->Held();
    for (size_t id = 0; id < kTakers; ++id) {
      // Held all the time that the list was made.
      if (before[id] == kNone || held[id] != before[id]) continue;
      ++compared;
      EXPECT_TRUE(std::binary_search(listed.begin(), listed.end(), before[id])) << before[id];
    }
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(compared, 0u);
  EXPECT_TRUE(clock->Held().empty());
  std::set<uint64_t> all;
  for (const auto& of_one : taken) {
    EXPECT_TRUE(std::is_sorted(of_one.begin(), of_one.end()));
    all.insert(of_one.begin(), of_one.end());
  }
  EXPECT_EQ(all.size(), kTakers * kRounds);
  EXPECT_EQ(clock->now(), kTakers * kRounds);
}

}  // namespace
}  // namespace ioengine
