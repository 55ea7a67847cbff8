#include "ioengine/tools/benchmark/fio.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/tests/tools/temporary_directory.h"

namespace ioengine::bench {
namespace {

const std::atomic<bool> kNever = false;

// What fio 3.33 printed for a mixed run of two jobs, without the parts that nobody reads.
constexpr std::string_view kSample = R"(fio: a note before the object
{
  "fio version" : "fio-3.33",
  "jobs" : [
    {
      "jobname" : "ioengine-bench",
      "error" : 0,
      "mixed" : {
        "io_bytes" : 159776768,
        "bw_bytes" : 309644899,
        "iops" : 75596.899225,
        "runtime" : 516,
        "total_ios" : 39008,
        "clat_ns" : { "min" : 0, "max" : 0, "mean" : 0.0, "stddev" : 0.0, "N" : 0 },
        "lat_ns" : {
          "min" : 13626,
          "max" : 20966356,
          "N" : 39008,
          "percentile" : {
            "50.000000" : 226304,
            "99.000000" : 4079616,
            "99.900000" : 18481152
          }
        }
      },
      "job_runtime" : 1015,
      "usr_cpu" : 3.743842,
      "sys_cpu" : 33.891626
    }
  ]
}
)";

std::string Replaced(std::string_view text, const std::string& from, const std::string& to) {
  std::string changed(text);
  const size_t at = changed.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return changed.replace(at, from.size(), to);
}

PeerJob SmallJob(const std::string& path) {
  PeerJob job;
  job.path = path;
  job.size_bytes = 1 << 20;
  job.shards = 2;
  job.depth = 64;
  job.cpus = {0, 1};
  job.duration_s = 0.5;
  return job;
}

bool Has(const std::vector<std::string>& argv, const std::string& argument) {
  return std::find(argv.begin(), argv.end(), argument) != argv.end();
}

TEST(ParseFioOutputTest, ReadsTheFigures) {
  const auto outcome = ParseFioOutput(kSample);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_DOUBLE_EQ(outcome->iops, 75596.899225);
  EXPECT_DOUBLE_EQ(outcome->bytes_per_s, 309644899);
  EXPECT_DOUBLE_EQ(outcome->p50_us, 226.304);
  EXPECT_DOUBLE_EQ(outcome->p99_us, 4079.616);
  EXPECT_DOUBLE_EQ(outcome->p999_us, 18481.152);
  EXPECT_DOUBLE_EQ(outcome->max_us, 20966.356);
  // 37.635468 % of 1015 ms are 382 ms, over 39008 operations.
  EXPECT_NEAR(outcome->cpu_us_per_op, 9.793, 0.001);
}

TEST(ParseFioOutputTest, SaysWhatIsWrong) {
  EXPECT_TRUE(absl::IsInternal(ParseFioOutput("").status()));
  EXPECT_TRUE(absl::IsInternal(ParseFioOutput("no object here").status()));
  EXPECT_TRUE(absl::IsInternal(ParseFioOutput(kSample.substr(0, 400)).status()));
  EXPECT_TRUE(absl::IsInternal(ParseFioOutput("{}").status()));
  EXPECT_TRUE(absl::IsInternal(ParseFioOutput("{\"jobs\": []}").status()));
  const auto renamed = ParseFioOutput(Replaced(kSample, "bw_bytes", "bandwidth"));
  EXPECT_NE(renamed.status().message().find("bw_bytes"), absl::string_view::npos);
  const auto failed = ParseFioOutput(Replaced(kSample, "\"error\" : 0", "\"error\" : 5"));
  EXPECT_NE(failed.status().message().find("Input/output error"), absl::string_view::npos)
      << failed.status();
  EXPECT_FALSE(
      ParseFioOutput(Replaced(kSample, "\"total_ios\" : 39008", "\"total_ios\" : 0")).ok());
  EXPECT_FALSE(
      ParseFioOutput(Replaced(kSample, "\"usr_cpu\" : 3.743842", "\"usr_cpu\" : \"3\"")).ok());
}

TEST(FioCommandTest, IsFioAtItsBest) {
  const auto argv = FioCommand(SmallJob("/data/a:b"), FioVariant::kBatched);
  EXPECT_EQ(argv[0], "fio");
  for (const char* argument : {"--filename=/data/a\\:b",
                               "--rw=randread",
                               "--bs=4096",
                               "--iodepth=64",
                               "--numjobs=2",
                               "--size=524288",
                               "--offset_increment=524288",
                               "--runtime=500ms",
                               "--time_based",
                               "--ioengine=io_uring",
                               "--direct=1",
                               "--hipri=0",
                               "--fixedbufs",
                               "--registerfiles",
                               "--thread",
                               "--norandommap",
                               "--randrepeat=0",
                               "--allow_file_create=0",
                               "--group_reporting",
                               "--cpus_allowed=0,1",
                               "--cpus_allowed_policy=split",
                               "--iodepth_batch_submit=8",
                               "--iodepth_batch_complete_max=64",
                               "--eta=never",
                               "--output-format=json"}) {
    EXPECT_TRUE(Has(argv, argument)) << argument;
  }
  const auto plain = FioCommand(SmallJob("/data/a"), FioVariant::kOneByOne);
  EXPECT_FALSE(Has(plain, "--iodepth_batch_submit=8"));
}

TEST(FioCommandTest, EachWorkloadHasItsPattern) {
  const std::vector<std::pair<Workload, std::string>> patterns = {
      {Workload::kSeqRead, "--rw=read"},      {Workload::kSeqWrite, "--rw=write"},
      {Workload::kRandRead, "--rw=randread"}, {Workload::kRandWrite, "--rw=randwrite"},
      {Workload::kMixed, "--rw=randrw"},      {Workload::kSyncWrite, "--rw=write"},
  };
  for (const auto& [workload, pattern] : patterns) {
    PeerJob job = SmallJob("/data/a");
    job.workload = workload;
    const auto argv = FioCommand(job, FioVariant::kOneByOne);
    EXPECT_TRUE(Has(argv, pattern)) << pattern;
    EXPECT_EQ(Has(argv, "--sync=dsync"), workload == Workload::kSyncWrite);
    EXPECT_EQ(Has(argv, "--rwmixread=70"), workload == Workload::kMixed);
  }
}

TEST(FioCommandTest, WithoutCpusNothingIsPinned) {
  PeerJob job = SmallJob("/data/a");
  job.cpus.clear();
  for (const std::string& argument : FioCommand(job, FioVariant::kOneByOne)) {
    EXPECT_FALSE(argument.starts_with("--cpus_allowed")) << argument;
  }
}

TEST(FioVariantsTest, OneAtDepthOneOtherwiseTwo) {
  PeerJob job = SmallJob("/data/a");
  EXPECT_EQ(FioVariants(job).front(), FioVariant::kBatched);
  EXPECT_EQ(FioVariants(job).size(), 2u);
  job.block_size_bytes = 1 << 20;
  EXPECT_EQ(FioVariants(job).front(), FioVariant::kOneByOne);
  EXPECT_EQ(FioVariants(job).size(), 2u);
  job.depth = 1;
  EXPECT_EQ(FioVariants(job), std::vector<FioVariant>{FioVariant::kOneByOne});
}

// Runs with a directory of our own in front of PATH, in which `fio` is what the test writes.
class FakeFioTest : public testing::Test {
 protected:
  FakeFioTest() : old_path_(std::getenv("PATH")) {
    setenv("PATH", (directory_.path() + ":" + old_path_).c_str(), 1);
  }
  ~FakeFioTest() override { setenv("PATH", old_path_.c_str(), 1); }

  void WriteFio(const std::string& script) {
    const std::string path = directory_.Write("fio", "#!/bin/sh\n" + script);
    ASSERT_EQ(chmod(path.c_str(), 0755), 0);
  }
  std::string DataFile() { return directory_.Write("data", std::string(1 << 20, 'x')); }

  TemporaryDirectory directory_;
  const std::string old_path_;
};

TEST_F(FakeFioTest, RunsItAndTellsTheCommand) {
  directory_.Write("sample", kSample);
  WriteFio("echo \"$GLIBC_TUNABLES $*\" > " + directory_.File("arguments") + "\ncat " +
           directory_.File("sample") + "\n");
  const auto outcome = RunFio(SmallJob(DataFile()), FioVariant::kBatched, kNever);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_DOUBLE_EQ(outcome->iops, 75596.899225);
  EXPECT_TRUE(outcome->command.starts_with("GLIBC_TUNABLES=glibc.malloc.hugetlb=1 fio "))
      << outcome->command;
  const std::string arguments = ReadFile(directory_.File("arguments"));
  EXPECT_TRUE(arguments.starts_with("glibc.malloc.hugetlb=1 --name=ioengine-bench")) << arguments;
}

TEST_F(FakeFioTest, ItsFailureNamesMessageAndCommand) {
  WriteFio("echo 'fio: engine io_uring not loadable' >&2; exit 1\n");
  const auto outcome = RunFio(SmallJob(DataFile()), FioVariant::kBatched, kNever);
  EXPECT_TRUE(absl::IsInternal(outcome.status()));
  EXPECT_NE(outcome.status().message().find("not loadable"), absl::string_view::npos);
  EXPECT_NE(outcome.status().message().find("--iodepth=64"), absl::string_view::npos);
}

TEST_F(FakeFioTest, OutputThatIsNoJsonIsAnError) {
  WriteFio("echo hello\n");
  const auto outcome = RunFio(SmallJob(DataFile()), FioVariant::kBatched, kNever);
  EXPECT_TRUE(absl::IsInternal(outcome.status())) << outcome.status();
}

TEST_F(FakeFioTest, ItIsStoppedWhenCancelled) {
  WriteFio("exec sleep 60\n");
  const std::atomic<bool> cancelled = true;
  EXPECT_TRUE(
      absl::IsCancelled(RunFio(SmallJob(DataFile()), FioVariant::kBatched, cancelled).status()));
}

TEST_F(FakeFioTest, MissingFioSaysHowToGetIt) {
  const std::string data = DataFile();
  setenv("PATH", directory_.path().c_str(), 1);
  const auto outcome = RunFio(SmallJob(data), FioVariant::kBatched, kNever);
  EXPECT_TRUE(absl::IsNotFound(outcome.status())) << outcome.status();
  EXPECT_NE(outcome.status().message().find("apt-get install fio"), absl::string_view::npos);
}

TEST_F(FakeFioTest, RefusesBeforeItStarts) {
  WriteFio("touch " + directory_.File("started") + "\n");
  PeerJob job = SmallJob(DataFile());
  job.workload = Workload::kNull;
  EXPECT_TRUE(absl::IsUnimplemented(RunFio(job, FioVariant::kBatched, kNever).status()));
  job = SmallJob(DataFile());
  job.size_bytes = 2 << 20;
  const auto small = RunFio(job, FioVariant::kBatched, kNever);
  EXPECT_TRUE(absl::IsInvalidArgument(small.status())) << "fio would extend the file";
  job = SmallJob(directory_.File("missing"));
  EXPECT_TRUE(absl::IsNotFound(RunFio(job, FioVariant::kBatched, kNever).status()));
  job.shards = 0;
  EXPECT_TRUE(absl::IsInvalidArgument(RunFio(job, FioVariant::kBatched, kNever).status()));
  EXPECT_EQ(ReadFile(directory_.File("started")), "");
  EXPECT_NE(access(directory_.File("started").c_str(), F_OK), 0);
}

}  // namespace
}  // namespace ioengine::bench
