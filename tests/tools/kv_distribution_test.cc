// Which keys workloads draw.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <vector>

#include "ioengine/sched/random.h"
#include "ioengine/tools/kv/distribution.h"

namespace ioengine::kv {
namespace {

constexpr int kDraws = 200'000;

TEST(ZipfianTest, DrawsRanksInProportionToTheirPower) {
  constexpr uint64_t kItems = 1000;
  const Zipfian zipfian(kItems);
  Random random(1);
  std::vector<int> counts(kItems);
  for (int i = 0; i < kDraws; ++i) ++counts[zipfian.Rank(random)];
  double zeta = 0;
  for (uint64_t rank = 1; rank <= kItems; ++rank) {
    zeta += std::pow(static_cast<double>(rank), -Zipfian::kTheta);
  }
  EXPECT_NEAR(zipfian.share_of_first(), 1 / zeta, 1e-9);
  // The first two are exact, the others of Gray's approximation.
  EXPECT_NEAR(counts[0], kDraws / zeta, 0.02 * kDraws / zeta);
  EXPECT_NEAR(counts[1], kDraws / zeta * std::pow(2, -Zipfian::kTheta), 0.03 * kDraws / zeta);
  double most_ranks = 0;
  double expected = 0;
  for (uint64_t rank = 0; rank < kItems / 10; ++rank) {
    most_ranks += counts[rank];
    expected += std::pow(static_cast<double>(rank + 1), -Zipfian::kTheta) / zeta;
  }
  EXPECT_NEAR(most_ranks / kDraws, expected, 0.02);
  int last = 0;
  for (uint64_t rank = kItems / 2; rank < kItems; ++rank) last += counts[rank];
  EXPECT_GT(last, 0);
  EXPECT_LT(last, kDraws / 8);
}

TEST(ZipfianTest, SumsUpManyItemsAsWellAsFew) {
  double zeta = 0;
  for (uint64_t rank = 1; rank <= 1'000'000; ++rank) {
    zeta += std::pow(static_cast<double>(rank), -Zipfian::kTheta);
  }
  EXPECT_NEAR(Zipfian(1'000'000).share_of_first(), 1 / zeta, 1e-6 / zeta);
  // YCSB's constant for 10^10 items.
  EXPECT_NEAR(1 / Zipfian(10'000'000'000).share_of_first(), 26.46902820178302, 1e-4);
}

TEST(ZipfianTest, StaysBelowItsItems) {
  for (const uint64_t items : {1, 2, 3, 10}) {
    const Zipfian zipfian(items);
    Random random(items);
    std::map<uint64_t, int> counts;
    for (int i = 0; i < 10'000; ++i) ++counts[zipfian.Rank(random)];
    EXPECT_EQ(counts.size(), items);
    EXPECT_LT(counts.rbegin()->first, items);
  }
}

TEST(IndexPickerTest, TheSameSeedPicksTheSame) {
  for (const Distribution distribution :
       {Distribution::kUniform, Distribution::kZipfian, Distribution::kLatest}) {
    const IndexPicker picker(distribution, 1000);
    Random one(7);
    Random two(7);
    for (int i = 0; i < 1000; ++i) {
      const uint64_t index = picker.Pick(one, 0);
      EXPECT_EQ(index, picker.Pick(two, 0));
      EXPECT_LT(index, 1000u);
    }
  }
}

TEST(IndexPickerTest, ZipfianHasAFewHotKeysAllOverTheirOrder) {
  const IndexPicker picker(Distribution::kZipfian, 10'000);
  Random random(3);
  std::map<uint64_t, int> counts;
  int lower_half = 0;
  for (int i = 0; i < kDraws; ++i) {
    const uint64_t index = picker.Pick(random, 0);
    ++counts[index];
    if (index < 5000) ++lower_half;
  }
  int hottest = 0;
  for (const auto& [index, count] : counts) hottest = std::max(hottest, count);
  EXPECT_GT(hottest, kDraws / 15);
  EXPECT_LT(hottest, kDraws / 7);
  EXPECT_GT(lower_half, kDraws / 4);
  EXPECT_LT(lower_half, kDraws * 3 / 4);
}

TEST(IndexPickerTest, LatestPicksWhatWasInsertedLast) {
  constexpr uint64_t kKeys = 1000;
  const IndexPicker picker(Distribution::kLatest, kKeys);
  for (const uint64_t inserted : {0, 10, 1000, 2500}) {
    Random random(5);
    std::map<uint64_t, int> counts;
    for (int i = 0; i < kDraws; ++i) ++counts[picker.Pick(random, inserted)];
    const uint64_t newest = inserted == 0 ? kKeys - 1 : kKeys + (inserted - 1) % kKeys;
    for (const auto& [index, count] : counts) {
      EXPECT_LT(index, 2 * kKeys);
      EXPECT_LE(count, counts[newest]) << inserted << " inserted, index " << index;
    }
    EXPECT_GT(counts[newest], kDraws / 10) << inserted;
  }
}

}  // namespace
}  // namespace ioengine::kv
