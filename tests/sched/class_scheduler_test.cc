// ClassScheduler: classes and their options, shares, statistics.

#include "ioengine/sched/class_scheduler.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone
using std::chrono::nanoseconds;
using testing::HasSubstr;

TEST(ClassSchedulerTest, RefusesOptionsThatItCannotUseAndNamesThem) {
  ClassScheduler scheduler;
  for (const uint32_t shares : {0u, 1001u}) {
    const absl::Status status = scheduler.AddClass({.name = "x", .shares = shares}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("TaskQueueOptions::shares"));
    EXPECT_EQ(scheduler.SetShares(0, shares).code(), absl::StatusCode::kInvalidArgument);
  }
  const uint64_t too_long = ClassScheduler::kMaxLatencyGoalNs + 1;
  EXPECT_THAT(std::string(scheduler.AddClass({.latency_goal_ns = too_long}).status().message()),
              HasSubstr("latency_goal_ns"));
  EXPECT_EQ(scheduler.SetShares(1, 100).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(scheduler.Find(1), nullptr);
  EXPECT_EQ(scheduler.size(), 1u);
}

TEST(ClassSchedulerTest, TakesTheSmallestAndTheLargestOfEachOption) {
  ClassScheduler scheduler;
  for (const uint32_t shares : {1u, ClassScheduler::kMaxShares}) {
    EXPECT_TRUE(
        scheduler.AddClass({.shares = shares, .latency_goal_ns = ClassScheduler::kMaxLatencyGoalNs})
            .ok());
    EXPECT_TRUE(scheduler.SetShares(0, shares).ok());
    EXPECT_EQ(scheduler.Find(0)->shares(), shares);
  }
  EXPECT_TRUE(scheduler.AddClass({.latency_goal_ns = 1}).ok());
}

TEST(ClassSchedulerTest, HoldsAsManyClassesAsAnIdTellsApart) {
  ClassScheduler scheduler;
  for (int id = 1; id < 256; ++id) {
    ASSERT_EQ(scheduler.AddClass({.name = std::to_string(id)}).value(), id);
  }
  const absl::Status status = scheduler.AddClass({.name = "one more"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("'one more'"));
  EXPECT_EQ(scheduler.Find(255)->name(), "255");
  EXPECT_EQ(scheduler.Find(0)->name(), "default");
}

// Computes for `length` at a time, for ever.
Task<> Busy(TestShard* shard, nanoseconds length) {
  for (;;) {
    shard->clock().Advance(static_cast<uint64_t>(length.count()));
    co_await Yield();
  }
}

Task<> StopAfter(Executor* executor, nanoseconds duration) {
  co_await Sleep(duration);
  executor->RequestStop();
}

uint64_t RunNs(TestShard& shard, ClassId id) {
  return shard.executor().FindClass(id)->stats().run_ns;
}

struct Load {
  uint32_t shares;
  nanoseconds task_length;
  nanoseconds latency_goal = 0ns;
};

class SharesTest : public testing::TestWithParam<std::vector<Load>> {};

TEST_P(SharesTest, AreKeptToOnePercentOverAMinuteOfWork) {
  TestShard shard;
  std::vector<ClassId> ids;
  double total_shares = 0;
  for (const Load& load : GetParam()) {
    ids.push_back(
        shard.executor()
            .CreateClass({.shares = load.shares,
                          .latency_goal_ns = static_cast<uint64_t>(load.latency_goal.count())})
            .value());
    total_shares += load.shares;
  }
  shard.Run([&] {
    for (size_t i = 0; i < ids.size(); ++i) {
      for (int task = 0; task < 3; ++task) {
        shard.executor().Spawn(Busy(&shard, GetParam()[i].task_length), ids[i]);
      }
    }
    shard.executor().Spawn(StopAfter(&shard.executor(), 60s));
  });
  double total_ns = 0;
  for (const ClassId id : ids) total_ns += static_cast<double>(RunNs(shard, id));
  EXPECT_GE(total_ns, 59e9);
  for (size_t i = 0; i < ids.size(); ++i) {
    const double due_ns = total_ns * GetParam()[i].shares / total_shares;
    EXPECT_NEAR(static_cast<double>(RunNs(shard, ids[i])), due_ns, 0.01 * due_ns) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Ratios, SharesTest,
    testing::Values(std::vector<Load>{{100, 20us}, {100, 20us}},
                    std::vector<Load>{{100, 2us}, {300, 400us}},
                    std::vector<Load>{{100, 400us}, {300, 3us}},
                    std::vector<Load>{{1, 20us}, {1000, 70us}},
                    std::vector<Load>{{10, 3us}, {20, 900us}, {30, 11us}, {40, 100us}, {50, 2us}},
                    // A goal does not give more than the shares either.
                    std::vector<Load>{{100, 20us, 1ms}, {100, 50us}, {200, 5us, 10ms}}));

TEST(ClassSchedulerTest, SharesCanBeChangedWhileTheClassRuns) {
  TestShard shard;
  const ClassId a = shard.executor().CreateClass({.name = "a", .shares = 100}).value();
  const ClassId b = shard.executor().CreateClass({.name = "b", .shares = 100}).value();
  uint64_t at_change_a_ns = 0;
  uint64_t at_change_b_ns = 0;
  shard.Run([&] {
    shard.executor().Spawn(Busy(&shard, 10us), a);
    shard.executor().Spawn(Busy(&shard, 10us), b);
    shard.executor().Spawn([](TestShard* on, ClassId one, ClassId other, uint64_t* one_ns,
                              uint64_t* other_ns) -> Task<> {
      co_await Sleep(1s);
      *one_ns = RunNs(*on, one);
      *other_ns = RunNs(*on, other);
      EXPECT_TRUE(on->executor().SetShares(one, 900).ok());
      co_await Sleep(10s);
      on->executor().RequestStop();
    }(&shard, a, b, &at_change_a_ns, &at_change_b_ns));
  });
  EXPECT_NEAR(static_cast<double>(at_change_a_ns), 0.5e9, 0.01e9);
  const auto a_ns = static_cast<double>(RunNs(shard, a) - at_change_a_ns);
  const auto b_ns = static_cast<double>(RunNs(shard, b) - at_change_b_ns);
  EXPECT_NEAR(a_ns / b_ns, 9, 0.1);
}

TEST(ClassSchedulerTest, AClassThatSleptDoesNotCatchUp) {
  TestShard shard;
  const ClassId busy = shard.executor().CreateClass({.name = "busy"}).value();
  const ClassId late = shard.executor().CreateClass({.name = "late"}).value();
  uint64_t before_ns = 0;
  shard.Run([&] {
    shard.executor().Spawn(Busy(&shard, 400us), busy);
    shard.executor().Spawn(
        [](TestShard* on, ClassId other, uint64_t* at_ns) -> Task<> {
          co_await Sleep(5s);
          *at_ns = RunNs(*on, other);
          co_await Busy(on, 100us);
        }(&shard, busy, &before_ns),
        late);
    shard.executor().Spawn(StopAfter(&shard.executor(), 6s));
  });
  const auto busy_ns = static_cast<double>(RunNs(shard, busy) - before_ns);
  EXPECT_NEAR(busy_ns, 0.5e9, 0.01e9);
  EXPECT_NEAR(static_cast<double>(RunNs(shard, late)), 0.5e9, 0.01e9);
}

TEST(ClassSchedulerTest, CountsWhatAClassDoes) {
  TestShard shard;
  const ClassId id = shard.executor().CreateClass({.name = "counted"}).value();
  shard.Run([&] {
    // Another class has the shard first, for 3 ms in one piece.
    shard.executor().Spawn([](TestShard* on) -> Task<> {
      on->clock().Advance(3'000'000);
      co_return;
    }(&shard));
    shard.executor().Spawn(
        [](TestShard* on) -> Task<> {
          for (int i = 0; i < 4; ++i) {
            on->clock().Advance(100'000);
            co_await Yield();
          }
        }(&shard),
        id);
  });
  const TaskQueueStats& stats = shard.executor().FindClass(id)->stats();
  EXPECT_EQ(stats.run_ns, 400'000u);
  EXPECT_EQ(stats.tasks_resumed, 5u);
  EXPECT_EQ(stats.slices, 1u);
  EXPECT_EQ(stats.wait_ns, 3'000'000u);
  EXPECT_EQ(stats.longest_wait_ns, 3'000'000u);
}

// Drives a scheduler without an executor; also through times that no test lives through.
class BareSchedulerTest : public testing::Test {
 protected:
  void Wake(ClassId id, Runnable& task) {
    TaskQueue& queue = *scheduler_.Find(id);
    if (scheduler_.Push(task, queue)) scheduler_.Activate(queue, now_ns_);
  }
  // Runs the next slice, for `slice_ns`; gives whose it was.
  ClassId RunNext(uint64_t slice_ns) {
    TaskQueue& queue = *scheduler_.TakeNext(now_ns_);
    now_ns_ += slice_ns;
    scheduler_.Return(queue, slice_ns, now_ns_);
    return queue.id();
  }
  // How many slices of a millisecond other classes have before class `id` has its first.
  int SlicesBefore(ClassId id) {
    int slices = 0;
    while (RunNext(kMillisecond) != id) ++slices;
    return slices;
  }
  // The same, of a class that runs five milliseconds, which puts it ahead, and then sleeps.
  int SlicesBeforeOneThatWasAheadAndSlept(uint64_t duration_ns) {
    const ClassId ahead = AddClass(1);
    const ClassId other = AddClass(1);
    Wake(ahead, tasks_[0]);
    TaskQueue& queue = *scheduler_.TakeNext(now_ns_);
    tasks_[0].Unlink();
    scheduler_.Return(queue, 5 * kMillisecond, now_ns_);
    now_ns_ += duration_ns;
    Wake(ahead, tasks_[0]);
    Wake(other, tasks_[1]);
    return SlicesBefore(ahead);
  }
  ClassId AddClass(uint32_t shares) { return scheduler_.AddClass({.shares = shares}).value(); }

  static constexpr uint64_t kMillisecond = 1'000'000;
  static constexpr uint64_t kSecond = 1'000'000'000;

  ClassScheduler scheduler_;
  uint64_t now_ns_ = 0;
  Runnable tasks_[3];
};

TEST_F(BareSchedulerTest, SharesAreKeptWhileVirtualTimesWrapAround) {
  const ClassId a = AddClass(1);
  const ClassId b = AddClass(1);
  Wake(a, tasks_[0]);
  // To 50 ms before the end of the numbers: a class of one share uses 1024 for each nanosecond.
  for (int i = 0; i < 15; ++i) RunNext(uint64_t{1} << 50);
  RunNext((uint64_t{1} << 50) - 50 * kMillisecond);
  RunNext(1);
  Wake(b, tasks_[1]);
  uint64_t slices[3] = {};
  for (int i = 0; i < 200; ++i) {
    ++slices[RunNext(kMillisecond)];
    ASSERT_LE(slices[a], slices[b] + 1) << i;
    ASSERT_LE(slices[b], slices[a] + 1) << i;
  }
}

TEST_F(BareSchedulerTest, AClassThatSleptForAnAgeDoesNotSeemToBeAhead) {
  const ClassId a = AddClass(1);
  const ClassId b = AddClass(1);
  Wake(a, tasks_[0]);
  for (int i = 0; i < 12; ++i) RunNext(uint64_t{1} << 50);  // more than half of the numbers
  Wake(b, tasks_[1]);
  EXPECT_LE(SlicesBefore(b), 1);
}

TEST_F(BareSchedulerTest, AClassThatIsAheadStaysSoForAnHourOfSleep) {
  EXPECT_GE(SlicesBeforeOneThatWasAheadAndSlept(3600 * kSecond), 5);
}

TEST_F(BareSchedulerTest, WhatAClassIsAheadIsForgottenAfterMore) {
  EXPECT_LE(SlicesBeforeOneThatWasAheadAndSlept(3600 * kSecond + 1), 1);
}

TEST_F(BareSchedulerTest, ATaskThatIsDestroyedTakesItsClassOutOfTheRace) {
  const ClassId id = AddClass(100);
  Wake(id, tasks_[0]);
  EXPECT_TRUE(scheduler_.any_active());
  tasks_[0].Unlink();
  EXPECT_EQ(scheduler_.TakeNext(0), nullptr);
  EXPECT_FALSE(scheduler_.any_active());
  Wake(id, tasks_[0]);
  EXPECT_EQ(RunNext(1), id);
}

TEST_F(BareSchedulerTest, AnUrgentClassCutsShortOneThatIsNotOrHasMoreTime) {
  TaskQueue& fair = *scheduler_.Find(AddClass(100));
  const auto add_urgent = [this](uint64_t goal_ns) {
    return scheduler_.AddClass({.latency_goal_ns = goal_ns}).value();
  };
  const ClassId hasty_id = add_urgent(kMillisecond);
  const ClassId patient_id = add_urgent(2 * kMillisecond);
  Wake(hasty_id, tasks_[0]);
  Wake(patient_id, tasks_[1]);
  TaskQueue& hasty = *scheduler_.Find(hasty_id);
  TaskQueue& patient = *scheduler_.Find(patient_id);
  EXPECT_TRUE(scheduler_.Preempts(hasty, fair));
  EXPECT_TRUE(scheduler_.Preempts(hasty, patient));
  EXPECT_FALSE(scheduler_.Preempts(patient, hasty));
  EXPECT_FALSE(scheduler_.Preempts(hasty, hasty)) << "the same deadline is not earlier";
  EXPECT_FALSE(scheduler_.Preempts(fair, hasty));
  EXPECT_FALSE(scheduler_.Preempts(fair, fair));
  EXPECT_EQ(RunNext(2 * kMillisecond), hasty_id);  // more than its goal
  EXPECT_FALSE(scheduler_.Preempts(hasty, fair));
  EXPECT_TRUE(scheduler_.Preempts(patient, hasty));
}

TEST_F(BareSchedulerTest, WaitsAreAddedUpAndTheLongestIsKept) {
  const ClassId id = AddClass(100);
  Wake(id, tasks_[0]);
  for (const uint64_t wait_ns : {300u, 700u, 100u}) {
    now_ns_ += wait_ns;
    RunNext(50);
  }
  const TaskQueueStats& stats = scheduler_.Find(id)->stats();
  EXPECT_EQ(stats.slices, 3u);
  EXPECT_EQ(stats.run_ns, 150u);
  EXPECT_EQ(stats.wait_ns, 1100u);
  EXPECT_EQ(stats.longest_wait_ns, 700u);
}

}  // namespace
}  // namespace ioengine
