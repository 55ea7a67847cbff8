// Runtime::Start where io_uring is blocked, and with each choice of a backend: in child processes.

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/numa/affinity.h"
#include "ioengine/numa/placement.h"
#include "ioengine/tests/engine/runtime_fixture.h"
#include "ioengine/tests/io/confinement.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

constexpr size_t kBytes = 65536;

Task<absl::Status> WriteAndRead(Shard& shard, std::string path) {
  absl::StatusOr<DmaFile> file = co_await DmaFile::Open(
      shard.io(), path,
      {.access = DmaFileOptions::Access::kReadWrite, .create = DmaFileOptions::Create::kIfMissing});
  if (!file.ok()) co_return file.status();
  absl::StatusOr<DmaBuffer> buffer = shard.io().AllocateBuffer(kBytes);
  if (!buffer.ok()) co_return buffer.status();
  std::fill(buffer->bytes().begin(), buffer->bytes().end(), std::byte{7});
  absl::Status status = co_await file->Write(0, *buffer, kBytes, {.durable = true});
  if (!status.ok()) co_return status;
  std::fill(buffer->bytes().begin(), buffer->bytes().end(), std::byte{0});
  const absl::StatusOr<size_t> read = co_await file->Read(0, *buffer, kBytes);
  if (!read.ok()) co_return read.status();
  const bool same = *read == kBytes && std::count(buffer->bytes().begin(), buffer->bytes().end(),
                                                  std::byte{7}) == kBytes;
  co_return same ? co_await file->Close() : absl::DataLossError("read what was not written");
}

// Whether a runtime with two shards of that choice works and tells that each has the backend of
// that name, and of io_uring's absence what `reason` says (empty: nothing).
bool Works(BackendChoice choice, const std::string& directory, std::string_view name,
           std::string_view reason) {
  const auto runtime =
      Runtime::Start({.shard_count = 2, .backend = choice, .buffer_pool_bytes = kSmallPoolBytes});
  if (!runtime.ok()) {
    std::fprintf(stderr, "%s\n", runtime.status().ToString().c_str());
    return false;
  }
  for (ShardId id = 0; id < 2; ++id) {
    const ShardInfo& info = (*runtime)->Info().shards[id];
    if (info.backend.name != name) return false;
    const absl::Status status =
        (*runtime)->Submit(id, WriteAndRead, directory + "/" + std::to_string(id)).Wait();
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    if (!status.ok()) return false;
  }
  const auto all = (*runtime)->Info().Degraded();
  const auto told = std::find_if(all.begin(), all.end(),
                                 [](const auto& one) { return one.feature == "io_uring"; });
  if (reason.empty()) return told == all.end();
  return told != all.end() && told->reason.find(reason) != std::string::npos &&
         told->consequence.find("threads") != std::string::npos;
}

[[noreturn]] void StartWithIoUringBlocked(int error, absl::StatusCode code,
                                          const std::string& directory) {
  BlockIoUring(error);
  if (!Works(BackendChoice::kAuto, directory, "thread pool", "seccomp")) _exit(1);
  if (!Works(BackendChoice::kThreadPool, directory, "thread pool", "")) _exit(2);
  const absl::Status status = Runtime::Start({.shard_count = 2,
                                              .backend = BackendChoice::kIoUring,
                                              .buffer_pool_bytes = kSmallPoolBytes})
                                  .status();
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  const bool right =
      status.code() == code && std::string(status.message()).find("seccomp") != std::string::npos;
  _exit(right ? 0 : 3);
}

TEST(RuntimeBackendDeathTest, IoUringIsBlocked) {
  const TestDirectory directory;
  EXPECT_EXIT(StartWithIoUringBlocked(EPERM, absl::StatusCode::kPermissionDenied, directory.path()),
              testing::ExitedWithCode(0), "");
  EXPECT_EXIT(StartWithIoUringBlocked(ENOSYS, absl::StatusCode::kUnimplemented, directory.path()),
              testing::ExitedWithCode(0), "");
}

[[noreturn]] void StartWithoutMemoryForRings(int directory) {
  // The kernel takes the shard's memory for rings from its user's account: one of its own.
  if (!BecomeOrdinaryUser(0) || fchdir(directory) != 0) _exit(10);
  const bool right = Works(BackendChoice::kAuto, ".", "thread pool", "ulimit -l");
  _exit(right ? 0 : 1);
}

TEST(RuntimeBackendDeathTest, MemoryForRingsIsNotGranted) {
  const TestDirectory directory;
  const int fd = OpenForEverybody(directory.path());
  EXPECT_EXIT(StartWithoutMemoryForRings(fd), testing::ExitedWithCode(0), "");
  close(fd);
}

[[noreturn]] void StartWithoutDescriptors() {
  if (!Runtime::Start({.buffer_pool_bytes = kSmallPoolBytes}).ok()) _exit(10);  // as above
  const auto used = static_cast<rlim_t>(CountOpenFds());
  const rlimit limit{used, used};
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) _exit(11);
  const absl::Status status = Runtime::Start({.buffer_pool_bytes = kSmallPoolBytes}).status();
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  _exit(status.code() == absl::StatusCode::kResourceExhausted ? 0 : 1);
}

TEST(RuntimeBackendDeathTest, MissingDescriptorsAreNoReasonForThreads) {
  EXPECT_EXIT(StartWithoutDescriptors(), testing::ExitedWithCode(0), "ulimit -n");
}

TEST(RuntimeBackendTest, EachChoiceIsTaken) {
  const TestDirectory directory;
  EXPECT_TRUE(Works(BackendChoice::kAuto, directory.path(), "io_uring", ""));
  EXPECT_TRUE(Works(BackendChoice::kIoUring, directory.path(), "io_uring", ""));
  EXPECT_TRUE(Works(BackendChoice::kThreadPool, directory.path(), "thread pool", ""));
}

// The CPUs that the pool's thread may run on, once it has its name.
int CountCpusOfWorker() {
  for (int tries = 0; tries < 1000; ++tries) {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      std::ifstream comm(task.path() / "comm");
      std::string name;
      std::getline(comm, name);
      cpu_set_t cpus;
      if (name == "ioengine/work" &&
          sched_getaffinity(std::stoi(task.path().filename()), sizeof(cpus), &cpus) == 0) {
        return CPU_COUNT(&cpus);
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return -1;
}

TEST(RuntimeBackendTest, WorkersOfAPinnedShardMayRunOnOtherCpus) {
  const auto runtime = StartRuntime({.placement = {PlacementPolicy::kPack, {}},
                                     .backend = BackendChoice::kThreadPool,
                                     .buffer_pool_bytes = kSmallPoolBytes});
  EXPECT_GE(runtime->Info().shards[0].cpu, 0);
  EXPECT_EQ(CountCpusOfWorker(), static_cast<int>(AllowedCpus().value().size()));
}

}  // namespace
}  // namespace ioengine
