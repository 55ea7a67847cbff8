#include "ioengine/tools/inspect/files.h"

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
  std::error_code error;
  const uint64_t size_bytes = std::filesystem::file_size(path, error);
  if (error) {
    const std::string text = absl::StrCat(path, ": ", error.message());
    if (error == std::errc::no_such_file_or_directory) return absl::NotFoundError(text);
    return absl::FailedPreconditionError(text);
  }
  std::vector<std::byte> bytes(size_bytes);
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size_bytes));
  if (!file) return absl::InternalError(absl::StrCat(path, ": ", std::strerror(errno)));
  return bytes;
}

}  // namespace ioengine::inspect
