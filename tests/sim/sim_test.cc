// The store in simulated time: nothing is lost over ten thousand crashes, and planted bugs are
// found. `ioengine-sim` does the same for as long as one likes.

#include <cstdint>
#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "ioengine/sched/canary.h"
#include "ioengine/tools/sim/canaries.h"
#include "ioengine/tools/sim/run.h"

namespace ioengine::sim {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr uint64_t kCrashes = 1'000;
constexpr uint64_t kTwice = 20;
#else
constexpr uint64_t kCrashes = 10'000;
constexpr uint64_t kTwice = 100;
#endif
// A planted bug must be found by one of so many seeds.
constexpr uint64_t kCanarySeeds = 600;

std::string Failure(uint64_t seed, const RunResult& result) {
  return result.trace + "\nseed " + std::to_string(seed) + ": " + result.complaint;
}

class SimTest : public testing::Test {
 protected:
  ~SimTest() override { SetCanary(""); }
};

TEST_F(SimTest, NothingIsLostInTenThousandCrashes) {
  RunResult sum;
  for (uint64_t seed = 1; sum.power_cuts + sum.kills < kCrashes; ++seed) {
    const RunResult result = RunSeed({.seed = seed});
    ASSERT_EQ(result.complaint, "") << Failure(seed, result);
    sum.power_cuts += result.power_cuts;
    sum.kills += result.kills;
    sum.acknowledged += result.acknowledged;
    sum.failed_logs += result.failed_logs;
    sum.damage_found += result.damage_found;
    sum.clean_ends += result.clean_ends;
    sum.flushes += result.flushes;
    sum.compactions += result.compactions;
  }
  // Else nothing was tried.
  EXPECT_GT(sum.acknowledged, kCrashes);
  EXPECT_GT(sum.kills, kCrashes / 10);
  EXPECT_GT(sum.clean_ends, kCrashes / 20);
  EXPECT_GT(sum.failed_logs, kCrashes / 500);
  EXPECT_GT(sum.damage_found, 0u);
  EXPECT_GT(sum.flushes, kCrashes / 10);
  EXPECT_GT(sum.compactions, kCrashes / 100);
}

TEST_F(SimTest, OneSeedIsOneRun) {
  uint64_t previous = 0;
  for (uint64_t seed = 1; seed <= kTwice; ++seed) {
    const RunResult first = RunSeed({.seed = seed, .operations = 200});
    const RunResult second = RunSeed({.seed = seed, .operations = 200});
    ASSERT_EQ(first.trace_hash, second.trace_hash) << "seed " << seed;
    ASSERT_NE(first.trace_hash, previous);
    previous = first.trace_hash;
  }
}

class CanaryTest : public SimTest, public testing::WithParamInterface<std::string_view> {};

TEST_P(CanaryTest, IsFound) {
  SetCanary(GetParam());
  for (uint64_t seed = 1; seed <= kCanarySeeds; ++seed) {
    if (!RunSeed({.seed = seed}).complaint.empty()) return;
  }
  ADD_FAILURE() << std::string(GetParam()) << " was found by none of " << kCanarySeeds << " seeds";
}

std::string NameOf(const testing::TestParamInfo<std::string_view>& info) {
  std::string name(info.param);
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
}

#if defined(__SANITIZE_ADDRESS__)
// Which tests find what is not a question of memory; some take hundreds of seeds.
INSTANTIATE_TEST_SUITE_P(Some, CanaryTest,
                         testing::Values("store-frozen-not-read", "store-publish-at-append"),
                         NameOf);
#else
INSTANTIATE_TEST_SUITE_P(All, CanaryTest, testing::ValuesIn(kCanaries), NameOf);
#endif

}  // namespace
}  // namespace ioengine::sim
