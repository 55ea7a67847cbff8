#include "ioengine/io/file_system.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "ioengine/io/io_awaiter.h"
#include "ioengine/io/io_error.h"
#include "ioengine/io/path_command.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOCTTY;
constexpr uint32_t kDirectoryMode = 0700;
constexpr uint32_t kOthersMayWrite = 0022;

absl::Status OutsideError(const char* operation, const std::string& root, const std::string& path) {
  return absl::InvalidArgumentError(
      absl::StrCat(operation, " ", path, ": the path leads out of ", root,
                   "; paths are relative to it, and have no name \"..\""));
}

// Whether all names of `path` are names below the root, whatever is there.
bool StaysBeneath(const std::string& path) {
  if (!path.empty() && path.front() == '/') return false;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    if (path.compare(begin, end - begin, "..") == 0) return false;
    begin = end + 1;
  }
  return true;
}

// Of what was resolved beneath the root: the kernel's answer says so of links.
absl::Status NamedError(const char* operation, const std::string& path, int32_t result,
                        IoSite site) {
  if (result == -EXDEV || result == -ELOOP) {
    return WithIoSite(absl::InvalidArgumentError(absl::StrCat(
                          operation, " ", path, ": the path goes through a symbolic link")),
                      site);
  }
  return IoError(-result, absl::StrCat(operation, " ", path), site);
}

absl::Status TableFullError(const char* operation, const std::string& path, size_t capacity) {
  return absl::ResourceExhaustedError(
      absl::StrCat(operation, " ", path, ": the shard has ", capacity,
                   " files open already; close some or raise max_open_files"));
}

absl::Status OwnerError(const std::string& path, const FileStat& stat) {
  if (stat.owner != geteuid()) {
    return absl::PermissionDeniedError(
        absl::StrFormat("open %s: it belongs to user %d, with mode %04o, and this process runs as "
                        "%d; run it as that user, or give it the directory (chown %d %s)",
                        path, stat.owner, stat.permissions, geteuid(), geteuid(), path));
  }
  if ((stat.permissions & kOthersMayWrite) != 0) {
    return absl::PermissionDeniedError(absl::StrFormat(
        "open %s: its mode is %04o, other users may write to it; take that from them (chmod go-w "
        "%s)",
        path, stat.permissions, path));
  }
  return absl::OkStatus();
}

}  // namespace

Task<absl::StatusOr<FileSystem>> FileSystem::Open(ShardIo& io, std::string root,
                                                  FileSystemOptions options, IoSite site) {
  if (absl::Status status = CheckPath("open", root); !status.ok()) co_return status;
  if (options.create) {
    IoCommand make = PathCommand(IoOpcode::kMakeDirectory, root, site);
    make.path->mode = kDirectoryMode;
    StatusAwaiter awaiter(io.queue(), std::move(make));
    absl::Status made = co_await awaiter;
    if (!made.ok() && awaiter.result() != -EEXIST) co_return made;
  }
  FileRef file = io.files().Reserve();
  if (!file) co_return TableFullError("open", root, io.files().capacity());
  file->path = root;
  file->site = site;
  IoCommand command = PathCommand(IoOpcode::kOpen, std::move(root), site);
  command.path->open_flags = kOpenDirectory;
  command.file = file.Share();
  absl::Status opened = co_await StatusAwaiter(io.queue(), std::move(command));
  if (!opened.ok()) co_return opened;
  DmaFile directory(io, std::move(file));
  if (options.only_ours) {
    absl::StatusOr<FileStat> stat = co_await directory.Stat(site);
    if (!stat.ok()) co_return stat.status();
    absl::Status owner = OwnerError(directory.path(), *stat);
    if (!owner.ok()) co_return owner;
  }
  co_return FileSystem(io, std::move(directory));
}

std::string FileSystem::DisplayPath(const std::string& path) const {
  return path.empty() ? root() : absl::StrCat(root(), "/", path);
}

IoCommand FileSystem::OnDirectory(IoOpcode opcode, const FileRef& directory, IoSite site) const {
  IoCommand command;
  command.request.opcode = opcode;
  command.request.fd = directory->fd;
  command.request.site = site;
  command.file = directory.Share();
  return command;
}

Task<absl::StatusOr<FileRef>> FileSystem::OpenDirectory(const char* operation, std::string path,
                                                        IoSite site) const {
  IOENGINE_CHECK(is_open(), "use of a FileSystem that was not opened or was moved from");
  if (absl::Status status = CheckPath(operation, path); !status.ok()) co_return status;
  if (!StaysBeneath(path)) co_return OutsideError(operation, root(), path);
  if (path.empty()) co_return root_.file_.Share();
  FileRef file = io_->files().Reserve();
  if (!file) co_return TableFullError(operation, DisplayPath(path), io_->files().capacity());
  file->path = DisplayPath(path);
  file->site = site;
  IoCommand command = PathCommand(IoOpcode::kOpen, std::move(path), site);
  command.request.fd = root_.file_->fd;
  command.path->directory_file = root_.file_.Share();
  command.path->open_flags = kOpenDirectory;
  command.path->beneath = true;
  command.file = file.Share();
  StatusAwaiter open(io_->queue(), std::move(command));
  absl::Status status = co_await open;
  if (!status.ok()) {
    co_return NamedError(operation, file->path, open.result(), site);
  }
  co_return file;
}

Task<absl::StatusOr<FileSystem::Place>> FileSystem::Find(const char* operation, std::string path,
                                                         IoSite site) const {
  const size_t slash = path.rfind('/');
  std::string directory = slash == std::string::npos ? std::string() : path.substr(0, slash);
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty() || name == "." || name == ".." || path.front() == '/') {
    co_return OutsideError(operation, root(), path);
  }
  absl::StatusOr<FileRef> opened = co_await OpenDirectory(operation, std::move(directory), site);
  if (!opened.ok()) co_return opened.status();
  if (absl::Status status = CheckPath(operation, name); !status.ok()) co_return status;
  co_return Place{*std::move(opened), std::move(name)};
}

Task<absl::StatusOr<DmaFile>> FileSystem::OpenFile(std::string path, DmaFileOptions options,
                                                   IoSite site) const {
  absl::StatusOr<Place> place = co_await Find("open", path, site);
  if (!place.ok()) co_return place.status();
  co_return co_await DmaFile::OpenAt(*io_, std::move(place->directory), std::move(place->name),
                                     DisplayPath(path), options, site);
}

// What is done to one name.
Task<absl::Status> FileSystem::OnName(IoOpcode opcode, uint8_t flags, std::string path,
                                      IoSite site) const {
  absl::StatusOr<Place> place = co_await Find(IoOpcodeName(opcode), path, site);
  if (!place.ok()) co_return place.status();
  IoCommand command = PathCommand(opcode, std::move(place->name), site);
  command.request.fd = place->directory->fd;
  command.request.flags = flags;
  command.path->mode = kDirectoryMode;
  command.path->directory_file = std::move(place->directory);
  StatusAwaiter awaiter(io_->queue(), std::move(command));
  absl::Status status = co_await awaiter;
  if (status.ok()) co_return status;
  co_return NamedError(IoOpcodeName(opcode), DisplayPath(path), awaiter.result(), site);
}

// What is done to a name and another one.
Task<absl::Status> FileSystem::OnNames(IoOpcode opcode, uint8_t flags, std::string from,
                                       std::string to, IoSite site) const {
  absl::StatusOr<Place> source = co_await Find(IoOpcodeName(opcode), from, site);
  if (!source.ok()) co_return source.status();
  absl::StatusOr<Place> target = co_await Find(IoOpcodeName(opcode), to, site);
  if (!target.ok()) co_return target.status();
  IoCommand command = PathCommand(opcode, std::move(source->name), site);
  command.request.fd = source->directory->fd;
  command.request.flags = flags;
  command.path->new_path = std::move(target->name);
  command.path->new_directory = target->directory->fd;
  command.path->directory_file = std::move(source->directory);
  command.path->new_directory_file = std::move(target->directory);
  StatusAwaiter awaiter(io_->queue(), std::move(command));
  absl::Status status = co_await awaiter;
  if (status.ok()) co_return status;
  co_return IoError(
      -awaiter.result(),
      absl::StrCat(IoOpcodeName(opcode), " ", DisplayPath(from), " to ", DisplayPath(to)), site);
}

Task<absl::Status> FileSystem::Remove(std::string path, IoSite site) const {
  return OnName(IoOpcode::kRemove, kIoNone, std::move(path), site);
}

Task<absl::Status> FileSystem::RemoveDirectory(std::string path, IoSite site) const {
  return OnName(IoOpcode::kRemove, kIoDirectory, std::move(path), site);
}

Task<absl::Status> FileSystem::MakeDirectory(std::string path, IoSite site) const {
  return OnName(IoOpcode::kMakeDirectory, kIoNone, std::move(path), site);
}

Task<absl::Status> FileSystem::Rename(std::string from, std::string to, Replace replace,
                                      IoSite site) const {
  return OnNames(IoOpcode::kRename, replace == Replace::kNo ? kIoNoReplace : kIoNone,
                 std::move(from), std::move(to), site);
}

Task<absl::Status> FileSystem::Link(std::string from, std::string to, IoSite site) const {
  return OnNames(IoOpcode::kLink, kIoNone, std::move(from), std::move(to), site);
}

Task<absl::StatusOr<FileStat>> FileSystem::Stat(std::string path, IoSite site) const {
  if (path.empty()) co_return co_await root_.Stat(site);
  absl::StatusOr<Place> place = co_await Find("stat", path, site);
  if (!place.ok()) co_return place.status();
  IoCommand command = PathCommand(IoOpcode::kStat, std::move(place->name), site);
  command.request.fd = place->directory->fd;
  command.path->directory_file = std::move(place->directory);
  StatusAwaiter awaiter(io_->queue(), std::move(command));
  absl::Status status = co_await awaiter;
  if (!status.ok()) co_return NamedError("stat", DisplayPath(path), awaiter.result(), site);
  co_return awaiter.command().path->stat;
}

Task<absl::StatusOr<std::vector<DirectoryEntry>>> FileSystem::List(std::string path,
                                                                   IoSite site) const {
  absl::StatusOr<FileRef> directory = co_await OpenDirectory("list", std::move(path), site);
  if (!directory.ok()) co_return directory.status();
  IoCommand command = OnDirectory(IoOpcode::kList, *directory, site);
  command.path = std::make_unique<PathArguments>();
  StatusAwaiter awaiter(io_->queue(), std::move(command));
  absl::Status status = co_await awaiter;
  if (!status.ok()) co_return status;
  std::vector<DirectoryEntry> entries = std::move(awaiter.command().path->entries);
  std::sort(entries.begin(), entries.end(),
            [](const DirectoryEntry& first, const DirectoryEntry& second) {
              return first.name < second.name;
            });
  co_return entries;
}

Task<absl::Status> FileSystem::SyncDirectory(std::string path, IoSite site) const {
  absl::StatusOr<FileRef> directory = co_await OpenDirectory("fsync", std::move(path), site);
  if (!directory.ok()) co_return directory.status();
  co_return co_await StatusAwaiter(io_->queue(), OnDirectory(IoOpcode::kFsync, *directory, site));
}

Task<absl::Status> FileSystem::Lock(IoLock lock, IoSite site) const {
  return root_.Lock(lock, site);
}

}  // namespace ioengine
