#include "ioengine/tools/benchmark/environment.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>

#include "ioengine/tools/benchmark/mount_info.h"
#include "ioengine/version.h"

namespace ioengine::bench {
namespace {

namespace fs = std::filesystem;

#if defined(__clang__)
constexpr char kCompiler[] = "clang " __clang_version__;
#else
constexpr char kCompiler[] = "g++ " __VERSION__;
#endif

std::string Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\n");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\n") - first + 1));
}

// Empty if it cannot be read: the files read here are never usefully empty.
std::string ReadText(const fs::path& path) {
  std::ifstream file(path);
  if (!file) return "";
  return Trim(std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()));
}

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc()) return std::nullopt;
  return value;
}

std::optional<uint64_t> ReadNumber(const fs::path& path) { return ParseNumber(ReadText(path)); }

// "[always] madvise never" -> "always"; a text without brackets is its own answer.
std::string Chosen(const std::string& text) {
  const size_t open = text.find('[');
  const size_t close = text.find(']', open == std::string::npos ? 0 : open);
  if (open == std::string::npos || close == std::string::npos) return text;
  return text.substr(open + 1, close - open - 1);
}

// How many numbers a list such as "0-3,8" holds.
std::optional<int> CountList(std::string_view list) {
  uint64_t count = 0;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const std::string_view range = list.substr(0, comma);
    const size_t dash = range.find('-');
    const auto first = ParseNumber(range.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : ParseNumber(range.substr(dash + 1));
    if (!first.has_value() || !last.has_value() || *last < *first) return std::nullopt;
    count += *last - *first + 1;
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
  }
  if (count == 0) return std::nullopt;
  return static_cast<int>(count);
}

std::string ReadKernel(const std::string& root) {
  utsname name;
  const bool known = uname(&name) == 0;
  std::string release = ReadText(root + "/proc/sys/kernel/osrelease");
  if (release.empty() && known) release = name.release;
  if (release.empty()) return "";
  return "Linux " + release + (known ? std::string(" ") + name.machine : "");
}

void ReadCpu(const std::string& root, Environment* environment) {
  std::istringstream lines(ReadText(root + "/proc/cpuinfo"));
  std::string line;
  int count = 0;
  while (std::getline(lines, line)) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string key = Trim(std::string_view(line).substr(0, colon));
    if (key == "processor") ++count;
    if (key == "model name")
      environment->cpu_model = Trim(std::string_view(line).substr(colon + 1));
  }
  if (count > 0) environment->cpu_count = count;
}

std::optional<uint64_t> ReadMemoryBytes(const std::string& root) {
  std::istringstream words(ReadText(root + "/proc/meminfo"));
  std::string word;
  while (words >> word) {
    uint64_t kib = 0;
    if (word == "MemTotal:" && words >> kib) return kib * 1024;
  }
  return std::nullopt;
}

// Fills in the file system and returns the number of the block device below it.
std::optional<dev_t> ReadMount(const std::string& root, Environment* environment) {
  std::error_code error;
  const fs::path real = fs::canonical(environment->path, error);
  if (error) return std::nullopt;
  const auto mount = FindMount(ReadText(root + "/proc/self/mountinfo"), real.string());
  if (!mount.has_value()) return std::nullopt;
  environment->file_system = mount->type;
  environment->mount_point = mount->mount_point;
  environment->mount_options = mount->options;
  if (mount->device_major != 0) return makedev(mount->device_major, mount->device_minor);
  // btrfs and its like number themselves; their source is the device.
  struct stat source;
  if (stat(mount->source.c_str(), &source) == 0 && S_ISBLK(source.st_mode)) return source.st_rdev;
  return std::nullopt;
}

std::string ReadModel(const fs::path& disk) {
  std::string model = ReadText(disk / "device" / "model");
  if (model.empty()) model = ReadText(disk / "dm" / "name");
  if (model.empty()) {
    std::error_code error;
    model = fs::read_symlink(disk / "device" / "driver", error).filename().string();
  }
  return model;
}

}  // namespace

std::optional<BlockDevice> ReadBlockDevice(dev_t device, const std::string& root) {
  const fs::path link = root + "/sys/dev/block/" + std::to_string(major(device)) + ":" +
                        std::to_string(minor(device));
  std::error_code error;
  fs::path disk = fs::canonical(link, error);
  if (error) return std::nullopt;
  if (fs::exists(disk / "partition", error)) disk = disk.parent_path();

  BlockDevice found;
  found.name = disk.filename().string();
  found.model = ReadModel(disk);
  if (const auto rotational = ReadNumber(disk / "queue" / "rotational")) {
    found.rotational = *rotational != 0;
  }
  found.scheduler = Chosen(ReadText(disk / "queue" / "scheduler"));
  found.logical_block_bytes = ReadNumber(disk / "queue" / "logical_block_size");
  if (const auto sectors = ReadNumber(disk / "size")) found.size_bytes = *sectors * 512;
  return found;
}

Environment ReadEnvironment(const std::string& path, const std::string& root) {
  Environment environment;
  environment.kernel = ReadKernel(root);
  ReadCpu(root, &environment);
  environment.memory_bytes = ReadMemoryBytes(root);
  environment.numa_node_count = CountList(ReadText(root + "/sys/devices/system/node/online"));
  environment.transparent_hugepages =
      Chosen(ReadText(root + "/sys/kernel/mm/transparent_hugepage/enabled"));
  if (const auto disabled = ReadNumber(root + "/proc/sys/kernel/io_uring_disabled")) {
    environment.io_uring_disabled = static_cast<int>(*disabled);
  }
  rlimit limit;
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
    environment.memlock_bytes = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
  }
  environment.version = kVersion;
  environment.compiler = kCompiler;

  environment.path = path;
  struct stat target;
  if (path.empty() || stat(path.c_str(), &target) != 0) return environment;
  std::optional<dev_t> device;
  if (S_ISBLK(target.st_mode)) {
    device = target.st_rdev;
  } else {
    device = ReadMount(root, &environment);
  }
  if (device.has_value()) environment.device = ReadBlockDevice(*device, root);
  return environment;
}

}  // namespace ioengine::bench
