#include "ioengine/tools/benchmark/bare_exchange.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <thread>

#include "ioengine/numa/affinity.h"
#include "ioengine/tools/benchmark/shard_workload.h"

namespace ioengine::bench {
namespace {

constexpr uint64_t kEnd = UINT64_MAX;

struct alignas(64) Line {
  std::atomic<uint64_t> number{0};
};

void Pin(int cpu) {
  if (cpu >= 0) PinCurrentThread(cpu).IgnoreError();  // unpinned it is slower, if anything
}

uint64_t WaitForOther(const Line& line, uint64_t seen) {
  uint64_t number;
  while ((number = line.number.load(std::memory_order_acquire)) == seen) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  return number;
}

class EventFd {
 public:
  EventFd() : fd_(eventfd(0, EFD_CLOEXEC)) {}
  EventFd(const EventFd&) = delete;
  EventFd& operator=(const EventFd&) = delete;
  ~EventFd() { close(fd_); }

  void Signal(uint64_t value) const {
    if (write(fd_, &value, sizeof(value)) < 0) std::terminate();
  }
  uint64_t Wait() const {
    uint64_t value = 0;
    if (read(fd_, &value, sizeof(value)) < 0) std::terminate();
    return value;
  }

 private:
  const int fd_;
};

}  // namespace

Histogram BareRoundTrips(CpuPair cpus, uint64_t duration_ns) {
  Line there;
  Line back;
  Line content;  // written on each side
  std::thread other([&, cpu = cpus[1]] {
    Pin(cpu);
    for (uint64_t seen = 0; seen != kEnd;) {
      seen = WaitForOther(there, seen);
      content.number.store(seen + 1, std::memory_order_relaxed);
      back.number.store(seen, std::memory_order_seq_cst);
    }
  });
  Histogram latency_ns;
  std::thread first([&, cpu = cpus[0]] {
    Pin(cpu);
    const uint64_t end_ns = WallNs() + duration_ns;
    uint64_t number = 0;
    uint64_t begin_ns = WallNs();
    while (begin_ns < end_ns) {
      content.number.store(++number, std::memory_order_relaxed);
      there.number.store(number, std::memory_order_seq_cst);
      WaitForOther(back, number - 1);
      if (content.number.load(std::memory_order_relaxed) != number + 1) std::terminate();
      const uint64_t now_ns = WallNs();
      latency_ns.Record(now_ns - begin_ns);
      begin_ns = now_ns;
    }
    there.number.store(kEnd, std::memory_order_seq_cst);
  });
  first.join();
  other.join();
  return latency_ns;
}

Histogram BareWakes(CpuPair cpus, uint64_t duration_ns, uint64_t pause_ns) {
  const EventFd there;
  const EventFd back;
  constexpr uint64_t kStop = 2;
  std::thread other([&, cpu = cpus[1]] {
    Pin(cpu);
    while (there.Wait() != kStop) back.Signal(1);
  });
  Histogram latency_ns;
  std::thread first([&, cpu = cpus[0]] {
    Pin(cpu);
    const uint64_t end_ns = WallNs() + duration_ns;
    for (uint64_t begin_ns = WallNs(); begin_ns < end_ns; begin_ns = WallNs()) {
      there.Signal(1);
      back.Wait();
      latency_ns.Record(WallNs() - begin_ns);
      std::this_thread::sleep_for(std::chrono::nanoseconds(pause_ns));
    }
    there.Signal(kStop);
  });
  first.join();
  other.join();
  return latency_ns;
}

}  // namespace ioengine::bench
