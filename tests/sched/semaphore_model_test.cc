// Semaphore beside a simple model of it: random tasks that ask, give back and are destroyed.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/semaphore.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using Held = std::map<int, Semaphore::Units>;  // by the number of the task that asked

Task<> AcquireOne(Semaphore* semaphore, size_t count, int id, Held* held) {
  (*held)[id] = co_await semaphore->Acquire(count);
}

// What the header of Semaphore says, in numbers.
class Model {
 public:
  explicit Model(size_t units) : available_(units) {}

  void Acquire(int id, size_t count) {
    if (TryAcquire(id, count)) return;
    ++times_full_;
    waiting_.push_back({id, count});
  }

  bool TryAcquire(int id, size_t count) {
    if (!waiting_.empty() || count > available_) return false;
    available_ -= count;
    held_[id] = count;
    return true;
  }

  void Release(int id) {
    available_ += held_.at(id);
    held_.erase(id);
    Grant();
  }

  // A task that waits, was woken, or has ended. True if it was woken: it had units.
  bool Destroy(int id) {
    std::erase_if(waiting_, [&](const Request& request) { return request.id == id; });
    const auto granted = granted_.find(id);
    const bool had_units = granted != granted_.end();
    if (had_units) {
      available_ += granted->second;
      granted_.erase(granted);
    }
    Grant();
    return had_units;
  }

  // All tasks that were woken have their turn.
  void Settle() { held_.merge(granted_); }

  size_t available() const { return available_; }
  bool has_waiters() const { return !waiting_.empty(); }
  uint64_t times_full() const { return times_full_; }
  const std::map<int, size_t>& held() const { return held_; }

 private:
  struct Request {
    int id;
    size_t count;
  };

  void Grant() {
    while (!waiting_.empty() && waiting_.front().count <= available_) {
      available_ -= waiting_.front().count;
      granted_[waiting_.front().id] = waiting_.front().count;
      waiting_.pop_front();
    }
  }

  size_t available_;
  uint64_t times_full_ = 0;
  std::deque<Request> waiting_;
  std::map<int, size_t> granted_;  // of tasks that were woken, and have not gone on
  std::map<int, size_t> held_;
};

// One semaphore and one model, through the same steps.
class SideBySide {
 public:
  SideBySide(Executor& executor, uint64_t seed)
      : executor_(executor), random_(seed), semaphore_(1 + Below(6)), model_(semaphore_.total()) {}

  Task<> Run(int steps) {
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      const uint64_t action = Below(8);
      if (action < 2) {
        // Those that were woken go on, then the new one asks.
        const size_t count = Below(semaphore_.total() + 1);
        Start(AcquireOne(&semaphore_, count, step, &held_), step);
        model_.Settle();
        model_.Acquire(step, count);
        co_await Yield();
      } else if (action < 4) {
        ReleaseOne();
      } else if (action < 6) {
        DestroyOne();
      } else if (action == 6) {
        TryAcquire(step);
      } else {
        model_.Settle();
        co_await Yield();
      }
      Compare();
    }
    steps_done_ = steps;
  }

  int steps_done() const { return steps_done_; }
  int destroyed_granted() const { return destroyed_granted_; }

 private:
  void Start(Task<> task, int id) {
    std::unique_ptr<TaskScope>& scope = scopes_[id];
    scope = std::make_unique<TaskScope>(executor_);
    scope->Spawn(std::move(task));
  }

  void TryAcquire(int step) {
    const size_t count = Below(semaphore_.total() + 1);
    std::optional<Semaphore::Units> units = semaphore_.TryAcquire(count);
    EXPECT_EQ(units.has_value(), model_.TryAcquire(step, count));
    if (units.has_value()) held_[step] = *std::move(units);
  }

  void ReleaseOne() {
    if (held_.empty()) return;
    const auto chosen = std::next(held_.begin(), static_cast<int>(Below(held_.size())));
    model_.Release(chosen->first);
    held_.erase(chosen);
  }

  void DestroyOne() {
    if (scopes_.empty()) return;
    const auto victim = std::next(scopes_.begin(), static_cast<int>(Below(scopes_.size())));
    if (model_.Destroy(victim->first)) ++destroyed_granted_;
    scopes_.erase(victim);
  }

  void Compare() {
    EXPECT_EQ(semaphore_.available(), model_.available());
    EXPECT_EQ(semaphore_.has_waiters(), model_.has_waiters());
    EXPECT_EQ(semaphore_.times_full(), model_.times_full());
    std::map<int, size_t> counts;
    for (const auto& [id, units] : held_) counts[id] = units.count();
    EXPECT_EQ(counts, model_.held());
  }

  uint64_t Below(uint64_t limit) { return random_.Below(limit); }

  Executor& executor_;
  Random random_;
  Semaphore semaphore_;
  Model model_;
  Held held_;
  std::map<int, std::unique_ptr<TaskScope>> scopes_;
  int steps_done_ = 0;
  int destroyed_granted_ = 0;
};

TEST(SemaphoreModelTest, AgreesWithItsModelWhateverItsTasksDo) {
  constexpr int kSteps = 2000;
  int destroyed_granted = 0;
  for (uint64_t seed = 1; seed <= 30 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    TestShard shard;
    int steps_done = 0;
    shard.Run([&] {
      shard.executor().Spawn(
          [](Executor* executor, uint64_t from, int* done, int* granted) -> Task<> {
            SideBySide both(*executor, from);
            co_await both.Run(kSteps);
            *done = both.steps_done();
            *granted += both.destroyed_granted();
          }(&shard.executor(), seed, &steps_done, &destroyed_granted));
    });
    EXPECT_EQ(steps_done, kSteps);
    EXPECT_EQ(shard.executor().frames().live(), 0u);
  }
  EXPECT_GT(destroyed_granted, 100) << "the steps do not lead where units are given back";
}

// In a random order, where only the sum is known: whoever holds units, they are no more than there
// are, and no task waits in vain.
TEST(SemaphoreModelTest, HoldsItsBoundInAnyOrderOfItsTasks) {
  constexpr int kTasks = 40;
  for (uint64_t seed = 1; seed <= 100 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    TestShard shard(TimeKind::kSimulated, {.shuffle_seed = seed});
    Semaphore semaphore(5);
    size_t in_use = 0;
    int ended = 0;
    Random random(seed);
    const auto use = [](Semaphore* of, size_t count, uint64_t yields, size_t* used,
                        int* done) -> Task<> {
      for (int round = 0; round < 3; ++round) {
        const Semaphore::Units units = co_await of->Acquire(count);
        *used += count;
        // Less is in use than was given when some have their units and have not gone on.
        EXPECT_LE(*used, of->total() - of->available());
        for (uint64_t i = 0; i < yields; ++i) co_await Yield();
        *used -= count;
      }
      ++*done;
    };
    shard.Run([&] {
      for (int i = 0; i < kTasks; ++i) {
        shard.executor().Spawn(use(&semaphore, random.Below(6), random.Below(4), &in_use, &ended));
      }
    });
    EXPECT_EQ(ended, kTasks);
    EXPECT_EQ(semaphore.available(), 5u);
    EXPECT_GT(semaphore.times_full(), 0u);
  }
}

}  // namespace
}  // namespace ioengine
