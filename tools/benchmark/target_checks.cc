// What TargetFile::Open wants to know of a place before the first I/O.

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>

#include "absl/status/status.h"
#include "ioengine/tools/benchmark/mount_info.h"
#include "ioengine/tools/benchmark/table.h"
#include "ioengine/tools/benchmark/target_file.h"

namespace ioengine::bench {
namespace {

constexpr uint64_t kSpareBytes = uint64_t{64} << 20;

// nullptr for a file system on a disk, or one that we do not know.
const char* MemoryFileSystem(const std::string& path) {
  struct statfs found;
  if (statfs(path.c_str(), &found) != 0) return nullptr;
  switch (static_cast<uint64_t>(found.f_type)) {
    case TMPFS_MAGIC:
      return "tmpfs";
    case RAMFS_MAGIC:
      return "ramfs";
    case HUGETLBFS_MAGIC:
      return "hugetlbfs";
    default:
      return nullptr;
  }
}

// The directory that takes the writes of the overlay on which `directory` lies; empty if it is not
// an overlay, or if this mount namespace cannot see that directory, as in most containers.
std::string OverlayUpper(const std::string& directory) {
  struct statfs found;
  if (statfs(directory.c_str(), &found) != 0 ||
      static_cast<uint64_t>(found.f_type) != OVERLAYFS_SUPER_MAGIC) {
    return "";
  }
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(directory, error);
  std::ifstream file("/proc/self/mountinfo");
  if (error || !file) return "";
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const std::optional<Mount> mount = FindMount(text, real.string());
  if (!mount.has_value()) return "";
  return MountOption(*mount, "upperdir").value_or("");
}

}  // namespace

absl::Status CheckOnDisk(const std::string& directory) {
  std::string kind;
  if (const char* memory = MemoryFileSystem(directory)) {
    kind = memory;
  } else if (const std::string upper = OverlayUpper(directory); !upper.empty()) {
    if (const char* below = MemoryFileSystem(upper)) kind = std::string("an overlay over ") + below;
  }
  if (kind.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      directory + " is on " + kind +
      ", which lives in memory: the figures would say nothing about a "
      "disk; give a directory on a disk with --dir=DIR");
}

absl::Status CheckDirectIo(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (fd >= 0) {
    close(fd);
    return absl::OkStatus();
  }
  if (errno != EINVAL) return absl::ErrnoToStatus(errno, "cannot open " + path);
  return absl::FailedPreconditionError(
      "the file system of " + path +
      " does not support O_DIRECT, and reads through the page cache "
      "are not what is measured here; give a directory on another file system with --dir=DIR");
}

absl::Status CheckFreeSpace(const std::string& directory, uint64_t size_bytes) {
  struct statvfs space;
  if (statvfs(directory.c_str(), &space) != 0) {
    return absl::ErrnoToStatus(errno, "cannot ask for the free space of " + directory);
  }
  const uint64_t free_bytes = static_cast<uint64_t>(space.f_bavail) * space.f_frsize;
  if (free_bytes >= kSpareBytes && free_bytes - kSpareBytes >= size_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      directory + " has " + FormatBytes(free_bytes) + " free, and the benchmark's file needs " +
      FormatBytes(size_bytes) + " and " + FormatBytes(kSpareBytes) +
      " to spare; free some space, give a smaller --size, or another directory with --dir=DIR");
}

absl::Status ExplainCreateError(const std::string& path, int error) {
  switch (error) {
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError("no permission to make a file at " + path +
                                         "; give a directory that you may write to with --dir=DIR");
    case EROFS:
      return absl::FailedPreconditionError("the file system is read-only: cannot make " + path +
                                           "; give another directory with --dir=DIR");
    case EEXIST:
      return absl::AlreadyExistsError(path + " exists; name a file that does not");
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError("no space (or quota) left to make " + path +
                                          "; free some, or give another directory with --dir=DIR");
    default:
      return absl::ErrnoToStatus(error, "cannot make " + path);
  }
}

}  // namespace ioengine::bench
