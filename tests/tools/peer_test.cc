#include "ioengine/tools/benchmark/peer.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/tools/benchmark/workload.h"

namespace ioengine::bench {
namespace {

TEST(ParseWorkloadsTest, EveryNameGoesThereAndBack) {
  for (const Workload workload : AllWorkloads()) {
    const auto parsed = ParseWorkloads(WorkloadName(workload));
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(*parsed, std::vector<Workload>{workload});
  }
  EXPECT_EQ(AllWorkloads().size(), 7u);
}

TEST(ParseWorkloadsTest, KeepsTheOrder) {
  const auto parsed = ParseWorkloads("null,seqread,mixed");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(*parsed,
            (std::vector<Workload>{Workload::kNull, Workload::kSeqRead, Workload::kMixed}));
}

TEST(ParseWorkloadsTest, RefusesWhatItDoesNotKnow) {
  for (const char* bad :
       {"", "seqread,", ",seqread", "randreed", "seqread,seqread", "seqread mixed"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseWorkloads(bad).status())) << bad;
  }
  const std::string message = ParseWorkloads("randreed").status().ToString();
  EXPECT_NE(message.find("randreed"), std::string::npos);
  EXPECT_NE(message.find("syncwrite"), std::string::npos) << "lists what there is";
}

TEST(WorkloadTest, Properties) {
  EXPECT_TRUE(Writes(Workload::kMixed));
  EXPECT_TRUE(Writes(Workload::kSyncWrite));
  EXPECT_FALSE(Writes(Workload::kSeqRead));
  EXPECT_FALSE(Writes(Workload::kNull));
  EXPECT_TRUE(IsRandom(Workload::kRandWrite));
  EXPECT_FALSE(IsRandom(Workload::kSyncWrite));
  EXPECT_FALSE(NeedsFile(Workload::kNull));
  EXPECT_TRUE(NeedsFile(Workload::kRandRead));
}

TEST(ShardRegionTest, RegionsAreEqualAlignedAndDisjoint) {
  PeerJob job;
  job.size_bytes = 100 * 4096 + 17;
  job.block_size_bytes = 4096;
  job.shards = 3;
  uint64_t end = 0;
  for (int shard = 0; shard < 3; ++shard) {
    const Region region = ShardRegion(job, shard);
    EXPECT_EQ(region.offset_bytes, end);
    EXPECT_EQ(region.size_bytes, 33u * 4096);
    end += region.size_bytes;
  }
  EXPECT_LE(end, job.size_bytes);
}

TEST(CheckJobTest, RefusesWhatMakesNoSense) {
  PeerJob good;
  good.size_bytes = 4096;
  EXPECT_TRUE(CheckJob(good).ok());
  const auto refused = [&](auto change) {
    PeerJob job = good;
    change(&job);
    return absl::IsInvalidArgument(CheckJob(job));
  };
  EXPECT_TRUE(refused([](PeerJob* job) { job->shards = 0; }));
  EXPECT_TRUE(refused([](PeerJob* job) { job->depth = 0; }));
  EXPECT_TRUE(refused([](PeerJob* job) { job->duration_s = 0; }));
  EXPECT_TRUE(refused([](PeerJob* job) { job->block_size_bytes = 0; }));
  EXPECT_TRUE(refused([](PeerJob* job) { job->shards = 2; })) << "one block, two shards";
  EXPECT_TRUE(refused([](PeerJob* job) { job->cpus = {0, 1}; }));
  good.workload = Workload::kNull;
  good.size_bytes = 0;
  EXPECT_TRUE(CheckJob(good).ok()) << "needs no file";
}

TEST(BestVariantTest, TakesTheHighestMedianAndAlternates) {
  // The second is the best in the median, though the first has the best single run.
  const std::map<int, std::vector<double>> iops = {{0, {10, 99, 10}}, {1, {20, 21, 22}}};
  std::vector<int> order;
  std::map<int, size_t> runs;
  const auto best = BestVariant(2, 3, [&](int variant) -> absl::StatusOr<PeerOutcome> {
    order.push_back(variant);
    PeerOutcome outcome;
    outcome.iops = iops.at(variant)[runs[variant]++];
    return outcome;
  });
  ASSERT_TRUE(best.ok());
  EXPECT_EQ(*best, 1);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 0, 1, 0, 1}));
}

TEST(BestVariantTest, HandsOnTheFirstError) {
  int runs = 0;
  const auto best = BestVariant(3, 2, [&](int) -> absl::StatusOr<PeerOutcome> {
    if (++runs == 2) return absl::CancelledError("stop");
    return PeerOutcome{};
  });
  EXPECT_TRUE(absl::IsCancelled(best.status()));
  EXPECT_EQ(runs, 2);
}

}  // namespace
}  // namespace ioengine::bench
