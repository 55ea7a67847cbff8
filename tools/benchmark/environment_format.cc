// The two forms of an Environment: JSON for programs and a block of lines for people.

#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ioengine/tools/benchmark/environment.h"
#include "ioengine/tools/benchmark/table.h"

namespace ioengine::bench {
namespace {

using nlohmann::json;

void Put(json* object, const char* key, const std::string& text) {
  if (!text.empty()) (*object)[key] = text;
}

template <typename T>
void Put(json* object, const char* key, const std::optional<T>& value) {
  if (value.has_value()) (*object)[key] = *value;
}

// Joins what is there: "a, b" of {"a", "", "b"}.
std::string Join(const std::vector<std::string>& parts) {
  std::string joined;
  for (const std::string& part : parts) {
    if (part.empty()) continue;
    if (!joined.empty()) joined += ", ";
    joined += part;
  }
  return joined;
}

std::string Count(const std::optional<int>& count, const char* one, const char* many) {
  if (!count.has_value()) return "";
  return std::to_string(*count) + " " + (*count == 1 ? one : many);
}

std::string IoUringAccess(const std::optional<int>& disabled) {
  if (!disabled.has_value()) return "";
  switch (*disabled) {
    case 0:
      return "io_uring allowed";
    case 1:
      return "io_uring for a group only";
    default:
      return "io_uring switched off";
  }
}

std::string DeviceText(const BlockDevice& device) {
  std::string kind;
  if (device.rotational.has_value()) kind = *device.rotational ? "rotational" : "not rotational";
  return Join({device.name + (device.model.empty() ? "" : " (" + device.model + ")"),
               device.size_bytes.has_value() ? FormatBytes(*device.size_bytes) : "", kind,
               device.scheduler.empty() ? "" : "scheduler " + device.scheduler,
               device.logical_block_bytes.has_value()
                   ? "blocks of " + FormatBytes(*device.logical_block_bytes)
                   : ""});
}

std::string MemoryText(const Environment& environment) {
  std::string memlock;
  if (environment.memlock_bytes.has_value()) {
    memlock = "memlock " + (*environment.memlock_bytes == UINT64_MAX
                                ? std::string("unlimited")
                                : FormatBytes(*environment.memlock_bytes));
  }
  return Join({environment.memory_bytes.has_value() ? FormatBytes(*environment.memory_bytes) : "",
               environment.transparent_hugepages.empty()
                   ? ""
                   : "transparent huge pages " + environment.transparent_hugepages,
               memlock});
}

std::string FileSystemText(const Environment& environment) {
  if (environment.file_system.empty()) return "";
  return Join(
      {environment.file_system + " on " + environment.mount_point, environment.mount_options});
}

// Breaks after a space or a comma, so that long mount options wrap too.
void AppendWrapped(std::string_view label, std::string_view text, int width, std::string* out) {
  constexpr size_t kIndent = 13;
  if (text.empty()) return;
  const size_t room = static_cast<size_t>(width) - kIndent;
  std::string head(label);
  while (!text.empty()) {
    size_t length = text.size();
    if (DisplayWidth(text) > static_cast<int>(room)) {
      const size_t cut = text.substr(0, room).find_last_of(" ,");
      length = cut == std::string_view::npos ? room : cut + 1;
    }
    std::string_view line = text.substr(0, length);
    text.remove_prefix(length);
    while (line.ends_with(' ')) line.remove_suffix(1);
    head.resize(kIndent, ' ');
    *out += head;
    *out += line;
    *out += '\n';
    head.clear();
  }
}

}  // namespace

json ToJson(const Environment& environment) {
  json object = json::object();
  Put(&object, "kernel", environment.kernel);
  Put(&object, "cpu_model", environment.cpu_model);
  Put(&object, "cpu_count", environment.cpu_count);
  Put(&object, "memory_bytes", environment.memory_bytes);
  Put(&object, "numa_node_count", environment.numa_node_count);
  Put(&object, "path", environment.path);
  if (environment.device.has_value()) {
    json device = json::object();
    Put(&device, "name", environment.device->name);
    Put(&device, "model", environment.device->model);
    Put(&device, "rotational", environment.device->rotational);
    Put(&device, "scheduler", environment.device->scheduler);
    Put(&device, "logical_block_bytes", environment.device->logical_block_bytes);
    Put(&device, "size_bytes", environment.device->size_bytes);
    object["device"] = std::move(device);
  }
  Put(&object, "file_system", environment.file_system);
  Put(&object, "mount_point", environment.mount_point);
  Put(&object, "mount_options", environment.mount_options);
  Put(&object, "transparent_hugepages", environment.transparent_hugepages);
  Put(&object, "io_uring_disabled", environment.io_uring_disabled);
  Put(&object, "memlock_bytes", environment.memlock_bytes);
  Put(&object, "version", environment.version);
  Put(&object, "compiler", environment.compiler);
  Put(&object, "backend", environment.backend);
  object["degraded"] = environment.degraded;
  return object;
}

std::string FormatEnvironment(const Environment& environment, int width) {
  std::string text;
  AppendWrapped("ioengine", Join({environment.version, environment.compiler}), width, &text);
  AppendWrapped("kernel", Join({environment.kernel, IoUringAccess(environment.io_uring_disabled)}),
                width, &text);
  AppendWrapped("cpu",
                Join({environment.cpu_model, Count(environment.cpu_count, "CPU", "CPUs"),
                      Count(environment.numa_node_count, "NUMA node", "NUMA nodes")}),
                width, &text);
  AppendWrapped("memory", MemoryText(environment), width, &text);
  AppendWrapped("path", environment.path, width, &text);
  if (environment.device.has_value()) {
    AppendWrapped("device", DeviceText(*environment.device), width, &text);
  }
  AppendWrapped("file system", FileSystemText(environment), width, &text);
  AppendWrapped("backend", environment.backend, width, &text);
  // A list of its own, so that nobody takes a degraded run for a good one.
  std::string label = "degraded";
  for (const std::string& item : environment.degraded) {
    AppendWrapped(label, item, width, &text);
    label.clear();
  }
  return text;
}

}  // namespace ioengine::bench
