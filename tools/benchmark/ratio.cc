#include "ioengine/tools/benchmark/ratio.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace ioengine::bench {
namespace {

bool IsRate(double value) { return std::isfinite(value) && value > 0; }

}  // namespace

int MedianIntervalRank(int n) {
  // 2^-n does not underflow for n <= 1000.
  double probability = std::ldexp(1.0, -n);  // of exactly `rank` successes, from rank 0 on
  double below = 0;                          // of fewer than `rank` successes
  int rank = 0;
  while (rank <= n / 2 && below + probability <= 0.025) {
    below += probability;
    probability *= static_cast<double>(n - rank) / (rank + 1);
    ++rank;
  }
  return rank;
}

bool RatioEstimator::Add(double limit_before, double ours, double limit_after) {
  const double limit = (limit_before + limit_after) / 2;
  if (!IsRate(limit_before) || !IsRate(ours) || !IsRate(limit_after) ||
      std::fabs(limit_before - limit_after) > kMaxLimitSpread * limit) {
    ++dropped_;
    return false;
  }
  ratios_.push_back(ours / limit);
  return true;
}

RatioEstimate RatioEstimator::Estimate() const {
  RatioEstimate estimate;
  estimate.triples = static_cast<int>(ratios_.size());
  estimate.dropped = dropped_;
  if (ratios_.empty()) return estimate;
  std::vector<double> sorted = ratios_;
  std::sort(sorted.begin(), sorted.end());
  const size_t n = sorted.size();
  estimate.median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
  if (const int rank = MedianIntervalRank(static_cast<int>(n)); rank > 0) {
    estimate.has_interval = true;
    estimate.low = sorted[static_cast<size_t>(rank) - 1];
    estimate.high = sorted[n - static_cast<size_t>(rank)];
  }
  return estimate;
}

bool RatioEstimator::Finished(double width) const {
  const RatioEstimate estimate = Estimate();
  if (estimate.triples + estimate.dropped >= kMaxTriples) return true;
  return estimate.triples >= kMinTriples && estimate.high - estimate.low <= width * estimate.median;
}

Verdict RatioEstimator::Judge(double target, double width, Better better) const {
  if (!Finished(width)) return Verdict::kOpen;
  const RatioEstimate estimate = Estimate();
  if (!estimate.has_interval) return Verdict::kTooNoisy;
  const bool reached = better == Better::kHigher ? estimate.high >= target : estimate.low <= target;
  return reached ? Verdict::kMet : Verdict::kMissed;
}

}  // namespace ioengine::bench
