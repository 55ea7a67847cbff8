#include "ioengine/tests/sched/scripted_poller.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace ioengine {

size_t SleepingPoller::Wait(uint64_t timeout_ns) {
  std::unique_lock<std::mutex> lock(mutex_);
  constexpr std::chrono::nanoseconds kLost = std::chrono::seconds(kLostAfterSeconds);
  const bool for_ever = timeout_ns >= static_cast<uint64_t>(kLost.count());
  // Through the system clock: TSan (of g++ 12) does not know pthread_cond_clockwait.
  const auto deadline =
      std::chrono::system_clock::now() + (for_ever ? kLost : std::chrono::nanoseconds(timeout_ns));
  if (!woken_.wait_until(lock, deadline, [this] { return wake_; }) && for_ever) ++lost_wakeups_;
  wake_ = false;
  return 0;
}

void SleepingPoller::Wake() {
  const std::lock_guard<std::mutex> lock(mutex_);
  wake_ = true;
  woken_.notify_one();
}

int SleepingPoller::lost_wakeups() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return lost_wakeups_;
}

}  // namespace ioengine
