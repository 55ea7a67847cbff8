// The file or block device that is measured. It never overwrites what it did not make, except a
// block device that the user gave up with --destroy-data, and removes what it made.
#ifndef IOENGINE_TOOLS_BENCHMARK_TARGET_FILE_H_
#define IOENGINE_TOOLS_BENCHMARK_TARGET_FILE_H_

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/tools/benchmark/cancel_on_signal.h"

namespace ioengine::bench {

struct TargetRequest {
  std::string directory = "/var/tmp";  // --dir: for a new file
  std::string file;                    // --file: a new file, an old one to read, or a block device
  uint64_t size_bytes = uint64_t{1} << 30;
  bool writes = true;         // whether any workload writes
  bool destroy_data = false;  // --destroy-data: write to a block device
};

// An open descriptor, closed with the object. Move-only.
class OpenDescriptor {
 public:
  explicit OpenDescriptor(int fd = -1) : fd_(fd) {}
  OpenDescriptor(OpenDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OpenDescriptor& operator=(OpenDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~OpenDescriptor();

  int get() const { return fd_; }

 private:
  int fd_;
};

class TargetFile {
 public:
  enum class Kind {
    kCreated,   // made by us, empty: the caller writes size_bytes() before it reads; removed at the
                // end
    kExisting,  // a file that was there: only read
    kBlockDevice,  // the caller writes it first only if request.destroy_data
  };

  // Finds or makes the file, as `request` says, and checks all that can be known before the first
  // I/O.
  //
  // Errors, each naming the thing and what to do: NotFound: no such directory. InvalidArgument: not
  // a directory; in memory (tmpfs, ramfs, an overlay on them); a device or a kind of file that
  // cannot be measured; an empty file. AlreadyExists: --file names a file, and a workload writes.
  // PermissionDenied: no write permission, or a block device without --destroy-data.
  // FailedPrecondition: read-only file system; no O_DIRECT; a block device in use.
  // ResourceExhausted: too little space, with 64 MiB to spare. Whatever was made before the error
  // is removed.
  static absl::StatusOr<TargetFile> Open(const TargetRequest& request);

  TargetFile(TargetFile&&) = default;
  TargetFile& operator=(TargetFile&&) = delete;
  ~TargetFile();  // Remove(), if that was not called

  const std::string& path() const { return path_; }
  Kind kind() const { return kind_; }

  // Of what is there to be used: the requested size, or less where an existing file or device is
  // smaller.
  uint64_t size_bytes() const { return size_bytes_; }

  // Removes the file if it was made here and is still the same file; otherwise does nothing.
  // Errors: the system's, with the file's name.
  absl::Status Remove();

 private:
  TargetFile(std::string path, Kind kind, uint64_t size_bytes);
  static absl::StatusOr<TargetFile> Use(const TargetRequest& request, const struct stat& existing);
  static absl::StatusOr<TargetFile> Create(const std::string& path, const TargetRequest& request);

  std::string path_;
  Kind kind_;
  uint64_t size_bytes_;
  struct stat created_ = {};  // of kCreated
  // Of kBlockDevice that is written: nobody can mount it meanwhile.
  OpenDescriptor claim_;
  std::unique_ptr<EmergencyRemoval> emergency_;  // set as long as there is something to remove
};

// The parts of Open that look at a place.

// Errors: InvalidArgument if files in `directory` live in memory and not on a disk.
absl::Status CheckOnDisk(const std::string& directory);

// Errors: FailedPrecondition if the file system of the existing file `path` refuses O_DIRECT.
absl::Status CheckDirectIo(const std::string& path);

// Errors: ResourceExhausted if there are not `size_bytes` and 64 MiB free for us in `directory`.
absl::Status CheckFreeSpace(const std::string& directory, uint64_t size_bytes);

// What to tell the user when a file cannot be made at `path`; `error` is an errno.
absl::Status ExplainCreateError(const std::string& path, int error);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_TARGET_FILE_H_
