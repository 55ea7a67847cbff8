// ClassScheduler: the bounds that class_scheduler.h derives, against adversaries, in simulated
// time.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/sched/class_scheduler.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone

constexpr uint64_t kQ = Executor::kSliceNs;
// A slice is not cut shorter than this for a timer (executor.cc).
constexpr uint64_t kTimerSliceNs = 5'000;

// Classes of adversaries, and one class that is watched.
class Arena {
 public:
  Arena(uint64_t longest_task_ns, const std::vector<uint64_t>& goals_ns, size_t fair_classes,
        uint64_t watched_goal_ns = 0)
      : longest_task_ns_(longest_task_ns), goals_ns_(goals_ns), fair_classes_(fair_classes) {
    watched_ = Create(watched_goal_ns);
    for (const uint64_t goal_ns : goals_ns) adversaries_.push_back(Create(goal_ns));
    for (size_t i = 0; i < fair_classes; ++i) adversaries_.push_back(Create(0));
  }

  // W of class_scheduler.h for the watched class; the default class, which starts the test, counts
  // among the fair ones.
  uint64_t W() const {
    uint64_t bound_ns = longest_task_ns_;
    for (const uint64_t goal_ns : goals_ns_) bound_ns += goal_ns + kQ + longest_task_ns_;
    return bound_ns + (fair_classes_ + 1) * (kQ + longest_task_ns_);
  }

  TestShard& shard() { return shard_; }
  ClassId watched() const { return watched_; }
  const std::vector<ClassId>& adversaries() const { return adversaries_; }
  uint64_t longest_task_ns() const { return longest_task_ns_; }

 private:
  ClassId Create(uint64_t goal_ns) {
    return shard_.executor().CreateClass({.latency_goal_ns = goal_ns}).value();
  }

  TestShard shard_;
  const uint64_t longest_task_ns_;
  const std::vector<uint64_t> goals_ns_;
  const size_t fair_classes_;
  ClassId watched_ = 0;
  std::vector<ClassId> adversaries_;
};

// Sleeps, again and again, and notes how late it goes on at the most. What it computes is so little
// that its class is never ahead of its shares.
Task<> SleepAndWatch(TestShard* shard, std::mt19937_64 random, int times, uint64_t* latest_ns) {
  for (int i = 0; i < times; ++i) {
    const uint64_t deadline_ns = shard->NowNs() + 20'000'000 + random() % 3'000'000;
    co_await SleepUntil(deadline_ns);
    *latest_ns = std::max(*latest_ns, shard->NowNs() - deadline_ns);
  }
  shard->executor().RequestStop();
}

// Computes and sleeps at random: now for long, now in short pieces, now just past a slice.
Task<> Harass(TestShard* shard, std::mt19937_64 random, uint64_t longest_task_ns) {
  for (;;) {
    uint64_t burst_ns = random() % 3 == 0 ? random() % 10'000'000 : kQ + random() % 1000;
    while (burst_ns > 0) {
      const uint64_t piece_ns =
          std::min(burst_ns, random() % 4 == 0 ? 1 + random() % longest_task_ns : longest_task_ns);
      shard->clock().Advance(piece_ns);
      burst_ns -= piece_ns;
      co_await Yield();
    }
    if (random() % 4 != 0) {
      co_await Sleep(
          std::chrono::nanoseconds(random() % (random() % 2 == 0 ? 50'000 : 20'000'000)));
    }
  }
}

TEST(ClassBoundsTest, NoClassStarvesUnderRandomAdversaries) {
  double closest = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    const uint64_t longest_task_ns = 1000 + random() % 300'000;
    std::vector<uint64_t> goals_ns(random() % 4);
    for (uint64_t& goal_ns : goals_ns) goal_ns = 1 + random() % 5'000'000;
    Arena arena(longest_task_ns, goals_ns, random() % 4);
    uint64_t latest_ns = 0;
    arena.shard().Run([&] {
      for (const ClassId id : arena.adversaries()) {
        for (uint64_t task = 0; task < 1 + random() % 3; ++task) {
          arena.shard().executor().Spawn(
              Harass(&arena.shard(), std::mt19937_64(random()), longest_task_ns), id);
        }
      }
      arena.shard().executor().Spawn(
          SleepAndWatch(&arena.shard(), std::mt19937_64(random()), 40, &latest_ns),
          arena.watched());
    });
    // It waits as a timer first, for the end of the slice that runs.
    const uint64_t bound_ns = arena.W() + kTimerSliceNs + longest_task_ns;
    ASSERT_LE(latest_ns, bound_ns) << "seed " << seed;
    closest = std::max(closest, static_cast<double>(latest_ns) / static_cast<double>(bound_ns));
  }
  EXPECT_GT(closest, 0.3) << "the adversaries do not try hard";
}

Task<> WaitAndCompute(TestShard* shard, Event* event, uint64_t piece_ns) {
  co_await event->Wait();
  for (;;) {
    shard->clock().Advance(piece_ns);
    co_await Yield();
  }
}

// All latency classes have all of their credit, and all classes wake up with the one that is
// watched, before it.
TEST(ClassBoundsTest, TheBoundIsNearlyReachedWhenAllWakeUpAtOnce) {
  constexpr uint64_t kTaskNs = 100'000;
  Arena arena(kTaskNs, {2'000'000, 1'000'000, 3'000'000}, 3);
  Event event;
  uint64_t waited_ns = 0;
  TestShard& shard = arena.shard();
  shard.Run([&] {
    for (const ClassId id : arena.adversaries()) {
      shard.executor().Spawn(WaitAndCompute(&shard, &event, kTaskNs), id);
    }
    shard.executor().Spawn(
        [](TestShard* on, Event* start, uint64_t* waited) -> Task<> {
          co_await start->Wait();
          *waited = on->NowNs() - 50'000'000;
          on->executor().RequestStop();
        }(&shard, &event, &waited_ns),
        arena.watched());
    shard.executor().Spawn([](TestShard* on, Event* start) -> Task<> {
      co_await SleepUntil(50'000'000);
      start->Set();
      static_cast<void>(on);
    }(&shard, &event));
  });
  EXPECT_LE(waited_ns, arena.W());
  EXPECT_GE(waited_ns, arena.W() / 2);
}

// Bound (2): a class with a goal that behaves, beside hogs, waits for the task that runs, and for
// other latency classes whose deadline is earlier.
TEST(ClassBoundsTest, ASleeperInALatencyClassIsLateByOneTaskOfAHog) {
  for (const uint64_t hog_ns : {20'000u, 300'000u}) {
    Arena arena(hog_ns, {}, 3, 1'000'000);
    uint64_t latest_ns = 0;
    TestShard& shard = arena.shard();
    shard.Run([&] {
      for (const ClassId id : arena.adversaries()) {
        for (int task = 0; task < 5; ++task) {
          shard.executor().Spawn(
              [](TestShard* on, uint64_t length_ns) -> Task<> {
                for (;;) {
                  on->clock().Advance(length_ns);
                  co_await Yield();
                }
              }(&shard, hog_ns),
              id);
        }
      }
      shard.executor().Spawn(SleepAndWatch(&shard, std::mt19937_64(1), 500, &latest_ns),
                             arena.watched());
    });
    EXPECT_LE(latest_ns, hog_ns + kTimerSliceNs);
    EXPECT_GE(latest_ns, hog_ns / 2);
  }
}

// A class with a goal that never sleeps gets its shares and no more: it does not starve the others,
// and the others do not starve it.
TEST(ClassBoundsTest, AHogInALatencyClassFallsBackToItsShares) {
  Arena arena(50'000, {1'000'000}, 1);
  uint64_t latest_ns = 0;
  TestShard& shard = arena.shard();
  shard.Run([&] {
    for (const ClassId id : arena.adversaries()) {
      shard.executor().Spawn(
          [](TestShard* on) -> Task<> {
            for (;;) {
              on->clock().Advance(50'000);
              co_await Yield();
            }
          }(&shard),
          id);
    }
    shard.executor().Spawn(SleepAndWatch(&shard, std::mt19937_64(7), 300, &latest_ns),
                           arena.watched());
  });
  EXPECT_LE(latest_ns, arena.W() + kTimerSliceNs + 50'000);
  const auto latency_ns =
      static_cast<double>(shard.executor().FindClass(arena.adversaries()[0])->stats().run_ns);
  const auto fair_ns =
      static_cast<double>(shard.executor().FindClass(arena.adversaries()[1])->stats().run_ns);
  EXPECT_NEAR(latency_ns / fair_ns, 1, 0.01);
}

}  // namespace
}  // namespace ioengine
