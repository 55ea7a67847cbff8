// ShardSleep: how a shard without a ring sleeps and is woken.
#ifndef IOENGINE_IO_SHARD_SLEEP_H_
#define IOENGINE_IO_SHARD_SLEEP_H_

#include <atomic>
#include <cstdint>

#include "ioengine/sched/poller.h"

namespace ioengine {

//              Sleep                        PrepareHostSleep
//   asleep ◄─────────── awake ──────────────────────► host sleeps
//      │                 ▲ │                               │
//      │ the time is     │ │ Wake                          │ Wake: the descriptor
//      │ over, or Wake   │ ▼                               │ becomes readable
//      └───────────────► woken ◄───────────────────────────┘
//                         the next Sleep or PrepareHostSleep ends at once: awake
//
// Shard: one, for all but Wake.
class ShardSleep {
 public:
  ShardSleep() = default;
  ShardSleep(const ShardSleep&) = delete;
  ShardSleep& operator=(const ShardSleep&) = delete;
  ~ShardSleep();

  // Until a Wake, also one since the last sleep, or until `timeout_ns` passed (Poller::kForever: no
  // limit). May return early. Cost: one system call, none after a Wake.
  void Sleep(uint64_t timeout_ns);

  // Has fd() become readable instead; it is not until then. False after a Wake since the last
  // sleep, and where there is no descriptor. Cost: one system call.
  bool PrepareHostSleep(uint64_t timeout_ns);
  // A timer's; -1 where none is left. At first it is readable.
  int fd();

  // Any thread; async-signal-safe. Cost: one system call if the shard sleeps, else none.
  void Wake();

 private:
  static constexpr uint32_t kAwake = 0;
  static constexpr uint32_t kWoken = 1;
  static constexpr uint32_t kAsleep = 2;
  static constexpr uint32_t kHostSleeps = 3;

  bool BeginSleep(uint32_t state);

  std::atomic<uint32_t> state_{kAwake};
  // Written by the shard, which may be woken as soon as it is there.
  std::atomic<int> host_fd_{-1};
};

}  // namespace ioengine

#endif  // IOENGINE_IO_SHARD_SLEEP_H_
