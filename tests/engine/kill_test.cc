// kill -9 for real: what a killed process had acknowledged is there when the store is opened again.

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/sched/future.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

// Of each level.
constexpr int kKills = 10;

struct Killed {
  bool opened = false;
  std::vector<uint64_t> acknowledged;
};

std::string WriterPath() {
  const char* const sources = std::getenv("TEST_SRCDIR");
  const char* const workspace = std::getenv("TEST_WORKSPACE");
  if (sources == nullptr || workspace == nullptr) return "bazel-bin/tests/engine/kill_writer";
  return absl::StrCat(sources, "/", workspace, "/tests/engine/kill_writer");
}

// Lets a writer run for so long, from its start or from when it has opened the store, and kills it.
Killed KillAWriter(const std::string& directory, uint64_t first, Durability level, bool once_open,
                   std::chrono::milliseconds after) {
  std::array<int, 2> pipe_ends;
  EXPECT_EQ(pipe2(pipe_ends.data(), O_CLOEXEC), 0);
  std::string program = WriterPath();
  std::string directory_argument = directory;
  std::string first_argument = std::to_string(first);
  std::string level_argument = std::to_string(static_cast<int>(level));
  char* const argv[] = {program.data(), directory_argument.data(), first_argument.data(),
                        level_argument.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
  pid_t pid = 0;
  EXPECT_EQ(posix_spawn(&pid, program.c_str(), &actions, nullptr, argv, environ), 0) << program;
  posix_spawn_file_actions_destroy(&actions);
  close(pipe_ends[1]);

  // The writer waits when the pipe is full, so it is read meanwhile.
  std::promise<void> opened;
  std::thread killer([pid, after, once_open, is_open = opened.get_future()] {
    if (once_open) is_open.wait_for(std::chrono::minutes(1));
    std::this_thread::sleep_for(after);
    kill(pid, SIGKILL);
  });
  std::string text;
  std::array<char, 65536> bytes;
  for (ssize_t got; (got = read(pipe_ends[0], bytes.data(), bytes.size())) > 0;) {
    if (text.empty()) opened.set_value();
    text.append(bytes.data(), static_cast<size_t>(got));
  }
  killer.join();
  close(pipe_ends[0]);
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status)) << "it ended by itself, with " << status;

  Killed killed;
  for (size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    const std::string line = text.substr(at, end - at);
    if (line == "opened") {
      killed.opened = true;
    } else {
      killed.acknowledged.push_back(std::strtoull(line.c_str(), nullptr, 10));
    }
  }
  return killed;
}

Task<absl::Status> CheckStore(Shard& shard, std::string directory,
                              const std::vector<uint64_t>* acknowledged, uint64_t* next) {
  StoreOptions options;
  options.wal.segment_bytes = size_t{1} << 20;
  options.memtable_bytes = size_t{1} << 30;
  auto store = co_await ShardStore::Open(shard, directory, options);
  if (!store.ok()) co_return store.status();
  for (const uint64_t number : *acknowledged) {
    // What is awaited and does not suspend uses up stack under ASan (sched/task.h).
    if (number % 64 == 0) co_await Yield();
    const std::string key = absl::StrCat("key", number);
    const auto value = co_await (*store)->Get(key);
    if (!value.ok()) co_return value.status();
    const std::string expected(1 + number * 37 % 5000, static_cast<char>('a' + number % 26));
    if (*value != expected) co_return absl::DataLossError(absl::StrCat(key, " is lost"));
  }
  // Those that were not acknowledged may be there too.
  *next += 10'000'000;
  co_return co_await (*store)->Close();
}

class KillTest : public testing::TestWithParam<Durability> {};

TEST_P(KillTest, LosesNothingThatWasAcknowledged) {
  const TestDirectory directory;
  const std::string path = directory.File("db");
  Random random(static_cast<uint64_t>(GetParam()) + 1);
  std::vector<uint64_t> acknowledged;
  uint64_t next = 0;
  for (int i = 0; i < kKills; ++i) {
    const bool once_open = i % 3 != 0;
    const std::chrono::milliseconds after(random.Below(150));
    const Killed killed = KillAWriter(path, next, GetParam(), once_open, after);
    acknowledged.insert(acknowledged.end(), killed.acknowledged.begin(), killed.acknowledged.end());
    auto runtime = Runtime::Start({.shard_count = 1, .memory_per_shard_bytes = size_t{2} << 30});
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    const absl::Status status =
        (*runtime)->Submit(0, CheckStore, path, &acknowledged, &next).Wait();
    ASSERT_TRUE(status.ok()) << "kill " << i << ": " << status;
  }
  EXPECT_GT(acknowledged.size(), 100u) << "hardly anything was tried";
}

INSTANTIATE_TEST_SUITE_P(Levels, KillTest,
                         testing::Values(Durability::kWritten, Durability::kDurable),
                         [](const auto& parameter) {
                           return std::string(DurabilityName(parameter.param));
                         });

}  // namespace
}  // namespace ioengine
