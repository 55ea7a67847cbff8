// Files through a Runtime: on every shard at once, and while signals interrupt everything.

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/io_awaiter.h"
#include "ioengine/io/make_backend.h"
#include "ioengine/sched/future.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/tests/engine/runtime_fixture.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr size_t kPage = 4096;
constexpr int kPages = 64;

// Writes and reads one page many times.
Task<> WorkOnPage(ShardIo* io, const DmaFile* file, int page, absl::Status* result) {
  auto buffer = io->AllocateBuffer(kPage);
  if (!buffer.ok()) {
    *result = buffer.status();
    co_return;
  }
  const uint64_t at = static_cast<uint64_t>(page) * kPage;
  for (int round = 0; round < 5; ++round) {
    const int value = (page * 7 + round) & 0xff;
    std::memset(buffer->data(), value, kPage);
    if (absl::Status status = co_await file->Write(at, *buffer, kPage); !status.ok()) {
      *result = status;
      co_return;
    }
    std::memset(buffer->data(), 0xee, kPage);
    const absl::StatusOr<size_t> read = co_await file->Read(at, *buffer, kPage);
    if (!read.ok()) *result = read.status();
    for (const std::byte byte : buffer->bytes()) {
      if (byte != static_cast<std::byte>(value)) *result = absl::DataLossError("wrong content");
    }
  }
}

Task<absl::Status> WorkOnFile(Shard& shard, std::string path) {
  auto file = co_await DmaFile::Open(
      shard.io(), path,
      {.access = DmaFileOptions::Access::kReadWrite, .create = DmaFileOptions::Create::kMustBeNew});
  if (!file.ok()) co_return file.status();
  std::vector<absl::Status> results(kPages);
  {
    TaskScope scope(shard.executor());
    for (int page = 0; page < kPages; ++page) {
      scope.Spawn(WorkOnPage(&shard.io(), &*file, page, &results[static_cast<size_t>(page)]));
    }
    co_await scope.Join();
  }
  absl::Status status;
  for (const absl::Status& result : results) status.Update(result);
  status.Update(co_await file->Fdatasync());
  status.Update(co_await file->Close());
  status.Update(co_await RemoveFile(shard.io(), path));
  co_return status;
}

void WorkOnEveryShard(Runtime& runtime, const TestDirectory& directory, int round) {
  std::vector<Future<absl::Status>> futures;
  for (ShardId id = 0; id < runtime.shard_count(); ++id) {
    for (int i = 0; i < 2; ++i) {
      futures.push_back(
          runtime.Submit(id, WorkOnFile, directory.File(absl::StrCat(round, "-", id, "-", i))));
    }
  }
  for (Future<absl::Status>& future : futures) EXPECT_EQ(future.Wait(), absl::OkStatus());
}

TEST(RuntimeIoTest, EveryShardWritesReadsAndVerifies) {
  const TestDirectory directory;
  for (const uint32_t spin_us : {0u, 50u}) {
    const auto runtime = StartRuntime({.shard_count = 3,
                                       .buffer_pool_bytes = kSmallPoolBytes,
                                       .queue_depth = 16,
                                       .idle_spin_us = spin_us});
    WorkOnEveryShard(*runtime, directory, 0);
  }
}

// What each shard was told of slow operations.
struct Told {
  std::atomic<int> reports{0};
  std::atomic<int> with_site_and_class{0};
};

TEST(RuntimeIoTest, SlowOperationsAreReported) {
  const TestDirectory directory;
  for (const uint64_t threshold_ns : {uint64_t{1}, uint64_t{3'600'000'000'000}}) {
    Told told;
    const auto report = [&told](const SlowIo& slow) {
      ++told.reports;
      if (slow.site.known() && slow.class_name == "default") ++told.with_site_and_class;
    };
    const auto runtime = StartRuntime(
        {.shard_count = 2,
         .buffer_pool_bytes = kSmallPoolBytes,
         .slow_io = {
             .threshold_ns = threshold_ns, .report = report, .max_reports_per_minute = 100}});
    EXPECT_EQ(runtime->Info().shards[1].slow_io_ns, threshold_ns);
    EXPECT_THAT(runtime->Info().Describe(),
                HasSubstr(absl::StrCat("longer than ", threshold_ns / 1000, " us is reported")));
    WorkOnEveryShard(*runtime, directory, 0);
    // All are slow for the one, none for the other; the limit is each shard's.
    EXPECT_EQ(told.reports.load(), threshold_ns == 1 ? 200 : 0);
    EXPECT_EQ(told.with_site_and_class.load(), told.reports.load());
  }
}

TEST(RuntimeIoTest, NothingIsSaidOfSlowOperationsUnlessAsked) {
  const auto runtime = StartRuntime({.buffer_pool_bytes = kSmallPoolBytes});
  EXPECT_EQ(runtime->Info().shards[0].slow_io_ns, 0u);
  EXPECT_THAT(runtime->Info().Describe(), Not(HasSubstr("is reported")));
}

std::atomic<int> broken_pipes{0};

// Writes to a pipe that nobody reads.
Task<int> WriteToBrokenPipe(Shard& shard) {
  std::array<int, 2> pipe{-1, -1};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) co_return -errno;
  ::close(pipe[0]);
  char byte = 'x';
  IoCommand command;
  command.request.opcode = IoOpcode::kWrite;
  command.request.fd = pipe[1];
  command.request.data = &byte;
  command.request.size_bytes = 1;
  const int32_t result = co_await IoAwaiter(shard.io().queue(), std::move(command));
  ::close(pipe[1]);
  co_return result;
}

TEST(RuntimeIoTest, ABrokenPipeRaisesNoSignal) {
  struct sigaction action {};
  action.sa_handler = [](int) { ++broken_pipes; };
  struct sigaction before {};
  ASSERT_EQ(sigaction(SIGPIPE, &action, &before), 0);
  for (const BackendChoice choice : {BackendChoice::kIoUring, BackendChoice::kThreadPool}) {
    const auto runtime = StartRuntime({.backend = choice, .buffer_pool_bytes = kSmallPoolBytes});
    EXPECT_EQ(runtime->Submit(0, WriteToBrokenPipe).Wait().value(), -EPIPE);
  }
  EXPECT_EQ(broken_pipes.load(), 0);
  ASSERT_EQ(sigaction(SIGPIPE, &before, nullptr), 0);
}

// Signals that a host handles may arrive on any of its threads, and interrupt what that waits for.
class SignalStorm {
 public:
  SignalStorm() {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    EXPECT_EQ(sigaction(SIGUSR1, &action, &before_), 0);  // without SA_RESTART
    thread_ = std::thread([this] {
      const pid_t self = gettid();
      while (!stop_.load()) {
        std::error_code error;
        for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", error)) {
          const pid_t thread = std::stoi(task.path().filename());
          if (thread == self || thread == getpid()) continue;
          if (syscall(SYS_tgkill, getpid(), thread, SIGUSR1) == 0) ++sent_;
        }
        std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
    });
  }
  ~SignalStorm() {
    stop_.store(true);
    thread_.join();
    EXPECT_EQ(sigaction(SIGUSR1, &before_, nullptr), 0);
    EXPECT_GT(sent_, 0);
  }

 private:
  struct sigaction before_ {};
  std::atomic<bool> stop_{false};
  int sent_ = 0;
  std::thread thread_;
};

TEST(RuntimeIoTest, SignalsInterruptNothing) {
  const TestDirectory directory;
  const auto runtime = StartRuntime({.shard_count = 2, .buffer_pool_bytes = kSmallPoolBytes});
  const SignalStorm storm;
  for (int round = 0; round < 5; ++round) WorkOnEveryShard(*runtime, directory, round);
}

}  // namespace
}  // namespace ioengine
