// Reads the text files that the kernel makes up in /sys and /proc, for start-up and reports.
//
// This is the one place below the Backend seam that opens files: it runs before there is a
// Backend, and these files hold no data of ours. It blocks, so no shard calls it while it serves.
#ifndef IOENGINE_NUMA_KERNEL_FILE_H_
#define IOENGINE_NUMA_KERNEL_FILE_H_

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace ioengine {

class KernelFile {
 public:
  // Opens `path` for reading. Never waits for a writer, should `path` be a FIFO.
  // Errors: NotFound, PermissionDenied, … as open(2) says; the message names `path`.
  static absl::StatusOr<KernelFile> Open(const std::string& path);

  KernelFile(KernelFile&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}
  KernelFile& operator=(KernelFile&& other) = delete;
  ~KernelFile();

  // Reads on from where the last call ended; 0 at the end of the file.
  // Ownership: `buffer` is written only during the call. Errors: as read(2); names the path.
  absl::StatusOr<size_t> Read(std::span<char> buffer);

 private:
  KernelFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}

  int descriptor_;
  std::string path_;
};

// The whole of `path`. Errors: as above; ResourceExhausted when it is longer than `max_bytes`.
absl::StatusOr<std::string> ReadKernelFile(const std::string& path, size_t max_bytes);

}  // namespace ioengine

#endif  // IOENGINE_NUMA_KERNEL_FILE_H_
