#include "ioengine/sched/histogram.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace ioengine {
namespace {

constexpr double kRelativeError = 0.008;

TEST(HistogramTest, IsEmptyAtFirst) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.max(), 0u);
  EXPECT_EQ(histogram.Quantile(0), 0u);
  EXPECT_EQ(histogram.Quantile(0.5), 0u);
  EXPECT_EQ(histogram.Quantile(1), 0u);
}

TEST(HistogramTest, SmallValuesAreExact) {
  for (uint64_t value = 0; value < 128; ++value) {
    Histogram histogram;
    histogram.Record(value);
    EXPECT_EQ(histogram.Quantile(0), value);
    EXPECT_EQ(histogram.Quantile(0.5), value);
    EXPECT_EQ(histogram.Quantile(1), value);
    EXPECT_EQ(histogram.max(), value);
  }
}

// A single value, at and next to every power of two: it is reported within the bound, and never
// above the maximum.
TEST(HistogramTest, KeepsItsErrorBoundOverTheWholeRange) {
  for (int bit = 0; bit < 64; ++bit) {
    const uint64_t power = uint64_t{1} << bit;
    for (const uint64_t value : {power - 1, power, power + 1, power + power / 2, power + power / 64,
                                 power + power / 64 - 1, 2 * power - 1}) {
      Histogram histogram;
      histogram.Record(value);
      const uint64_t reported = histogram.Quantile(0.5);
      EXPECT_LE(reported, value);
      EXPECT_LE(static_cast<double>(value - reported), kRelativeError * static_cast<double>(value))
          << value;
    }
  }
}

TEST(HistogramTest, TellsTheExtremesApart) {
  Histogram histogram;
  histogram.Record(0);
  histogram.Record(UINT64_MAX);
  EXPECT_EQ(histogram.max(), UINT64_MAX);
  EXPECT_EQ(histogram.Quantile(0.5), 0u);
  EXPECT_GE(static_cast<double>(histogram.Quantile(0.51)),
            (1 - kRelativeError) * static_cast<double>(UINT64_MAX));
  EXPECT_EQ(histogram.count(), 2u);
}

struct Distribution {
  std::string name;
  std::function<uint64_t(std::mt19937_64&)> draw;
};

class HistogramQuantileTest : public testing::TestWithParam<Distribution> {};

// Against the sorted values themselves. A quantile is the smallest value that enough values do not
// exceed: there is one answer, not a range between two values.
TEST_P(HistogramQuantileTest, AgreesWithTheExactQuantile) {
  std::mt19937_64 random(20261122);
  for (const size_t count : {size_t{1}, size_t{2}, size_t{7}, size_t{100}, size_t{10'000}}) {
    Histogram histogram;
    std::vector<uint64_t> values;
    for (size_t i = 0; i < count; ++i) {
      values.push_back(GetParam().draw(random));
      histogram.Record(values.back());
    }
    std::sort(values.begin(), values.end());
    ASSERT_EQ(histogram.count(), count);
    ASSERT_EQ(histogram.max(), values.back());
    for (int per_mille = 0; per_mille <= 1000; ++per_mille) {
      const size_t rank =
          std::max<size_t>(1, (static_cast<size_t>(per_mille) * count + 999) / 1000);
      const auto exact = static_cast<double>(values[rank - 1]);
      const auto reported = static_cast<double>(histogram.Quantile(per_mille / 1000.0));
      ASSERT_NEAR(reported, exact, kRelativeError * exact) << per_mille << " of " << count;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Distributions, HistogramQuantileTest,
    testing::Values(Distribution{"uniform", [](auto& random) { return random() % 1'000'000; }},
                    Distribution{"wide", [](auto& random) { return random() >> (random() % 64); }},
                    Distribution{"exponential",
                                 [](auto& random) {
                                   return static_cast<uint64_t>(
                                       std::exponential_distribution<double>(1e-5)(random));
                                 }},
                    Distribution{"two_peaks",
                                 [](auto& random) {
                                   return random() % 1000 == 0 ? 50'000'000 + random() % 100
                                                               : 90'000 + random() % 9;
                                 }},
                    Distribution{"constant", [](auto&) { return uint64_t{123'456'789}; }},
                    Distribution{"small", [](auto& random) { return random() % 100; }}),
    [](const auto& parameter) { return parameter.param.name; });

TEST(HistogramTest, ClampsTheQuantile) {
  Histogram histogram;
  histogram.Record(1);
  histogram.Record(100);
  EXPECT_EQ(histogram.Quantile(-1), 1u);
  EXPECT_EQ(histogram.Quantile(7), 100u);
}

TEST(HistogramTest, MergeEqualsRecordingEverythingInOne) {
  std::mt19937_64 random(7);
  Histogram parts[3];
  Histogram whole;
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t value = random() >> (random() % 64);
    parts[random() % 3].Record(value);
    whole.Record(value);
  }
  Histogram merged;
  for (const Histogram& part : parts) merged.Merge(part);
  merged.Merge(Histogram());
  EXPECT_EQ(merged.count(), whole.count());
  EXPECT_EQ(merged.max(), whole.max());
  for (int i = 0; i <= 1000; ++i) {
    EXPECT_EQ(merged.Quantile(i / 1000.0), whole.Quantile(i / 1000.0));
  }
}

TEST(HistogramTest, ClearEmptiesIt) {
  Histogram histogram;
  histogram.Record(5'000'000);
  histogram.Clear();
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.max(), 0u);
  histogram.Record(3);
  EXPECT_EQ(histogram.Quantile(1), 3u);
}

}  // namespace
}  // namespace ioengine
