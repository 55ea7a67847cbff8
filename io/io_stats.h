// What is counted of each class's I/O, and what is told of operations that take long.
#ifndef IOENGINE_IO_IO_STATS_H_
#define IOENGINE_IO_IO_STATS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "ioengine/io/io_file_stats.h"
#include "ioengine/io/io_request.h"
#include "ioengine/io/io_site.h"
#include "ioengine/sched/histogram.h"
#include "ioengine/sched/runnable.h"

namespace ioengine {

// Sums and histograms since the queue was made, of operations that have completed.
struct IoClassStats {
  uint64_t operations = 0;
  uint64_t failed = 0;
  uint64_t bytes = 0;         // that were moved
  uint64_t times_queued = 0;  // operations that had to wait for admission
  uint64_t in_flight = 0;
  uint64_t in_flight_bytes = 0;
  // Estimated from each kIoSampleEvery-th operation; the histograms hold only those.
  IoTimes times;
  Histogram queue_ns;
  Histogram device_ns;  // with the time in the ring
};

// One operation that took long, and why.
struct SlowIo {
  IoOpcode opcode = IoOpcode::kRead;
  std::string path;
  IoSite site = {};  // who asked for it
  std::string class_name;
  uint64_t offset_bytes = 0;
  uint64_t size_bytes = 0;
  int32_t result = 0;
  IoTimes times;
  uint64_t in_flight = 0;        // operations of the shard, when it completed
  uint64_t in_flight_bytes = 0;  // of them
  uint64_t slow_not_shown = 0;   // since the last report

  // "write /data/x (4096 bytes at offset 0) of class 'wal' at wal/writer.cc:120 took 120.3 ms: 0.1
  // in the queue, …"
  std::string Describe() const;
};

struct SlowIoOptions {
  // Operations that take longer in all are reported. 0: none.
  uint64_t threshold_ns = 0;
  // Called on the shard, from within its poll: it must be short and must not start I/O.
  std::function<void(const SlowIo&)> report = {};
  uint32_t max_reports_per_minute = 60;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_IO_STATS_H_
