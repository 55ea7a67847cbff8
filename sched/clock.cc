#include "ioengine/sched/clock.h"

#include <time.h>

namespace ioengine {

uint64_t MonotonicClock::NowNs() const {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

const MonotonicClock& MonotonicClock::Get() {
  static constexpr MonotonicClock kClock;
  return kClock;
}

}  // namespace ioengine
