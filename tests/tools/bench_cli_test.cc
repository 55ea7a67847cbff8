// ioengine-bench as its users meet it: the binary, its output, its exit status, what it leaves.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "ioengine/tests/tools/temporary_directory.h"
#include "ioengine/tests/tools/tool_fixture.h"
#include "ioengine/tools/benchmark/metrics.h"

namespace ioengine::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Makes io_uring_setup fail with `error`, as a container's seccomp profile does.
bool BlockUring(int error) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {static_cast<unsigned short>(std::size(filter)), filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// Becomes a user who may lock 64 KiB of memory.
bool BecomeOrdinaryUser() {
  const rlimit memlock = {65536, 65536};
  return setrlimit(RLIMIT_MEMLOCK, &memlock) == 0 && setgroups(0, nullptr) == 0 &&
         setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0;
}

class BenchCliTest : public ToolTest {
 protected:
  BenchCliTest() : ToolTest("tools/ioengine-bench") {}
};

TEST_F(BenchCliTest, MeasuresEveryWorkloadAndRemovesItsFile) {
  const std::string json_path = files_.File("result.json");
  const Finished run =
      Run({Dir(), "--size=8M", "--duration=50ms", "--repetitions=3", "--json=" + json_path,
           "--workloads=seqread,seqwrite,randread,randwrite,mixed,syncwrite,null"});
  ASSERT_EQ(run.exit_status, 0) << run.errors;
  EXPECT_EQ(run.errors, "") << "no progress line in a pipe";
  EXPECT_TRUE(data_.empty());
  for (const char* word : {"kernel", "cpu", "device", "file system", "backend", "io_uring",
                           "registered", "seqread", "syncwrite", "null", "p99.9"}) {
    EXPECT_THAT(run.output, HasSubstr(word));
  }

  const nlohmann::json report = nlohmann::json::parse(ReadFile(json_path));
  EXPECT_TRUE(report.at("environment").contains("kernel"));
  EXPECT_EQ(report.at("results").size(), 7 * 7u) << "seven metrics of seven workloads";
  for (const nlohmann::json& result : report.at("results")) {
    const std::string metric = result.at("metric");
    EXPECT_NE(FindMetric("io", metric), nullptr) << metric;
    EXPECT_EQ(result.at("repetitions"), 3);
    EXPECT_GE(result.at("value"), 0);
    EXPECT_LE(result.at("min"), result.at("max"));
    EXPECT_TRUE(result.at("parameters").contains("depth"));
    if (metric == "iops") {
      EXPECT_GT(result.at("value"), 0) << result;
    }
  }
}

// The metrics of a suite that a short run of it gave.
std::set<std::string> MetricsIn(const nlohmann::json& report, const std::string& suite) {
  std::set<std::string> found;
  for (const nlohmann::json& result : report.at("results")) {
    EXPECT_EQ(result.at("suite"), suite);
    EXPECT_GE(result.at("max"), result.at("min"));
    found.insert(result.at("metric"));
  }
  return found;
}

TEST_F(BenchCliTest, SuitesWithoutADiskGiveEachOfTheirMetrics) {
  for (const std::string suite : {"sched", "timer"}) {
    const std::string json_path = files_.File(suite + ".json");
    const Finished run = Run({suite, "--duration=50ms", "--repetitions=2", "--json=" + json_path});
    ASSERT_EQ(run.exit_status, 0) << run.errors;
    std::set<std::string> all;
    for (const Metric& metric : Metrics()) {
      if (metric.suite == suite) all.insert(std::string(metric.name));
    }
    EXPECT_EQ(MetricsIn(nlohmann::json::parse(ReadFile(json_path)), suite), all);
  }
}

TEST_F(BenchCliTest, SuitesWithoutADiskSayWhatIsWrongWithTheirFlags) {
  const Finished unknown = Run({"sched", "--workloads=switch,nothing"});
  EXPECT_EQ(unknown.exit_status, 2);
  EXPECT_THAT(unknown.errors, HasSubstr("'nothing': known are switch,spawn,parked"));
  EXPECT_EQ(Run({"timer", "surplus"}).exit_status, 2);
  const Finished help = Run({"sched", "--help"});
  EXPECT_EQ(help.exit_status, 0);
  EXPECT_THAT(help.output, HasSubstr("isolation"));
}

TEST_F(BenchCliTest, MeasuresAStoreAndRemovesIt) {
  const std::string json_path = files_.File("store.json");
  const Finished run = Run({"store", Dir(), "--keys=5000", "--value=200", "--memtable=512k",
                            "--cache=2M", "--log-duration=20ms", "--json=" + json_path});
  ASSERT_EQ(run.exit_status, 0) << run.errors;
  EXPECT_TRUE(data_.empty());
  const nlohmann::json report = nlohmann::json::parse(ReadFile(json_path));
  std::set<std::string> all;
  for (const Metric& metric : Metrics()) {
    if (metric.suite == "store") all.insert(std::string(metric.name));
  }
  EXPECT_EQ(MetricsIn(report, "store"), all);
  std::set<std::string> workloads;
  for (const nlohmann::json& result : report.at("results")) {
    workloads.insert(result.at("workload"));
    if (result.at("metric") == "space_amplification" ||
        result.at("metric") == "table_write_amplification") {
      EXPECT_GE(result.at("value"), 1) << result;
      EXPECT_LT(result.at("value"), 10) << result;
    }
    if (result.at("metric") == "open_ms") {
      EXPECT_GT(result.at("ratios").at("bare"), 0);
    }
  }
  EXPECT_EQ(workloads, (std::set<std::string>{"fillrandom", "fillseq", "log", "overwrite",
                                              "readcold", "readseq", "readwarm", "recovery"}));
}

TEST_F(BenchCliTest, MeasuresWhatIsAskedForOfAStore) {
  const Finished run = Run({"store", Dir(), "--keys=500", "--ops=2000", "--depth=3",
                            "--durability=durable", "--workloads=readwarm"});
  ASSERT_EQ(run.exit_status, 0) << run.errors;
  EXPECT_THAT(run.output, HasSubstr("readwarm"));
  EXPECT_THAT(run.output, Not(HasSubstr("readcold")));
  EXPECT_THAT(run.output, Not(HasSubstr("fillrandom")));
  EXPECT_TRUE(data_.empty());
  EXPECT_EQ(Run({"store", "--workloads=fill"}).exit_status, 2);
  EXPECT_EQ(Run({"store", "--durability=none"}).exit_status, 2);
  EXPECT_EQ(Run({"store", "--cache=4k"}).exit_status, 2);
  EXPECT_EQ(Run({"store", "--dir=/no/such/place"}).exit_status, 1);
}

TEST_F(BenchCliTest, VerifiesOverShards) {
  const Finished run =
      Run({"io", Dir(), "--size=8M", "--duration=100ms", "--shards=2", "--placement=unbound",
           "--verify", "--depth=16", "--workloads=mixed,seqwrite,seqread,randwrite,randread"});
  ASSERT_EQ(run.exit_status, 0) << run.errors;
  EXPECT_THAT(run.output, HasSubstr("each block was the one last written."));
}

TEST_F(BenchCliTest, VerifiesWhereBlocksDoNotDivideTheFile) {
  // Workloads with blocks of 1 MiB and of 4 KiB, on regions that are whole in neither at first.
  for (const char* shards : {"--shards=1", "--shards=3"}) {
    const Finished run =
        Run({Dir(), "--size=10244k", shards, "--duration=50ms", "--verify", "--placement=unbound",
             "--workloads=randwrite,seqread,seqwrite,randread,mixed"});
    EXPECT_EQ(run.exit_status, 0) << run.errors;
  }
}

TEST_F(BenchCliTest, FindsOutAtOnceWhereItCannotWriteItsResults) {
  const Finished run = Run({Dir(), "--size=8M", "--duration=60s", "--json=/no/such/place/x.json"});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.errors, HasSubstr("/no/such/place"));
}

TEST_F(BenchCliTest, VerifyFindsForeignWrites) {
  // Somebody else writes into the file while it is read.
  const pid_t pid = Start({Dir(), "--size=1M", "--block-size=4k", "--duration=20s", "--verify",
                           "--workloads=randread"});
  std::filesystem::path file;
  for (int i = 0; i < 2000 && file.empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    for (const auto& entry : std::filesystem::directory_iterator(data_.path())) {
      if (entry.file_size() == 1 << 20) file = entry.path();
    }
  }
  ASSERT_FALSE(file.empty());
  for (int i = 0; i < 2000 && kill(pid, 0) == 0; ++i) {
    const int fd = open(file.c_str(), O_WRONLY);
    if (fd < 0) break;  // it has noticed, and removed the file
    EXPECT_EQ(pwrite(fd, "damage", 6, 512 * 1000), 6);
    fsync(fd);
    close(fd);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const Finished run = Wait(pid);
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.errors, HasSubstr("verify: at offset 512000 version 0 was expected"));
  EXPECT_TRUE(data_.empty());
}

TEST_F(BenchCliTest, RemovesItsFileOnCtrlC) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const pid_t pid = Start({Dir(), "--size=8M", "--duration=60s", "--workloads=randwrite"});
    for (int i = 0; i < 1000 && data_.empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_FALSE(data_.empty());
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    kill(pid, signal);
    const Finished run = Wait(pid);
    EXPECT_EQ(run.exit_status, 128 + signal);
    EXPECT_THAT(run.errors, HasSubstr("interrupted"));
    EXPECT_TRUE(data_.empty());
  }
}

TEST_F(BenchCliTest, ReadsAnExistingFileButNeverWritesOne) {
  const std::string path = data_.Write("mine", std::string(1 << 20, 'x'));
  Finished run = Run({"--file=" + path, "--size=1M", "--duration=50ms", "--block-size=4k",
                      "--workloads=seqread,randread"});
  EXPECT_EQ(run.exit_status, 0) << run.errors;
  run = Run({"--file=" + path, "--size=1M", "--workloads=randwrite"});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.errors, HasSubstr(path));
  run = Run({"--file=" + path, "--size=1M", "--block-size=4k", "--workloads=randread", "--verify"});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.errors, HasSubstr("--verify"));
  EXPECT_EQ(ReadFile(path), std::string(1 << 20, 'x'));
}

TEST_F(BenchCliTest, TestsClasses) {
  const std::string json_path = files_.File("result.json");
  const Finished run =
      Run({Dir(), "--size=32M", "--class-test", "--slice=30ms", "--verify", "--json=" + json_path});
  ASSERT_EQ(run.exit_status, 0) << run.errors;
  EXPECT_TRUE(data_.empty());
  EXPECT_THAT(run.output, HasSubstr("foreground beside background"));
  EXPECT_THAT(run.output, HasSubstr("class of 300 shares"));
  EXPECT_THAT(run.output, HasSubstr("reads checked")) << "the background writes elsewhere";
  std::set<std::string> backgrounds;
  std::set<std::string> metrics;
  const nlohmann::json report = nlohmann::json::parse(ReadFile(json_path));
  for (const nlohmann::json& result : report.at("results")) {
    metrics.insert(result.at("metric"));
    if (result.at("workload") != "foreground") continue;
    backgrounds.insert(result.at("parameters").at("background"));
  }
  EXPECT_EQ(backgrounds, (std::set<std::string>{"background", "none", "ordinary"}));
  EXPECT_EQ(metrics, (std::set<std::string>{"background_bytes_per_s", "iops", "p50_us", "p99_us",
                                            "share_error_percent"}));
}

TEST_F(BenchCliTest, ProbesADevice) {
  const std::string json_path = files_.File("probe.json");
  const Finished run = Run({"probe", Dir(), "--size=16M", "--slice=20ms", "--json=" + json_path});
  ASSERT_EQ(run.exit_status, 0) << run.errors;
  EXPECT_TRUE(data_.empty());
  EXPECT_THAT(run.output, HasSubstr("useful depth:"));
  const nlohmann::json found = nlohmann::json::parse(ReadFile(json_path));
  EXPECT_EQ(found.at("schema"), "ioengine.probe/1");
  for (const char* name : {"random_read_iops_depth_1", "random_write_iops_depth_256",
                           "sequential_read_bytes_per_s_64_kib", "sync_dsync_written_p50_us",
                           "sync_dsync_extending_p50_us", "sync_fdatasync_written_p50_us"}) {
    EXPECT_GT(found.at(name), 0) << name;
  }
  EXPECT_EQ(Run({"probe", "--dir=/a", "--file=/b"}).exit_status, 2);
  EXPECT_EQ(Run({"probe", "--size=1000"}).exit_status, 2);
  EXPECT_EQ(Run({"probe", "word"}).exit_status, 2);
}

TEST_F(BenchCliTest, ComparesWithABareLoop) {
  const Finished run = Run({"--workloads=null", "--compare=raw", "--slice=10ms"});
  ASSERT_EQ(run.exit_status, 0) << run.errors;
  for (const char* word :
       {"ratio", "95 % interval", "triples", "iops", "raw", "bare io_uring loop"}) {
    EXPECT_THAT(run.output, HasSubstr(word));
  }
}

TEST_F(BenchCliTest, SaysWhatIsWrong) {
  Finished run = Run({"--dpeth=4"});
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.errors, HasSubstr("--dpeth"));
  run = Run({"kvv"});
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.errors, HasSubstr("there is no suite 'kvv'"));
  run = Run({"--dir=/no/such/place"});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.errors, HasSubstr("/no/such/place"));
  run = Run({"--dir=/dev/shm"});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.errors, HasSubstr("memory"));
  run = Run({"--dir=/proc"});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.errors, HasSubstr("/proc"));
  run = Run({Dir(), "--size=4096T"});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.errors, HasSubstr("space"));
  run = Run({Dir(), "--size=8M", "--shards=1000", "--block-size=4k"});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.errors, HasSubstr("1000 shards"));
  EXPECT_TRUE(data_.empty());
}

TEST_F(BenchCliTest, SaysThatIoUringIsBlocked) {
  Finished run = Run({Dir(), "--size=8M", "--backend=uring"}, [] { return BlockUring(EPERM); });
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.errors, HasSubstr("io_uring is blocked for this process"));
  EXPECT_THAT(run.errors, HasSubstr("seccomp"));
  run = Run({Dir(), "--size=8M", "--backend=uring"}, [] { return BlockUring(ENOSYS); });
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.errors, HasSubstr("Linux 5.19 or newer is needed"));
  EXPECT_TRUE(data_.empty());
}

TEST_F(BenchCliTest, MeasuresThreadsWhereIoUringIsBlockedOrWhenAsked) {
  Finished run =
      Run({Dir(), "--size=8M", "--duration=50ms", "--verify"}, [] { return BlockUring(EPERM); });
  EXPECT_EQ(run.exit_status, 0) << run.errors;
  EXPECT_THAT(run.output, HasSubstr("backend      thread pool"));
  EXPECT_THAT(run.output, HasSubstr("io_uring is blocked for this process"));
  run = Run({Dir(), "--size=8M", "--duration=50ms", "--verify", "--backend=threads"});
  EXPECT_EQ(run.exit_status, 0) << run.errors;
  EXPECT_THAT(run.output, HasSubstr("backend      thread pool"));
  EXPECT_THAT(run.output, Not(HasSubstr("blocked")));
  EXPECT_TRUE(data_.empty());
}

TEST_F(BenchCliTest, WorksForAnOrdinaryUserAndSaysWhatIsMissing) {
  // Beside the others, because that user may not enter the folder that Bazel gives.
  std::string directory = "/var/tmp/bench_cli_test.XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  ASSERT_EQ(chmod(directory.c_str(), 0777), 0);
  const Finished run = Run({"--dir=" + directory, "--size=8M", "--duration=50ms", "--verify",
                            "--workloads=randread,randwrite,seqread"},
                           BecomeOrdinaryUser);
  EXPECT_EQ(run.exit_status, 0) << run.errors;
  EXPECT_THAT(run.output, HasSubstr("degraded"));
  EXPECT_THAT(run.output, HasSubstr("registered buffers"));
  EXPECT_THAT(run.output, HasSubstr("RLIMIT_MEMLOCK"));
  EXPECT_TRUE(std::filesystem::is_empty(directory));
  std::filesystem::remove(directory);
}

TEST_F(BenchCliTest, HelpsAndNamesItsVersion) {
  Finished run = Run({"--help"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_THAT(run.output, HasSubstr("--workloads=LIST"));
  run = Run({"--version"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_THAT(run.output, HasSubstr("ioengine-bench 0."));
  EXPECT_THAT(run.output, Not(HasSubstr("error")));
}

}  // namespace
}  // namespace ioengine::bench
