#include "ioengine/sched/completion_flag.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "ioengine/sched/clock.h"

namespace ioengine {
namespace {

// How often the first look at the flag is repeated before the thread sleeps: about as long as a
// call to a shard that is awake takes.
constexpr int kSpins = 100;

// std::atomic's wait is a futex too, but has no timeout.
uint32_t* Word(std::atomic<uint32_t>& atomic) {
  static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));
  return reinterpret_cast<uint32_t*>(&atomic);
}

// Until it is woken, the value is another one, or the time has come; may return early.
void FutexWait(std::atomic<uint32_t>& word, uint32_t value, uint64_t deadline_ns) {
  timespec until = {.tv_sec = static_cast<time_t>(deadline_ns / 1'000'000'000),
                    .tv_nsec = static_cast<long>(deadline_ns % 1'000'000'000)};
  timespec* const limit = deadline_ns == CompletionFlag::kNever ? nullptr : &until;
  syscall(SYS_futex, Word(word), FUTEX_WAIT_BITSET_PRIVATE, value, limit, nullptr,
          FUTEX_BITSET_MATCH_ANY);
}

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

void CompletionFlag::Set() {
  uint32_t* const word = Word(state_);
  if (state_.exchange(kSet, std::memory_order_acq_rel) != kWaitedFor) return;
  // The object may be gone here; then this wakes nobody, or somebody who looks again.
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, nullptr, nullptr, 0);
}

CompletionFlag::Outcome CompletionFlag::Wait(uint64_t deadline_ns, Pulse* pulse,
                                             uint64_t silence_ns) {
  for (int i = 0; i < kSpins; ++i) {
    if (is_set()) return Outcome::kSet;
    Pause();
  }
  uint32_t expected = kClear;
  state_.compare_exchange_strong(expected, kWaitedFor, std::memory_order_acq_rel);
  const Clock& clock = MonotonicClock::Get();
  SilenceWatch watch(pulse, silence_ns, clock.NowNs());
  while (!is_set()) {
    const uint64_t now_ns = clock.NowNs();
    if (now_ns >= deadline_ns) return Outcome::kDeadline;
    if (watch.IsSilent(now_ns)) return Outcome::kSilence;
    FutexWait(state_, kWaitedFor, std::min(deadline_ns, watch.NextLookNs(now_ns)));
  }
  return Outcome::kSet;
}

}  // namespace ioengine
