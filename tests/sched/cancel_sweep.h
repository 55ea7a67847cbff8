// CancelSweep: ends tasks at every await, and looks at what they leave.
//
//   class EventCancelTest : public testing::TestWithParam<TimeKind> {};
//
//   TEST_P(EventCancelTest, AtEveryAwait) {
//     std::optional<Event> event;
//     int bystanders = 0;
//     CancelSweep::Run(
//         GetParam(),
//         [&](TestShard& shard, TaskScope& victims) {    // begins a run: everything anew
//           event.emplace();
//           bystanders = 0;
//           victims.Spawn(WaitFor(&*event));
//           shard.executor().Spawn(WaitFor(&*event, &bystanders));
//           shard.executor().Spawn(SetAfterYields(&*event, 3));
//         },
//         [&](bool ended) { EXPECT_EQ(bystanders, 1); });  // ended: the victims were not cut
//   }
//   INSTANTIATE_TEST_SUITE_P(Time, EventCancelTest, kBothTimes, TimeKindName);
//
// The scenario runs on a shard of its own, again and again. In each run a *canceller* calls
// `victims.Cancel()` after it has been resumed k times:
//
//  - First with tasks in the order in which they become runnable, for k = 0, 1, 2, … until a run in
//    which the victims ended before. The canceller is always in the run queue (but for the pauses
//    below), so it is resumed once between any wake-up and the resumption that this causes: each
//    victim is cut before its start, at each await, and between its wake-up and its going on.
//  - Then at a random k for many seeds of ExecutorOptions::shuffle_seed, where the canceller may be
//    resumed between any two tasks, and tasks that one event woke go on in any order.
//
// At each fourth resumption the canceller lets 50 µs pass, so that scenarios may sleep: for some
// tens to hundreds of microseconds if the sleep is to end by itself, for hours if something else is
// to end it.
//
// When nothing is left to do, the scenario's check is called on the shard, before anything else is
// destroyed. A bystander that waits in vain has a frame by then, and fails the run: all must have
// ended.
#ifndef IOENGINE_TESTS_SCHED_CANCEL_SWEEP_H_
#define IOENGINE_TESTS_SCHED_CANCEL_SWEEP_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "gtest/gtest.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {

inline const auto kBothTimes = testing::Values(TimeKind::kSimulated, TimeKind::kReal);

class CancelSweep {
 public:
  // Spawns the victims into `victims`, and bystanders as it likes. May create classes.
  using Scenario = std::function<void(TestShard& shard, TaskScope& victims)>;
  using Check = std::function<void(bool ended)>;

  static void Run(TimeKind kind, const Scenario& scenario, const Check& check) {
    uint64_t cuts = 0;
    while (!RunOnce(kind, 0, cuts, scenario, check)) {
      if (testing::Test::HasFailure()) return;
      ASSERT_LT(++cuts, kMostCuts) << "the victims never end";
    }
    EXPECT_GT(cuts, 1u) << "nothing was cut";
    Random random(1);
    const uint64_t seeds = kind == TimeKind::kSimulated ? 200 : 40;  // real time takes time
    for (uint64_t seed = 1; seed <= seeds && !testing::Test::HasFailure(); ++seed) {
      RunOnce(kind, seed, random.Below(cuts + 1), scenario, check);
    }
  }

 private:
  static constexpr uint64_t kMostCuts = 2000;

  static Task<> CancelAfter(TestShard* shard, TaskScope* victims, uint64_t resumptions,
                            bool* ended) {
    for (uint64_t i = 0; i < resumptions && victims->size() > 0; ++i) {
      co_await shard->executor().Yield();
      if (i % 4 == 3) co_await shard->LetTimePass(std::chrono::microseconds(50));
    }
    *ended = victims->size() == 0;
    victims->Cancel();
  }

  // Whether the victims ended before they were cut.
  static bool RunOnce(TimeKind kind, uint64_t seed, uint64_t cut, const Scenario& scenario,
                      const Check& check) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", cut after " + std::to_string(cut));
    TestShard shard(kind, {.shuffle_seed = seed});
    bool ended = false;
    std::optional<TaskScope> victims;
    shard.Run(
        [&] {
          victims.emplace(shard.executor());
          scenario(shard, *victims);
          shard.executor().Spawn(CancelAfter(&shard, &*victims, cut, &ended));
        },
        [&] {
          victims.reset();
          check(ended);
          EXPECT_EQ(shard.executor().frames().live(), 0u) << "a bystander has not ended";
        });
    EXPECT_EQ(shard.executor().frames().live(), 0u);
    return ended;
  }
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_SCHED_CANCEL_SWEEP_H_
