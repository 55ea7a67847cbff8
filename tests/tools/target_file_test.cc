#include "ioengine/tools/benchmark/target_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/tests/tools/temporary_directory.h"

namespace ioengine::bench {
namespace {

namespace fs = std::filesystem;

TargetRequest NewFileIn(const TemporaryDirectory& directory) {
  TargetRequest request;
  request.directory = directory.path();
  request.size_bytes = 1 << 20;
  return request;
}

TargetRequest Named(const std::string& file, bool writes) {
  TargetRequest request;
  request.file = file;
  request.size_bytes = 1 << 20;
  request.writes = writes;
  return request;
}

// Each message names the thing and says what to do.
void ExpectMentions(const absl::Status& status, const std::string& thing,
                    const std::string& advice) {
  const std::string message(status.message());
  EXPECT_NE(message.find(thing), std::string::npos) << message;
  EXPECT_NE(message.find(advice), std::string::npos) << message;
}

TEST(TargetFileTest, MakesAFileAndRemovesIt) {
  const TemporaryDirectory directory;
  std::string path;
  {
    const absl::StatusOr<TargetFile> file = TargetFile::Open(NewFileIn(directory));
    ASSERT_TRUE(file.ok()) << file.status();
    path = file->path();
    EXPECT_EQ(file->kind(), TargetFile::Kind::kCreated);
    EXPECT_EQ(file->size_bytes(), 1u << 20);
    const std::string name = fs::path(path).filename().string();
    EXPECT_TRUE(name.starts_with("ioengine-bench-" + std::to_string(getpid()) + "-")) << name;
    EXPECT_TRUE(name.ends_with(".dat")) << name;
    struct stat made;
    ASSERT_EQ(stat(path.c_str(), &made), 0);
    EXPECT_EQ(made.st_mode & 0777, 0600u);
    EXPECT_EQ(made.st_size, 0);
  }
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(directory.empty());
}

TEST(TargetFileTest, TwoAtOnceHaveDifferentNames) {
  const TemporaryDirectory directory;
  const auto first = TargetFile::Open(NewFileIn(directory));
  const auto second = TargetFile::Open(NewFileIn(directory));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE(first->path(), second->path());
}

TEST(TargetFileTest, RemovesOnceThoughItMoved) {
  const TemporaryDirectory directory;
  absl::StatusOr<TargetFile> file = TargetFile::Open(NewFileIn(directory));
  ASSERT_TRUE(file.ok());
  TargetFile moved = *std::move(file);
  EXPECT_TRUE(fs::exists(moved.path()));
  EXPECT_TRUE(moved.Remove().ok());
  EXPECT_TRUE(directory.empty());
  directory.Write(fs::path(moved.path()).filename().string(), "somebody else's");
  EXPECT_TRUE(moved.Remove().ok());
  EXPECT_EQ(ReadFile(moved.path()), "somebody else's");
}

TEST(TargetFileTest, DoesNotRemoveAFileThatTookItsName) {
  const TemporaryDirectory directory;
  std::string path;
  {
    const auto file = TargetFile::Open(NewFileIn(directory));
    ASSERT_TRUE(file.ok());
    path = file->path();
    fs::rename(path, directory.File("elsewhere"));
    directory.Write(fs::path(path).filename().string(), "somebody else's");
  }
  EXPECT_EQ(ReadFile(path), "somebody else's");
}

TEST(TargetFileTest, ANamedFileIsMadeToo) {
  const TemporaryDirectory directory;
  const std::string path = directory.File("mine.dat");
  {
    const auto file = TargetFile::Open(Named(path, true));
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ(file->path(), path);
    EXPECT_TRUE(fs::exists(path));
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(TargetFileTest, NeverWritesToAFileThatIsThere) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("precious", "data");
  const auto file = TargetFile::Open(Named(path, true));
  EXPECT_TRUE(absl::IsAlreadyExists(file.status())) << file.status();
  ExpectMentions(file.status(), path, "read-only workloads");
  EXPECT_EQ(ReadFile(path), "data");
  // --destroy-data is about block devices.
  TargetRequest request = Named(path, true);
  request.destroy_data = true;
  EXPECT_TRUE(absl::IsAlreadyExists(TargetFile::Open(request).status()));
}

TEST(TargetFileTest, ADanglingLinkIsNotFollowed) {
  const TemporaryDirectory directory;
  fs::create_symlink(directory.File("nowhere"), directory.File("link"));
  const auto file = TargetFile::Open(Named(directory.File("link"), true));
  EXPECT_TRUE(absl::IsAlreadyExists(file.status())) << file.status();
  EXPECT_TRUE(fs::is_symlink(directory.File("link")));
  EXPECT_FALSE(fs::exists(directory.File("nowhere")));
}

TEST(TargetFileTest, ReadsAFileThatIsThereAndKeepsIt) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("precious", std::string(5000, 'x'));
  {
    const auto file = TargetFile::Open(Named(path, false));
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ(file->kind(), TargetFile::Kind::kExisting);
    EXPECT_EQ(file->size_bytes(), 5000u) << "no more than there is";
  }
  EXPECT_EQ(ReadFile(path), std::string(5000, 'x'));
  TargetRequest part = Named(path, false);
  part.size_bytes = 4096;
  EXPECT_EQ(TargetFile::Open(part)->size_bytes(), 4096u);
}

TEST(TargetFileTest, AnEmptyFileHasNothingToRead) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("empty", "");
  EXPECT_TRUE(absl::IsInvalidArgument(TargetFile::Open(Named(path, false)).status()));
}

TEST(TargetFileTest, OnlyFilesAndBlockDevices) {
  const TemporaryDirectory directory;
  const auto as_file = TargetFile::Open(Named(directory.path(), true));
  EXPECT_TRUE(absl::IsInvalidArgument(as_file.status())) << as_file.status();
  ExpectMentions(as_file.status(), directory.path(), "--dir=");
  EXPECT_TRUE(absl::IsInvalidArgument(TargetFile::Open(Named("/dev/null", false)).status()));
  TargetRequest request;
  request.directory = directory.Write("file", "x");
  const auto as_directory = TargetFile::Open(request);
  EXPECT_TRUE(absl::IsInvalidArgument(as_directory.status())) << as_directory.status();
  ExpectMentions(as_directory.status(), request.directory, "--file=");
}

TEST(TargetFileTest, AMissingDirectory) {
  TargetRequest request;
  request.directory = "/no/such/directory";
  const auto missing = TargetFile::Open(request);
  EXPECT_TRUE(absl::IsNotFound(missing.status())) << missing.status();
  ExpectMentions(missing.status(), "/no/such/directory", "--dir=");
  EXPECT_TRUE(absl::IsNotFound(TargetFile::Open(Named("/no/such/directory/x", true)).status()));
}

TEST(TargetFileTest, TmpfsIsRefusedWithItsReason) {
  TargetRequest request;
  request.directory = "/dev/shm";
  const auto file = TargetFile::Open(request);
  EXPECT_TRUE(absl::IsInvalidArgument(file.status())) << file.status();
  ExpectMentions(file.status(), "/dev/shm is on tmpfs", "memory");
  ExpectMentions(file.status(), "figures", "--dir=");
  const auto named = TargetFile::Open(Named("/dev/shm/ioengine-target-test", true));
  EXPECT_TRUE(absl::IsInvalidArgument(named.status())) << named.status();
  EXPECT_FALSE(fs::exists("/dev/shm/ioengine-target-test"));
}

TEST(TargetFileTest, TooLittleSpaceLeavesNothing) {
  const TemporaryDirectory directory;
  TargetRequest request = NewFileIn(directory);
  request.size_bytes = uint64_t{1} << 60;
  const auto file = TargetFile::Open(request);
  EXPECT_TRUE(absl::IsResourceExhausted(file.status())) << file.status();
  ExpectMentions(file.status(), directory.path(), "--size");
  EXPECT_TRUE(directory.empty());
  request.size_bytes = UINT64_MAX;
  EXPECT_TRUE(absl::IsResourceExhausted(TargetFile::Open(request).status()));
}

// While it lives, this thread is bound by a file's permissions even if it is root's.
class WithoutOverride {
 public:
  WithoutOverride() {
    syscall(SYS_capget, &header_, saved_.data());
    auto reduced = saved_;
    reduced[0].effective &= ~((1u << CAP_DAC_OVERRIDE) | (1u << CAP_DAC_READ_SEARCH));
    syscall(SYS_capset, &header_, reduced.data());
  }
  ~WithoutOverride() { syscall(SYS_capset, &header_, saved_.data()); }

 private:
  __user_cap_header_struct header_ = {_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> saved_ = {};
};

TEST(TargetFileTest, NoPermission) {
  const TemporaryDirectory directory;
  ASSERT_EQ(chmod(directory.path().c_str(), 0555), 0);
  const absl::Status status = [&] {
    const WithoutOverride bound;
    return TargetFile::Open(NewFileIn(directory)).status();
  }();
  chmod(directory.path().c_str(), 0755);
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  ExpectMentions(status, directory.path(), "--dir=");
  EXPECT_TRUE(directory.empty());
}

// What Open says in a mount namespace in which `directory` is read-only; "" if this machine does
// not let us make one.
std::string OpenReadOnly(const TemporaryDirectory& directory) {
  std::array<int, 2> ends;
  if (pipe(ends.data()) != 0) return "";
  const pid_t child = fork();
  if (child == 0) {
    const char* path = directory.path().c_str();
    const bool mounted =
        (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
        mount(path, path, nullptr, MS_BIND, nullptr) == 0 &&
        mount(nullptr, path, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0;
    if (mounted) {
      const std::string message = TargetFile::Open(NewFileIn(directory)).status().ToString();
      if (write(ends[1], message.data(), message.size()) < 0) _exit(1);
    }
    _exit(0);
  }
  close(ends[1]);
  std::string message;
  std::array<char, 4096> buffer;
  for (ssize_t got; (got = read(ends[0], buffer.data(), buffer.size())) > 0;) {
    message.append(buffer.data(), static_cast<size_t>(got));
  }
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return message;
}

TEST(TargetFileTest, AReadOnlyFileSystem) {
  const TemporaryDirectory directory;
  const std::string message = OpenReadOnly(directory);
  if (!message.empty()) {
    EXPECT_NE(message.find("FAILED_PRECONDITION: the file system is read-only"), std::string::npos)
        << message;
    EXPECT_NE(message.find("--dir="), std::string::npos) << message;
  }
  // The same message where no mount namespace is to be had.
  const absl::Status status = ExplainCreateError("/mnt/x", EROFS);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  ExpectMentions(status, "/mnt/x", "read-only");
}

TEST(ExplainCreateErrorTest, KnowsTheCommonOnes) {
  EXPECT_TRUE(absl::IsPermissionDenied(ExplainCreateError("/x", EACCES)));
  EXPECT_TRUE(absl::IsResourceExhausted(ExplainCreateError("/x", ENOSPC)));
  EXPECT_TRUE(absl::IsResourceExhausted(ExplainCreateError("/x", EDQUOT)));
  EXPECT_TRUE(absl::IsAlreadyExists(ExplainCreateError("/x", EEXIST)));
  ExpectMentions(ExplainCreateError("/x", EIO), "/x", "Input/output error");
}

TEST(CheckDirectIoTest, ProcHasNone) {
  const absl::Status status = CheckDirectIo("/proc/self/status");
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  ExpectMentions(status, "/proc/self/status", "O_DIRECT");
  const TemporaryDirectory directory;
  EXPECT_TRUE(CheckDirectIo(directory.Write("file", "x")).ok());
}

// Some block device; made if there is none to be seen.
std::optional<std::string> AnyBlockDevice(const TemporaryDirectory& directory) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/dev", ignored)) {
    if (entry.is_block_file(ignored)) return entry.path().string();
  }
  const std::string path = directory.File("block");
  if (mknod(path.c_str(), S_IFBLK | 0600, makedev(7, 0)) != 0) return std::nullopt;
  return path;
}

TEST(TargetFileTest, ABlockDeviceIsNotWrittenWithoutTheWord) {
  const TemporaryDirectory directory;
  const std::optional<std::string> device = AnyBlockDevice(directory);
  ASSERT_TRUE(device.has_value()) << "no block device in /dev, and none can be made";
  const auto file = TargetFile::Open(Named(*device, true));
  EXPECT_TRUE(absl::IsPermissionDenied(file.status())) << file.status();
  ExpectMentions(file.status(), *device, "--destroy-data");
}

TEST(TargetFileDeathTest, TheSecondSignalRemovesIt) {
  const TemporaryDirectory directory;
  EXPECT_EXIT(
      {
        const CancelOnSignal cancel;
        const auto file = TargetFile::Open(NewFileIn(directory));
        if (!file.ok() || !fs::exists(file->path())) _exit(1);
        raise(SIGINT);
        raise(SIGINT);
      },
      testing::ExitedWithCode(128 + SIGINT), "");
  EXPECT_TRUE(directory.empty());
}

}  // namespace
}  // namespace ioengine::bench
