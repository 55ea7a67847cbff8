// A histogram of latencies with bounded relative error and bounded memory.
#ifndef IOENGINE_SCHED_HISTOGRAM_H_
#define IOENGINE_SCHED_HISTOGRAM_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace ioengine {

// Counts values (nanoseconds, by convention) in buckets that grow with the value: each power of two
// is cut into 64 equal parts, so a bucket is at most 1/64 of its value wide, and a quantile is off
// by at most 0.8 % (the bucket's middle is reported). The layout is that of HdrHistogram
// (G. Tene) with 6 significant bits.
//
// Not synchronised: one per shard, merged afterwards. 30 KiB.
class Histogram {
 public:
  // Cost: a few instructions and one increment.
  void Record(uint64_t value) {
    ++counts_[BucketOf(value)];
    ++count_;
    max_ = std::max(max_, value);
  }

  void Merge(const Histogram& other) {
    for (size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
    count_ += other.count_;
    max_ = std::max(max_, other.max_);
  }

  void Clear() { *this = Histogram(); }

  uint64_t count() const { return count_; }

  // Exact. 0 when empty.
  uint64_t max() const { return max_; }

  // The smallest recorded value, within 0.8 %, that at least `quantile` (0 to 1) of all values
  // do not exceed. 0 when empty.
  uint64_t Quantile(double quantile) const {
    if (count_ == 0) return 0;
    // A step down: 0.07 times 100, in binary, is a little above 7 and would ask for the 8th.
    const double wanted =
        std::nextafter(std::clamp(quantile, 0.0, 1.0) * static_cast<double>(count_), 0.0);
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (counts_[i] != 0 && static_cast<double>(seen) >= wanted) {
        return std::min(MiddleOf(i), max_);
      }
    }
    return max_;
  }

 private:
  static constexpr size_t kSubBits = 6;
  static constexpr size_t kSub = size_t{1} << kSubBits;
  // Values below 2·64 have a bucket each; above, 64 per power of two up to 2^64.
  static constexpr size_t kBuckets = (64 - kSubBits + 1) * kSub;

  static size_t BucketOf(uint64_t value) {
    if (value < 2 * kSub) return static_cast<size_t>(value);
    const int shift = std::bit_width(value) - 1 - static_cast<int>(kSubBits);
    return (static_cast<size_t>(shift) << kSubBits) + static_cast<size_t>(value >> shift);
  }

  static uint64_t MiddleOf(size_t bucket) {
    if (bucket < 2 * kSub) return bucket;
    const size_t shift = (bucket >> kSubBits) - 1;
    const uint64_t low = static_cast<uint64_t>((bucket & (kSub - 1)) + kSub) << shift;
    return low + (uint64_t{1} << shift) / 2;
  }

  std::array<uint64_t, kBuckets> counts_{};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_HISTOGRAM_H_
