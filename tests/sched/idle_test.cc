// What a shard does when it has nothing to do: idle work, turn pollers, how long it spins, how
// often it wakes up for timers; and the order of tasks that a seed decides.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/idle_spin.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/turn_poller.h"
#include "ioengine/sched/wake_budget.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/executor_fixture.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using testing::ElementsAre;
using testing::Ne;

TEST(IdleSpinTest, GrowsWhereItFindsWorkAndVanishesWhereItDoesNot) {
  IdleSpin spin(8000);
  EXPECT_EQ(spin.NextNs(), 8000u);
  std::vector<uint64_t> lengths;
  for (int i = 0; i < 6; ++i) {
    spin.Learn(false);
    lengths.push_back(spin.NextNs());
  }
  EXPECT_THAT(lengths, ElementsAre(4000, 2000, 1000, 0, 0, 0));
  int probes = 0;
  for (uint32_t i = 0; i < 10 * IdleSpin::kProbeEvery; ++i) {
    const uint64_t length = spin.NextNs();
    if (length == 0) continue;
    EXPECT_EQ(length, 1000u);
    ++probes;
    spin.Learn(false);
  }
  EXPECT_EQ(probes, 10);
  while (spin.NextNs() == 0) {
  }
  for (const uint64_t expected : {2000u, 4000u, 8000u, 8000u}) {
    spin.Learn(true);
    EXPECT_EQ(spin.NextNs(), expected);
  }
}

TEST(IdleSpinTest, NeverSpinsWhereItMayNot) {
  IdleSpin spin(0);
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(spin.NextNs(), 0u);
    spin.Learn(true);
  }
}

TEST(WakeBudgetTest, AFewTimersAreExactAndACrowdIsRationed) {
  constexpr uint64_t kBatchNs = 1'000'000;
  WakeBudget budget(kBatchNs);
  uint64_t now_ns = 1'000'000'000;
  int wakes = 0;
  // A timer each 10 µs, for a second.
  for (uint64_t deadline_ns = now_ns; deadline_ns < 2'000'000'000; deadline_ns += 10'000) {
    if (deadline_ns < now_ns) continue;  // fired with the one before
    const uint64_t wake_ns = budget.WakeAtNs(deadline_ns);
    EXPECT_GE(wake_ns, deadline_ns);
    EXPECT_LE(wake_ns, deadline_ns + kBatchNs);
    now_ns = wake_ns;
    budget.Spend(now_ns);
    ++wakes;
  }
  EXPECT_LE(wakes, 1000 + static_cast<int>(WakeBudget::kBurst) + 1);
  EXPECT_GE(wakes, 900);
  // After a pause all is saved up again.
  now_ns += 1'000'000'000;
  for (uint64_t i = 0; i <= WakeBudget::kBurst; ++i) {
    EXPECT_EQ(budget.WakeAtNs(now_ns + i), now_ns + i);
    budget.Spend(now_ns + i);
  }
  EXPECT_GT(budget.WakeAtNs(now_ns + 100), now_ns + 100);
  WakeBudget none(0);
  for (int i = 0; i < 100; ++i) {
    none.Spend(5000);
    EXPECT_EQ(none.WakeAtNs(5000), 5000u);
  }
}

class Pieces final : public IdleWork {
 public:
  explicit Pieces(int count) : left(count) {}
  bool RunPiece() override {
    ++asked;
    if (left == 0) return false;
    --left;
    if (on_piece) on_piece();
    return true;
  }

  int left;
  int asked = 0;
  std::function<void()> on_piece;
};

using IdleWorkTest = ExecutorFixture;

TEST_F(IdleWorkTest, IsDoneWhenNothingIsRunnableAndBeforeTheSleep) {
  Pieces work(3);
  executor_.SetIdleWork(&work);
  bool task_ran = false;
  work.on_piece = [&] {
    EXPECT_TRUE(task_ran);
    EXPECT_EQ(poller_.waits, 0);
  };
  RunUntilIdle([&] {
    executor_.Spawn([](bool* ran, Pieces* idle) -> Task<> {
      for (int i = 0; i < 10; ++i) co_await Yield();
      EXPECT_EQ(idle->asked, 0);
      *ran = true;
    }(&task_ran, &work));
  });
  EXPECT_EQ(work.left, 0);
  EXPECT_EQ(work.asked, 5) << "three pieces, and before each of two sleeps once more";
  executor_.SetIdleWork(nullptr);
}

TEST_F(IdleWorkTest, WhatComesMeanwhileGoesFirst) {
  Pieces work(2);
  executor_.SetIdleWork(&work);
  work.on_piece = [&] {
    log_.emplace_back("piece");
    if (work.left == 1) {
      EXPECT_EQ(CallOn(executor_, [&] { log_.emplace_back("call"); }), CallOutcome::kAccepted);
    }
  };
  RunUntilIdle([] {});
  EXPECT_THAT(log_, ElementsAre("piece", "call", "piece"));
  executor_.SetIdleWork(nullptr);
}

// A mailbox that other threads put numbers into.
class Mailbox final : public TurnPoller {
 public:
  explicit Mailbox(Executor* executor) : executor_(executor) {}

  // Any thread.
  void Put() {
    put_.fetch_add(1);
    executor_->WakeUp();
  }

  size_t Poll() override {
    const uint64_t fresh = put_.load() - taken_;
    taken_ += fresh;
    if (on_taken && fresh > 0) on_taken();
    return fresh;
  }
  bool HasWork() const override { return put_.load() != taken_; }
  bool PrepareToSleep() override {
    ++sleeps_;
    return !HasWork();
  }
  void WokeUp() override { ++wakes_; }

  uint64_t taken() const { return taken_; }
  int sleeps() const { return sleeps_; }
  int wakes() const { return wakes_; }

  std::function<void()> on_taken;

 private:
  Executor* const executor_;
  std::atomic<uint64_t> put_{0};
  uint64_t taken_ = 0;
  int sleeps_ = 0;
  int wakes_ = 0;
};

TEST(TurnPollerTest, NothingThatComesWhileTheShardFallsAsleepIsSleptOver) {
  for (const uint64_t spin_ns : {0u, 3000u}) {
    SleepingPoller poller;
    const auto executor =
        std::make_unique<Executor>(poller, ExecutorOptions{.idle_spin_ns = spin_ns});
    Mailbox mailbox(executor.get());
    executor->AddPoller(mailbox);
    constexpr uint64_t kPuts = 20'000;
    std::atomic<uint64_t> seen{0};
    mailbox.on_taken = [&] { seen.store(mailbox.taken()); };
    std::thread runner([&] { executor->Run(); });
    for (uint64_t i = 1; i <= kPuts; ++i) {
      mailbox.Put();
      while (seen.load() < i) {
        if (i % 2 == 0) std::this_thread::yield();
      }
    }
    executor->RequestStop();
    runner.join();
    EXPECT_EQ(mailbox.taken(), kPuts);
    EXPECT_EQ(poller.lost_wakeups(), 0);
    EXPECT_GE(mailbox.wakes(), mailbox.sleeps());
  }
}

TEST(TurnPollerTest, OneThatIsDestroyedLeaves) {
  TestShard shard;
  auto mailbox = std::make_unique<Mailbox>(&shard.executor());
  shard.executor().AddPoller(*mailbox);
  mailbox.reset();
  int ran = 0;
  shard.Run([&] { ++ran; });
  EXPECT_EQ(ran, 1);
}

// By the definition on its authors' page, written down once more.
TEST(RandomTest, IsXoshiroFilledBySplitMix) {
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1}, uint64_t{0x1234'5678'9abc'def0}}) {
    uint64_t s[4];
    uint64_t x = seed;
    for (uint64_t& word : s) {
      uint64_t z = (x += 0x9e3779b97f4a7c15);
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      word = z ^ (z >> 31);
    }
    const auto rotl = [](uint64_t v, int k) { return (v << k) | (v >> (64 - k)); };
    Random random(seed);
    for (int i = 0; i < 1000; ++i) {
      const uint64_t expected = rotl(s[1] * 5, 7) * 9;
      const uint64_t t = s[1] << 17;
      s[2] ^= s[0];
      s[3] ^= s[1];
      s[1] ^= s[2];
      s[0] ^= s[3];
      s[2] ^= t;
      s[3] = rotl(s[3], 45);
      ASSERT_EQ(random.Next(), expected);
    }
  }
}

TEST(RandomTest, BelowReachesEachNumberEquallyOften) {
  Random random(5);
  std::vector<int> counts(7);
  for (int i = 0; i < 70'000; ++i) ++counts.at(random.Below(7));
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);
  int hits = 0;
  for (int i = 0; i < 10'000; ++i) hits += random.OneIn(10) ? 1 : 0;
  EXPECT_NEAR(hits, 1000, 150);
  EXPECT_EQ(random.Below(1), 0u);
}

// The order in which twenty tasks run three times each.
std::vector<int> OrderWithSeed(uint64_t seed) {
  TestShard shard(TimeKind::kSimulated, {.shuffle_seed = seed});
  std::vector<int> order;
  shard.Run([&] {
    for (int i = 0; i < 20; ++i) {
      shard.executor().Spawn([](int number, std::vector<int>* ran) -> Task<> {
        for (int round = 0; round < 3; ++round) {
          ran->push_back(number);
          co_await Yield();
        }
      }(i, &order));
    }
  });
  return order;
}

TEST(ShuffleTest, TheSeedDecidesTheOrderAndNobodyIsLeftOut) {
  const std::vector<int> as_they_came = OrderWithSeed(0);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(as_they_came[static_cast<size_t>(i)], i);
  EXPECT_EQ(OrderWithSeed(7), OrderWithSeed(7));
  EXPECT_THAT(OrderWithSeed(7), Ne(OrderWithSeed(8)));
  EXPECT_THAT(OrderWithSeed(7), Ne(as_they_came));
  const std::vector<int> shuffled = OrderWithSeed(9);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(std::count(shuffled.begin(), shuffled.end(), i), 3);
  }
}

// A simulated slice may never end: also what becomes runnable within it is to be shuffled.
TEST(ShuffleTest, WhatATaskWakesAndSpawnsGoesOnInAnyOrder) {
  std::set<std::string> orders;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    TestShard shard(TimeKind::kSimulated, {.shuffle_seed = seed});
    Event event;
    std::string order;
    shard.Run([&] {
      shard.executor().Spawn([](Executor* executor, Event* set, std::string* ran) -> Task<> {
        for (const char name : {'a', 'b', 'c'}) {
          executor->Spawn([](Event* woken, std::string* log, char own) -> Task<> {
            co_await woken->Wait();
            log->push_back(own);
          }(set, ran, name));
        }
        for (int i = 0; i < 9; ++i) co_await Yield();
        set->Set();
      }(&shard.executor(), &event, &order));
    });
    orders.insert(order);
  }
  EXPECT_THAT(orders, ElementsAre("abc", "acb", "bac", "bca", "cab", "cba"));
}

}  // namespace
}  // namespace ioengine
