// DmaFile where the process or the file system grants no more: in a child process each, whose
// limits, user and mounts are its own.

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/sequential_writer.h"
#include "ioengine/tests/io/backend_factory.h"
#include "ioengine/tests/io/io_shard.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using Access = DmaFileOptions::Access;
using Create = DmaFileOptions::Create;

constexpr DmaFileOptions kIfMissing = {.access = Access::kReadWrite, .create = Create::kIfMissing};

// Ends the child: with 0 when `status` is what the parent waits for.
[[noreturn]] void ExitWith(const absl::Status& status, absl::StatusCode code,
                           const std::string& text) {
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  const bool right = status.code() == code && !testing::Test::HasFailure() &&
                     std::string(status.message()).find(text) != std::string::npos;
  std::fflush(stderr);
  _exit(right ? 0 : 1);
}

absl::Status OpenOnce(const std::string& path, const DmaFileOptions& options) {
  IoShard shard(MakeUring({.capacity = 4}));
  absl::Status status;
  const auto open = [](ShardIo* io, std::string name, DmaFileOptions how,
                       absl::Status* result) -> Task<> {
    *result = (co_await DmaFile::Open(*io, std::move(name), how)).status();
  };
  shard.Run(open(&shard.io(), path, options, &status));
  return status;
}

TEST(DmaFileLimitsDeathTest, AFileOfAnotherUser) {
  const TestDirectory directory;
  const std::string path = directory.File("x");
  WriteWholeFile(path, "");
  ASSERT_EQ(chmod(path.c_str(), geteuid() == 0 ? 0600 : 0), 0);
  ASSERT_EQ(chmod(directory.path().c_str(), 0755), 0);
  EXPECT_EXIT(
      {
        if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) _exit(2);
        ExitWith(OpenOnce(path, {}), absl::StatusCode::kPermissionDenied, "open " + path);
      },
      testing::ExitedWithCode(0), "");
}

Task<> OpenUntilRefused(ShardIo* io, std::string path, absl::Status* refusal) {
  // UBSan looks at the type of an object for the first time through a pipe, for which there will
  // be no descriptor: let it look now.
  EXPECT_FALSE((co_await DmaFile::Open(*io, path + "missing", {})).ok());
  rlimit before;
  EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit limit = before;
  limit.rlim_cur = static_cast<rlim_t>(CountOpenFds() + 4);
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  std::vector<DmaFile> files;
  while (files.size() < 100 && refusal->ok()) {
    auto file = co_await DmaFile::Open(*io, path, {});
    *refusal = file.status();
    if (file.ok()) files.push_back(*std::move(file));
  }
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

[[noreturn]] void OpenTooManyFiles(const std::string& path) {
  IoShard shard(MakeUring({.capacity = 4}));
  absl::Status status;
  shard.Run(OpenUntilRefused(&shard.io(), path, &status));
  shard.ExpectNothingIsLeft();
  ExitWith(status, absl::StatusCode::kResourceExhausted, "ulimit -n");
}

TEST(DmaFileLimitsDeathTest, TooManyOpenFiles) {
  const TestDirectory directory;
  WriteWholeFile(directory.File("x"), "");
  EXPECT_EXIT(OpenTooManyFiles(directory.File("x")), testing::ExitedWithCode(0), "");
}

// Writes until the disk is full; then the file that is open, and the space that is freed, must
// still be usable.
Task<> FillUp(ShardIo* io, std::string path, absl::Status* full) {
  constexpr size_t kChunk = size_t{1} << 20;
  auto file = co_await DmaFile::Open(*io, path, kIfMissing);
  *full = file.status();
  IOENGINE_CO_ASSERT_OK(file);
  auto buffer = io->AllocateBuffer(kChunk);
  IOENGINE_CO_ASSERT_OK(buffer);
  uint64_t at = 0;
  while (full->ok() && at < (uint64_t{1} << 30)) {
    *full = co_await file->Write(at, *buffer, kChunk);
    at += kChunk;
  }
  const absl::Status reserved = co_await file->Preallocate(at, uint64_t{1} << 32);
  EXPECT_EQ(reserved.code(), absl::StatusCode::kResourceExhausted) << reserved;
  EXPECT_TRUE((co_await file->Read(0, *buffer, kChunk)).ok());
  IOENGINE_CO_ASSERT_OK(co_await file->Close());
  IOENGINE_CO_ASSERT_OK(co_await RemoveFile(*io, path));
  auto again = co_await DmaFile::Open(*io, path, kIfMissing);
  IOENGINE_CO_ASSERT_OK(again);
  IOENGINE_CO_ASSERT_OK(co_await again->Write(0, *buffer, kChunk));
}

// The same by names below a directory, and from front to back: each error names its file, and the
// directory, the writer's file and another one go on when there is space again.
Task<> FillUpByNames(ShardIo* io, std::string root, absl::Status* full) {
  constexpr size_t kChunk = size_t{1} << 18;
  constexpr DmaFileOptions kReadWrite = {.access = Access::kReadWrite};
  auto files = co_await FileSystem::Open(*io, root);
  IOENGINE_CO_ASSERT_OK(files);
  auto other = co_await files->OpenFile("other", kIfMissing);
  IOENGINE_CO_ASSERT_OK(other);
  IOENGINE_CO_ASSERT_OK(co_await other->Preallocate(0, 4 * kChunk));
  auto file = co_await files->OpenFile("x", kIfMissing);
  IOENGINE_CO_ASSERT_OK(file);
  {
    SequentialWriter writer(*io, *file, {.buffer_bytes = kChunk, .write_behind = 3});
    const std::vector<std::byte> bytes(kChunk, std::byte{'s'});
    absl::Status status;
    for (int i = 0; i < 1000 && status.ok(); ++i) status = co_await writer.Append(bytes);
    *full = status;
    status = co_await writer.Finish(SequentialWriter::Sync::kYes);
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << "it stays failed: " << status;
    EXPECT_EQ(status.message(), full->message());
  }
  // Small steps, so that nothing at all is left.
  absl::Status last;
  for (uint64_t at = uint64_t{64} << 20; at < (uint64_t{65} << 20) && last.ok(); at += 4096) {
    last = co_await file->Preallocate(at, 4096);
  }
  EXPECT_EQ(last.code(), absl::StatusCode::kResourceExhausted) << last;
  EXPECT_NE(last.message().find(root + "/x"), absl::string_view::npos) << last;

  auto buffer = io->AllocateBuffer(kChunk);
  IOENGINE_CO_ASSERT_OK(buffer);
  const uint64_t behind = uint64_t{128} << 20;
  const auto expect_full = [&](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  };
  // Each way to free space is enough for the file that is open.
  expect_full(co_await file->Write(behind, *buffer, kChunk));
  IOENGINE_CO_ASSERT_OK(co_await other->Punch(0, 2 * kChunk));
  IOENGINE_CO_ASSERT_OK(co_await file->Write(behind, *buffer, kChunk));
  IOENGINE_CO_ASSERT_OK(co_await other->Truncate(0));
  IOENGINE_CO_ASSERT_OK(co_await file->Write(behind + kChunk, *buffer, kChunk));
  IOENGINE_CO_ASSERT_OK(co_await file->Fdatasync());
  IOENGINE_CO_ASSERT_OK(co_await files->Remove("x"));
  IOENGINE_CO_ASSERT_OK(co_await file->Close());
  auto again = co_await files->OpenFile("again", kIfMissing);
  IOENGINE_CO_ASSERT_OK(again);
  SequentialWriter writer(*io, *again, {.buffer_bytes = kChunk});
  const std::vector<std::byte> bytes(4 * kChunk + 100, std::byte{'t'});
  IOENGINE_CO_ASSERT_OK(co_await writer.Append(bytes));
  IOENGINE_CO_ASSERT_OK(co_await writer.Finish(SequentialWriter::Sync::kYes));
  auto stat = co_await files->Stat("again");
  IOENGINE_CO_ASSERT_OK(stat);
  EXPECT_EQ(stat->size_bytes, bytes.size());
  IOENGINE_CO_ASSERT_OK(co_await files->SyncDirectory());
  auto reopened = co_await files->OpenFile("again", kReadWrite);
  IOENGINE_CO_ASSERT_OK(reopened);
}

// A full device without a file system: for processes that may not mount one.
Task<> WriteToFullDevice(ShardIo* io, absl::Status* full) {
  auto file = co_await DmaFile::Open(
      *io, "/dev/full", {.access = Access::kReadWrite, .direct = DmaFileOptions::Direct::kNever});
  IOENGINE_CO_ASSERT_OK(file);
  auto buffer = io->AllocateBuffer(4096);
  IOENGINE_CO_ASSERT_OK(buffer);
  *full = co_await file->Write(0, *buffer, 4096);
}

int RunShell(const std::string& command) { return std::system(command.c_str()); }

// A file system of 16 MiB at `directory`, visible to this process alone, and gone with it.
bool MountSmallFileSystem(const std::string& directory, const std::string& image) {
  if (unshare(CLONE_NEWNS) != 0) return false;
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  const std::string make = "truncate -s 16M " + image +
                           " && PATH=$PATH:/usr/sbin:/sbin mkfs.ext4 -q " + image +
                           " && mount -o loop " + image + " " + directory;
  if (RunShell("{ " + make + "; } >/dev/null 2>&1") == 0) return true;
  return mount("tmpfs", directory.c_str(), "tmpfs", 0, "size=16m") == 0;
}

[[noreturn]] void FillADiskByNames(const std::string& mount_point, const std::string& image) {
  const bool mounted = MountSmallFileSystem(mount_point, image);
  const std::string path = mounted ? mount_point + "/x" : "/dev/full";
  absl::Status status;
  {
    IoShard shard(MakeUring({.capacity = 4}));
    shard.Run(mounted ? FillUpByNames(&shard.io(), mount_point, &status)
                      : WriteToFullDevice(&shard.io(), &status));
    shard.ExpectNothingIsLeft();
  }
  if (mounted) umount(mount_point.c_str());
  ExitWith(status, absl::StatusCode::kResourceExhausted, "write " + path);
}

[[noreturn]] void FillADisk(const std::string& mount_point, const std::string& image) {
  const bool mounted = MountSmallFileSystem(mount_point, image);
  const std::string path = mounted ? mount_point + "/x" : "/dev/full";
  absl::Status status;
  {
    IoShard shard(MakeUring({.capacity = 4}));
    shard.Run(mounted ? FillUp(&shard.io(), path, &status)
                      : WriteToFullDevice(&shard.io(), &status));
    shard.ExpectNothingIsLeft();
  }
  if (mounted) umount(mount_point.c_str());
  ExitWith(status, absl::StatusCode::kResourceExhausted, "write " + path);
}

TEST(DmaFileLimitsDeathTest, AFullDisk) {
  const TestDirectory image_directory;
  const TestDirectory mount_point;
  EXPECT_EXIT(FillADisk(mount_point.path(), image_directory.File("image")),
              testing::ExitedWithCode(0), "");
}

TEST(DmaFileLimitsDeathTest, AFullDiskByNames) {
  const TestDirectory image_directory;
  const TestDirectory mount_point;
  EXPECT_EXIT(FillADiskByNames(mount_point.path(), image_directory.File("image")),
              testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace ioengine
