// ioengine-bench as its users meet it: the binary, its output, its exit status, what it leaves.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "ioengine/tools/benchmark/metrics.h"
#include "ioengine/tests/tools/temporary_directory.h"

extern char** environ;

namespace ioengine::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kBinary = "tools/ioengine-bench";

struct Finished {
  int exit_status = -1;  // 128 + signal when it was killed
  std::string output;
  std::string errors;
};

class BenchCliTest : public ::testing::Test {
 protected:
  pid_t Start(std::vector<std::string> words) {
    words.insert(words.begin(), kBinary);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const int flags = O_CREAT | O_TRUNC | O_WRONLY;
    posix_spawn_file_actions_addopen(&actions, 1, files_.File("out").c_str(), flags, 0600);
    posix_spawn_file_actions_addopen(&actions, 2, files_.File("err").c_str(), flags, 0600);
    pid_t pid = -1;
    const int error = posix_spawn(&pid, kBinary, &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    EXPECT_EQ(error, 0) << kBinary;
    return pid;
  }

  Finished Wait(pid_t pid) {
    Finished finished;
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    finished.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    finished.output = ReadFile(files_.File("out"));
    finished.errors = ReadFile(files_.File("err"));
    return finished;
  }

  Finished Run(std::vector<std::string> words) { return Wait(Start(std::move(words))); }

  std::string Dir() const { return "--dir=" + data_.path(); }

  TemporaryDirectory data_;   // where it makes its file
  TemporaryDirectory files_;  // what it prints
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

TEST_F(BenchCliTest, VerifiesOverShards) {
  const Finished run =
      Run({"io", Dir(), "--size=8M", "--duration=100ms", "--shards=2", "--placement=unbound",
           "--verify", "--depth=16", "--workloads=mixed,seqwrite,seqread,randwrite,randread"});
  ASSERT_EQ(run.exit_status, 0) << run.errors;
  EXPECT_THAT(run.output, HasSubstr("Every block that was read was the one last written."));
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
