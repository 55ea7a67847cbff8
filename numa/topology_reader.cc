#include "ioengine/numa/topology_reader.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/numa/cpu_list.h"
#include "ioengine/numa/kernel_file.h"

namespace ioengine {
namespace {

// A CPU list of 8,192 scattered ids needs some 40 KiB; everything else is below a page.
constexpr size_t kMaxFileBytes = size_t{64} << 10;

// The kernel's distances are bytes, and 10 stands for local.
constexpr int kMinDistance = 1;
constexpr int kMaxDistance = 255;
constexpr int kLocalDistance = 10;

// No processor has more than 8 today. Without a bound, 8,192 CPUs that each name all others as
// siblings would cost 256 MiB.
constexpr size_t kMaxThreadsPerCore = 64;

// Takes a decimal number off the front of `text`, and the white space before it.
template <typename Number>
std::optional<Number> TakeNumber(std::string_view* text) {
  text->remove_prefix(std::min(text->find_first_not_of(" \t\n"), text->size()));
  Number number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc()) return std::nullopt;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  return number;
}

bool IsBlank(std::string_view text) {
  return text.find_first_not_of(" \t\n") == std::string_view::npos;
}

absl::Status Senseless(const std::string& path, std::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", std::string(problem)));
}

// "Node 0 MemTotal:        5465888 kB", somewhere among the lines of a node's meminfo.
std::optional<uint64_t> ParseMemTotalBytes(std::string_view meminfo) {
  constexpr std::string_view kKey = "MemTotal:";
  constexpr uint64_t kMaxKib = uint64_t{1} << 50;
  const size_t at = meminfo.find(kKey);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view rest = meminfo.substr(at + kKey.size());
  const std::optional<uint64_t> kib = TakeNumber<uint64_t>(&rest);
  if (!kib.has_value() || *kib > kMaxKib || !rest.starts_with(" kB")) return std::nullopt;
  return *kib * 1024;
}

std::optional<std::vector<int>> ParseDistances(std::string_view text) {
  std::vector<int> distances;
  while (!IsBlank(text)) {
    const std::optional<int> distance = TakeNumber<int>(&text);
    if (!distance.has_value() || *distance < kMinDistance || *distance > kMaxDistance) {
      return std::nullopt;
    }
    distances.push_back(*distance);
  }
  return distances;
}

std::vector<int> Sorted(std::vector<int> ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace

TopologyReader::TopologyReader(const std::string& sysfs_root, std::vector<int> allowed_cpus)
    : cpu_folder_(absl::StrCat(sysfs_root, "/devices/system/cpu")),
      node_folder_(absl::StrCat(sysfs_root, "/devices/system/node")) {
  topology_.allowed_cpus_ = std::move(allowed_cpus);
}

Topology TopologyReader::Read() {
  const absl::Status nodes = ReadNodes();
  if (!nodes.ok()) {
    Degrade("one node with all CPUs", nodes);
    AssumeOneNode();
  }
  const absl::Status cores = ReadCores();
  if (!cores.ok()) {
    Degrade("one thread per core", cores);
    AssumeOneThreadPerCore();
  }
  return std::move(topology_);
}

std::vector<int> TopologyReader::AllCpuIds() const {
  std::vector<int> ids = topology_.allowed_cpus_;
  const absl::StatusOr<std::vector<int>> online = ReadIds(cpu_folder_ + "/online", kMaxCpus);
  if (online.ok()) ids.insert(ids.end(), online->begin(), online->end());
  return Sorted(std::move(ids));
}

absl::Status TopologyReader::ReadNodes() {
  const std::string online_path = node_folder_ + "/online";
  absl::StatusOr<std::vector<int>> online = ReadIds(online_path, kMaxNodes);
  if (!online.ok()) return online.status();
  if (online->empty()) return Senseless(online_path, "names no node");

  std::vector<NodeInfo> nodes;
  for (const int node_id : Sorted(*std::move(online))) {
    absl::StatusOr<NodeInfo> node = ReadNode(node_id);
    if (!node.ok()) return node.status();
    nodes.push_back(*std::move(node));
  }
  for (const NodeInfo& node : nodes) {
    if (node.distances.size() != nodes.size()) {
      return Senseless(absl::StrCat(node_folder_, "/node", node.id, "/distance"),
                       "does not hold one distance for each node");
    }
  }
  absl::Status assigned = AssignCpusToNodes(nodes);
  if (!assigned.ok()) return assigned;
  topology_.nodes_ = std::move(nodes);
  topology_.nodes_known_ = true;
  return absl::OkStatus();
}

absl::StatusOr<NodeInfo> TopologyReader::ReadNode(int node_id) const {
  const std::string folder = absl::StrCat(node_folder_, "/node", node_id);
  NodeInfo node;
  node.id = node_id;

  absl::StatusOr<std::vector<int>> cpus = ReadIds(folder + "/cpulist", kMaxCpus);
  if (!cpus.ok()) return cpus.status();
  node.cpus = Sorted(*std::move(cpus));

  const absl::StatusOr<std::string> distance = ReadKernelFile(folder + "/distance", kMaxFileBytes);
  if (!distance.ok()) return distance.status();
  std::optional<std::vector<int>> distances = ParseDistances(*distance);
  if (!distances.has_value()) {
    return Senseless(folder + "/distance", "is not a list of distances from 1 to 255");
  }
  node.distances = *std::move(distances);

  const absl::StatusOr<std::string> meminfo = ReadKernelFile(folder + "/meminfo", kMaxFileBytes);
  if (!meminfo.ok()) return meminfo.status();
  const std::optional<uint64_t> memory_bytes = ParseMemTotalBytes(*meminfo);
  if (!memory_bytes.has_value()) {
    return Senseless(folder + "/meminfo", "has no line \"MemTotal: … kB\"");
  }
  node.memory_bytes = *memory_bytes;
  node.has_memory = *memory_bytes > 0;
  return node;
}

// Fills cpus_ only when each CPU turns out to be in exactly one node.
absl::Status TopologyReader::AssignCpusToNodes(const std::vector<NodeInfo>& nodes) {
  constexpr int kNone = -1;
  std::vector<int> node_of(kMaxCpus, kNone);
  for (const NodeInfo& node : nodes) {
    for (const int id : node.cpus) {
      int& owner = node_of[static_cast<size_t>(id)];
      if (owner != kNone) {
        return Senseless(node_folder_,
                         absl::StrCat("CPU ", id, " is in nodes ", owner, " and ", node.id));
      }
      owner = node.id;
    }
  }
  for (const int id : AllCpuIds()) {
    if (node_of[static_cast<size_t>(id)] == kNone) {
      return Senseless(node_folder_, absl::StrCat("CPU ", id, " is in no node"));
    }
  }
  for (int id = 0; id < kMaxCpus; ++id) {
    const int owner = node_of[static_cast<size_t>(id)];
    if (owner != kNone) topology_.cpus_.push_back(CpuInfo{.id = id, .node_id = owner});
  }
  return absl::OkStatus();
}

void TopologyReader::AssumeOneNode() {
  NodeInfo node;
  node.distances = {kLocalDistance};
  node.cpus = AllCpuIds();
  for (const int id : node.cpus) topology_.cpus_.push_back(CpuInfo{.id = id});
  topology_.nodes_ = {std::move(node)};
}

absl::Status TopologyReader::ReadCores() {
  std::vector<CpuInfo> cpus = topology_.cpus_;
  for (CpuInfo& cpu : cpus) {
    absl::Status read = ReadCore(&cpu);
    if (!read.ok()) return read;
  }
  topology_.cpus_ = std::move(cpus);
  return absl::OkStatus();
}

absl::Status TopologyReader::ReadCore(CpuInfo* cpu) const {
  const std::string folder = absl::StrCat(cpu_folder_, "/cpu", cpu->id, "/topology");
  const absl::StatusOr<int> core_id = ReadNumber(folder + "/core_id");
  if (!core_id.ok()) return core_id.status();
  const absl::StatusOr<int> package_id = ReadNumber(folder + "/physical_package_id");
  if (!package_id.ok()) return package_id.status();

  const std::string siblings_path = folder + "/thread_siblings_list";
  absl::StatusOr<std::vector<int>> siblings = ReadIds(siblings_path, kMaxCpus);
  if (!siblings.ok()) return siblings.status();
  if (siblings->size() > kMaxThreadsPerCore) {
    return Senseless(siblings_path, absl::StrCat("names more than ", kMaxThreadsPerCore, " CPUs"));
  }
  cpu->core_id = *core_id;
  cpu->package_id = *package_id;
  cpu->smt_siblings = Sorted(*std::move(siblings));
  if (!std::binary_search(cpu->smt_siblings.begin(), cpu->smt_siblings.end(), cpu->id)) {
    return Senseless(siblings_path, absl::StrCat("does not name CPU ", cpu->id, " itself"));
  }
  return absl::OkStatus();
}

void TopologyReader::AssumeOneThreadPerCore() {
  for (CpuInfo& cpu : topology_.cpus_) {
    cpu.core_id = cpu.id;
    cpu.package_id = -1;
    cpu.smt_siblings = {cpu.id};
  }
}

void TopologyReader::Degrade(const char* assumption, const absl::Status& why) {
  std::string* reason = &topology_.degraded_reason_;
  absl::StrAppend(reason, reason->empty() ? "" : "; ", assumption, " (", why.message(), ")");
}

absl::StatusOr<std::vector<int>> TopologyReader::ReadIds(const std::string& path, int limit) const {
  const absl::StatusOr<std::string> content = ReadKernelFile(path, kMaxFileBytes);
  if (!content.ok()) return content.status();
  absl::StatusOr<std::vector<int>> ids = ParseCpuList(*content, limit);
  if (!ids.ok()) return Senseless(path, std::string(ids.status().message()));
  return ids;
}

absl::StatusOr<int> TopologyReader::ReadNumber(const std::string& path) const {
  const absl::StatusOr<std::string> content = ReadKernelFile(path, kMaxFileBytes);
  if (!content.ok()) return content.status();
  std::string_view rest = *content;
  const std::optional<int> number = TakeNumber<int>(&rest);
  if (!number.has_value() || !IsBlank(rest)) return Senseless(path, "is not a number");
  return *number;
}

}  // namespace ioengine
