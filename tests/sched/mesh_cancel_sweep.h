// MeshCancelSweep: CancelSweep for tasks that wait for other shards.
//
//   MeshCancelSweep::Run(
//       {.shards = 2, .home = 0},
//       [&](SimulatedShards& shards, TaskScope& victims) {   // begins a run: everything anew
//         shards.On(0, [&] { victims.Spawn(CallTheOther(&shards)); });
//       },
//       [&](SimulatedShards& shards, bool ended) { … });     // ended: the victims were not cut
//
// The shards take turns, and after k turns the victims, which are of shard `home`, are cancelled:
// k = 0, 1, 2, … until a run in which they ended before. In each turn there are three places:
//
//   the turn of shard `home`:   calls from outside │ messages are taken │ tasks run
//                                      ▲ kBefore                        ▲ kBetween    kAfter ▲
//
// So each victim is cut before its start, at each await, while what it waits for is on its way,
// and between its wake-up and its going on; and kAfter, when it has gone on, before what it sends
// has left. Then at a random k for many seeds, which also decide which shard's turn it is, which
// messages it takes in it, and in which order its tasks go on.
//
// Each turn takes 1 µs, so scenarios may sleep. Afterwards all shards run until nothing is left to
// do. In each run: bystanders have ended, no Token is left, the calls' memory is back, and each
// shard can call each other one.
#ifndef IOENGINE_TESTS_SCHED_MESH_CANCEL_SWEEP_H_
#define IOENGINE_TESTS_SCHED_MESH_CANCEL_SWEEP_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "gtest/gtest.h"
#include "ioengine/sched/mesh.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/mesh_shards.h"

namespace ioengine {

class MeshCancelSweep {
 public:
  struct Options {
    size_t shards = 2;
    ShardId home = 0;
    size_t ring_capacity = 1;
  };
  // Spawns the victims into `victims`, on their shard, and bystanders as it likes.
  using Scenario = std::function<void(SimulatedShards& shards, TaskScope& victims)>;
  // Outside of the shards. Releases what it kept.
  using Check = std::function<void(SimulatedShards& shards, bool ended)>;

  static void Run(const Options& options, const Scenario& scenario, const Check& check) {
    uint64_t cuts = 0;
    for (bool ended = false; !ended; ++cuts) {
      ASSERT_LT(cuts, kMostCuts) << "the victims never end";
      ended = true;
      for (const Place place : {Place::kBefore, Place::kBetween, Place::kAfter}) {
        ended &= RunOnce(options, {.cut = cuts, .place = place}, scenario, check);
      }
      if (testing::Test::HasFailure()) return;
    }
    EXPECT_GT(cuts, 2u) << "nothing was cut";
    Random random(1);
    for (uint64_t seed = 1; seed <= kSeeds && !testing::Test::HasFailure(); ++seed) {
      const auto place = static_cast<Place>(random.Below(3));
      RunOnce(options, {.seed = seed, .cut = random.Below(cuts + 1), .place = place}, scenario,
              check);
    }
  }

  // Each shard calls each one; all is back afterwards.
  static void ExpectThatTheMeshWorks(SimulatedShards& shards) {
    uint64_t answers = 0;
    for (ShardId from = 0; from < shards.count(); ++from) {
      shards.On(from, [&shards, &answers, from] {
        shards.executor(from).Spawn(CallAll(&shards.port(from), &answers));
      });
    }
    shards.RunUntilIdle();
    EXPECT_EQ(answers, shards.count() * shards.count());
    for (ShardId id = 0; id < shards.count(); ++id) {
      EXPECT_EQ(shards.port(id).calls_on_their_way(), 0u);
      EXPECT_EQ(shards.port(id).call_bytes(), 0u) << "of shard " << id;
    }
  }

 private:
  enum class Place : uint8_t { kBefore, kBetween, kAfter };
  struct Cut {
    uint64_t seed = 0;  // 0: in turns, and everything in its order
    uint64_t cut = 0;
    Place place = Place::kBefore;
  };

  static constexpr uint64_t kMostCuts = 1000;
  static constexpr uint64_t kSeeds = 300;
  static constexpr uint64_t kTurnNs = 1000;
  static constexpr size_t kFramesOfTheMesh = 1;  // of the task that runs calls, for each class

  static Task<> CallAll(MeshPort* port, uint64_t* answers) {
    for (ShardId to = 0; to < port->shard_count(); ++to) {
      if ((co_await port->SubmitTo(to, [] { return 1; })).ok()) ++*answers;
    }
  }

  static Task<> CancelInATask(TaskScope* victims, bool after_the_others, bool* ended) {
    if (after_the_others) co_await Yield();
    Cancel(*victims, ended);
  }

  static void Cancel(TaskScope& victims, bool* ended) {
    *ended = victims.size() == 0;
    victims.Cancel();
  }

  // Whether the victims ended before they were cut.
  static bool RunOnce(const Options& options, const Cut& cut, const Scenario& scenario,
                      const Check& check) {
    SCOPED_TRACE("seed " + std::to_string(cut.seed) + ", cut after " + std::to_string(cut.cut) +
                 " turns, place " + std::to_string(static_cast<int>(cut.place)));
    bool ended = false;
    {
      Random random(cut.seed);
      RandomOrder order(cut.seed);
      SimulatedShards shards(
          options.shards,
          {.ring_capacity = options.ring_capacity, .order = cut.seed == 0 ? nullptr : &order},
          {.shuffle_seed = cut.seed});
      Executor& home = shards.executor(options.home);
      std::optional<TaskScope> victims;
      shards.On(options.home, [&] { victims.emplace(home); });
      shards.Pump(options.home);
      scenario(shards, *victims);
      for (uint64_t turn = 0; turn < cut.cut; ++turn) {
        const uint64_t next = cut.seed == 0 ? turn : random.Next();
        shards.Pump(static_cast<ShardId>(next % options.shards));
        shards.clock().Advance(kTurnNs);
      }
      shards.On(options.home, [&] {
        if (cut.place == Place::kBefore) {
          Cancel(*victims, &ended);
        } else {
          home.Spawn(CancelInATask(&*victims, cut.place == Place::kAfter, &ended));
        }
      });
      shards.RunUntilIdle();
      EXPECT_EQ(victims->size(), 0u);
      shards.On(options.home, [&] { victims.reset(); });
      shards.RunUntilIdle();
      check(shards, ended);
      ExpectThatTheMeshWorks(shards);
      for (ShardId id = 0; id < options.shards; ++id) {
        EXPECT_EQ(shards.executor(id).frames().live(), kFramesOfTheMesh)
            << "a bystander has not ended";
      }
      EXPECT_EQ(Token::live(), 0);
    }
    return ended;
  }
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_SCHED_MESH_CANCEL_SWEEP_H_
