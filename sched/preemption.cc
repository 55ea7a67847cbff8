#include "ioengine/sched/preemption.h"

#include <algorithm>
#include <utility>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace ioengine {
namespace {

// How far apart two looks at clock and counter must be to give the counter's rate (to 0.1 ‰, since
// they are some 100 ns apart), and after how long they are taken anew.
constexpr uint64_t kCalibrateAfterNs = 1'000'000;
constexpr uint64_t kCalibrateAgainNs = 1'000'000'000;
// The flag may come so much later than a slice is to end.
constexpr uint64_t kFlagToleranceNs = 10'000;

}  // namespace

Preemption::Preemption(Poller& poller, const Clock& clock)
    : poller_(poller),
      clock_(clock),
      real_(clock.is_real()),
      flag_(clock.is_real() ? poller.flag() : Poller::Flag()),
      known_ns_(clock.NowNs()),
      known_ticks_(Ticks()) {}

uint64_t Preemption::Ticks() const {
#if defined(__x86_64__)
  if (real_) [[likely]] {
    return __rdtsc();
  }
#endif
  return clock_.NowNs();
}

void Preemption::Calibrate(uint64_t now_ns, uint64_t ticks) {
  const uint64_t elapsed_ns = now_ns - known_ns_;
  if (elapsed_ns < kCalibrateAfterNs) return;
  ticks_per_ns_ = static_cast<double>(ticks - known_ticks_) / static_cast<double>(elapsed_ns);
  if (elapsed_ns < kCalibrateAgainNs) return;
  known_ns_ = now_ns;
  known_ticks_ = ticks;
}

uint64_t Preemption::InTicks(uint64_t ns) const {
  return static_cast<uint64_t>(static_cast<double>(ns) * ticks_per_ns_);
}

void Preemption::BeginSlice(uint64_t now_ns, uint64_t limit_ns, bool alone) {
  alone_ = alone;
  questions_to_skip_ = 0;
  begin_ns_ = now_ns;
  limit_ns_ = limit_ns;
  begin_ticks_ = looked_ticks_ = Ticks();
  if (real_) Calibrate(now_ns, begin_ticks_);
  limit_ticks_ = InTicks(limit_ns);
  requested_ = false;
  const bool flagged = poller_.flag_armed() &&
                       flag_due_ns_ <= now_ns + limit_ns + kFlagToleranceNs && !FlagIsRaised();
  flagged ? LookAtFlag() : LookAtCounter();
}

void Preemption::LimitTo(uint64_t time_ns) {
  const uint64_t limit_ns = time_ns - std::min(begin_ns_, time_ns);
  if (limit_ns >= limit_ns_) return;
  BePrecise();
  limit_ns_ = limit_ns;
  limit_ticks_ = InTicks(limit_ns);
  if (flag_due_ns_ > time_ns + kFlagToleranceNs) LookAtCounter();
}

bool Preemption::Decide() {
  if (requested_) return true;
  if (questions_to_skip_ > 0) {
    --questions_to_skip_;
    return false;
  }
  const uint64_t ticks = Ticks();
  const uint64_t since_last = ticks - std::exchange(looked_ticks_, ticks);
  const uint64_t elapsed = ticks - begin_ticks_;
  if (elapsed >= limit_ticks_) return true;
  if (alone_ && since_last < InTicks(kCloseNs)) questions_to_skip_ = kSkippedQuestions;
  if (FlagIsRaised()) return elapsed >= InTicks(kMinSliceNs);
  if (flag_.word == nullptr || elapsed < InTicks(kArmAfterNs) || poller_.flag_armed()) return false;
  const auto elapsed_ns = static_cast<uint64_t>(static_cast<double>(elapsed) / ticks_per_ns_);
  if (!poller_.ArmFlag(limit_ns_ - std::min(elapsed_ns, limit_ns_))) return false;
  flag_due_ns_ = begin_ns_ + limit_ns_;
  LookAtFlag();
  return false;
}

}  // namespace ioengine
