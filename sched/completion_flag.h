// CompletionFlag: set once by a shard; a foreign thread waits for it.
#ifndef IOENGINE_SCHED_COMPLETION_FLAG_H_
#define IOENGINE_SCHED_COMPLETION_FLAG_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "ioengine/sched/pulse.h"

namespace ioengine {

// Setting it costs a system call only if a thread sleeps.
class CompletionFlag {
 public:
  bool is_set() const { return state_.load(std::memory_order_acquire) == kSet; }

  // What was written before is visible to who sees it set. The object may be gone when this
  // returns: the waiting thread owns it from then on.
  void Set();

  // How a wait ended.
  enum class Outcome : uint8_t {
    kSet,
    kDeadline,
    kSilence,  // the shard has run no turn for so long
  };
  static constexpr uint64_t kNever = UINT64_MAX;

  // Blocks the calling thread until it is set, until `deadline_ns` of the monotonic clock, or until
  // the executor of `pulse` (may be null) has not run for `silence_ns` (0: no matter).
  Outcome Wait(uint64_t deadline_ns, Pulse* pulse, uint64_t silence_ns);

 private:
  static constexpr uint32_t kClear = 0;
  static constexpr uint32_t kWaitedFor = 1;
  static constexpr uint32_t kSet = 2;

  std::atomic<uint32_t> state_{kClear};
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_COMPLETION_FLAG_H_
