// ClassScheduler: the bounds that class_scheduler.h states, against adversaries that drive it
// without an executor and so may cut slices wherever it hurts most.

#include <algorithm>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/sched/class_scheduler.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/random.h"

namespace ioengine {
namespace {

constexpr uint64_t kQ = Executor::kSliceNs;
// A slice is charged one unit more than it is worth (class_scheduler.cc, Return): 1/1024 ns of a
// class of one share.
constexpr double kUnitNs = 1.0 / 1024;

// One class, and all that its bounds depend on.
struct Player {
  ClassId id = 0;
  uint64_t goal_ns = 0;
  uint64_t shares = 100;
  bool sleeps = true;  // false: it always has something to run

  Runnable task;  // in the class's queue while the class has something to run
  uint64_t wake_at_ns = 0;
  uint64_t waits_since_ns = 0;
  uint64_t deadline_ns = 0;  // by the times that the scheduler is told
  uint64_t run_ns = 0;
  uint64_t slices = 0;
  uint64_t last_slice_ns = 0;
  std::bitset<ClassScheduler::kMaxClasses> went_first;  // the classes that ran while it waits

  bool waits() const { return task.linked(); }

  // Whatever the others did, it has not used up its goal since the beginning.
  bool surely_urgent() const { return run_ns + slices * (shares / 1024 + 1) < goal_ns; }

  // How far ahead of V it can be, of its own CPU time.
  double ahead_ns() const {
    if (slices == 0) return 0;
    return static_cast<double>(goal_ns + last_slice_ns) + static_cast<double>(shares) * kUnitNs;
  }
};

// Plays the executor. What a class does in its slice, and when it wakes up, the tests decide.
class Match {
 public:
  explicit Match(uint64_t longest_task_ns) : longest_task_ns_(longest_task_ns) {
    players_.push_back(std::make_unique<Player>());  // the class "default"
  }

  Player& Add(uint32_t shares, uint64_t goal_ns) {
    auto player = std::make_unique<Player>();
    player->id = scheduler_.AddClass({.shares = shares, .latency_goal_ns = goal_ns}).value();
    player->shares = shares;
    player->goal_ns = goal_ns;
    players_.push_back(std::move(player));
    return *players_.back();
  }

  const std::vector<std::unique_ptr<Player>>& players() const { return players_; }
  uint64_t now_ns() const { return now_ns_; }
  uint64_t longest_slice_ns() const { return kQ + longest_task_ns_ - 1; }
  double closest() const { return closest_; }

  // Bound (1) for `player`, with what it is ahead.
  double W(const Player& player) const {
    auto bound_ns = static_cast<double>(longest_task_ns_);
    double shares_of_others = 0;
    for (const auto& other : players_) {
      if (other.get() == &player) continue;
      bound_ns += static_cast<double>(other->goal_ns + kQ + longest_task_ns_);
      shares_of_others += static_cast<double>(other->shares);
    }
    return bound_ns + player.ahead_ns() / static_cast<double>(player.shares) * shares_of_others;
  }

  // Between slices.
  void Wake(Player& player) { BecomeRunnable(player, now_ns_); }

  // Gives the class that is next, or null when all sleep.
  Player* Begin() {
    TaskQueue* const queue = scheduler_.TakeNext(now_ns_);
    if (queue == nullptr) return nullptr;
    Player& chosen = *players_[queue->id()];
    for (const auto& other : players_) {
      if (other.get() == &chosen || !other->waits()) continue;
      if (other->surely_urgent()) ExpectGoesFirst(chosen, *other);
      other->went_first[chosen.id] = true;
    }
    CheckWait(chosen);
    return &chosen;
  }

  // Runs the slice of `chosen` for `slice_ns`, unless a class that wakes up cuts it short, after
  // `rest_ns` at the most.
  void Run(Player& chosen, uint64_t slice_ns, uint64_t rest_ns) {
    uint64_t end_ns = now_ns_ + slice_ns;
    for (;;) {
      Player* const next = NextToWake();
      if (next == nullptr || next->wake_at_ns >= end_ns) break;
      const uint64_t at_ns = std::max(now_ns_, next->wake_at_ns);
      BecomeRunnable(*next, at_ns);
      if (scheduler_.Preempts(*scheduler_.Find(next->id), *scheduler_.Find(chosen.id))) {
        end_ns = std::min(end_ns, at_ns + std::min(rest_ns, longest_task_ns_));
      } else {
        if (next->surely_urgent()) ExpectGoesFirst(chosen, *next);
        next->went_first[chosen.id] = true;
      }
    }
    chosen.last_slice_ns = end_ns - now_ns_;
    chosen.run_ns += chosen.last_slice_ns;
    ++chosen.slices;
    now_ns_ = end_ns;
  }

  // After Run. `wake_at_ns`: when a class that has nothing left to run wakes up.
  void EndAndGoOn(Player& chosen) { End(chosen); }
  void EndAndSleep(Player& chosen, uint64_t wake_at_ns) {
    chosen.task.Unlink();
    chosen.wake_at_ns = wake_at_ns;
    End(chosen);
  }

  // What a class waits to run is destroyed.
  void Destroy(Player& player, uint64_t wake_at_ns) {
    player.task.Unlink();
    player.wake_at_ns = wake_at_ns;
  }

  void SleepUntilNextWakes() {
    Player* const next = NextToWake();
    ASSERT_NE(next, nullptr);
    now_ns_ = std::max(now_ns_, next->wake_at_ns);
  }
  void WakeDue() {
    for (Player* next = NextToWake(); next != nullptr && next->wake_at_ns <= now_ns_;
         next = NextToWake()) {
      Wake(*next);
    }
  }

  // Bound (3), for the classes that never sleep: they all began at once.
  void CheckShares() const {
    for (const auto& one : players_) {
      for (const auto& other : players_) {
        if (one->sleeps || other->sleeps || one == other) continue;
        const auto used = [](const Player& player) {
          return static_cast<double>(player.run_ns) / static_cast<double>(player.shares);
        };
        const double most = static_cast<double>(one->goal_ns + longest_slice_ns()) /
                                static_cast<double>(one->shares) +
                            static_cast<double>(other->slices + 1) * kUnitNs;
        ASSERT_LE(used(*one) - used(*other), most * 1.000'000'1)
            << int{one->id} << " is ahead of " << int{other->id};
      }
    }
  }

 private:
  // The one that wakes up first, of those that sleep.
  Player* NextToWake() const {
    Player* next = nullptr;
    for (const auto& player : players_) {
      if (player->task.linked() || player->id == running_) continue;
      if (next == nullptr || player->wake_at_ns < next->wake_at_ns) next = player.get();
    }
    return next;
  }

  // As an executor does: by the time at which the slice began.
  void BecomeRunnable(Player& player, uint64_t at_ns) {
    TaskQueue& queue = *scheduler_.Find(player.id);
    if (scheduler_.Push(player.task, queue)) {
      scheduler_.Activate(queue, now_ns_);
      player.deadline_ns = now_ns_ + player.goal_ns;
    }
    player.waits_since_ns = at_ns;
    player.went_first.reset();
  }

  void End(Player& chosen) {
    scheduler_.Return(*scheduler_.Find(chosen.id), chosen.last_slice_ns, now_ns_);
    chosen.waits_since_ns = now_ns_;
    chosen.deadline_ns = now_ns_ + chosen.goal_ns;
    chosen.went_first.reset();
    running_ = -1;
  }

  static void ExpectGoesFirst(const Player& chosen, const Player& urgent) {
    EXPECT_GT(chosen.goal_ns, 0u) << "an urgent class waits for one without a goal";
    EXPECT_LE(chosen.deadline_ns, urgent.deadline_ns);
  }

  void CheckWait(Player& chosen) {
    running_ = chosen.id;
    const auto wait_ns = static_cast<double>(now_ns_ - chosen.waits_since_ns);
    const double bound_ns = W(chosen);
    EXPECT_LE(wait_ns, bound_ns) << "bound (1), class " << int{chosen.id};
    if (chosen.slices == 0) closest_ = std::max(closest_, wait_ns / bound_ns);
    if (!chosen.surely_urgent()) return;
    uint64_t urgent_bound_ns = longest_task_ns_;
    for (const auto& other : players_) {
      if (!chosen.went_first[other->id]) continue;
      urgent_bound_ns += other->goal_ns + kQ + longest_task_ns_;
    }
    EXPECT_LE(wait_ns, static_cast<double>(urgent_bound_ns)) << "bound (2)";
  }

  ClassScheduler scheduler_;
  const uint64_t longest_task_ns_;
  std::vector<std::unique_ptr<Player>> players_;
  uint64_t now_ns_ = 1;
  int running_ = -1;  // class
  double closest_ = 0;
};

// Does what has hurt schedulers before: slices of no length or just longer than they should be,
// sleeps of no length, alarms at which many wake up at once, tasks that are destroyed.
class RandomAdversary {
 public:
  explicit RandomAdversary(uint64_t seed)
      : random_(seed),
        match_(Pick({1, 1000, kQ / 3, kQ, 5 * kQ})),
        alarm_ns_(1 + Pick({kQ, 20 * kQ})) {
    const uint64_t classes = 1 + random_.Below(10);
    for (uint64_t i = 0; i < classes; ++i) {
      const auto shares = static_cast<uint32_t>(Pick({1, 100, 1000, 1 + random_.Below(1000)}));
      const uint64_t goal_ns = random_.OneIn(2) ? 0 : Pick({1, kQ / 2, kQ, 7 * kQ});
      match_.Add(shares, goal_ns).sleeps = !random_.OneIn(4);
    }
    for (const auto& player : match_.players()) {
      player->wake_at_ns = player->sleeps ? WakeAtNs() : 0;
    }
  }

  void Play(int slices) {
    for (int i = 0; i < slices && !testing::Test::HasFailure(); ++i) {
      match_.WakeDue();
      Player* const chosen = match_.Begin();
      if (chosen == nullptr) {
        match_.SleepUntilNextWakes();
        continue;
      }
      const uint64_t longest_ns = match_.longest_slice_ns();
      match_.Run(*chosen, Pick({0, 1, kQ, longest_ns, longest_ns, random_.Below(longest_ns)}),
                 Pick({0, random_.Below(longest_ns), longest_ns}));
      if (chosen->sleeps && !random_.OneIn(4)) {
        match_.EndAndSleep(*chosen, WakeAtNs());
      } else {
        match_.EndAndGoOn(*chosen);
      }
      const auto& victim = match_.players()[random_.Below(match_.players().size())];
      if (random_.OneIn(20) && victim->waits() && victim->sleeps) {
        match_.Destroy(*victim, WakeAtNs());
      }
      match_.CheckShares();
    }
  }

  double closest() const { return match_.closest(); }

 private:
  uint64_t Pick(const std::vector<uint64_t>& values) {
    return values[random_.Below(values.size())];
  }
  uint64_t WakeAtNs() {
    const uint64_t now_ns = match_.now_ns();
    const uint64_t next_alarm_ns = (now_ns / alarm_ns_ + 1) * alarm_ns_;
    return Pick({now_ns, now_ns + 1, next_alarm_ns, next_alarm_ns + 7 * alarm_ns_,
                 now_ns + random_.Below(30 * kQ)});
  }

  Random random_;
  Match match_;
  const uint64_t alarm_ns_;
};

TEST(ClassAdversaryTest, NoneOfTheBoundsIsBrokenAtRandom) {
  double closest = 0;
  for (uint64_t seed = 1; seed <= 1000 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomAdversary adversary(seed);
    adversary.Play(300);
    closest = std::max(closest, adversary.closest());
  }
  EXPECT_GT(closest, 0.7) << "the adversaries do not try hard";
}

// How long `watched` waits if each of the others takes all that it can get: one with a goal stops
// just short of it (by what rounding charges for its slices), for a whole slice more.
double WaitNs(Match& match, const Player& watched) {
  while (Player* const chosen = match.Begin()) {
    if (chosen == &watched) break;
    const uint64_t most_ns = match.longest_slice_ns();
    const uint64_t used_ns = chosen->run_ns + 2 * (chosen->slices + 2);
    match.Run(*chosen,
              used_ns < chosen->goal_ns ? std::min(most_ns, chosen->goal_ns - used_ns) : most_ns,
              kQ);
    match.EndAndGoOn(*chosen);
  }
  return static_cast<double>(match.now_ns() - watched.waits_since_ns);
}

TEST(ClassAdversaryTest, TheFirstBoundIsReachedButForATask) {
  Match match(kQ / 5);
  Player& watched = match.Add(1, 0);
  match.Wake(watched);
  match.Run(*match.Begin(), 0, 0);  // charged one unit, so that it comes behind its equals
  match.EndAndGoOn(watched);
  for (uint32_t i = 1; i <= 100; ++i) {
    match.Add(1 + i * 997 % 1000, i % 2 == 0 ? 0 : 1 + i * kQ / 7);
  }
  for (const auto& player : match.players()) {
    if (!player->waits()) match.Wake(*player);
  }
  EXPECT_GE(WaitNs(match, watched), 0.999 * match.W(watched));
}

TEST(ClassAdversaryTest, AClassThatIsAheadWaitsUntilTheOthersHaveCaughtUp) {
  Match match(kQ / 5);
  Player& watched = match.Add(10, 0);
  match.Wake(watched);
  match.Run(*match.Begin(), match.longest_slice_ns(), 0);
  match.EndAndGoOn(watched);
  for (const uint32_t shares : {100u, 300u, 1000u}) match.Wake(match.Add(shares, 0));
  const double due_ns = static_cast<double>(match.longest_slice_ns()) / 10 * (100 + 300 + 1000);
  EXPECT_GE(WaitNs(match, watched), due_ns);
  EXPECT_LE(static_cast<double>(match.now_ns() - watched.waits_since_ns), match.W(watched));
}

}  // namespace
}  // namespace ioengine
