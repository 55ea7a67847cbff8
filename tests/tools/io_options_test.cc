#include "ioengine/tools/benchmark/io_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ioengine::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Parses and validates; "" where nothing is wrong.
std::string Complaint(IoOptions* options, std::vector<std::string> words) {
  FlagSet flags;
  options->AddTo(flags);
  words.insert(words.begin(), "bench");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const auto parsed = flags.Parse(static_cast<int>(words.size()), argv.data());
  if (!parsed.ok()) return std::string(parsed.status().message());
  return std::string(options->Validate().message());
}

std::string Complaint(std::vector<std::string> words) {
  IoOptions options;
  return Complaint(&options, std::move(words));
}

TEST(IoOptionsTest, DefaultsAreValidAndFitTheWorkload) {
  IoOptions options;
  EXPECT_EQ(Complaint(&options, {}), "");
  EXPECT_EQ(options.BlockSize(Workload::kSeqRead), 1u << 20);
  EXPECT_EQ(options.Depth(Workload::kSeqRead), 8);
  EXPECT_EQ(options.BlockSize(Workload::kRandWrite), 4096u);
  EXPECT_EQ(options.Depth(Workload::kRandWrite), 64);
  EXPECT_EQ(options.Depth(Workload::kSyncWrite), 1);
  EXPECT_TRUE(options.writes());
}

TEST(IoOptionsTest, TakesEveryFlag) {
  IoOptions options;
  EXPECT_EQ(
      Complaint(&options, {"--file=/f", "--destroy-data", "--size=64M", "--workloads=mixed,null",
                           "--block-size=8k", "--depth=3", "--shards=2", "--placement=1,0",
                           "--duration=2s", "--repetitions=4", "--idle-spin-us=9", "--seed=5",
                           "--backend=threads", "--compare=fio,raw", "--slice=100ms", "--json=/j"}),
      "");
  EXPECT_EQ(options.target.file, "/f");
  EXPECT_TRUE(options.target.destroy_data);
  EXPECT_EQ(options.target.size_bytes, 64u << 20);
  EXPECT_THAT(options.workloads, ElementsAre(Workload::kMixed, Workload::kNull));
  EXPECT_EQ(options.BlockSize(Workload::kNull), 8192u);
  EXPECT_EQ(options.Depth(Workload::kMixed), 3);
  EXPECT_EQ(options.shards, 2);
  EXPECT_THAT(options.placement.custom_cpus, ElementsAre(1, 0));
  EXPECT_EQ(options.duration_s, 2);
  EXPECT_EQ(options.repetitions, 4);
  EXPECT_EQ(options.idle_spin_us, 9);
  EXPECT_EQ(options.seed, 5);
  EXPECT_EQ(options.backend, BackendChoice::kThreadPool);
  EXPECT_TRUE(options.compare_fio && options.compare_raw);
  EXPECT_EQ(options.slice_s, 0.1);
  EXPECT_EQ(options.json_path, "/j");
}

// It writes, whatever the workloads are that it is run instead of.
TEST(IoOptionsTest, TheClassTestWrites) {
  IoOptions options;
  EXPECT_EQ(Complaint(&options, {"--class-test", "--size=64M", "--shards=2"}), "");
  options.workloads = {Workload::kNull};
  EXPECT_TRUE(options.writes());
  EXPECT_TRUE(options.needs_file());
}

TEST(IoOptionsTest, NamesWhatIsWrong) {
  EXPECT_THAT(Complaint({"--block-size=1000"}), HasSubstr("--block-size=1000: give a multiple"));
  EXPECT_THAT(Complaint({"--block-size=128M"}), HasSubstr("--block-size="));
  EXPECT_THAT(Complaint({"--dir=/d", "--file=/f"}), HasSubstr("the one or the other"));
  EXPECT_THAT(Complaint({"--size=5000"}), HasSubstr("--size=5000: give a multiple of 4096"));
  EXPECT_THAT(Complaint({"--size=1M", "--shards=2"}), HasSubstr("too small for 2 shards"));
  EXPECT_THAT(Complaint({"--workloads=seqread,foo"}), HasSubstr("unknown workload 'foo'"));
  EXPECT_THAT(Complaint({"--compare=foo"}), HasSubstr("known peers: fio, raw"));
  EXPECT_THAT(Complaint({"--backend=foo"}), HasSubstr("known backends: auto, uring, threads"));
  EXPECT_THAT(Complaint({"--placement=everywhere"}), HasSubstr("--placement=everywhere"));
  EXPECT_THAT(Complaint({"--verify", "--compare=raw"}), HasSubstr("do not go together"));
  EXPECT_THAT(Complaint({"--verify", "--workloads=null"}), HasSubstr("reads a block back"));
  EXPECT_THAT(Complaint({"--verify", "--workloads=seqwrite"}), HasSubstr("reads a block back"));
  EXPECT_THAT(Complaint({"--compare=fio", "--workloads=null"}), HasSubstr("use --compare=raw"));
  for (const char* other :
       {"--workloads=randread", "--block-size=4k", "--depth=4", "--compare=raw"}) {
    EXPECT_THAT(Complaint({"--class-test", other}), HasSubstr("has its own workloads"));
  }
  EXPECT_THAT(Complaint({"--class-test", "--size=60M", "--shards=2"}),
              HasSubstr("--class-test needs 33554432 bytes for each shard"));
  EXPECT_THAT(Complaint({"--depth=4096", "--block-size=64M", "--size=64M"}),
              HasSubstr("4GiB is the most"));
}

}  // namespace
}  // namespace ioengine::bench
