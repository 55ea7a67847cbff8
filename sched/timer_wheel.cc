#include "ioengine/sched/timer_wheel.h"

#include <algorithm>
#include <bit>

#include "ioengine/sched/check.h"

// Invariants, while no method runs and whenever OnTimer does:
//
//  1. A timer in a slot has a tick no earlier than tick_, and is in the slot that PositionOf gives
//     for its deadline and tick_. So its place need not be stored: Cancel computes it.
//  2. A bit of occupied_ is set just when its slot has timers; a bit of levels_, when its level
//  has.
//  3. earliest_ns_[l] is no later than any deadline at level l and no earlier than the beginning of
//     its first occupied slot; kNever when the level is empty.
//  4. Between calls of Advance, tick_ is the tick of now_ns_, and what is due is in overdue_.
//
// The next event. By 1, a timer at level l has the same digits above l as tick_, and a greater
// digit l (at level 0 it may be the same one). So the slots at a level are in order of time from
// the lowest bit on, and a timer at a higher level, which has a greater digit there, comes after
// all of them. Hence FirstOccupied.
//
// Moving tick_. Let no occupied slot begin at or before tick t > tick_. Then tick_ = t keeps 1: a
// timer at level l is in a slot that begins after t and whose digits above l are those of the old
// tick_; t lies between the two, so it has these digits too, and a digit l below the slot's. Thus
// time jumps over any number of empty slots at once. FireSlots empties the slots that begin by the
// new time first, in order of time.
//
// Cascades. When tick_ gets to the beginning of a slot at level l > 0, the slot's timers agree with
// tick_ in digit l and all above, so that Place puts each of them at a lower level, which is the
// bound of seven cascades per timer. All lower levels are empty then, because they come first. So
// timers of one tick, which are always in one slot, by 1, stay in the order of their arming.
//
// OnTimer runs while tick_ is on its way to the tick of now_ns_. What it arms is either after
// now_ns_ and so in no slot that fires, or due and waits in overdue_: Advance ends.
//
// An idle shard need not wake up for a cascade: Advance is right after any jump, so NextEventNs
// gives the earliest deadline where it is known. It is lost when the first slot of a level goes and
// others remain: their earliest would have to be searched for, or kept per slot (4 KiB). Then the
// beginning of the next slot has to do, at the price of one early wake-up for a slot.

namespace ioengine {
namespace {

constexpr size_t kCacheLineBytes = 64;

}  // namespace

TimerWheel::TimerWheel(uint64_t now_ns) : now_ns_(now_ns), tick_(now_ns >> kTickBits) {
  earliest_ns_.fill(kNever);
}

TimerWheel::~TimerWheel() {
  IOENGINE_CHECK(!firing_, "OnTimer destroyed its TimerWheel; do it after Advance");
}

TimerWheel::Position TimerWheel::PositionOf(uint64_t deadline_ns) const {
  const uint64_t tick = deadline_ns >> kTickBits;
  const int highest_bit = std::bit_width((tick ^ tick_) | 1) - 1;
  const int level = highest_bit / kSlotBits;
  return {.level = static_cast<size_t>(level), .slot = (tick >> (level * kSlotBits)) % kSlots};
}

// Where a slot begins, in ticks.
uint64_t TimerWheel::FirstTick(Position position) const {
  const size_t shift = position.level * kSlotBits;
  const uint64_t digits_above = tick_ >> (shift + kSlotBits) << (shift + kSlotBits);
  return digits_above | position.slot << shift;
}

// Requires a timer in some slot.
TimerWheel::Position TimerWheel::FirstOccupied() const {
  const size_t level = static_cast<size_t>(std::countr_zero(levels_));
  return {.level = level, .slot = static_cast<size_t>(std::countr_zero(occupied_[level]))};
}

void TimerWheel::Place(Timer& timer) {
  const auto [level, slot] = PositionOf(timer.deadline_ns_);
  slots_[level][slot].PushBack(timer);
  occupied_[level] |= uint64_t{1} << slot;
  levels_ |= uint32_t{1} << level;
  earliest_ns_[level] = std::min(earliest_ns_[level], timer.deadline_ns_);
}

// Restores the invariants after the last timer left a slot. Does nothing to a slot that was empty.
void TimerWheel::MarkEmpty(Position position) {
  const auto [level, slot] = position;
  occupied_[level] &= ~(uint64_t{1} << slot);
  if (occupied_[level] == 0) {
    levels_ &= ~(uint32_t{1} << level);
    earliest_ns_[level] = kNever;
    return;
  }
  const size_t first = static_cast<size_t>(std::countr_zero(occupied_[level]));
  const uint64_t first_ns = FirstTick({.level = level, .slot = first}) << kTickBits;
  earliest_ns_[level] = std::max(earliest_ns_[level], first_ns);
}

void TimerWheel::Arm(Timer& timer, uint64_t deadline_ns) {
  if (timer.armed()) timer.wheel_->Cancel(timer);
  timer.wheel_ = this;
  timer.deadline_ns_ = deadline_ns;
  ++size_;
  if (deadline_ns <= now_ns_) {
    overdue_.PushBack(timer);
  } else {
    Place(timer);
  }
}

void TimerWheel::Cancel(Timer& timer) {
  if (!timer.armed()) return;
  IOENGINE_CHECK(timer.wheel_ == this, "Cancel on a TimerWheel that the timer is not armed on");
  timer.Unlink();
  --size_;
  // For a timer that was due this is some slot that is none of its own: looking at it is harmless.
  const Position position = PositionOf(timer.deadline_ns_);
  if (slots_[position.level][position.slot].empty()) MarkEmpty(position);
}

size_t TimerWheel::Advance(uint64_t now_ns) {
  IOENGINE_CHECK(now_ns >= now_ns_, "Advance to an earlier time than before");
  IOENGINE_CHECK(!firing_, "OnTimer called Advance; arm a timer instead");
  now_ns_ = now_ns;
  firing_ = true;
  while (!overdue_.empty()) due_.PushBack(overdue_.PopFront());
  const size_t fired = FireDue() + FireSlots();
  firing_ = false;
  return fired;
}

// Moves tick_ to now_ns_, over the slots that begin by then, in order of time.
size_t TimerWheel::FireSlots() {
  const uint64_t now_tick = now_ns_ >> kTickBits;
  size_t fired = 0;
  while (levels_ != 0) {
    const Position first = FirstOccupied();
    const uint64_t first_tick = FirstTick(first);
    if (first_tick > now_tick) break;
    tick_ = first_tick;
    if (first.level > 0) {
      Cascade(first);
    } else if (first_tick < now_tick) {
      fired += FireSlot(first);
    } else {
      // This tick is not over. Its timers are looked at only when one may be due.
      if (earliest_ns_[0] <= now_ns_) {
        TakeDue(first);
        fired += FireDue();
      }
      break;
    }
  }
  tick_ = now_tick;
  return fired;
}

// Of a slot at level 0 whose tick is over. Nothing gets into it meanwhile: its time is past.
size_t TimerWheel::FireSlot(Position position) {
  IntrusiveList<Timer>& slot = slots_[position.level][position.slot];
  size_t fired = 0;
  for (; !slot.empty(); ++fired) {
    Timer& timer = slot.PopFront();
    if (slot.empty()) MarkEmpty(position);
    --size_;
    timer.OnTimer();
  }
  return fired;
}

size_t TimerWheel::FireDue() {
  size_t fired = 0;
  for (; !due_.empty(); ++fired) {
    Timer& timer = due_.PopFront();
    --size_;
    timer.OnTimer();
  }
  return fired;
}

// Of a slot at level 0, to due_.
void TimerWheel::TakeDue(Position position) {
  IntrusiveList<Timer>& slot = slots_[position.level][position.slot];
  IntrusiveList<Timer> later;
  while (!slot.empty()) {
    Timer& timer = slot.PopFront();
    (timer.deadline_ns_ <= now_ns_ ? due_ : later).PushBack(timer);
  }
  MarkEmpty(position);
  while (!later.empty()) Place(later.PopFront());
}

// Requires tick_ at the beginning of the slot, which is above level 0.
void TimerWheel::Cascade(Position position) {
  IntrusiveList<Timer>& slot = slots_[position.level][position.slot];
  while (!slot.empty()) {
    Timer& timer = slot.PopFront();
    // It fires within milliseconds, and what it wakes, the coroutine in whose frame it lives, was
    // last touched when it was armed.
    __builtin_prefetch(reinterpret_cast<const char*>(&timer) - kCacheLineBytes);
    __builtin_prefetch(reinterpret_cast<const char*>(&timer) + kCacheLineBytes);
    Place(timer);
  }
  MarkEmpty(position);
}

uint64_t TimerWheel::NextEventNs() const {
  if (!due_.empty() || !overdue_.empty()) return now_ns_;
  if (levels_ == 0) return kNever;
  return std::max(now_ns_, earliest_ns_[FirstOccupied().level]);
}

}  // namespace ioengine
