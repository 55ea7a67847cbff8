// Mesh in the simulator, under all orders of delivery: which shard runs its turn next, from which
// ring it takes the next message, and when it takes no more.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/mesh.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/mesh_shards.h"

namespace ioengine {
namespace {

// Gives numbers for decisions. A run makes the same ones as the run before up to some decision, and
// another one there; then 0, which is what a fair schedule would do. All sequences come with at
// most `deviations` numbers that are not 0 (bounded exploration: Musuvathi and Qadeer, PLDI 2007).
class Exploration final : public DeliveryOrder {
 public:
  explicit Exploration(size_t deviations) : most_deviations_(deviations) {}

  size_t Choose(size_t choices) override {
    if (at_ == path_.size()) path_.push_back({.chosen = 0, .choices = choices});
    Decision& decision = path_[at_++];
    EXPECT_EQ(decision.choices, choices) << "the run is not the same again";
    return decision.chosen;
  }

  // Whether there is another run.
  bool Next() {
    at_ = 0;
    size_t deviations = 0;
    for (const Decision& decision : path_) deviations += decision.chosen != 0 ? 1 : 0;
    while (!path_.empty()) {
      Decision& last = path_.back();
      const bool deviates = last.chosen != 0;
      const bool may = deviates || deviations < most_deviations_;
      if (may && last.chosen + 1 < last.choices) {
        ++last.chosen;
        return true;
      }
      deviations -= deviates ? 1 : 0;
      path_.pop_back();
    }
    return false;
  }

 private:
  struct Decision {
    size_t chosen;
    size_t choices;
  };

  const size_t most_deviations_;
  std::vector<Decision> path_;
  size_t at_ = 0;
};

struct Run {
  Run(size_t shard_count, DeliveryOrder& order)
      : shards(shard_count, {.ring_capacity = 1, .order = &order}) {}

  SimulatedShards shards;
  size_t ended = 0;  // of the tasks that call, one on each shard
  bool has_ended[4] = {};
  std::vector<int> ran;  // of the calls that ran on the last shard, by their numbers
};

void Note(Run* run, int number, Token /*token*/) { run->ran.push_back(number); }

// Calls back.
Task<absl::Status> NoteBack(Run* run, ShardId here, ShardId to, int number, Token token) {
  co_return co_await run->shards.port(here).SubmitTo(to, Note, run, number, std::move(token));
}

void ExpectEnded(const absl::Status& status) {
  EXPECT_TRUE(status.ok() || absl::IsUnavailable(status)) << status;
}

// Two calls at once, one that calls back, and one that is not waited for.
Task<> CallLast(Run* run, ShardId here) {
  MeshPort& port = run->shards.port(here);
  const auto last = static_cast<ShardId>(run->shards.count() - 1);
  const int base = 10 * static_cast<int>(here);
  {
    auto first = port.SubmitTo(last, Note, run, base + 1, Token());
    auto second = port.SubmitTo(last, Note, run, base + 2, Token());
    ExpectEnded(co_await second);
    EXPECT_TRUE(first.ready()) << "it was sent before";
    ExpectEnded(co_await first);
  }
  { auto dropped = port.SubmitTo(last, NoteBack, run, last, here, base + 3, Token()); }
  ExpectEnded(co_await port.SubmitTo(last, NoteBack, run, last, here, base + 4, Token()));
  ++run->ended;
  run->has_ended[here] = true;
}

// Runs until all tasks have ended. `may_stop`: one shard may stop at any time.
void Explore(DeliveryOrder& order, size_t shard_count, bool may_stop) {
  {
    Run run(shard_count, order);
    for (ShardId id = 0; id < shard_count; ++id) {
      run.shards.On(id, [&run, id] { run.shards.executor(id).Spawn(CallLast(&run, id)); });
    }
    size_t next = 0;
    size_t expected = shard_count;
    bool stopped[4] = {};
    for (int turns = 0; run.ended < expected; ++turns) {
      ASSERT_LT(turns, 2000) << "something waits for ever";
      // 0: the next shard; then those after it; then the end of one of them.
      const size_t choices = may_stop ? 2 * shard_count : shard_count;
      const size_t choice = order.Choose(choices);
      const size_t chosen = (next + choice) % shard_count;
      next = (chosen + 1) % shard_count;
      if (stopped[chosen]) continue;
      if (choice < shard_count) {
        run.shards.Pump(static_cast<ShardId>(chosen));
      } else {
        run.shards.Stop(static_cast<ShardId>(chosen));
        stopped[chosen] = true;
        may_stop = false;
        if (!run.has_ended[chosen]) --expected;  // it never will
      }
    }
    // Messages of one shard to another come in their order.
    for (const int number : run.ran) EXPECT_GT(number, 0);
    for (int shard = 0; shard < static_cast<int>(shard_count); ++shard) {
      const auto position = [&](int number) {
        return std::find(run.ran.begin(), run.ran.end(), 10 * shard + number) - run.ran.begin();
      };
      EXPECT_LE(position(1), position(2));
    }
  }
  ASSERT_EQ(Token::live(), 0);
}

class MeshOrderTest : public testing::TestWithParam<std::pair<size_t, bool>> {};

TEST_P(MeshOrderTest, AllCallsEndUnderAllOrdersWithFewDeviations) {
  const auto [shards, may_stop] = GetParam();
  Exploration exploration(shards == 2 ? 3 : 2);
  uint64_t runs = 0;
  do {
    Explore(exploration, shards, may_stop);
    ++runs;
  } while (!HasFailure() && exploration.Next());
  EXPECT_GT(runs, 1000u);
  RecordProperty("runs", std::to_string(runs));
}

TEST_P(MeshOrderTest, AllCallsEndUnderRandomOrders) {
  const auto [shards, may_stop] = GetParam();
  for (uint64_t seed = 1; seed <= 5000 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomOrder order(seed);
    Explore(order, shards, may_stop);
  }
}

INSTANTIATE_TEST_SUITE_P(Shards, MeshOrderTest,
                         testing::Values(std::pair<size_t, bool>(2, false),
                                         std::pair<size_t, bool>(2, true),
                                         std::pair<size_t, bool>(3, false),
                                         std::pair<size_t, bool>(3, true)));

}  // namespace
}  // namespace ioengine
