#include "ioengine/tools/benchmark/raw_loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/tests/tools/temporary_directory.h"

namespace ioengine::bench {
namespace {

namespace fs = std::filesystem;

const std::atomic<bool> kNever = false;

constexpr size_t kFileBytes = 1 << 20;

PeerJob ShortJob(const std::string& path, Workload workload) {
  PeerJob job;
  job.workload = workload;
  job.path = path;
  job.size_bytes = kFileBytes;
  job.shards = 2;
  job.depth = 8;
  job.duration_s = 0.05;
  return job;
}

TEST(RawLoopTest, RunsEveryWorkload) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("data", std::string(kFileBytes, 'x'));
  for (const Workload workload : AllWorkloads()) {
    SCOPED_TRACE(WorkloadName(workload));
    const auto outcome = RunRawLoop(ShortJob(path, workload), {}, kNever);
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_GT(outcome->iops, 0);
    const double bytes_per_op = NeedsFile(workload) ? 4096 : 0;
    EXPECT_NEAR(outcome->bytes_per_s, outcome->iops * bytes_per_op, outcome->iops);
    EXPECT_GT(outcome->p50_us, 0);
    EXPECT_LE(outcome->p50_us, outcome->p99_us);
    EXPECT_LE(outcome->p99_us, outcome->p999_us);
    EXPECT_LE(outcome->p999_us, outcome->max_us);
    EXPECT_GT(outcome->cpu_us_per_op, 0);
    EXPECT_NE(outcome->command.find("2 thread(s)"), std::string::npos);
    EXPECT_EQ(ReadFile(path).size(), kFileBytes);
  }
}

TEST(RawLoopTest, OnlyTheWritingOnesWrite) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("data", std::string(kFileBytes, 'x'));
  for (const Workload workload : AllWorkloads()) {
    // A mixed run may end with the bytes that it began with: it writes what it has read.
    const auto before = fs::file_time_type::clock::now() - std::chrono::hours(1);
    fs::last_write_time(path, before);
    ASSERT_TRUE(RunRawLoop(ShortJob(path, workload), {}, kNever).ok());
    const bool changed = fs::last_write_time(path) > before + std::chrono::minutes(1);
    EXPECT_EQ(changed, Writes(workload)) << WorkloadName(workload);
  }
}

TEST(RawLoopTest, EachShardStaysInItsRegion) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("data", std::string(kFileBytes, 'x'));
  PeerJob job = ShortJob(path, Workload::kSeqWrite);
  job.shards = 3;  // 85 blocks each; the last of the 256 belongs to nobody
  ASSERT_TRUE(RunRawLoop(job, {}, kNever).ok());
  const std::string after = ReadFile(path);
  const std::string untouched(4096, 'x');
  for (const size_t first : {0, 85, 170}) {
    EXPECT_FALSE(after.substr(first * 4096, 4096) == untouched) << first;
  }
  EXPECT_TRUE(after.substr(255 * 4096) == untouched);
}

TEST(RawLoopTest, WaitsForMoreThanOneAndTimesEveryNthTurn) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("data", std::string(kFileBytes, 'x'));
  const auto outcome = RunRawLoop(ShortJob(path, Workload::kRandRead),
                                  {.wait_count = 1000, .latency_sample_every = 3}, kNever);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_GT(outcome->iops, 0);
  EXPECT_GT(outcome->p50_us, 0);
  EXPECT_NE(outcome->command.find("waits for 8"), std::string::npos)
      << "no more than are in flight";
}

TEST(RawLoopTest, PinsItsThreads) {
  PeerJob job = ShortJob("", Workload::kNull);
  job.shards = 1;
  job.cpus = {1 << 20};
  const auto outcome = RunRawLoop(job, {}, kNever);
  EXPECT_FALSE(outcome.ok());
  EXPECT_NE(outcome.status().message().find("CPU 1048576"), absl::string_view::npos)
      << outcome.status();
}

TEST(RawLoopTest, NamesAMissingFile) {
  const auto outcome = RunRawLoop(ShortJob("/no/such/file", Workload::kRandRead), {}, kNever);
  EXPECT_TRUE(absl::IsNotFound(outcome.status())) << outcome.status();
  EXPECT_NE(outcome.status().message().find("/no/such/file"), absl::string_view::npos);
}

TEST(RawLoopTest, AFileThatIsTooShortIsNoticed) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("data", std::string(kFileBytes / 2, 'x'));
  const auto outcome = RunRawLoop(ShortJob(path, Workload::kSeqRead), {}, kNever);
  EXPECT_TRUE(absl::IsInternal(outcome.status())) << outcome.status();
}

TEST(RawLoopTest, StopsWhenCancelled) {
  std::atomic<bool> cancelled = false;
  PeerJob job = ShortJob("", Workload::kNull);
  job.duration_s = 600;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    cancelled = true;
  });
  const auto outcome = RunRawLoop(job, {}, cancelled);
  later.join();
  EXPECT_TRUE(absl::IsCancelled(outcome.status())) << outcome.status();
}

TEST(RawLoopVariantsTest, NoneTwice) {
  const auto counts = [](int depth) {
    PeerJob job;
    job.depth = depth;
    std::vector<int> found;
    for (const RawLoopOptions& options : RawLoopVariants(job)) found.push_back(options.wait_count);
    return found;
  };
  EXPECT_EQ(counts(1), std::vector<int>{1});
  EXPECT_EQ(counts(8), (std::vector<int>{1, 2}));
  EXPECT_EQ(counts(64), (std::vector<int>{1, 8, 16}));
}

}  // namespace
}  // namespace ioengine::bench
