#include "ioengine/tools/inspect/files.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ioengine::inspect {
namespace {

// All of `text`, or nothing.
bool ParseNumber(std::string_view text, uint64_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

}  // namespace

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

std::optional<SegmentName> ParseSegmentName(std::string_view name) {
  constexpr std::string_view kPrefix = "W-";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  const size_t dash = name.find('-');
  SegmentName parsed;
  if (dash == std::string_view::npos || !ParseNumber(name.substr(0, dash), &parsed.stream) ||
      !ParseNumber(name.substr(dash + 1), &parsed.segment)) {
    return std::nullopt;
  }
  return parsed;
}

}  // namespace ioengine::inspect
