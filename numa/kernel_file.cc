#include "ioengine/numa/kernel_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/numa/errno_status.h"

namespace ioengine {

absl::StatusOr<KernelFile> KernelFile::Open(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor < 0) return ErrnoStatus(errno, absl::StrCat("cannot open ", path));
  return KernelFile(descriptor, path);
}

KernelFile::~KernelFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

absl::StatusOr<size_t> KernelFile::Read(std::span<char> buffer) {
  ssize_t got = 0;
  do {
    got = ::read(descriptor_, buffer.data(), buffer.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) return ErrnoStatus(errno, absl::StrCat("cannot read ", path_));
  return static_cast<size_t>(got);
}

absl::StatusOr<std::string> ReadKernelFile(const std::string& path, size_t max_bytes) {
  absl::StatusOr<KernelFile> file = KernelFile::Open(path);
  if (!file.ok()) return file.status();
  std::string content;
  std::array<char, 4096> buffer;
  for (;;) {
    const absl::StatusOr<size_t> got = file->Read(buffer);
    if (!got.ok()) return got.status();
    if (*got == 0) return content;
    if (content.size() + *got > max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(path, " is longer than the ", max_bytes, " bytes that are expected of it"));
    }
    content.append(buffer.data(), *got);
  }
}

}  // namespace ioengine
