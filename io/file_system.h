// FileSystem: the files and directories below one directory.
#ifndef IOENGINE_IO_FILE_SYSTEM_H_
#define IOENGINE_IO_FILE_SYSTEM_H_

#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/io_request.h"
#include "ioengine/io/io_site.h"
#include "ioengine/io/open_file.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/task.h"

namespace ioengine {

struct FileSystemOptions {
  // Make the directory, with mode 0700, when there is none. The one around it must be there.
  bool create = false;
  // Fail with PermissionDenied when the directory belongs to another user, or others may write to
  // it: what is read from it would be theirs.
  bool only_ours = true;
};

// Paths are relative to the root, with '/' between names. They lead nowhere else: no path begins
// with '/', has a name "..", or goes through a symbolic link; the kernel sees to it (openat2(2),
// RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS), so it holds as well for a directory that somebody else
// changes meanwhile. What leads out is InvalidArgument. "" is the root itself.
//
// A new, renamed or removed name is durable after SyncDirectory of its directory, and not before:
// the file's own Fdatasync does not cover its name.
//
// New files have mode 0600, new directories 0700.
//
// Each call's `site` is the place that it is called from; see IoSite.
//
// Shard: the one that opened it. Move-only.
// Errors: those of the system calls, naming the path; ResourceExhausted when the shard's file table
// is full (each call below needs a place in it for each directory that is not the root).
// Cost: an operation that the kernel hands to a worker thread, about 50 µs; two more (an open and a
// close) for each directory that is not the root.
class FileSystem {
 public:
  static Task<absl::StatusOr<FileSystem>> Open(ShardIo& io, std::string root,
                                               FileSystemOptions options = {},
                                               IoSite site = std::source_location::current());

  FileSystem() = default;
  FileSystem(FileSystem&&) noexcept = default;
  FileSystem& operator=(FileSystem&&) noexcept = default;
  ~FileSystem() = default;

  Task<absl::StatusOr<DmaFile>> OpenFile(std::string path, DmaFileOptions options = {},
                                         IoSite site = std::source_location::current()) const;

  // Removes the name of a file; open files stay usable.
  Task<absl::Status> Remove(std::string path, IoSite site = std::source_location::current()) const;

  enum class Replace : uint8_t {
    kNo,  // AlreadyExists when the new name is taken
    kYes
  };
  // Renames a file or a directory. Atomic for whoever looks, and with kYes for crashes too.
  Task<absl::Status> Rename(std::string from, std::string to, Replace replace = Replace::kYes,
                            IoSite site = std::source_location::current()) const;

  // Gives the file a second name. AlreadyExists when that is taken.
  Task<absl::Status> Link(std::string from, std::string to,
                          IoSite site = std::source_location::current()) const;

  Task<absl::Status> MakeDirectory(std::string path,
                                   IoSite site = std::source_location::current()) const;
  // FailedPrecondition when it is not empty.
  Task<absl::Status> RemoveDirectory(std::string path,
                                     IoSite site = std::source_location::current()) const;

  // Of a file, a directory, or a link itself.
  Task<absl::StatusOr<FileStat>> Stat(std::string path,
                                      IoSite site = std::source_location::current()) const;

  // What is in a directory, sorted by name, without "." and "..".
  Task<absl::StatusOr<std::vector<DirectoryEntry>>> List(
      std::string path = "", IoSite site = std::source_location::current()) const;

  // Makes the names in a directory durable. Errors: as Fdatasync.
  Task<absl::Status> SyncDirectory(std::string path = "",
                                   IoSite site = std::source_location::current()) const;

  // Takes the root's advisory lock (DmaFile::Lock): who does so first has the directory. (flock(2):
  // a shared lock that could not become exclusive is gone.)
  Task<absl::Status> Lock(IoLock lock, IoSite site = std::source_location::current()) const;

  bool is_open() const { return root_.is_open(); }
  const std::string& root() const { return root_.path(); }

 private:
  // A directory and a name in it.
  struct Place {
    FileRef directory;
    std::string name;
  };

  explicit FileSystem(ShardIo& io, DmaFile root) : io_(&io), root_(std::move(root)) {}

  std::string DisplayPath(const std::string& path) const;
  Task<absl::StatusOr<FileRef>> OpenDirectory(const char* operation, std::string path,
                                              IoSite site) const;
  Task<absl::StatusOr<Place>> Find(const char* operation, std::string path, IoSite site) const;
  Task<absl::Status> OnName(IoOpcode opcode, uint8_t flags, std::string path, IoSite site) const;
  Task<absl::Status> OnNames(IoOpcode opcode, uint8_t flags, std::string from, std::string to,
                             IoSite site) const;
  // Commands that name their files as a user knows them.
  IoCommand OnDirectory(IoOpcode opcode, const FileRef& directory, IoSite site) const;

  ShardIo* io_ = nullptr;
  DmaFile root_;  // a directory, which is only used by its descriptor
};

}  // namespace ioengine

#endif  // IOENGINE_IO_FILE_SYSTEM_H_
