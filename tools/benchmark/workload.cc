#include "ioengine/tools/benchmark/workload.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ioengine::bench {
namespace {

constexpr std::array<std::pair<Workload, std::string_view>, 7> kNames = {{
    {Workload::kSeqRead, "seqread"},
    {Workload::kSeqWrite, "seqwrite"},
    {Workload::kRandRead, "randread"},
    {Workload::kRandWrite, "randwrite"},
    {Workload::kMixed, "mixed"},
    {Workload::kSyncWrite, "syncwrite"},
    {Workload::kNull, "null"},
}};

std::string KnownNames() {
  std::string names;
  for (const auto& [workload, name] : kNames) {
    if (!names.empty()) names += ", ";
    names += name;
  }
  return names;
}

}  // namespace

std::string_view WorkloadName(Workload workload) {
  for (const auto& [known, name] : kNames) {
    if (known == workload) return name;
  }
  return "unknown";
}

std::vector<Workload> AllWorkloads() {
  std::vector<Workload> all;
  for (const auto& [workload, name] : kNames) all.push_back(workload);
  return all;
}

absl::StatusOr<std::vector<Workload>> ParseWorkloads(std::string_view comma_separated) {
  std::vector<Workload> workloads;
  while (true) {
    const size_t comma = comma_separated.find(',');
    const std::string_view wanted = comma_separated.substr(0, comma);
    const auto* const found = std::find_if(
        kNames.begin(), kNames.end(), [&](const auto& entry) { return entry.second == wanted; });
    if (found == kNames.end()) {
      return absl::InvalidArgumentError("unknown workload '" + std::string(wanted) +
                                        "'; the workloads are " + KnownNames());
    }
    if (std::find(workloads.begin(), workloads.end(), found->first) != workloads.end()) {
      return absl::InvalidArgumentError("workload '" + std::string(wanted) + "' is given twice");
    }
    workloads.push_back(found->first);
    if (comma == std::string_view::npos) return workloads;
    comma_separated.remove_prefix(comma + 1);
  }
}

bool Writes(Workload workload) {
  switch (workload) {
    case Workload::kSeqWrite:
    case Workload::kRandWrite:
    case Workload::kMixed:
    case Workload::kSyncWrite:
      return true;
    case Workload::kSeqRead:
    case Workload::kRandRead:
    case Workload::kNull:
      return false;
  }
  return true;
}

bool IsRandom(Workload workload) {
  return workload == Workload::kRandRead || workload == Workload::kRandWrite ||
         workload == Workload::kMixed;
}

bool NeedsFile(Workload workload) { return workload != Workload::kNull; }

}  // namespace ioengine::bench
