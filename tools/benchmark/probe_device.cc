#include "ioengine/tools/benchmark/probe_device.h"

#include <filesystem>
#include <fstream>

#include "ioengine/tools/benchmark/environment.h"

namespace ioengine::bench {
namespace {

std::optional<std::string> ReadLine(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

}  // namespace

DeviceFacts ReadDeviceFacts(dev_t device, const std::string& root) {
  DeviceFacts facts;
  const std::optional<BlockDevice> found = ReadBlockDevice(device, root);
  if (!found.has_value()) return facts;
  facts.name = found->name;
  facts.rotational = found->rotational;
  const std::filesystem::path queue =
      std::filesystem::path(root + "/sys/block") / found->name / "queue";
  if (const auto cache = ReadLine(queue / "write_cache")) {
    if (*cache == "write back") facts.volatile_cache = true;
    if (*cache == "write through") facts.volatile_cache = false;
  }
  if (const auto fua = ReadLine(queue / "fua")) {
    if (*fua == "1") facts.fua = true;
    if (*fua == "0") facts.fua = false;
  }
  if (const auto most = ReadLine(queue / "max_sectors_kb")) {
    uint64_t number = 0;
    for (const char digit : *most) {
      if (digit < '0' || digit > '9' || number > UINT32_MAX) return facts;
      number = number * 10 + static_cast<uint64_t>(digit - '0');
    }
    if (number > 0) facts.max_sectors_kb = number;
  }
  return facts;
}

}  // namespace ioengine::bench
