#include "ioengine/tools/benchmark/mount_info.h"

#include <charconv>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace ioengine::bench {
namespace {

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// The kernel writes space, tab, newline and backslash as a backslash and three octal digits.
std::string Unescape(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned code = 0;
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 4, code, 8).ptr ==
            text.data() + i + 4) {
      plain += static_cast<char>(code);
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

bool ParseUnsigned(std::string_view text, unsigned* value) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), *value);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

// Mount and file system both say "rw"; each option is wanted once, in order.
std::string MergeOptions(std::string_view mount_options, std::string_view super_options) {
  std::string merged;
  std::set<std::string_view> seen;
  for (const std::string_view list : {mount_options, super_options}) {
    for (const std::string_view option : Split(list, ',')) {
      if (option.empty() || !seen.insert(option).second) continue;
      if (!merged.empty()) merged += ',';
      merged += option;
    }
  }
  return merged;
}

// 26 1 254:0 / /home rw,relatime shared:1 - ext4 /dev/vda1 rw,discard
//       [2]  [3] [4]   [5]      [6…]      -  +1     +2       +3
std::optional<Mount> ParseLine(std::string_view line) {
  const std::vector<std::string_view> fields = Split(line, ' ');
  size_t dash = 6;
  while (dash < fields.size() && fields[dash] != "-") ++dash;
  if (dash + 3 >= fields.size()) return std::nullopt;
  Mount mount;
  const std::vector<std::string_view> device = Split(fields[2], ':');
  if (device.size() != 2 || !ParseUnsigned(device[0], &mount.device_major) ||
      !ParseUnsigned(device[1], &mount.device_minor)) {
    return std::nullopt;
  }
  mount.mount_point = Unescape(fields[4]);
  mount.type = fields[dash + 1];
  mount.source = Unescape(fields[dash + 2]);
  mount.options = MergeOptions(fields[5], fields[dash + 3]);
  return mount;
}

bool Contains(std::string_view mount_point, std::string_view path) {
  if (mount_point == "/") return path.starts_with('/');
  return path.starts_with(mount_point) &&
         (path.size() == mount_point.size() || path[mount_point.size()] == '/');
}

}  // namespace

std::optional<Mount> FindMount(std::string_view mountinfo, std::string_view absolute_path) {
  std::optional<Mount> best;
  for (const std::string_view line : Split(mountinfo, '\n')) {
    std::optional<Mount> mount = ParseLine(line);
    if (!mount.has_value() || !Contains(mount->mount_point, absolute_path)) continue;
    if (!best.has_value() || mount->mount_point.size() >= best->mount_point.size()) {
      best = std::move(mount);
    }
  }
  return best;
}

std::optional<std::string> MountOption(const Mount& mount, std::string_view key) {
  for (const std::string_view option : Split(mount.options, ',')) {
    if (option.size() > key.size() && option.starts_with(key) && option[key.size()] == '=') {
      return Unescape(option.substr(key.size() + 1));
    }
  }
  return std::nullopt;
}

}  // namespace ioengine::bench
