#ifndef IOENGINE_TOOLS_BENCHMARK_LATENCY_HISTOGRAM_H_
#define IOENGINE_TOOLS_BENCHMARK_LATENCY_HISTOGRAM_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace ioengine::bench {

// Counts latencies in buckets of at most 1/64 of their value: 30 KiB, no allocation, a few
// instructions per Record. One thread at a time; each thread fills its own, and they are merged.
class LatencyHistogram {
 public:
  void Record(uint64_t latency_ns) {
    ++counts_[Bucket(latency_ns)];
    ++total_;
    max_ns_ = std::max(max_ns_, latency_ns);
  }

  void Merge(const LatencyHistogram& other) {
    for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
    max_ns_ = std::max(max_ns_, other.max_ns_);
  }

  uint64_t count() const { return total_; }
  uint64_t max_ns() const { return max_ns_; }

  // The latency that `percent` of all do not exceed, 0 < percent <= 100: the upper end of its
  // bucket, never above max_ns(). 0 if nothing was recorded.
  uint64_t PercentileNs(double percent) const {
    const auto wanted =
        static_cast<uint64_t>(std::ceil(percent / 100 * static_cast<double>(total_)));
    uint64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen >= wanted && seen > 0) return std::min(UpperEnd(i), max_ns_);
    }
    return max_ns_;
  }

 private:
  // Below 64 ns a bucket per nanosecond; above, 64 buckets for each power of two.
  static constexpr int kBits = 6;
  static constexpr uint64_t kPerOctave = uint64_t{1} << kBits;
  static constexpr size_t kBuckets = (64 - kBits + 1) * kPerOctave;

  static size_t Bucket(uint64_t value) {
    if (value < kPerOctave) return value;
    const int shift = std::bit_width(value) - kBits - 1;
    return static_cast<size_t>(shift) * kPerOctave + (value >> shift);
  }

  static uint64_t UpperEnd(size_t bucket) {
    if (bucket < kPerOctave) return bucket;
    const size_t shift = bucket / kPerOctave - 1;
    const uint64_t mantissa = bucket - shift * kPerOctave;  // in [64, 128)
    return ((mantissa + 1) << shift) - 1;
  }

  std::array<uint64_t, kBuckets> counts_ = {};
  uint64_t total_ = 0;
  uint64_t max_ns_ = 0;
};

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_LATENCY_HISTOGRAM_H_
