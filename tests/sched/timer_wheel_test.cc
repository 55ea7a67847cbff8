// TimerWheel, against a model and at its edges.

#include "ioengine/sched/timer_wheel.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ioengine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

constexpr uint64_t kTickNs = 65'536;
constexpr uint64_t kMax = UINT64_MAX;
constexpr int kLevels = 8;

static_assert(sizeof(Timer) <= 40);
static_assert(sizeof(TimerWheel) <= 10'000);

class TestTimer final : public Timer {
 public:
  TestTimer() = default;
  explicit TestTimer(std::function<void()> action) : action_(std::move(action)) {}

  int fired() const { return fired_; }

 private:
  void OnTimer() override {
    ++fired_;
    const std::function<void()> action = action_;  // which may destroy this timer
    if (action) action();
  }

  std::function<void()> action_;
  int fired_ = 0;
};

// Where a slot at `level` begins, `slots` after 0.
uint64_t SlotNs(int level, uint64_t slots) { return slots << (16 + 6 * level); }

TEST(TimerWheelTest, IsEmptyAtFirst) {
  TimerWheel wheel(5);
  EXPECT_TRUE(wheel.empty());
  EXPECT_EQ(wheel.NextEventNs(), TimerWheel::kNever);
  EXPECT_EQ(wheel.Advance(5), 0u);
  EXPECT_EQ(wheel.Advance(kMax), 0u);
  EXPECT_EQ(wheel.Advance(kMax), 0u);
}

TEST(TimerWheelTest, FiresOnceAtItsDeadlineAndNotBefore) {
  TimerWheel wheel(0);
  TestTimer timer;
  EXPECT_FALSE(timer.armed());
  wheel.Arm(timer, 2500);
  EXPECT_TRUE(timer.armed());
  EXPECT_EQ(timer.deadline_ns(), 2500u);
  EXPECT_EQ(wheel.size(), 1u);
  EXPECT_EQ(wheel.NextEventNs(), 2500u);
  for (const uint64_t now : {0, 2047, 2048, 2499}) EXPECT_EQ(wheel.Advance(now), 0u) << now;
  EXPECT_EQ(wheel.NextEventNs(), 2500u);
  EXPECT_EQ(wheel.Advance(2500), 1u);
  EXPECT_EQ(timer.fired(), 1);
  EXPECT_FALSE(timer.armed());
  EXPECT_TRUE(wheel.empty());
  EXPECT_EQ(wheel.Advance(9999), 0u);
}

TEST(TimerWheelTest, ExactAtTheEdgesOfEveryLevel) {
  std::vector<uint64_t> starts = {0, 1, kTickNs - 1, kTickNs, 12'345'678'901'234'567, kMax - 5000};
  for (int level = 0; level < kLevels; ++level) {
    for (const uint64_t slots : {1, 63}) {
      starts.push_back(SlotNs(level, slots));
      starts.push_back(SlotNs(level, slots) - 1);
    }
  }
  for (const uint64_t start : starts) {
    std::vector<uint64_t> deadlines = {start + 1, kMax - 1, kMax};
    for (int level = 0; level < kLevels; ++level) {
      const uint64_t slot = SlotNs(level, 1);
      for (const uint64_t after : {slot, 63 * slot, start / slot * slot + slot - start}) {
        for (const uint64_t offset : {after - 1, after, after + 1}) {
          if (offset > 0 && offset <= kMax - start) deadlines.push_back(start + offset);
        }
      }
    }
    for (const uint64_t deadline : deadlines) {
      TimerWheel wheel(start);
      TestTimer timer;
      wheel.Arm(timer, deadline);
      ASSERT_EQ(wheel.NextEventNs(), deadline);
      ASSERT_EQ(wheel.Advance(start + (deadline - start) / 2), 0u) << start << " " << deadline;
      ASSERT_EQ(wheel.Advance(deadline - 1), 0u) << start << " " << deadline;
      ASSERT_EQ(wheel.NextEventNs(), deadline);
      ASSERT_EQ(wheel.Advance(deadline), 1u) << start << " " << deadline;
    }
  }
}

TEST(TimerWheelTest, ADeadlineThatHasPassedFiresAtTheNextAdvance) {
  const uint64_t now = 1'000'000'000;
  TimerWheel wheel(now);
  TestTimer timers[3];
  wheel.Arm(timers[0], now);
  wheel.Arm(timers[1], 0);
  wheel.Arm(timers[2], now + 1);
  EXPECT_EQ(wheel.NextEventNs(), now);
  EXPECT_EQ(wheel.Advance(now), 2u);
  EXPECT_EQ(timers[2].fired(), 0);
  EXPECT_EQ(wheel.NextEventNs(), now + 1);
  EXPECT_EQ(wheel.Advance(now + 1), 1u);
}

TEST(TimerWheelTest, OrderIsOverdueThenTickThenArming) {
  const uint64_t now = 100'000;
  TimerWheel wheel(now);
  std::vector<uint64_t> fired;
  std::vector<std::unique_ptr<TestTimer>> timers;
  const auto arm = [&](uint64_t deadline_ns) {
    timers.push_back(
        std::make_unique<TestTimer>([&, deadline_ns] { fired.push_back(deadline_ns); }));
    wheel.Arm(*timers.back(), deadline_ns);
  };
  const uint64_t tick = 1'000'000 * kTickNs;
  for (const uint64_t deadline : {SlotNs(7, 3), tick + 7, tick - 1, tick + 3, now + 1}) {
    arm(deadline);
  }
  wheel.Advance(tick - 500'000);  // `tick` is nearer now than when the first were armed
  for (const uint64_t deadline : {tick + 5, tick - 400'000, uint64_t{9}, uint64_t{4}})
    arm(deadline);
  wheel.Advance(kMax);
  EXPECT_THAT(fired, ElementsAre(now + 1, 9, 4, tick - 400'000, tick - 1, tick + 7, tick + 3,
                                 tick + 5, SlotNs(7, 3)));
}

TEST(TimerWheelTest, ReArmingForgetsTheFormerDeadline) {
  TimerWheel wheel(0);
  TimerWheel other(0);
  TestTimer timer;
  wheel.Arm(timer, 5000);
  wheel.Arm(timer, 1'000'000);
  EXPECT_EQ(wheel.size(), 1u);
  EXPECT_EQ(wheel.Advance(999'999), 0u);
  wheel.Arm(timer, 0);
  wheel.Arm(timer, 1'000'001);
  EXPECT_EQ(wheel.Advance(1'000'000), 0u);
  other.Arm(timer, 3000);
  EXPECT_TRUE(wheel.empty());
  EXPECT_EQ(wheel.NextEventNs(), TimerWheel::kNever);
  EXPECT_EQ(wheel.Advance(kMax), 0u);
  EXPECT_EQ(other.Advance(3000), 1u);
}

TEST(TimerWheelTest, CancelledAndDestroyedTimersDoNotFire) {
  TimerWheel wheel(0);
  TestTimer cancelled;
  auto destroyed = std::make_unique<TestTimer>();
  wheel.Cancel(cancelled);  // does nothing
  for (const uint64_t deadline : {uint64_t{0}, uint64_t{1}, uint64_t{70'000}, kMax}) {
    wheel.Arm(cancelled, deadline);
    wheel.Arm(*destroyed, deadline);
    EXPECT_EQ(wheel.size(), 2u);
    wheel.Cancel(cancelled);
    EXPECT_FALSE(cancelled.armed());
    destroyed = std::make_unique<TestTimer>();
    EXPECT_TRUE(wheel.empty());
    EXPECT_EQ(wheel.NextEventNs(), TimerWheel::kNever);
  }
  EXPECT_EQ(wheel.Advance(kMax), 0u);
}

TEST(TimerWheelTest, ItsEndDisarmsItsTimers) {
  TestTimer timers[3];
  std::optional<TimerWheel> wheel(100);
  wheel->Arm(timers[0], 0);
  wheel->Arm(timers[1], 500);
  wheel->Arm(timers[2], kMax);
  wheel.emplace(100);
  for (TestTimer& timer : timers) EXPECT_FALSE(timer.armed());
  wheel->Arm(timers[0], 500);
  EXPECT_EQ(wheel->Advance(kMax), 1u);
}

TEST(TimerWheelTest, ATimerThatReArmsItselfForNowFiresOncePerAdvance) {
  TimerWheel wheel(0);
  TestTimer* self = nullptr;
  TestTimer timer([&] { wheel.Arm(*self, 1000); });
  self = &timer;
  wheel.Arm(timer, 1000);
  for (int round = 1; round <= 3; ++round) {
    EXPECT_EQ(wheel.Advance(1000), 1u);
    EXPECT_EQ(timer.fired(), round);
    EXPECT_EQ(wheel.NextEventNs(), 1000u);
  }
}

TEST(TimerWheelTest, OnTimerMayArmForLaterInTheSameTick) {
  TimerWheel wheel(0);
  TestTimer* self = nullptr;
  TestTimer timer([&] { wheel.Arm(*self, self->deadline_ns() + 1); });
  self = &timer;
  wheel.Arm(timer, kTickNs - 2);
  for (uint64_t now = kTickNs - 2; now < kTickNs + 3; ++now) {
    EXPECT_EQ(wheel.NextEventNs(), now);
    EXPECT_EQ(wheel.Advance(now), 1u);
  }
}

TEST(TimerWheelTest, OnTimerMayDestroyItsOwnAndTheNextTimers) {
  for (const uint64_t apart_ns : {uint64_t{0}, uint64_t{1}, kTickNs, SlotNs(3, 1)}) {
    TimerWheel wheel(0);
    std::optional<TestTimer> next;
    std::optional<TestTimer> later;
    std::optional<TestTimer> self;
    self.emplace([&] {
      next.reset();
      wheel.Cancel(*later);
      self.reset();
    });
    next.emplace();
    later.emplace();
    wheel.Arm(*self, 10);
    wheel.Arm(*next, 10 + apart_ns);
    wheel.Arm(*later, 10 + 2 * apart_ns);
    EXPECT_EQ(wheel.Advance(SlotNs(4, 1)), 1u);
    EXPECT_FALSE(self.has_value());
    EXPECT_EQ(later->fired(), 0);
    EXPECT_TRUE(wheel.empty());
  }
}

TEST(TimerWheelTest, OnTimerMayPostponeATimerThatIsDue) {
  TimerWheel wheel(0);
  TestTimer next;
  TestTimer first([&] { wheel.Arm(next, 5000); });
  wheel.Arm(first, 10);
  wheel.Arm(next, 10);
  EXPECT_EQ(wheel.Advance(4000), 1u);
  EXPECT_EQ(wheel.NextEventNs(), 5000u);
  EXPECT_EQ(wheel.Advance(5000), 1u);
  EXPECT_EQ(next.fired(), 1);
}

TEST(TimerWheelTest, AMillionTimers) {
  constexpr size_t kTimers = 1'000'000;
  std::mt19937_64 random(1);
  std::vector<TestTimer> timers(kTimers);
  std::vector<uint64_t> deadlines;
  TimerWheel wheel(0);
  for (size_t i = 0; i < kTimers; ++i) wheel.Arm(timers[i], random() % 100'000'000'000);
  for (size_t i = 0; i < kTimers; ++i) {
    if (i % 3 == 0) {
      wheel.Cancel(timers[i]);
    } else {
      deadlines.push_back(timers[i].deadline_ns());
    }
  }
  EXPECT_EQ(wheel.size(), deadlines.size());
  std::sort(deadlines.begin(), deadlines.end());
  size_t fired = 0;
  for (uint64_t now = 0; !wheel.empty(); now += random() % 1'000'000'000) {
    fired += wheel.Advance(now);
    const auto due = std::upper_bound(deadlines.begin(), deadlines.end(), now);
    ASSERT_EQ(fired, static_cast<size_t>(due - deadlines.begin()));
  }
  for (size_t i = 0; i < kTimers; ++i) ASSERT_EQ(timers[i].fired(), i % 3 == 0 ? 0 : 1);
}

TEST(TimerWheelDeathTest, CallsThatItsContractForbids) {
  TimerWheel wheel(1000);
  TimerWheel other(0);
  TestTimer timer;
  EXPECT_DEATH(wheel.Advance(999), "to an earlier time");
  other.Arm(timer, 5);
  EXPECT_DEATH(wheel.Cancel(timer), "the timer is not armed on");
  TestTimer advances([&] { wheel.Advance(3000); });
  wheel.Arm(advances, 0);
  EXPECT_DEATH(wheel.Advance(2000), "OnTimer called Advance");
  std::optional<TimerWheel> destroyed(0);
  TestTimer destroys([&] { destroyed.reset(); });
  destroyed->Arm(destroys, 0);
  EXPECT_DEATH(destroyed->Advance(0), "OnTimer destroyed its TimerWheel");
}

// The wheel beside a model of what is armed, in the order in which it is to fire.
class TimerWheelModelTest : public testing::TestWithParam<int> {
 protected:
  static constexpr size_t kTimers = 40;

  TimerWheelModelTest()
      : random_(static_cast<uint64_t>(GetParam())),
        now_ns_(random_() >> (random_() % 64)),
        wheel_(now_ns_) {
    for (size_t id = 0; id < kTimers; ++id) Renew(id);
  }

  uint64_t After(uint64_t delta_ns) const {
    return delta_ns > kMax - now_ns_ ? kMax : now_ns_ + delta_ns;
  }

  // From nanoseconds to decades ahead, all magnitudes alike; half of them at the edge of a slot.
  uint64_t RandomLater() {
    const uint64_t later = After(random_() >> (4 + random_() % 60));
    const uint64_t shift = random_() % 64;
    return random_() % 2 == 0 ? later : std::max(now_ns_, later >> shift << shift);
  }

  void DoSomething() {
    const size_t id = random_() % kTimers;
    switch (random_() % 8) {
      case 0:
        wheel_.Cancel(*timers_[id]);
        Forget(id);
        break;
      case 1:
        Renew(id);
        Forget(id);
        break;
      case 2:
        Arm(id, now_ns_ - std::min(now_ns_, random_() >> (random_() % 64)));
        break;
      case 3:  // the same tick as another timer's
        Arm(id, timers_[random_() % kTimers]->deadline_ns() ^ (random_() % kTickNs));
        break;
      default:
        Arm(id, RandomLater());
    }
    ExpectAgreement();
  }

  void Advance(uint64_t now_ns) {
    now_ns_ = now_ns;
    for (auto at = armed_.begin(); at != armed_.end();) {
      const size_t id = at->second;
      if (timers_[id]->deadline_ns() > now_ns) {
        ++at;
      } else {
        due_.push_back(id);
        at = armed_.erase(at);
      }
    }
    fired_ = 0;
    advancing_ = true;
    const size_t fired = wheel_.Advance(now_ns);
    advancing_ = false;
    EXPECT_EQ(fired, fired_);
    EXPECT_THAT(due_, IsEmpty());
    ExpectAgreement();
  }

  std::mt19937_64 random_;
  uint64_t now_ns_;
  TimerWheel wheel_;
  bool on_timer_acts_ = true;

 private:
  void Renew(size_t id) {
    timers_[id] = std::make_unique<TestTimer>([this, id] { OnFired(id); });
  }

  void Arm(size_t id, uint64_t deadline_ns) {
    wheel_.Arm(*timers_[id], deadline_ns);
    Forget(id);
    // First those that are overdue, then tick 0, and so on.
    armed_.emplace(deadline_ns <= now_ns_ ? 0 : 1 + deadline_ns / kTickNs, id);
  }

  void Forget(size_t id) {
    std::erase_if(armed_, [id](const auto& entry) { return entry.second == id; });
    std::erase(due_, id);
  }

  void OnFired(size_t id) {
    ++fired_;
    ASSERT_THAT(due_, Not(IsEmpty()));
    EXPECT_EQ(due_.front(), id);
    std::erase(due_, id);
    while (on_timer_acts_ && random_() % 2 == 0) DoSomething();
  }

  void ExpectAgreement() const {
    ASSERT_EQ(wheel_.size(), armed_.size() + due_.size());
    uint64_t earliest_ns = due_.empty() ? TimerWheel::kNever : now_ns_;
    for (const auto& [key, id] : armed_) {
      earliest_ns = std::min(earliest_ns, std::max(now_ns_, timers_[id]->deadline_ns()));
    }
    const uint64_t next_ns = wheel_.NextEventNs();
    ASSERT_LE(next_ns, earliest_ns);
    if (earliest_ns == now_ns_) {
      ASSERT_EQ(next_ns, now_ns_);
    } else if (!advancing_) {
      ASSERT_GT(next_ns, now_ns_);
    }
    ASSERT_TRUE(!wheel_.empty() || next_ns == TimerWheel::kNever);
  }

  std::unique_ptr<TestTimer> timers_[kTimers];
  std::multimap<uint64_t, size_t> armed_;  // equal keys stay in the order of arming
  std::vector<size_t> due_;                // to fire in the Advance that is under way
  size_t fired_ = 0;
  bool advancing_ = false;
};

TEST_P(TimerWheelModelTest, Agrees) {
  for (int step = 0; step < 1000 && !HasFailure(); ++step) {
    switch (random_() % 8) {
      case 0:
        Advance(RandomLater());
        break;
      case 1:
        Advance(After(random_() % 2000));
        break;
      case 2:
        Advance(wheel_.NextEventNs());
        break;
      case 3:
        Advance(std::max(now_ns_, wheel_.NextEventNs() - 1));
        break;
      default:
        DoSomething();
    }
  }
}

TEST_P(TimerWheelModelTest, NextEventLeadsToTheEnd) {
  for (size_t i = 0; i < 3 * kTimers; ++i) DoSomething();
  // Each event cascades a timer, is the beginning of its tick, fires it, or corrects a level's
  // earliest deadline after a timer was cancelled.
  const size_t most = wheel_.size() * (kLevels - 1 + 2) + kLevels;
  on_timer_acts_ = false;
  size_t events = 0;
  for (; !wheel_.empty() && !HasFailure(); ++events) Advance(wheel_.NextEventNs());
  EXPECT_LE(events, most);
}

INSTANTIATE_TEST_SUITE_P(Seeds, TimerWheelModelTest, testing::Range(0, 100));

}  // namespace
}  // namespace ioengine
