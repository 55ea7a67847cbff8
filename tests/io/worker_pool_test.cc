// WorkerPool, without a backend around it.

#include "ioengine/io/worker_pool.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/io/io_operation.h"
#include "ioengine/tests/io/backend_driver.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using Driver = BackendDriver;

// Counts how often it is woken.
class CountingShard final : public Poller {
 public:
  size_t Poll() override { return 0; }
  size_t Wait(uint64_t /*timeout_ns*/) override { return 0; }
  bool HasCompletions() const override { return false; }
  void Wake() override { wakes_.fetch_add(1); }

  int wakes() const { return wakes_.load(); }

 private:
  std::atomic<int> wakes_{0};
};

class WorkerPoolTest : public testing::Test {
 protected:
  ~WorkerPoolTest() override { EXPECT_EQ(table_.in_flight(), 0u); }

  IoOperation* Acquire(IoCommand command) { return table_.Acquire(command, nullptr); }
  IoOperation* Sync() { return Acquire(Driver::OnFd(IoOpcode::kFdatasync, -1)); }

  void SubmitSyncs(WorkerPool& pool, size_t count) {
    IoOperation* first = nullptr;
    for (size_t i = 0; i < count; ++i) {
      IoOperation* const operation = Sync();
      operation->next = std::exchange(first, operation);
    }
    pool.Submit(first);
  }

  // Takes what finished, until it is so many; their results.
  std::vector<int32_t> Take(WorkerPool& pool, size_t count) {
    std::vector<int32_t> results;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (results.size() < count && std::chrono::steady_clock::now() < end) {
      IoOperation* operation = pool.TakeFinished();
      if (operation == nullptr) std::this_thread::yield();
      while (operation != nullptr) {
        IoOperation* const next = operation->next;
        results.push_back(operation->result);
        table_.Release(*operation);
        operation = next;
      }
    }
    EXPECT_EQ(results.size(), count);
    return results;
  }

  OperationTable table_{64};
  CountingShard shard_;
};

TEST_F(WorkerPoolTest, RunsWhatItIsGivenAndGivesItBack) {
  WorkerPool pool(shard_, {.max_threads = 4, .capacity = 64});
  EXPECT_EQ(pool.threads(), 0u) << "started when they are needed";
  for (size_t count = 1; count <= 64; ++count) {
    SubmitSyncs(pool, count);
    for (const int32_t result : Take(pool, count)) EXPECT_EQ(result, -EBADF);
  }
  EXPECT_GE(pool.threads(), 1u);
  EXPECT_LE(pool.threads(), 4u);
  EXPECT_EQ(shard_.wakes(), 0) << "a shard that is awake needs no waking";
}

TEST_F(WorkerPoolTest, ThreadsGrowNoFurtherThanAllowed) {
  const int threads = CountThreads();
  {
    WorkerPool pool(shard_, {.max_threads = 3, .capacity = 64});
    for (int round = 0; round < 20; ++round) SubmitSyncs(pool, 2), Take(pool, 2);
    for (int round = 0; round < 3; ++round) SubmitSyncs(pool, 20);
    EXPECT_LE(pool.threads(), 3u);
    EXPECT_LE(CountThreads(), threads + 3);
    Take(pool, 60);
  }
  EXPECT_TRUE(ThreadsFallTo(threads));
}

TEST_F(WorkerPoolTest, ASleepingShardIsWokenOnceForAllThatFinishes) {
  WorkerPool pool(shard_, {.max_threads = 2, .capacity = 64});
  for (int round = 1; round <= 20; ++round) {
    ASSERT_TRUE(pool.PrepareToSleep());
    SubmitSyncs(pool, 30);
    Take(pool, 30);
    // The worker that finished the last one may be about to wake the shard, unless another has.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (shard_.wakes() < round && std::chrono::steady_clock::now() < end) {
      std::this_thread::yield();
    }
    EXPECT_EQ(shard_.wakes(), round);
  }
}

TEST_F(WorkerPoolTest, AShardDoesNotSleepOnWhatFinished) {
  WorkerPool pool(shard_, {.max_threads = 1, .capacity = 64});
  EXPECT_FALSE(pool.has_finished());
  SubmitSyncs(pool, 1);
  while (!pool.has_finished()) std::this_thread::yield();
  EXPECT_FALSE(pool.PrepareToSleep());
  pool.WokeUp();
  Take(pool, 1);
  EXPECT_TRUE(pool.PrepareToSleep());
  pool.WokeUp();
}

// The only worker is kept busy, so that what is cancelled is in the queue.
TEST_F(WorkerPoolTest, WhatIsCancelledInTheQueueIsNotRunButACloseIs) {
  const TestDirectory directory;
  const int fd = open(directory.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  WorkerPool pool(shard_, {.max_threads = 1, .capacity = 64});
  IoOperation* const close = Acquire(Driver::OnFd(IoOpcode::kClose, fd));
  IoOperation* const sync = Sync();
  // Cancelled before it is submitted: the pool sees what the shard noted.
  close->cancel_requested = sync->cancel_requested = true;
  close->next = sync;
  pool.Submit(close);
  const std::vector<int32_t> results = Take(pool, 2);
  EXPECT_EQ(results, (std::vector<int32_t>{0, -ECANCELED}));
}

// Threads of an earlier test, which have been joined, may still be on their way out of the kernel,
// with every signal blocked.
std::set<std::string> ThreadIds() {
  std::set<std::string> ids;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    ids.insert(entry.path().filename().string());
  }
  return ids;
}

// The mask of a thread, as the kernel shows it; "" of one that is gone.
std::string BlockedSignals(const std::filesystem::path& thread) {
  const std::string status = ReadWholeFile(thread / "status");
  const size_t mask = status.find("SigBlk:\t");
  return mask == std::string::npos ? "" : status.substr(mask + 8, 16);
}

// Of each thread of the process that the pool started: its name and the signals that it blocks.
TEST_F(WorkerPoolTest, ItsThreadsHaveANameAndTakeNoSignals) {
  const std::set<std::string> before = ThreadIds();
  WorkerPool pool(shard_, {.max_threads = 2, .capacity = 64});
  std::array<int, 2> pipe_ends;
  ASSERT_EQ(pipe2(pipe_ends.data(), O_CLOEXEC), 0);
  char data[16];
  IoOperation* const read =
      Acquire(Driver::Transfer(IoOpcode::kRead, pipe_ends[0], 0, data, sizeof(data)));
  pool.Submit(read);  // has the thread started that waits for pipes
  SubmitSyncs(pool, 20);
  Take(pool, 20);
  size_t found = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    if (before.count(entry.path().filename().string()) > 0) continue;
    if (ReadWholeFile(entry.path() / "comm") != "ioengine/work\n") continue;
    ++found;
    // All but SIGKILL, SIGSTOP, and the two that the C library keeps for itself. While a thread
    // starts it blocks those too; and one that a worker starts has its name from the beginning.
    constexpr std::string_view kExpected = "fffffffe7ffbfeff";
    std::string blocked = BlockedSignals(entry.path());
    for (int i = 0; i < 2000 && blocked != kExpected; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      blocked = BlockedSignals(entry.path());
    }
    EXPECT_EQ(blocked, kExpected) << entry.path();
  }
  EXPECT_GE(found, 1u);
  pool.Cancel(*read);
  EXPECT_EQ(Take(pool, 1), std::vector<int32_t>{-ECANCELED});
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

[[noreturn]] void RunWithoutThreads() {
  const uid_t user = 61234 + static_cast<uid_t>(getpid());
  const rlimit limit{1, 1};
  if (setrlimit(RLIMIT_NPROC, &limit) != 0) _exit(10);
  if (geteuid() == 0 && setresuid(user, user, user) != 0) _exit(11);
  CountingShard shard;
  OperationTable table(4);
  WorkerPool pool(shard, {.max_threads = 4, .capacity = 4});
  const absl::Status status = pool.StartFirstThread();
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  if (status.code() != absl::StatusCode::kResourceExhausted) _exit(12);
  IoCommand command = Driver::OnFd(IoOpcode::kFdatasync, -1);
  pool.Submit(table.Acquire(command, nullptr));
  IoOperation* const refused = pool.TakeFinished();
  _exit(refused != nullptr && refused->result == -EAGAIN ? 0 : 13);
}

TEST(WorkerPoolDeathTest, WithoutAnyThreadOperationsFail) {
  EXPECT_EXIT(RunWithoutThreads(), testing::ExitedWithCode(0), "ulimit -u");
}

}  // namespace
}  // namespace ioengine
