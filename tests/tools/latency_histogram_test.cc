#include "ioengine/tools/benchmark/latency_histogram.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace ioengine::bench {
namespace {

TEST(LatencyHistogramTest, EmptyIsZero) {
  const LatencyHistogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.PercentileNs(50), 0u);
  EXPECT_EQ(histogram.max_ns(), 0u);
}

TEST(LatencyHistogramTest, SmallLatenciesAreExact) {
  LatencyHistogram histogram;
  for (uint64_t ns = 1; ns <= 60; ++ns) histogram.Record(ns);
  EXPECT_EQ(histogram.PercentileNs(50), 30u);
  EXPECT_EQ(histogram.PercentileNs(100), 60u);
}

TEST(LatencyHistogramTest, EveryLatencyIsWithinASixtyFourth) {
  for (uint64_t ns = 1; ns < uint64_t{1} << 62; ns = ns * 5 / 3 + 1) {
    LatencyHistogram histogram;
    histogram.Record(ns);
    histogram.Record(std::numeric_limits<uint64_t>::max());
    EXPECT_GE(histogram.PercentileNs(50), ns);
    EXPECT_LE(histogram.PercentileNs(50) - ns, ns / 64) << ns;
    EXPECT_EQ(histogram.PercentileNs(100), std::numeric_limits<uint64_t>::max());
  }
}

TEST(LatencyHistogramTest, PercentilesOfAThousand) {
  LatencyHistogram histogram;
  for (uint64_t us = 1; us <= 1000; ++us) histogram.Record(us * 1000);
  EXPECT_NEAR(static_cast<double>(histogram.PercentileNs(50)), 500e3, 500e3 / 64);
  EXPECT_NEAR(static_cast<double>(histogram.PercentileNs(99)), 990e3, 990e3 / 64);
  EXPECT_NEAR(static_cast<double>(histogram.PercentileNs(99.9)), 999e3, 999e3 / 64);
  EXPECT_EQ(histogram.max_ns(), 1000u * 1000);
}

TEST(LatencyHistogramTest, NoPercentileIsAboveTheMaximum) {
  LatencyHistogram histogram;
  histogram.Record(1000001);
  EXPECT_EQ(histogram.PercentileNs(50), 1000001u);
}

TEST(LatencyHistogramTest, MergeIsAsIfRecordedTogether) {
  LatencyHistogram left, right;
  for (uint64_t ns = 1; ns <= 30; ++ns) left.Record(ns);
  for (uint64_t ns = 31; ns <= 60; ++ns) right.Record(ns);
  left.Merge(right);
  EXPECT_EQ(left.count(), 60u);
  EXPECT_EQ(left.PercentileNs(50), 30u);
  EXPECT_EQ(left.max_ns(), 60u);
}

}  // namespace
}  // namespace ioengine::bench
