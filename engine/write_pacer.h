// WritePacer: lets writes in as fast as what they leave behind is cleared away.
#ifndef IOENGINE_ENGINE_WRITE_PACER_H_
#define IOENGINE_ENGINE_WRITE_PACER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "ioengine/sched/event.h"
#include "ioengine/sched/mutex.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// A store that takes writes as they come stops all of a sudden when its memory is full, or has so
// many runs that reads crawl. Here each byte that is let in has to see its share of the work done:
//
//   flush        what is left of it / what is left of memory, so that both end at one time
//   compaction   nothing up to a mark; beyond it, the more the further, so that there is a rate at
//                which the debt stays what it is, whatever the disk can do
//
// A write waits while the work is behind what was let in, by more than a small slack, which is all
// that bursts need. Where work is ahead nobody waits.
//
// Shard: the store's.
class WritePacer {
 public:
  // Of changes in memory, at most.
  explicit WritePacer(size_t memory_bytes)
      : memory_bytes_(memory_bytes), slack_bytes_(std::max<size_t>(memory_bytes / 32, 1)) {}
  WritePacer(const WritePacer&) = delete;
  WritePacer& operator=(const WritePacer&) = delete;

  // No write has to wait. Cost: two loads.
  bool is_free() const {
    return stopped_ || (flush_bytes_ == 0 && debt_bytes_ <= low_debt_bytes());
  }

  // Waits for the share of the work of a write that takes `write_bytes` of memory, of which
  // `used_bytes` are used, and brings `user_bytes`; first come, first served.
  Task<> Pace(size_t write_bytes, size_t user_bytes, size_t used_bytes);

  // A flush of so much has begun; so much of it was done; it has ended, well or not.
  void BeginFlush(uint64_t bytes);
  void OnFlushed(uint64_t bytes);
  void EndFlush();

  // So much is to be compacted; so much was. 0 also where compactions do not succeed: to wait for
  // them would be of no use.
  void SetDebt(uint64_t bytes);
  void OnCompacted(uint64_t bytes);

  // There will be no more work: nobody waits for any.
  void Stop();

  uint64_t waits() const { return waits_; }

 private:
  // How far work has come, and how far it should have for what was let in.
  struct Gear {
    uint64_t done_bytes = 0;
    uint64_t due_bytes = 0;

    void Charge(uint64_t bytes) { due_bytes = std::max(due_bytes, done_bytes) + bytes; }
    bool IsBehind(uint64_t slack_bytes) const { return due_bytes > done_bytes + slack_bytes; }
  };

  uint64_t low_debt_bytes() const { return 2 * uint64_t{memory_bytes_}; }
  bool MustWait() const;
  void Pulse();

  const size_t memory_bytes_;
  const size_t slack_bytes_;
  uint64_t flush_bytes_ = 0;  // that is left of the flush
  uint64_t debt_bytes_ = 0;
  Gear flush_;
  Gear compaction_;
  uint64_t waits_ = 0;
  bool stopped_ = false;
  Mutex turn_;
  Event progress_;  // pulsed
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_WRITE_PACER_H_
