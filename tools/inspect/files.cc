#include "ioengine/tools/inspect/files.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ioengine::inspect {

absl::StatusOr<std::vector<std::byte>> ReadFile(const std::string& path) {
  return ReadFront(path, SIZE_MAX);
}

absl::StatusOr<std::vector<std::byte>> ReadFront(const std::string& path, size_t most_bytes) {
  std::error_code error;
  const uint64_t file_bytes = std::filesystem::file_size(path, error);
  if (error) {
    const std::string text = absl::StrCat(path, ": ", error.message());
    if (error == std::errc::no_such_file_or_directory) return absl::NotFoundError(text);
    return absl::FailedPreconditionError(text);
  }
  const auto size_bytes = static_cast<size_t>(std::min<uint64_t>(file_bytes, most_bytes));
  std::vector<std::byte> bytes(size_bytes);
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size_bytes));
  if (!file) return absl::InternalError(absl::StrCat(path, ": ", std::strerror(errno)));
  return bytes;
}

}  // namespace ioengine::inspect
