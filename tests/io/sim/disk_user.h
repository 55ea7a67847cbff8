// Calls a SimDisk as a program calls the kernel: one operation after the other.
#ifndef IOENGINE_TESTS_IO_SIM_DISK_USER_H_
#define IOENGINE_TESTS_IO_SIM_DISK_USER_H_

#include <fcntl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ioengine/io/io_request.h"
#include "ioengine/io/sim/sim_disk.h"

namespace ioengine {

class DiskUser {
 public:
  explicit DiskUser(SimDisk& disk) : disk_(disk) {}

  SimDisk& disk() { return disk_; }

  int Open(const std::string& path, int flags = O_RDWR) {
    IoCommand command = Named(IoOpcode::kOpen, path);
    command.path->open_flags = flags;
    command.path->mode = 0600;
    return disk_.Run(command);
  }
  int Create(const std::string& path) { return Open(path, O_RDWR | O_CREAT | O_EXCL); }
  int32_t Close(int fd) { return OnFd(IoOpcode::kClose, fd); }

  int32_t Write(int fd, uint64_t offset_bytes, std::string data, uint8_t flags = 0) {
    IoCommand command = Transfer(IoOpcode::kWrite, fd, offset_bytes, data);
    command.request.flags = flags;
    return disk_.Run(command);
  }
  // What is read, or "errno N".
  std::string Read(int fd, uint64_t offset_bytes, size_t size_bytes) {
    std::string data(size_bytes, '#');
    IoCommand command = Transfer(IoOpcode::kRead, fd, offset_bytes, data);
    const int32_t result = disk_.Run(command);
    if (result < 0) return "errno " + std::to_string(-result);
    data.resize(static_cast<size_t>(result));
    return data;
  }

  int32_t Fdatasync(int fd) { return OnFd(IoOpcode::kFdatasync, fd); }
  int32_t Fsync(int fd) { return OnFd(IoOpcode::kFsync, fd); }
  int32_t Truncate(int fd, uint64_t size_bytes) {
    return OnFd(IoOpcode::kTruncate, fd, 0, size_bytes);
  }
  int32_t Punch(int fd, uint64_t offset_bytes, uint64_t range_bytes) {
    return OnFd(IoOpcode::kPunch, fd, offset_bytes, range_bytes);
  }
  int32_t Allocate(int fd, uint64_t offset_bytes, uint64_t range_bytes) {
    return OnFd(IoOpcode::kAllocate, fd, offset_bytes, range_bytes);
  }
  int32_t Lock(int fd, IoLock lock) {
    IoCommand command = Command(IoOpcode::kLock, fd);
    command.request.argument = static_cast<uint8_t>(lock);
    return disk_.Run(command);
  }
  FileStat Stat(int fd) {
    IoCommand command = Command(IoOpcode::kStat, fd);
    command.path = std::make_unique<PathArguments>();
    disk_.Run(command);
    return command.path->stat;
  }
  std::vector<DirectoryEntry> List(int fd) {
    IoCommand command = Command(IoOpcode::kList, fd);
    command.path = std::make_unique<PathArguments>();
    disk_.Run(command);
    return std::move(command.path->entries);
  }

  int32_t Rename(const std::string& from, const std::string& to) {
    return TwoNames(IoOpcode::kRename, from, to);
  }
  int32_t Link(const std::string& from, const std::string& to) {
    return TwoNames(IoOpcode::kLink, from, to);
  }
  int32_t Remove(const std::string& path, uint8_t flags = 0) {
    IoCommand command = Named(IoOpcode::kRemove, path);
    command.request.flags = flags;
    return disk_.Run(command);
  }
  int32_t MakeDirectory(const std::string& path) {
    IoCommand command = Named(IoOpcode::kMakeDirectory, path);
    command.path->mode = 0700;
    return disk_.Run(command);
  }
  // Makes the names in `path` durable.
  int32_t SyncDirectory(const std::string& path) {
    const int fd = Open(path, O_RDONLY | O_DIRECTORY);
    const int32_t result = Fsync(fd);
    Close(fd);
    return result;
  }

  static IoCommand Command(IoOpcode opcode, int fd) {
    IoCommand command;
    command.request.opcode = opcode;
    command.request.fd = fd;
    return command;
  }
  static IoCommand Transfer(IoOpcode opcode, int fd, uint64_t offset_bytes, std::string& data) {
    IoCommand command = Command(opcode, fd);
    command.request.offset_bytes = offset_bytes;
    command.request.data = data.data();
    command.request.size_bytes = static_cast<uint32_t>(data.size());
    return command;
  }

 private:
  static IoCommand Named(IoOpcode opcode, const std::string& path) {
    IoCommand command = Command(opcode, kCurrentDirectory);
    command.path = std::make_unique<PathArguments>();
    command.path->path = path;
    return command;
  }
  int32_t OnFd(IoOpcode opcode, int fd, uint64_t offset_bytes = 0, uint64_t range_bytes = 0) {
    IoCommand command = Command(opcode, fd);
    command.request.offset_bytes = offset_bytes;
    command.request.range_bytes = range_bytes;
    return disk_.Run(command);
  }
  int32_t TwoNames(IoOpcode opcode, const std::string& from, const std::string& to) {
    IoCommand command = Named(opcode, from);
    command.path->new_path = to;
    return disk_.Run(command);
  }

  SimDisk& disk_;
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_IO_SIM_DISK_USER_H_
