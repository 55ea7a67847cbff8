#include "ioengine/tools/benchmark/process_usage.h"

#include <sys/stat.h>
#include <time.h>

#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

namespace ioengine::bench {
namespace {

double ReadSeconds(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// Of a file of lines such as "write_bytes: 4096".
uint64_t NumberIn(const char* path, std::string_view name) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with(name)) continue;
    return std::stoull(line.substr(name.size()));
  }
  return 0;
}

}  // namespace

double ProcessCpuSeconds() { return ReadSeconds(CLOCK_PROCESS_CPUTIME_ID); }
double WallSeconds() { return ReadSeconds(CLOCK_MONOTONIC); }

DeviceBytes ProcessDeviceBytes() {
  constexpr const char* kPath = "/proc/self/io";
  const uint64_t cancelled = NumberIn(kPath, "cancelled_write_bytes:");
  const uint64_t written = NumberIn(kPath, "write_bytes:");
  return {.read = NumberIn(kPath, "read_bytes:"),
          .written = written - (cancelled < written ? cancelled : written)};
}

uint64_t ResidentBytes() { return NumberIn("/proc/self/status", "VmRSS:") * 1024; }

uint64_t SpaceBytes(const std::string& directory) {
  uint64_t bytes = 0;
  std::error_code error;
  using Iterator = std::filesystem::recursive_directory_iterator;
  for (Iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    struct stat found;
    if (stat(at->path().c_str(), &found) != 0 || !S_ISREG(found.st_mode)) continue;
    bytes += static_cast<uint64_t>(found.st_blocks) * 512;
  }
  return bytes;
}

}  // namespace ioengine::bench
