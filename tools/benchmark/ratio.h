// How a figure is compared with a limit or a peer on a shared, drifting machine.
//
// Slices alternate: limit, ours, limit, ours, limit, … Each of ours with the limit before and after
// it is a triple, and gives one ratio, ours / mean(limits). A triple whose two limits differ too
// much tells of the machine and not of us, and is dropped. The answer is the median of the ratios
// with a 95 % confidence interval from order statistics, which assumes nothing about their
// distribution: of n sorted ratios, [x(r), x(n+1-r)] holds the median with probability 1 - 2
// P(Binomial(n, 1/2) < r) (W. J. Conover, Practical Nonparametric Statistics, 3rd ed., section 3.2;
// H. A. David and H. N. Nagaraja, Order Statistics, 3rd ed., section 7.1).
//
// To stop as soon as the interval is narrow is to look many times, and each look may be the lucky
// one. kMinTriples keeps the price small: the test simulates it, and finds the interval to hold
// the true median in more than 90 % of runs that stop early.
#ifndef IOENGINE_TOOLS_BENCHMARK_RATIO_H_
#define IOENGINE_TOOLS_BENCHMARK_RATIO_H_

#include <vector>

#include "ioengine/tools/benchmark/metrics.h"

namespace ioengine::bench {

// How wide the interval may be, relative to the median, when the matter counts as decided.
inline constexpr double kDiskWidth = 0.03;
inline constexpr double kOtherWidth = 0.10;

struct RatioEstimate {
  int triples = 0;    // that count
  int dropped = 0;    // whose limits differed too much, or that had a value that is no rate
  double median = 0;  // 0 without triples

  // The 95 % interval; below six triples there is none.
  bool has_interval = false;
  double low = 0;
  double high = 0;
};

enum class Verdict {
  kOpen,      // take more triples
  kMet,       // the interval reaches the target
  kMissed,    // the whole interval is on the wrong side of the target
  kTooNoisy,  // the last triple is taken, and there is no interval
};

class RatioEstimator {
 public:
  static constexpr double kMaxLimitSpread = 0.15;  // |limit1 - limit2| / mean(limit1, limit2)
  static constexpr int kMaxTriples = 60;           // dropped ones included: a run is bounded
  static constexpr int kMinTriples = 9;            // that count, before width may end a run

  // Adds one triple of rates or of times, in the order in which they were measured. Returns whether
  // it counts. A value that is not finite or not above 0 drops the triple.
  bool Add(double limit_before, double ours, double limit_after);

  RatioEstimate Estimate() const;

  // Whether to stop: the interval of at least kMinTriples is at most `width` wide, relative to the
  // median, or kMaxTriples are taken.
  bool Finished(double width) const;

  // kOpen until Finished(width). Then the target is met if the interval's better end reaches it:
  // its upper end if more is better, its lower end if less is.
  Verdict Judge(double target, double width, Better better = Better::kHigher) const;

 private:
  std::vector<double> ratios_;
  int dropped_ = 0;
};

// The rank r, from 1, for which [x(r), x(n+1-r)] is the narrowest interval of order statistics that
// holds the median with a probability of at least 95 %; 0 if even the whole range is too little
// (n < 6). n is at most 1000.
int MedianIntervalRank(int n);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_RATIO_H_
