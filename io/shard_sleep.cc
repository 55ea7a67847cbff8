#include "ioengine/io/shard_sleep.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace ioengine {
namespace {

timespec Timespec(uint64_t ns) {
  return {.tv_sec = static_cast<time_t>(ns / 1'000'000'000),
          .tv_nsec = static_cast<long>(ns % 1'000'000'000)};
}

// std::atomic's wait is a futex too, but has no timeout, and its notify may take a lock.
uint32_t* Word(std::atomic<uint32_t>& atomic) {
  static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));
  return reinterpret_cast<uint32_t*>(&atomic);
}

// Has the timer expire `after_ns` from now; 0: never. In either case it is not expired now.
bool SetTimer(int fd, uint64_t after_ns) {
  const itimerspec time = {.it_interval = {}, .it_value = Timespec(after_ns)};
  return timerfd_settime(fd, 0, &time, nullptr) == 0;
}

}  // namespace

ShardSleep::~ShardSleep() {
  const int fd = host_fd_.load(std::memory_order_relaxed);
  if (fd >= 0) ::close(fd);
}

// False when a Wake came first, which is used up by that.
bool ShardSleep::BeginSleep(uint32_t state) {
  uint32_t expected = state_.load(std::memory_order_relaxed);
  while (expected != kWoken) {
    if (state_.compare_exchange_weak(expected, state, std::memory_order_acq_rel)) return true;
  }
  state_.exchange(kAwake, std::memory_order_acq_rel);
  return false;
}

void ShardSleep::Sleep(uint64_t timeout_ns) {
  if (!BeginSleep(kAsleep)) return;
  timespec timeout = Timespec(timeout_ns);
  ::syscall(SYS_futex, Word(state_), FUTEX_WAIT_PRIVATE, kAsleep,
            timeout_ns == Poller::kForever ? nullptr : &timeout, nullptr, 0);
  state_.exchange(kAwake, std::memory_order_acq_rel);
}

bool ShardSleep::PrepareHostSleep(uint64_t timeout_ns) {
  const int host_fd = fd();
  if (host_fd < 0) return false;
  // Before the state says that the host sleeps: a Wake comes after this, and is not overwritten.
  const uint64_t after_ns = timeout_ns == Poller::kForever ? 0 : std::max<uint64_t>(timeout_ns, 1);
  return SetTimer(host_fd, after_ns) && BeginSleep(kHostSleeps);
}

int ShardSleep::fd() {
  int fd = host_fd_.load(std::memory_order_relaxed);
  if (fd >= 0) return fd;
  fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (fd < 0) return -1;
  SetTimer(fd, 1);
  host_fd_.store(fd, std::memory_order_release);
  return fd;
}

void ShardSleep::Wake() {
  switch (state_.exchange(kWoken, std::memory_order_acq_rel)) {
    case kAsleep:
      ::syscall(SYS_futex, Word(state_), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
      return;
    case kHostSleeps:
      SetTimer(host_fd_.load(std::memory_order_acquire), 1);
      return;
    default:
      return;
  }
}

}  // namespace ioengine
