#include "ioengine/numa/smaps.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/numa/kernel_file.h"

namespace ioengine {
namespace {

// A header ends with the path of the mapped file, and a path has at most 4,096 bytes.
constexpr size_t kMaxLineBytes = 8192;

// Reads line by line: with thousands of mappings smaps is many megabytes long.
class LineReader {
 public:
  explicit LineReader(KernelFile file) : file_(std::move(file)) {}

  // The next line without its end, valid until the next call; nullopt after the last.
  absl::StatusOr<std::optional<std::string_view>> Next() {
    for (;;) {
      const size_t end = buffered_.find('\n', begin_);
      if (end != std::string::npos) {
        const std::string_view line = std::string_view(buffered_).substr(begin_, end - begin_);
        begin_ = end + 1;
        return line;
      }
      buffered_.erase(0, begin_);
      begin_ = 0;
      if (buffered_.size() > kMaxLineBytes) {
        return absl::InvalidArgumentError("smaps holds a line that is too long");
      }
      std::array<char, 4096> chunk;
      const absl::StatusOr<size_t> got = file_.Read(chunk);
      if (!got.ok()) return got.status();
      if (*got == 0) return std::nullopt;
      buffered_.append(chunk.data(), *got);
    }
  }

 private:
  KernelFile file_;
  std::string buffered_;
  size_t begin_ = 0;  // of what was not yet returned
};

// "AnonHugePages:     65536 kB"
std::optional<size_t> ParseKib(std::string_view value) {
  value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
  size_t kib = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), kib);
  if (error != std::errc()) return std::nullopt;
  value.remove_prefix(static_cast<size_t>(end - value.data()));
  return value == " kB" ? std::optional(kib) : std::nullopt;
}

// An entry is a header, "7f0000000000-7f0000200000 rw-p …", and then lines "Key:   value".
bool IsHeader(std::string_view line) { return !line.substr(0, line.find(' ')).ends_with(':'); }

}  // namespace

absl::StatusOr<size_t> AnonHugeBytes(const std::string& smaps_path, uintptr_t start,
                                     uintptr_t end) {
  constexpr std::string_view kKey = "AnonHugePages:";
  absl::StatusOr<KernelFile> file = KernelFile::Open(smaps_path);
  if (!file.ok()) return file.status();
  LineReader lines(*std::move(file));

  const std::string header =
      absl::StrCat(absl::Hex(start, absl::kZeroPad8), "-", absl::Hex(end, absl::kZeroPad8), " ");
  bool inside = false;
  for (;;) {
    const absl::StatusOr<std::optional<std::string_view>> next = lines.Next();
    if (!next.ok()) return next.status();
    if (!next->has_value()) break;
    const std::string_view line = **next;
    if (IsHeader(line)) {
      if (inside) break;
      inside = line.starts_with(header);
    } else if (inside && line.starts_with(kKey)) {
      const std::optional<size_t> kib = ParseKib(line.substr(kKey.size()));
      if (kib.has_value() && *kib <= (end - start) / 1024) return *kib * 1024;
      return absl::InvalidArgumentError(
          absl::StrCat(smaps_path, ": senseless AnonHugePages of mapping ", header));
    }
  }
  return absl::NotFoundError(
      absl::StrCat(smaps_path, " shows no AnonHugePages of mapping ", header));
}

}  // namespace ioengine
