#include "ioengine/numa/cpu_list.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace ioengine {
namespace {

constexpr std::string_view kWhiteSpace = " \t\r\n";

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kWhiteSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kWhiteSpace) - first + 1);
}

// Digits only: from_chars alone would take the "-1" of "-1" or of "2--1".
std::optional<int> ParseId(std::string_view digits, int limit) {
  if (digits.empty() || digits.front() < '0' || digits.front() > '9') return std::nullopt;
  int id = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
  if (error != std::errc() || end != digits.data() + digits.size() || id >= limit) {
    return std::nullopt;
  }
  return id;
}

// Quotes at most the start of `part`, which may be 64 KiB of garbage.
absl::Status BadPart(std::string_view part, int limit) {
  const std::string shown(part.substr(0, 40));
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", absl::CHexEscape(shown),
      "\" is not a CPU or a range of CPUs: write it like 0-3,8 with ids from 0 to ", limit - 1));
}

}  // namespace

absl::StatusOr<std::vector<int>> ParseCpuList(std::string_view text, int limit) {
  std::vector<int> ids;
  std::string_view rest = Trim(text);
  if (rest.empty()) return ids;
  for (bool more = true; more;) {
    const size_t comma = rest.find(',');
    const std::string_view part = rest.substr(0, comma);
    more = comma != std::string_view::npos;
    if (more) rest.remove_prefix(comma + 1);

    const size_t dash = part.find('-');
    const std::optional<int> first = ParseId(part.substr(0, dash), limit);
    const std::optional<int> last =
        dash == std::string_view::npos ? first : ParseId(part.substr(dash + 1), limit);
    if (!first.has_value() || !last.has_value() || *last < *first) return BadPart(part, limit);
    if (ids.size() + static_cast<size_t>(*last - *first) + 1 > static_cast<size_t>(limit)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the list names more than ", limit, " CPUs: some are repeated"));
    }
    for (int id = *first; id <= *last; ++id) ids.push_back(id);
  }
  return ids;
}

std::string FormatCpuList(std::vector<int> cpus) {
  if (cpus.empty()) return "none";
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  std::string text;
  for (size_t i = 0; i < cpus.size();) {
    size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    absl::StrAppend(&text, text.empty() ? "" : ",", cpus[i]);
    if (last > i) absl::StrAppend(&text, "-", cpus[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace ioengine
