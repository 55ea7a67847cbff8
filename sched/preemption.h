// Preemption: tells a slice, after each task and in each MaybeYield, whether to end.
#ifndef IOENGINE_SCHED_PREEMPTION_H_
#define IOENGINE_SCHED_PREEMPTION_H_

#include <cstdint>

#include "ioengine/sched/clock.h"
#include "ioengine/sched/poller.h"

namespace ioengine {

// The question is asked far too often for a clock (25 ns) or even the processor's counter (10 ns).
// So the executor looks at a word that somebody else raises: the kernel raises the poller's flag
// when a completion is due, and a timeout of one slice on the ring makes sure that one is. The word
// is looked at for 0.3 ns, the timeout costs a system call for each 500 µs.
//
//                     slice is longer than kArmAfterNs:
//   counting ──────────────── ArmFlag ───────────────► flagged
//      ▲                                                  │
//      └── a slice begins while no timeout is on its way ─┘
//
// Short slices never get there: they look at the counter. So does a poller without a flag. While a
// class is alone and its tasks are short, one question in eight does.
//
// Shard: one.
class Preemption {
 public:
  // A slice that is cut for a completion has lasted so long: or each completion would pay for a
  // trip into the kernel of its own.
  static constexpr uint64_t kMinSliceNs = 20'000;
  static constexpr uint64_t kArmAfterNs = 50'000;
  // What is skipped, where the questions before came this close to each other.
  static constexpr uint32_t kSkippedQuestions = 7;
  static constexpr uint64_t kCloseNs = 1'000;

  Preemption(Poller& poller, const Clock& clock);

  // A slice begins, and is to end `limit_ns` from now. `alone`: nobody but the poller waits for its
  // end, so that it need not be precise.
  void BeginSlice(uint64_t now_ns, uint64_t limit_ns, bool alone);

  // Somebody waits for the end of the slice from now on.
  void BePrecise() {
    alone_ = false;
    questions_to_skip_ = 0;
  }

  // The slice is to end at `time_ns`, if that is earlier.
  void LimitTo(uint64_t time_ns);

  // Ends the slice at the next question, for another class.
  void Request() {
    requested_ = true;
    LookAtCounter();
  }

  bool requested() const { return requested_; }

  // Whether the slice is to end. Cost: two loads while nothing is raised.
  bool IsDue() { return (__atomic_load_n(word_, __ATOMIC_RELAXED) & mask_) != 0 && Decide(); }

 private:
  static constexpr unsigned kRaised = ~0u;

  bool Decide();
  void LookAtCounter() {
    word_ = &kRaised;
    mask_ = kRaised;
  }
  void LookAtFlag() {
    word_ = flag_.word;
    mask_ = flag_.mask;
  }
  // Of the processor's counter; of the clock, where time is simulated.
  uint64_t Ticks() const;
  uint64_t InTicks(uint64_t ns) const;
  void Calibrate(uint64_t now_ns, uint64_t ticks);
  bool FlagIsRaised() const {
    return flag_.word != nullptr && (__atomic_load_n(flag_.word, __ATOMIC_RELAXED) & flag_.mask);
  }

  Poller& poller_;
  const Clock& clock_;
  const bool real_;
  const Poller::Flag flag_;
  // What IsDue looks at: the poller's flag, or kRaised when Decide is to look at the counter.
  const unsigned* word_ = &kRaised;
  unsigned mask_ = kRaised;
  bool requested_ = false;
  bool alone_ = false;
  uint32_t questions_to_skip_ = 0;

  // Ticks are those of the processor's counter, or nanoseconds of a simulated clock.
  double ticks_per_ns_ = 1;
  uint64_t begin_ticks_ = 0;
  uint64_t looked_ticks_ = 0;  // when it looked last
  uint64_t limit_ticks_ = 0;
  uint64_t limit_ns_ = 0;
  uint64_t flag_due_ns_ = 0;  // when the timeout that is on its way is over
  uint64_t begin_ns_ = 0;
  // A moment in both units, from which the counter's rate is found.
  uint64_t known_ns_ = 0;
  uint64_t known_ticks_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_PREEMPTION_H_
