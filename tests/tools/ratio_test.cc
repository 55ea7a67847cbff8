#include "ioengine/tools/benchmark/ratio.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "ioengine/tools/benchmark/comparison.h"

namespace ioengine::bench {
namespace {

void AddRatios(RatioEstimator* estimator, const std::vector<double>& ratios) {
  for (const double ratio : ratios) EXPECT_TRUE(estimator->Add(100, 100 * ratio, 100));
}

// From the binomial distribution by hand, and from the printed tables for n = 20, 30, 50.
TEST(MedianIntervalRankTest, KnownAnswers) {
  EXPECT_EQ(MedianIntervalRank(0), 0);
  EXPECT_EQ(MedianIntervalRank(1), 0);
  EXPECT_EQ(MedianIntervalRank(5), 0);   // 1 - 2/32 = 0.9375 is too little
  EXPECT_EQ(MedianIntervalRank(6), 1);   // 1 - 2/64 = 0.969
  EXPECT_EQ(MedianIntervalRank(8), 1);   // the next pair would give 1 - 18/256 = 0.930
  EXPECT_EQ(MedianIntervalRank(9), 2);   // 1 - 20/512 = 0.961
  EXPECT_EQ(MedianIntervalRank(12), 3);  // 1 - 158/4096 = 0.961
  EXPECT_EQ(MedianIntervalRank(20), 6);
  EXPECT_EQ(MedianIntervalRank(30), 10);
  EXPECT_EQ(MedianIntervalRank(50), 18);
  EXPECT_EQ(MedianIntervalRank(60), 22);
}

TEST(RatioEstimatorTest, EmptyHasNothingToSay) {
  const RatioEstimator estimator;
  const RatioEstimate estimate = estimator.Estimate();
  EXPECT_EQ(estimate.triples, 0);
  EXPECT_EQ(estimate.dropped, 0);
  EXPECT_FALSE(estimate.has_interval);
  EXPECT_FALSE(estimator.Finished(kOtherWidth));
  EXPECT_EQ(estimator.Judge(0.97, kDiskWidth), Verdict::kOpen);
}

TEST(RatioEstimatorTest, RatioIsToTheMeanOfTheLimits) {
  RatioEstimator estimator;
  EXPECT_TRUE(estimator.Add(100, 99, 110));
  EXPECT_DOUBLE_EQ(estimator.Estimate().median, 99.0 / 105.0);
}

TEST(RatioEstimatorTest, MedianOfOddAndEvenNumbers) {
  RatioEstimator estimator;
  AddRatios(&estimator, {3, 1, 2});
  EXPECT_DOUBLE_EQ(estimator.Estimate().median, 2);
  AddRatios(&estimator, {10});
  EXPECT_DOUBLE_EQ(estimator.Estimate().median, 2.5);
}

TEST(RatioEstimatorTest, IntervalIsMadeOfOrderStatistics) {
  RatioEstimator estimator;
  AddRatios(&estimator, {0.5, 0.4, 0.3, 0.2, 0.1});
  EXPECT_FALSE(estimator.Estimate().has_interval);
  AddRatios(&estimator, {0.6});
  ASSERT_TRUE(estimator.Estimate().has_interval);
  EXPECT_DOUBLE_EQ(estimator.Estimate().low, 0.1);
  EXPECT_DOUBLE_EQ(estimator.Estimate().high, 0.6);
  AddRatios(&estimator, {0.7, 0.8, 0.9});  // nine: the second and the eighth
  EXPECT_DOUBLE_EQ(estimator.Estimate().low, 0.2);
  EXPECT_DOUBLE_EQ(estimator.Estimate().high, 0.8);
  EXPECT_DOUBLE_EQ(estimator.Estimate().median, 0.5);
}

TEST(RatioEstimatorTest, DropsTriplesWhoseLimitsDiffer) {
  RatioEstimator estimator;
  EXPECT_TRUE(estimator.Add(100, 100, 116));   // 16 of 108 is 14.8 %
  EXPECT_FALSE(estimator.Add(100, 100, 117));  // 17 of 108.5 is 15.7 %
  EXPECT_FALSE(estimator.Add(117, 100, 100));
  EXPECT_EQ(estimator.Estimate().triples, 1);
  EXPECT_EQ(estimator.Estimate().dropped, 2);
}

TEST(RatioEstimatorTest, DropsWhatIsNoRate) {
  RatioEstimator estimator;
  for (const double bad : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN(),
                           std::numeric_limits<double>::infinity()}) {
    EXPECT_FALSE(estimator.Add(bad, 100, 100)) << bad;
    EXPECT_FALSE(estimator.Add(100, bad, 100)) << bad;
    EXPECT_FALSE(estimator.Add(100, 100, bad)) << bad;
  }
  EXPECT_EQ(estimator.Estimate().dropped, 12);
  EXPECT_EQ(estimator.Estimate().triples, 0);
}

TEST(RatioEstimatorTest, StopsWhenTheIntervalIsNarrow) {
  RatioEstimator estimator;
  AddRatios(&estimator, std::vector<double>(8, 1.0));
  EXPECT_FALSE(estimator.Finished(kDiskWidth)) << "too few triples, however alike";
  AddRatios(&estimator, {1.0});
  EXPECT_TRUE(estimator.Finished(kDiskWidth));
}

TEST(RatioEstimatorTest, WidthIsRelativeToTheMedian) {
  RatioEstimator estimator;
  // The interval of nine is [4.95, 5.05]: 2 % of the median, though 0.1 wide.
  AddRatios(&estimator, {4.9, 4.95, 5, 5, 5, 5, 5, 5.05, 5.1});
  EXPECT_TRUE(estimator.Finished(0.021));
  EXPECT_FALSE(estimator.Finished(0.019));
}

TEST(RatioEstimatorTest, StopsAtSixtyTriplesWithTheDroppedOnes) {
  RatioEstimator estimator;
  for (int i = 0; i < 59; ++i) {
    if (i % 2 == 0) {
      estimator.Add(100, 100, 200);
    } else {
      estimator.Add(100, i % 4 == 1 ? 50 : 150, 100);
    }
    EXPECT_FALSE(estimator.Finished(kDiskWidth)) << i;
  }
  estimator.Add(100, 100, 100);
  EXPECT_TRUE(estimator.Finished(kDiskWidth));
}

TEST(RatioEstimatorTest, TargetIsMetWhenTheUpperEndReachesIt) {
  RatioEstimator estimator;
  AddRatios(&estimator, {0.95, 0.955, 0.96, 0.96, 0.96, 0.96, 0.96, 0.97, 0.98});
  EXPECT_EQ(estimator.Judge(0.97, kDiskWidth), Verdict::kMet);
  EXPECT_EQ(estimator.Judge(0.9701, kDiskWidth), Verdict::kMissed);
  EXPECT_EQ(estimator.Judge(0.97, 0.001), Verdict::kOpen) << "not narrow enough to say";
}

TEST(RatioEstimatorTest, OfWhatShallBeLowTheLowerEndCounts) {
  RatioEstimator estimator;
  AddRatios(&estimator, {1.09, 1.1, 1.11, 1.11, 1.11, 1.11, 1.11, 1.12, 1.2});
  EXPECT_EQ(estimator.Judge(1.1, kDiskWidth, Better::kLower), Verdict::kMet);
  EXPECT_EQ(estimator.Judge(1.09, kDiskWidth, Better::kLower), Verdict::kMissed);
}

TEST(RatioEstimatorTest, SaysSoWhenTheMachineWasTooNoisy) {
  RatioEstimator estimator;
  for (int i = 0; i < 55; ++i) estimator.Add(100, 100, 200);
  AddRatios(&estimator, {1, 1, 1, 1, 1});
  EXPECT_TRUE(estimator.Finished(kDiskWidth));
  EXPECT_EQ(estimator.Judge(0.5, kDiskWidth), Verdict::kTooNoisy);
}

// How often the interval holds the true median, 1, when `count` ratios with that median are drawn.
template <typename Draw>
double Coverage(int count, Draw draw) {
  constexpr int kRuns = 4000;
  int held = 0;
  for (int run = 0; run < kRuns; ++run) {
    RatioEstimator estimator;
    for (int i = 0; i < count; ++i) estimator.Add(100, 100 * draw(), 100);
    const RatioEstimate estimate = estimator.Estimate();
    held += estimate.low <= 1 && 1 <= estimate.high;
  }
  return static_cast<double>(held) / kRuns;
}

TEST(RatioEstimatorTest, IntervalHoldsTheMedianWhateverTheDistribution) {
  std::mt19937_64 random(20);
  std::lognormal_distribution<double> symmetric(0, 0.05);
  std::exponential_distribution<double> skewed(std::log(2.0));  // its median is 1
  for (const int count : {6, 9, 20, 60}) {
    // 95 % is promised; 4000 runs scatter by 0.35 %.
    EXPECT_GT(Coverage(count, [&] { return symmetric(random); }), 0.94) << count;
    EXPECT_GT(Coverage(count, [&] { return skewed(random); }), 0.94) << count;
    EXPECT_LT(Coverage(count, [&] { return skewed(random); }), 0.985)
        << "needlessly wide " << count;
  }
}

TEST(RatioEstimatorTest, LookingAfterEachTripleCostsLittleCoverage) {
  std::mt19937_64 random(21);
  for (const double spread : {0.01, 0.02, 0.03, 0.05, 0.10}) {
    std::lognormal_distribution<double> ratios(0, spread);
    constexpr int kRuns = 2000;
    int held = 0;
    for (int run = 0; run < kRuns; ++run) {
      RatioEstimator estimator;
      while (!estimator.Finished(kDiskWidth)) estimator.Add(100, 100 * ratios(random), 100);
      const RatioEstimate estimate = estimator.Estimate();
      held += estimate.low <= 1 && 1 <= estimate.high;
    }
    EXPECT_GT(held, kRuns * 90 / 100) << spread;
  }
}

TEST(ComparisonTest, GoldenText) {
  Comparison met{"randread 4 KiB × 64", "iops", "fio", {}, 0.97, Verdict::kMet};
  met.estimate = {12, 3, 1.0123, true, 0.9987, 1.0246};
  Comparison noisy{"seqwrite 1 MiB × 8", "cpu_us_per_op", "raw", {}, std::nullopt, Verdict::kOpen};
  noisy.estimate = {2, 58, 1.2, false, 0, 0};
  EXPECT_EQ(
      FormatComparisons(std::vector<Comparison>{met, noisy}),
      "workload             metric         peer  ratio  95 % interval  triples  dropped  target  "
      "verdict\n"
      "-------------------  -------------  ----  -----  -------------  -------  -------  ------  "
      "-------\n"
      "randread 4 KiB × 64  iops           fio   1.012    0.999–1.025       12        3   0.970  "
      "met\n"
      "seqwrite 1 MiB × 8   cpu_us_per_op  raw   1.200              -        2       58       -  "
      "-\n");
  EXPECT_EQ(FormatComparisons({}), "");
}

}  // namespace
}  // namespace ioengine::bench
