// A host with an event loop of its own, which runs a shard in between: `lend_event_loop`. One
// thread does everything: it waits in epoll for the host's timer and for the shard's descriptor.

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>

#include "ioengine/engine/client.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/sched/sleep.h"

namespace {

using std::chrono_literals::operator""ms;

ioengine::Task<int> CountWhileSleeping(ioengine::Shard& /*shard*/) {
  int naps = 0;
  while (naps < 5) {
    co_await ioengine::Sleep(2ms);
    ++naps;
  }
  co_return naps;
}

// What the loop is about besides the shard.
int MakeHostTimer() {
  const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  const itimerspec each = {.it_interval = {.tv_sec = 0, .tv_nsec = 1'000'000},
                           .it_value = {.tv_sec = 0, .tv_nsec = 1'000'000}};
  timerfd_settime(fd, 0, &each, nullptr);
  return fd;
}

}  // namespace

int main() {
  auto runtime = ioengine::Runtime::Start(
      {.threads = ioengine::ShardThreads::kLent, .buffer_pool_bytes = 2 << 20});
  if (!runtime.ok()) {
    std::fprintf(stderr, "%s\n", runtime.status().ToString().c_str());
    return 1;
  }
  constexpr uint64_t kPumpNs = 200'000;  // the host's other work waits for no longer than this
  auto outcome = (*runtime)->PumpShard(0, kPumpNs);
  if (!outcome.ok()) {
    std::fprintf(stderr, "%s\n", outcome.status().ToString().c_str());
    return 1;
  }

  const int timer_fd = MakeHostTimer();
  const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  for (const int fd : {timer_fd, (*runtime)->ShardFd(0)}) {
    epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
  }

  // The thread cannot wait for a Future: it would keep the shard from its turn.
  ioengine::Client client(**runtime);
  int naps = 0;
  int ticks = 0;
  client.SubmitThen(
      0,
      [&](absl::StatusOr<int> counted) {
        naps = counted.value_or(-1);
        (*runtime)->RequestStop();
      },
      CountWhileSleeping);
  while (outcome.ok() && *outcome != ioengine::PumpOutcome::kStopped) {
    std::array<epoll_event, 8> events;
    const int forever = -1;
    const int wait_ms = *outcome == ioengine::PumpOutcome::kIdle ? forever : 0;
    const int count = epoll_wait(epoll_fd, events.data(), events.size(), wait_ms);
    for (int i = 0; i < count; ++i) {
      uint64_t expirations = 0;
      if (events[static_cast<size_t>(i)].data.fd == timer_fd &&
          read(timer_fd, &expirations, sizeof(expirations)) > 0) {
        ticks += static_cast<int>(expirations);
      }
    }
    outcome = (*runtime)->PumpShard(0, kPumpNs);
  }
  close(epoll_fd);
  close(timer_fd);
  std::printf("the shard slept %d times, the host's timer went on meanwhile: %s\n", naps,
              ticks > 0 ? "yes" : "no");
  return naps == 5 && ticks > 0 ? 0 : 1;
}
