// BackgroundWindow: how many bytes the background may have in flight beside a foreground.
#ifndef IOENGINE_IO_BACKGROUND_WINDOW_H_
#define IOENGINE_IO_BACKGROUND_WINDOW_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace ioengine {

// Follows the latency of the foreground's reads: additive increase while it is as without a
// background, halved when it is not (as TCP does with its window; the kernel's wbt and Ceph's
// throttles are of the same family).
//
//   no foreground for kIdleNs          the limit is all
//   foreground comes                   the limit is the least
//   kSamples reads as fast as usual    + kStepBytes, or + kCautiousStepBytes near where they last
//                                      were not
//   kSamples reads slower than that    half
//
// How fast so many reads are is how long the slowest but one took: their 97th percentile. "Usual"
// is that of reads without any background; as long as there are none of those, the best that was
// seen with the least of it. Slower is by more than a quarter.
//
// Shard: one.
class BackgroundWindow {
 public:
  static constexpr uint64_t kIdleNs = 20'000'000;
  static constexpr size_t kSamples = 32;
  static constexpr size_t kStepBytes = size_t{64} << 10;
  static constexpr size_t kCautiousStepBytes = size_t{4} << 10;

  BackgroundWindow(size_t least_bytes, size_t most_bytes)
      : least_bytes_(std::min(least_bytes, most_bytes)),
        most_bytes_(most_bytes),
        limit_bytes_(least_bytes_) {}

  size_t LimitBytes(uint64_t now_ns) const { return IsIdle(now_ns) ? most_bytes_ : limit_bytes_; }

  void OnForegroundStart(uint64_t now_ns) {
    if (IsIdle(now_ns)) {
      limit_bytes_ = least_bytes_;
      too_much_bytes_ = SIZE_MAX;
      count_ = 0;
    }
    ++in_flight_;
    seen_ = true;
  }

  // `is_read`: others are not compared. `alone`: nothing of the background was in flight when it
  // began and when it ended.
  void OnForegroundEnd(uint64_t now_ns, uint64_t latency_ns, bool is_read, bool alone) {
    --in_flight_;
    last_ns_ = now_ns;
    if (!is_read) return;
    samples_[count_] = latency_ns;
    alone_ = (count_ == 0 || alone_) && alone;
    if (++count_ == kSamples) Adjust();
  }

  // Nanoseconds; 0 when it is not known yet.
  uint64_t usual_latency_ns() const { return usual_ns_; }

 private:
  bool IsIdle(uint64_t now_ns) const {
    return in_flight_ == 0 && (!seen_ || now_ns - last_ns_ > kIdleNs);
  }

  void Adjust() {
    count_ = 0;
    const auto slow = samples_.end() - 2;
    std::nth_element(samples_.begin(), slow, samples_.end());
    const uint64_t latency_ns = *slow;
    if (alone_) {
      usual_ns_ = usual_ns_ == 0 ? latency_ns : (3 * usual_ns_ + latency_ns) / 4;
      return;
    }
    const bool at_least = limit_bytes_ == least_bytes_;
    if (usual_ns_ == 0 || latency_ns < usual_ns_) {
      usual_ns_ = latency_ns;
    } else if (at_least) {
      // The device itself may have become slower: 1/32 each time.
      usual_ns_ += (latency_ns - usual_ns_) / 32;
    }
    if (latency_ns > usual_ns_ + usual_ns_ / 4) {
      too_much_bytes_ = limit_bytes_;
      limit_bytes_ = std::max(least_bytes_, limit_bytes_ / 2);
    } else {
      const bool near = limit_bytes_ + kStepBytes > too_much_bytes_ / 4 * 3;
      limit_bytes_ = std::min(most_bytes_, limit_bytes_ + (near ? kCautiousStepBytes : kStepBytes));
    }
  }

  const size_t least_bytes_;
  const size_t most_bytes_;
  size_t limit_bytes_;
  size_t too_much_bytes_ = SIZE_MAX;  // what was last
  size_t in_flight_ = 0;              // of the foreground
  bool seen_ = false;
  uint64_t last_ns_ = 0;  // when the last of it ended
  std::array<uint64_t, kSamples> samples_{};
  size_t count_ = 0;
  bool alone_ = true;  // all of the samples
  uint64_t usual_ns_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_BACKGROUND_WINDOW_H_
