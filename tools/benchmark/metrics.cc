#include "ioengine/tools/benchmark/metrics.h"

#include <array>
#include <span>
#include <string_view>

namespace ioengine::bench {
namespace {

constexpr std::array kMetrics = {
    Metric{"io", "bytes_per_s", "B/s", Better::kHigher,
           "Bytes that the device moved for completed operations, per second of wall time.", "MB/s",
           1e6},
    Metric{"io", "iops", "1/s", Better::kHigher,
           "Operations completed per second of wall time, all shards together.", "IOPS", 1},
    Metric{"io", "p50_us", "us", Better::kLower,
           "Median latency: from the turn that asks for an operation to the turn that sees it "
           "completed.",
           "p50 µs", 1},
    Metric{"io", "p99_us", "us", Better::kLower, "99th percentile of the same latency.", "p99 µs",
           1},
    Metric{"io", "p999_us", "us", Better::kLower, "99.9th percentile of the same latency.",
           "p99.9 µs", 1},
    Metric{"io", "max_us", "us", Better::kLower, "The slowest operation's latency.", "max µs", 1},
    Metric{"io", "cpu_us_per_op", "us", Better::kLower,
           "CPU time per operation, user and system, the kernel's io_uring workers included.",
           "CPU µs/op", 1},
};

}  // namespace

std::span<const Metric> Metrics() { return kMetrics; }

const Metric* FindMetric(std::string_view suite, std::string_view name) {
  for (const Metric& metric : kMetrics) {
    if (metric.suite == suite && metric.name == name) return &metric;
  }
  return nullptr;
}

}  // namespace ioengine::bench
