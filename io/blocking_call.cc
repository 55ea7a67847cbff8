#include "ioengine/io/blocking_call.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ioengine/io/kernel_values.h"
#include "ioengine/sched/check.h"

// uapi/linux/fs.h, which is not included here, because it defines macros that collide with others.
#ifndef RWF_DSYNC
#define RWF_DSYNC 0x00000002
#endif
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x00000008
#endif

namespace ioengine {
namespace {

int32_t Result(ssize_t returned) { return returned < 0 ? -errno : static_cast<int32_t>(returned); }

iovec VectorOf(const IoRequest& request) { return {request.data, request.size_bytes}; }

// A description of our own of what `fd` refers to, which does not wait. -1 and errno where there
// is none, as of sockets.
int ReopenNonBlocking(int fd, bool write) {
  const std::string path = absl::StrCat("/proc/self/fd/", fd);
  return ::open(path.c_str(), (write ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_CLOEXEC);
}

// A transfer of what has no offsets: pipes, sockets, terminals. A blocking call might never end
// also where poll(2) says that it can go on: another reader may come first.
int32_t TransferStream(const IoRequest& request) {
  const bool write = request.opcode == IoOpcode::kWrite;
  int32_t result = Result(
      write ? ::send(request.fd, request.data, request.size_bytes, MSG_DONTWAIT | MSG_NOSIGNAL)
            : ::recv(request.fd, request.data, request.size_bytes, MSG_DONTWAIT));
  if (result == -ENOTSOCK) {
    const iovec vector = VectorOf(request);
    result = Result(write ? ::pwritev2(request.fd, &vector, 1, -1, RWF_NOWAIT)
                          : ::preadv2(request.fd, &vector, 1, -1, RWF_NOWAIT));
  }
  if (result == -EOPNOTSUPP) {
    const int fd = ReopenNonBlocking(request.fd, write);
    if (fd < 0) return -errno;
    result = Result(write ? ::write(fd, request.data, request.size_bytes)
                          : ::read(fd, request.data, request.size_bytes));
    ::close(fd);
  }
  return result == -EAGAIN ? kWouldWait : result;
}

int32_t Transfer(const IoRequest& request) {
  const auto offset = static_cast<off_t>(request.offset_bytes);
  int32_t result;
  if (request.opcode == IoOpcode::kRead) {
    result = Result(::pread(request.fd, request.data, request.size_bytes, offset));
  } else if ((request.flags & kIoDsync) != 0) {
    const iovec vector = VectorOf(request);
    result = Result(::pwritev2(request.fd, &vector, 1, offset, RWF_DSYNC));
  } else {
    result = Result(::pwrite(request.fd, request.data, request.size_bytes, offset));
  }
  return result == -ESPIPE ? TransferStream(request) : result;
}

// Where somebody holds a lease on a file (fcntl, F_SETLEASE), an open asks for it back.
// AccountCompletion tries again; so many tries, so far apart, are longer than
// /proc/sys/fs/lease-break-time.
constexpr int kLeasePauseMs = 200;

// An open for which nobody has to do something: that of a pipe does not wait for the other end.
int32_t Open(const IoRequest& request, PathArguments& path) {
  const int flags = path.open_flags | O_NONBLOCK;
  const char* const name = path.path.c_str();
  int32_t fd;
  if (path.beneath) {
    fd = Result(
        ::syscall(SYS_openat2, request.fd, name, PrepareOpenHow(path, flags), sizeof(open_how)));
  } else {
    fd = Result(::openat(request.fd, name, flags, path.mode));
  }
  if (fd == -EAGAIN) ::poll(nullptr, 0, kLeasePauseMs);
  if (fd < 0 || (path.open_flags & (O_NONBLOCK | O_PATH)) != 0) return fd;
  if (::fcntl(fd, F_SETFL, path.open_flags) == 0) return fd;
  const int error = errno;
  ::close(fd);
  return -error;
}

// What getdents64 gives; glibc's own struct has the same fields, but not the length in these bytes.
struct KernelEntry {
  uint64_t inode;
  int64_t offset;
  uint16_t size_bytes;
  uint8_t type;
  char name[1];  // and more, with a NUL at the end
};

void AddEntries(const std::byte* at, const std::byte* end, std::vector<DirectoryEntry>& entries) {
  while (at < end) {
    uint16_t size_bytes;
    std::memcpy(&size_bytes, at + offsetof(KernelEntry, size_bytes), sizeof(size_bytes));
    const auto type = static_cast<uint8_t>(at[offsetof(KernelEntry, type)]);
    const char* const name = reinterpret_cast<const char*>(at + offsetof(KernelEntry, name));
    if (std::strcmp(name, ".") != 0 && std::strcmp(name, "..") != 0) {
      entries.push_back({name, KindOfEntry(type)});
    }
    at += size_bytes;
  }
}

// Through a description of its own, since a description has one position, which others may use.
int32_t List(const IoRequest& request, PathArguments& path, const std::atomic<bool>& cancelled) {
  const int fd = ::openat(request.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -errno;
  // Handed over when it is complete: should the process fork in between, the child sees either all
  // or nothing of it.
  auto entries = std::make_unique<std::vector<DirectoryEntry>>();
  alignas(KernelEntry) std::array<std::byte, 32768> buffer;
  int32_t result;
  do {
    if (cancelled.load(std::memory_order_relaxed)) {
      result = -ECANCELED;
      break;
    }
    result = Result(::syscall(SYS_getdents64, fd, buffer.data(), buffer.size()));
    if (result > 0) AddEntries(buffer.data(), buffer.data() + result, *entries);
  } while (result > 0);
  ::close(fd);
  if (result == 0) KeepEntries(path, std::move(entries));
  return result;
}

// A directory, which cannot be opened for writing, takes no exclusive lock of the other kind.
int32_t LockDirectory(int fd, IoLock lock) {
  int operation = LOCK_UN;
  if (lock == IoLock::kShared) operation = LOCK_SH;
  if (lock == IoLock::kExclusive) operation = LOCK_EX;
  return Result(::flock(fd, operation | LOCK_NB));
}

int32_t LockFile(int fd, IoLock lock) {
  struct flock range {};
  range.l_type = F_UNLCK;
  if (lock == IoLock::kShared) range.l_type = F_RDLCK;
  if (lock == IoLock::kExclusive) range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;  // from 0, for 0 bytes: all of the file, however long it becomes
  return Result(::fcntl(fd, F_OFD_SETLK, &range));
}

// Locks of the open file description, which end with it: those of a process would end with the
// close of any of its descriptors of the file.
int32_t Lock(const IoRequest& request) {
  struct stat stat {};
  if (::fstat(request.fd, &stat) != 0) return -errno;
  const auto lock = static_cast<IoLock>(request.argument);
  const int32_t result =
      S_ISDIR(stat.st_mode) ? LockDirectory(request.fd, lock) : LockFile(request.fd, lock);
  // EAGAIN would be tried again.
  return result == -EAGAIN || result == -EACCES ? -EBUSY : result;
}

// uapi/linux/fs.h: struct fsxattr and what goes with it.
struct ExtendedAttributes {
  uint32_t flags;
  uint32_t extent_size_bytes;
  uint32_t extent_count;
  uint32_t project;
  uint32_t copy_on_write_size_bytes;
  unsigned char padding[8];
};
constexpr uint32_t kFlagExtentSize = 0x800;
constexpr unsigned long kGetAttributes = _IOR('X', 31, ExtendedAttributes);
constexpr unsigned long kSetAttributes = _IOW('X', 32, ExtendedAttributes);

int32_t SetExtentHint(const IoRequest& request) {
  if (request.range_bytes > UINT32_MAX) return -EINVAL;
  const auto size_bytes = static_cast<uint32_t>(request.range_bytes);
  ExtendedAttributes attributes{};
  int32_t result = Result(::ioctl(request.fd, kGetAttributes, &attributes));
  if (result == 0) {
    attributes.flags &= ~kFlagExtentSize;
    if (size_bytes > 0) attributes.flags |= kFlagExtentSize;
    attributes.extent_size_bytes = size_bytes;
    result = Result(::ioctl(request.fd, kSetAttributes, &attributes));
  }
  // ext4 takes it and forgets it.
  if (result == 0) result = Result(::ioctl(request.fd, kGetAttributes, &attributes));
  if (result == 0 && attributes.extent_size_bytes != size_bytes) result = -EOPNOTSUPP;
  return result == -ENOTTY ? -EOPNOTSUPP : result;
}

int32_t RunOnName(IoCommand& command) {
  const IoRequest& request = command.request;
  PathArguments& path = *command.path;
  const char* const name = path.path.c_str();
  switch (request.opcode) {
    case IoOpcode::kOpen:
      return Open(request, path);
    case IoOpcode::kRemove:
      return Result(::unlinkat(request.fd, name, RemoveFlags(request)));
    case IoOpcode::kRename:
      return Result(::renameat2(request.fd, name, path.new_directory, path.new_path.c_str(),
                                RenameFlags(request)));
    case IoOpcode::kLink:
      return Result(::linkat(request.fd, name, path.new_directory, path.new_path.c_str(), 0));
    case IoOpcode::kMakeDirectory:
      return Result(::mkdirat(request.fd, name, path.mode));
    default:
      IOENGINE_CHECK(false, "not an operation on names");
      return -EINVAL;
  }
}

}  // namespace

int32_t RunBlockingCall(IoCommand& command, const std::atomic<bool>& cancelled) {
  const IoRequest& request = command.request;
  const auto offset = static_cast<off_t>(request.offset_bytes);
  const auto range = static_cast<off_t>(request.range_bytes);
  switch (request.opcode) {
    case IoOpcode::kRead:
    case IoOpcode::kWrite:
      return Transfer(request);
    case IoOpcode::kFdatasync:
      return Result(::fdatasync(request.fd));
    case IoOpcode::kFsync:
      return Result(::fsync(request.fd));
    case IoOpcode::kAllocate:
    case IoOpcode::kPunch:
      return Result(::fallocate(request.fd, AllocateMode(request), offset, range));
    case IoOpcode::kTruncate:
      return Result(::ftruncate(request.fd, range));
    case IoOpcode::kAdvise:
      return -::posix_fadvise(request.fd, offset, range, KernelAdvice(request));
    case IoOpcode::kExtentHint:
      return SetExtentHint(request);
    case IoOpcode::kLock:
      return Lock(request);
    case IoOpcode::kStat:
      return Result(::statx(request.fd, command.path->path.c_str(), StatxFlags(*command.path),
                            StatxMask(), PrepareStatx(*command.path)));
    case IoOpcode::kList:
      return List(request, *command.path, cancelled);
    case IoOpcode::kClose:
      return Result(::close(request.fd));
    default:
      return RunOnName(command);
  }
}

short WaitEvents(const IoRequest& request) {
  return request.opcode == IoOpcode::kWrite ? POLLOUT : POLLIN;
}

}  // namespace ioengine
