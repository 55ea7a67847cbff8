// Pulse: whether an executor still runs its turns, for threads that wait for it.
#ifndef IOENGINE_SCHED_PULSE_H_
#define IOENGINE_SCHED_PULSE_H_

#include <atomic>
#include <cstdint>
#include <mutex>

namespace ioengine {

class Executor;

// Lives as long as anybody looks at it: it may be there before its one executor, and when that is
// gone; then there are no turns. Any thread.
class Pulse {
 public:
  Pulse() = default;
  Pulse(const Pulse&) = delete;
  Pulse& operator=(const Pulse&) = delete;

  // Goes on with each turn.
  uint64_t turns() const { return turns_.load(std::memory_order_relaxed); }

  // Has a sleeping executor run a turn: one that lives goes on soon. Cost: a lock, a system call.
  void Nudge();

  // The executor's.
  void Begin(Executor& executor);
  void Beat(uint64_t turns) { turns_.store(turns, std::memory_order_relaxed); }
  void End();

 private:
  alignas(64) std::atomic<uint64_t> turns_{0};
  alignas(64) std::mutex mutex_;
  Executor* executor_ = nullptr;  // null before it is there, and when it is gone
};

// For a thread that waits for an executor: whether that has run no turn for too long.
class SilenceWatch {
 public:
  // Borrows `pulse`. Null, or 0: it is never silent.
  SilenceWatch(Pulse* pulse, uint64_t silence_ns, uint64_t now_ns)
      : pulse_(silence_ns == 0 ? nullptr : pulse),
        silence_ns_(silence_ns),
        turns_(pulse_ == nullptr ? 0 : pulse_->turns()),
        heard_ns_(now_ns) {}

  // Nudges it in time.
  bool IsSilent(uint64_t now_ns);
  // When to ask again: UINT64_MAX for never.
  uint64_t NextLookNs(uint64_t now_ns) const {
    return pulse_ == nullptr ? UINT64_MAX : now_ns + silence_ns_ / 4 + 1;
  }

 private:
  Pulse* const pulse_;
  const uint64_t silence_ns_;
  uint64_t turns_;
  uint64_t heard_ns_;
  uint64_t nudged_ns_ = 0;  // since then without an answer; 0: not yet
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_PULSE_H_
