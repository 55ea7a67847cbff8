#include "ioengine/tools/benchmark/target_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ioengine::bench {
namespace {

// "ioengine-bench-<pid>-<random>.dat": whoever finds one after a power cut knows what it is.
std::string NewFileName() {
  uint64_t random = 0;
  // Without entropy the name is less random; O_EXCL still keeps it ours.
  if (getrandom(&random, sizeof(random), 0) != sizeof(random)) random = 0;
  std::array<char, 64> name;
  std::snprintf(name.data(), name.size(), "ioengine-bench-%d-%016llx.dat", getpid(),
                static_cast<unsigned long long>(random));
  return name.data();
}

std::string DirectoryOf(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

absl::Status CheckDirectory(const std::string& directory) {
  struct stat found;
  if (stat(directory.c_str(), &found) != 0) {
    if (errno == ENOENT) {
      return absl::NotFoundError("there is no directory " + directory +
                                 "; make it, or give another with --dir=DIR");
    }
    return absl::ErrnoToStatus(errno, "cannot look at directory " + directory);
  }
  if (!S_ISDIR(found.st_mode)) {
    return absl::InvalidArgumentError(directory +
                                      " is not a directory; give one with --dir=DIR, or a "
                                      "file with --file=FILE");
  }
  return absl::OkStatus();
}

// How many bytes the block device has, if we may use it as asked; `claim` keeps it ours.
absl::StatusOr<uint64_t> CheckBlockDevice(const TargetRequest& request, OpenDescriptor* claim) {
  const std::string& path = request.file;
  if (request.writes && !request.destroy_data) {
    return absl::PermissionDeniedError(
        "writing to block device " + path +
        " destroys all data on it; say --destroy-data if that is what you want, or choose "
        "read-only workloads (--workloads=seqread,randread)");
  }
  // For a block device O_EXCL means: not while it is mounted or part of something else.
  const int mode = request.writes ? O_RDWR | O_EXCL : O_RDONLY;
  const int fd = open(path.c_str(), mode | O_CLOEXEC);
  if (fd < 0 && errno == EBUSY) {
    return absl::FailedPreconditionError(
        "block device " + path + " is in use (mounted, or part of a volume); unmount it first");
  }
  if (fd < 0) return absl::ErrnoToStatus(errno, "cannot open block device " + path);
  *claim = OpenDescriptor(fd);
  uint64_t size_bytes = 0;
  if (ioctl(fd, BLKGETSIZE64, &size_bytes) != 0) {
    return absl::ErrnoToStatus(errno, "cannot ask block device " + path + " for its size");
  }
  return size_bytes;
}

// How many bytes the file has, if we are only to read it.
absl::StatusOr<uint64_t> CheckExistingFile(const TargetRequest& request,
                                           const struct stat& existing) {
  if (request.writes) {
    return absl::AlreadyExistsError(
        request.file +
        " exists, and its contents would be overwritten; name a file that does not exist, or "
        "choose read-only workloads (--workloads=seqread,randread)");
  }
  if (absl::Status status = CheckOnDisk(DirectoryOf(request.file)); !status.ok()) return status;
  return static_cast<uint64_t>(existing.st_size);
}

}  // namespace

OpenDescriptor::~OpenDescriptor() {
  if (fd_ >= 0) close(fd_);
}

TargetFile::TargetFile(std::string path, Kind kind, uint64_t size_bytes)
    : path_(std::move(path)), kind_(kind), size_bytes_(size_bytes) {}

TargetFile::~TargetFile() {
  // Who wants to know of an error calls Remove() himself; here nothing can be done but say so.
  if (const absl::Status status = Remove(); !status.ok()) {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  }
}

absl::StatusOr<TargetFile> TargetFile::Open(const TargetRequest& request) {
  if (request.file.empty()) {
    if (absl::Status status = CheckDirectory(request.directory); !status.ok()) return status;
    const std::filesystem::path directory = request.directory;
    return Create((directory / NewFileName()).string(), request);
  }
  struct stat existing;
  if (stat(request.file.c_str(), &existing) == 0) return Use(request, existing);
  if (errno != ENOENT) return absl::ErrnoToStatus(errno, "cannot look at " + request.file);
  const std::string directory = DirectoryOf(request.file);
  if (absl::Status status = CheckDirectory(directory); !status.ok()) return status;
  return Create(request.file, request);
}

absl::StatusOr<TargetFile> TargetFile::Use(const TargetRequest& request,
                                           const struct stat& existing) {
  const std::string& path = request.file;
  const bool is_block_device = S_ISBLK(existing.st_mode);
  if (!is_block_device && !S_ISREG(existing.st_mode)) {
    return absl::InvalidArgumentError(
        path + " is neither a file nor a block device; for a directory say --dir=" + path);
  }
  OpenDescriptor claim;
  const absl::StatusOr<uint64_t> available_bytes =
      is_block_device ? CheckBlockDevice(request, &claim) : CheckExistingFile(request, existing);
  if (!available_bytes.ok()) return available_bytes.status();
  if (*available_bytes == 0) {
    return absl::InvalidArgumentError(path + " is empty; nothing to measure");
  }
  if (absl::Status status = CheckDirectIo(path); !status.ok()) return status;
  TargetFile target(path, is_block_device ? Kind::kBlockDevice : Kind::kExisting,
                    std::min(request.size_bytes, *available_bytes));
  target.claim_ = std::move(claim);
  return target;
}

absl::StatusOr<TargetFile> TargetFile::Create(const std::string& path,
                                              const TargetRequest& request) {
  const std::string directory = DirectoryOf(path);
  if (absl::Status status = CheckOnDisk(directory); !status.ok()) return status;
  // Made before space is asked for: of a read-only file system the reader wants to hear that, not
  // that nothing is free there.
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return ExplainCreateError(path, errno);
  TargetFile file(path, Kind::kCreated, request.size_bytes);
  const int stat_result = fstat(fd, &file.created_);
  const int stat_error = errno;
  close(fd);
  // Cannot happen for an open file; but a file whose identity is not known is not ours to remove.
  if (stat_result != 0) return absl::ErrnoToStatus(stat_error, "cannot look at new file " + path);
  file.emergency_ = std::make_unique<EmergencyRemoval>(path, file.created_);
  // From here on an error removes the file.
  if (absl::Status status = CheckFreeSpace(directory, request.size_bytes); !status.ok())
    return status;
  if (absl::Status status = CheckDirectIo(path); !status.ok()) return status;
  return file;
}

absl::Status TargetFile::Remove() {
  if (emergency_ == nullptr) return absl::OkStatus();
  const int error = RemoveIfSame(path_.c_str(), created_.st_dev, created_.st_ino);
  emergency_.reset();
  if (error != 0) return absl::ErrnoToStatus(error, "cannot remove " + path_);
  return absl::OkStatus();
}

}  // namespace ioengine::bench
