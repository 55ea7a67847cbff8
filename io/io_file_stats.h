// What is counted of each open file's I/O.
#ifndef IOENGINE_IO_IO_FILE_STATS_H_
#define IOENGINE_IO_IO_FILE_STATS_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace ioengine {

// Where an operation's time went. Nanoseconds.
//
//   Submit ──queue──► given to the backend ──ring──► in the kernel's hands ──device──► completed
struct IoTimes {
  uint64_t queue_ns = 0;   // it waited for its class's turn, for depth or for bytes in flight
  uint64_t ring_ns = 0;    // the shard's turn went on, or the ring (or pool of threads) was full
  uint64_t device_ns = 0;  // kernel and device; until the shard took the completion

  uint64_t total_ns() const { return queue_ns + ring_ns + device_ns; }

  void AddTimes(const IoTimes& other, uint64_t count) {
    queue_ns += count * other.queue_ns;
    ring_ns += count * other.ring_ns;
    device_ns += count * other.device_ns;
  }
};

// Times are taken of each so many-th operation of a shard, and count for as many: to take those of
// all cost 15 ns an operation. A prime, so that it is not always the same one of a few tasks that
// take turns.
inline constexpr uint32_t kIoSampleEvery = 7;

// Completed operations on one open file. Counts and bytes are exact, times estimated.
struct IoFileStats {
  // Bucket i counts the device times from 2^i to 2^(i+1) ns.
  static constexpr size_t kBuckets = 40;

  uint64_t operations = 0;
  uint64_t failed = 0;
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
  IoTimes times;
  std::array<uint32_t, kBuckets> device_ns{};

  static size_t BucketOf(uint64_t value_ns) {
    const auto width = static_cast<size_t>(std::bit_width(value_ns | 1)) - 1;
    return width < kBuckets ? width : kBuckets - 1;
  }
};

}  // namespace ioengine

#endif  // IOENGINE_IO_IO_FILE_STATS_H_
