// TimerWheel: the timers of one shard. A hierarchical timing wheel (G. Varghese and T. Lauck,
// "Hashed and Hierarchical Timing Wheels", SOSP 1987): arm and cancel in constant time, however
// many timers there are.
//
// In ticks of 65,536 ns, a time is a number of eight digits of six bits; level l has a slot for
// each value of digit l. A timer waits at the level of the highest digit in which its deadline
// differs from the present tick, in the slot of that digit's value:
//
//   level   a slot    the level           p: the present tick's digit    x: a slot with timers
//     0     66 µs      4.2 ms      | | | | | |p|x| | |x| | … | |  ──► fires
//     1    4.2 ms      268 ms      | | |p| | | | |x| | | | … |x|  ──┐ when p gets to a slot, its
//     2    268 ms        17 s      | | | | | | | | |p| | | … | |  ◄─┘ timers go to lower levels:
//     3      17 s      18 min      |p| | | |x| | | | | | | … | |      they cascade
//     4    18 min      19.5 h      | | | | | | |p| | | | | … | |
//     5    19.5 h     52 days               …
//     6   52 days   9.1 years
//     7 9.1 years   584 years    all of uint64_t
//
// A tick is long so that most timers cascade once or not at all: with many of them each step is a
// cache miss. It does not make them late: within the present tick, exact deadlines are looked at.
//
// No wheel ever turns over: timers are to the right of their level's p (at level 0 also on it), and
// everything at a level comes before anything at the next. So the next event is in the first
// occupied slot of the lowest level that is not empty: two instructions on bitmaps.
#ifndef IOENGINE_SCHED_TIMER_WHEEL_H_
#define IOENGINE_SCHED_TIMER_WHEEL_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "ioengine/sched/intrusive_list.h"

namespace ioengine {

class TimerWheel;

// Something to be done at a time. Intrusive: it lives in whatever waits, such as a coroutine's
// frame, and leaves its wheel when it is destroyed. 40 bytes.
//
// Shard: its wheel's.
class Timer : private ListLink {
 public:
  Timer() = default;
  // Not armed yet: for whoever arms it later, with deadline_ns().
  explicit Timer(uint64_t deadline_ns) : deadline_ns_(deadline_ns) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  virtual ~Timer();

  // Whether it is still to fire. No longer so when OnTimer begins, or once its wheel is gone.
  bool armed() const { return linked(); }

  // What it was made or last armed with.
  uint64_t deadline_ns() const { return deadline_ns_; }

 private:
  friend class TimerWheel;
  friend class IntrusiveList<Timer>;

  // Called by Advance. May arm, cancel and destroy any timer, this one included; may neither call
  // Advance nor destroy the wheel (CHECK).
  virtual void OnTimer() = 0;

  uint64_t deadline_ns_ = 0;
  TimerWheel* wheel_ = nullptr;  // the one that it was last armed on
};

// Borrows its timers: each stays where it is while it is armed. 8.2 KiB, no allocations.
//
// Shard: one; nothing is synchronised. Times are nanoseconds of one clock; which, is the caller's
// business.
class TimerWheel {
 public:
  static constexpr uint64_t kNever = UINT64_MAX;

  explicit TimerWheel(uint64_t now_ns);
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Disarms the timers that are left; they do not fire.
  ~TimerWheel();

  // Makes `timer` fire at the first Advance whose time is `deadline_ns` or later; at the next one
  // when that has passed already. A timer that is armed, here or on another wheel, forgets its
  // former deadline. Cost: O(1), about 5 ns in cache.
  void Arm(Timer& timer, uint64_t deadline_ns);

  // `timer` does not fire. Nothing happens when it is not armed; when it is, it must be armed on
  // this wheel (CHECK). Cost: O(1), about 5 ns in cache.
  void Cancel(Timer& timer);

  // Says that it is `now_ns`, no earlier than before (CHECK), and fires the timers whose deadline
  // is not after it, each once. Returns how many fired.
  //
  // Order: timers whose deadline had passed when they were armed, in the order of arming; then by
  // tick of the deadline, and within a tick in the order of arming. What OnTimer arms waits for the
  // next Advance even when it is due, so a timer that re-arms itself for now cannot hold the shard.
  //
  // Cost: a few ns when nothing is due, however far the time jumps; else constant per timer that
  // fires, and per timer that cascades, which each does seven times at most; and a look at each
  // timer of the present tick when one of them is due.
  size_t Advance(uint64_t now_ns);

  // A time until which Advance need not be called: none of the timers has an earlier deadline. It
  // is after the time of the last Advance, or that time when a timer is due already. kNever when
  // there is no timer (or none with another deadline).
  //
  // As a rule it is the first deadline. It is earlier after the timer with the first deadline was
  // cancelled, or when others wait at the same level (it is then when their slot cascades); after
  // an Advance at that time it is a later one. Cost: O(1).
  uint64_t NextEventNs() const;

  // Armed timers.
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  static constexpr int kTickBits = 16;
  static constexpr int kSlotBits = 6;
  static constexpr size_t kSlots = size_t{1} << kSlotBits;
  static constexpr size_t kLevels = (64 - kTickBits) / kSlotBits;
  static_assert(kLevels * kSlotBits + kTickBits == 64, "the levels cover every time");

  struct Position {
    size_t level;
    size_t slot;
  };

  Position PositionOf(uint64_t deadline_ns) const;
  uint64_t FirstTick(Position position) const;
  Position FirstOccupied() const;
  void Place(Timer& timer);
  void MarkEmpty(Position position);
  void Cascade(Position position);
  size_t FireSlots();
  size_t FireSlot(Position position);
  size_t FireDue();
  void TakeDue(Position position);

  uint64_t now_ns_;  // of the last Advance
  uint64_t tick_;    // the present tick; behind now_ns_ only within Advance
  size_t size_ = 0;
  bool firing_ = false;
  uint32_t levels_ = 0;                        // bit l: level l has timers
  std::array<uint64_t, kLevels> occupied_{};   // bit s: slot s of the level has timers
  std::array<uint64_t, kLevels> earliest_ns_;  // no deadline of the level is before this
  IntrusiveList<Timer> overdue_;  // were due when they were armed; for the next Advance
  IntrusiveList<Timer> due_;      // about to fire in this Advance
  std::array<std::array<IntrusiveList<Timer>, kSlots>, kLevels> slots_;
};

inline Timer::~Timer() {
  if (armed()) wheel_->Cancel(*this);
}

}  // namespace ioengine

#endif  // IOENGINE_SCHED_TIMER_WHEEL_H_
