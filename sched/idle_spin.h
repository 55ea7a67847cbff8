// IdleSpin: how long an idle shard looks for work before it sleeps.
#ifndef IOENGINE_SCHED_IDLE_SPIN_H_
#define IOENGINE_SCHED_IDLE_SPIN_H_

#include <algorithm>
#include <cstdint>

namespace ioengine {

// To sleep and be woken costs tens of microseconds (8 at the sender, 29 until the shard runs, on a
// virtual machine); to spin costs the CPU. Spinning for as long as a wake-up costs is never more
// than twice as bad as knowing the future would be (A. R. Karlin et al., "Empirical studies of
// competitive spinning for a shared-memory multiprocessor", SOSP 1991; so is their adaptation): so
// spins that find something keep the limit up, each that does not halves it, and a shard whose work
// comes seldom stops spinning. Then one in kProbeEvery sleeps is still preceded by a short spin, to
// notice that times have changed.
class IdleSpin {
 public:
  static constexpr uint32_t kProbeEvery = 64;

  explicit IdleSpin(uint64_t max_ns) : max_ns_(max_ns), limit_ns_(max_ns) {}

  // For how long to spin now; 0: not at all.
  uint64_t NextNs() {
    if (limit_ns_ > 0 || max_ns_ == 0) return limit_ns_;
    if (++sleeps_ % kProbeEvery != 0) return 0;
    limit_ns_ = std::max(max_ns_ / 8, uint64_t{1});
    return limit_ns_;
  }

  // Whether the spin found work.
  void Learn(bool found) {
    if (found) {
      limit_ns_ = std::min(max_ns_, std::max(limit_ns_ * 2, max_ns_ / 8));
    } else {
      limit_ns_ = limit_ns_ > max_ns_ / 8 ? limit_ns_ / 2 : 0;
    }
  }

 private:
  const uint64_t max_ns_;
  uint64_t limit_ns_;
  uint32_t sleeps_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_IDLE_SPIN_H_
