#include "ioengine/numa/topology.h"

#include <algorithm>
#include <cstddef>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/numa/affinity.h"
#include "ioengine/numa/cpu_list.h"
#include "ioengine/numa/topology_reader.h"

namespace ioengine {
namespace {

// Both lists are sorted by id.
template <typename Info>
const Info* FindById(const std::vector<Info>& infos, int id) {
  const auto found =
      std::lower_bound(infos.begin(), infos.end(), id,
                       [](const Info& info, int wanted) { return info.id < wanted; });
  return found != infos.end() && found->id == id ? &*found : nullptr;
}

std::string Count(size_t count, const char* noun) {
  return absl::StrCat(count, " ", noun, count == 1 ? "" : "s");
}

}  // namespace

absl::StatusOr<Topology> Topology::Read(const std::string& sysfs_root) {
  absl::StatusOr<std::vector<int>> allowed = AllowedCpus();
  if (!allowed.ok()) return allowed.status();
  return Read(sysfs_root, *std::move(allowed));
}

absl::StatusOr<Topology> Topology::Read(const std::string& sysfs_root,
                                        std::vector<int> allowed_cpus) {
  if (allowed_cpus.empty()) {
    return absl::InvalidArgumentError("the list of allowed CPUs is empty: name at least one");
  }
  for (const int cpu : allowed_cpus) {
    if (cpu < 0 || cpu >= kMaxCpus) {
      return absl::InvalidArgumentError(
          absl::StrCat("allowed CPU ", cpu, " is not in [0, ", kMaxCpus, ")"));
    }
  }
  std::sort(allowed_cpus.begin(), allowed_cpus.end());
  allowed_cpus.erase(std::unique(allowed_cpus.begin(), allowed_cpus.end()), allowed_cpus.end());
  return TopologyReader(sysfs_root, std::move(allowed_cpus)).Read();
}

const CpuInfo* Topology::FindCpu(int cpu_id) const { return FindById(cpus_, cpu_id); }

const NodeInfo* Topology::FindNode(int node_id) const { return FindById(nodes_, node_id); }

bool Topology::IsAllowed(int cpu_id) const {
  return std::binary_search(allowed_cpus_.begin(), allowed_cpus_.end(), cpu_id);
}

int Topology::NearestMemoryNode(int node_id) const {
  const NodeInfo* from = FindNode(node_id);
  if (!nodes_known_ || from == nullptr) return -1;
  if (from->has_memory) return node_id;
  int nearest = -1;
  int nearest_distance = 0;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!nodes_[i].has_memory) continue;
    if (nearest != -1 && from->distances[i] >= nearest_distance) continue;
    nearest = nodes_[i].id;
    nearest_distance = from->distances[i];
  }
  return nearest;
}

std::string Topology::Describe() const {
  std::set<std::vector<int>> cores;
  for (const CpuInfo& cpu : cpus_) cores.insert(cpu.smt_siblings);
  std::string text =
      absl::StrCat(Count(nodes_.size(), "node"), ", ", Count(cpus_.size(), "CPU"), " on ",
                   Count(cores.size(), "core"), "; allowed: ", FormatCpuList(allowed_cpus_));
  if (!degraded_reason_.empty()) absl::StrAppend(&text, "; assumed: ", degraded_reason_);
  return text;
}

}  // namespace ioengine
