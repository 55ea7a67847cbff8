#include "ioengine/numa/placement.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ioengine/numa/cpu_list.h"
#include "ioengine/numa/topology.h"

namespace ioengine {
namespace {

// An allowed CPU with the places it takes in the orders that pack and spread sort by.
struct Candidate {
  int cpu = 0;
  int node_rank = 0;     // of its node, among the nodes in the order in which pack fills them
  int thread_rank = 0;   // among the allowed threads of its core: 0 for one per physical core
  int rank_in_node = 0;  // among the CPUs of its node that have the same thread_rank
};

// Nodes with memory first, then by distance from the first of all, then by id.
std::vector<const NodeInfo*> NodesInPackOrder(const Topology& topology) {
  std::vector<const NodeInfo*> nodes;
  std::map<int, int> distance_from_first;
  const NodeInfo* first = nullptr;
  for (const NodeInfo& node : topology.nodes()) {
    const bool usable = std::any_of(node.cpus.begin(), node.cpus.end(),
                                    [&](int cpu) { return topology.IsAllowed(cpu); });
    if (!usable) continue;
    nodes.push_back(&node);
    if (first == nullptr || (node.has_memory && !first->has_memory)) first = &node;
  }
  for (size_t i = 0; first != nullptr && i < first->distances.size(); ++i) {
    distance_from_first[topology.nodes()[i].id] = first->distances[i];
  }
  std::sort(nodes.begin(), nodes.end(), [&](const NodeInfo* a, const NodeInfo* b) {
    const auto key = [&](const NodeInfo* node) {
      return std::tuple(node != first, !node->has_memory, distance_from_first[node->id], node->id);
    };
    return key(a) < key(b);
  });
  return nodes;
}

std::vector<Candidate> AllowedCandidates(const Topology& topology) {
  std::vector<Candidate> candidates;
  int node_rank = 0;
  for (const NodeInfo* node : NodesInPackOrder(topology)) {
    std::map<int, int> next_thread_rank;   // by the core's first sibling
    std::map<int, int> next_rank_in_node;  // by thread_rank
    for (const int cpu : node->cpus) {
      if (!topology.IsAllowed(cpu)) continue;
      const int thread_rank = next_thread_rank[topology.FindCpu(cpu)->smt_siblings.front()]++;
      candidates.push_back(Candidate{.cpu = cpu,
                                     .node_rank = node_rank,
                                     .thread_rank = thread_rank,
                                     .rank_in_node = next_rank_in_node[thread_rank]++});
    }
    ++node_rank;
  }
  return candidates;
}

std::vector<int> CpusInOrder(const Topology& topology, PlacementPolicy policy) {
  std::vector<Candidate> candidates = AllowedCandidates(topology);
  const auto pack = [](const Candidate& c) {
    return std::tuple(c.node_rank, c.thread_rank, c.rank_in_node);
  };
  const auto spread = [](const Candidate& c) {
    return std::tuple(c.thread_rank, c.rank_in_node, c.node_rank);
  };
  std::sort(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) {
    return policy == PlacementPolicy::kPack ? pack(a) < pack(b) : spread(a) < spread(b);
  });
  std::vector<int> cpus;
  for (const Candidate& candidate : candidates) cpus.push_back(candidate.cpu);
  return cpus;
}

absl::Status CheckCustomCpus(const Topology& topology, const std::vector<int>& custom_cpus) {
  std::vector<int> sorted = custom_cpus;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the placement names CPU ", *twice, " twice: each shard needs its own"));
  }
  for (const int cpu : sorted) {
    if (topology.IsAllowed(cpu)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("the placement names CPU ", cpu, ", but this process may only use ",
                     FormatCpuList(topology.allowed_cpus()),
                     ": choose among these, or widen its affinity mask or cpuset"));
  }
  return absl::OkStatus();
}

absl::Status TooFewCpus(const Topology& topology, PlacementPolicy policy, int shard_count,
                        size_t cpu_count) {
  const std::string where = policy == PlacementPolicy::kCustom
                                ? absl::StrCat("the placement lists ", cpu_count)
                                : absl::StrCat("this process may use ", cpu_count, " (",
                                               FormatCpuList(topology.allowed_cpus()), ")");
  return absl::InvalidArgumentError(
      absl::StrCat("placement ", std::string(PlacementPolicyName(policy)), " gives each of ",
                   shard_count, " shards a CPU of its own, but ", where, ": use at most ",
                   cpu_count, " shards, or placement unbound, or give it more CPUs"));
}

}  // namespace

std::string_view PlacementPolicyName(PlacementPolicy policy) {
  switch (policy) {
    case PlacementPolicy::kUnbound:
      return "unbound";
    case PlacementPolicy::kPack:
      return "pack";
    case PlacementPolicy::kSpread:
      return "spread";
    case PlacementPolicy::kCustom:
      return "custom";
  }
  return "unknown";
}

absl::StatusOr<PlacementSpec> ParsePlacement(std::string_view text) {
  PlacementSpec spec;
  for (const PlacementPolicy policy :
       {PlacementPolicy::kUnbound, PlacementPolicy::kPack, PlacementPolicy::kSpread}) {
    spec.policy = policy;
    if (text == PlacementPolicyName(policy)) return spec;
  }
  spec.policy = PlacementPolicy::kCustom;
  absl::StatusOr<std::vector<int>> cpus = ParseCpuList(text);
  if (cpus.ok() && !cpus->empty()) {
    spec.custom_cpus = *std::move(cpus);
    return spec;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("a placement is unbound, pack, spread, or a list of CPUs such as 0,2,4-7",
                   cpus.ok() ? "; it is empty" : absl::StrCat("; ", cpus.status().message())));
}

std::string Placement::Describe() const {
  constexpr size_t kMaxSpelledOut = 64;
  const std::string name(PlacementPolicyName(policy));
  if (policy == PlacementPolicy::kUnbound) {
    return absl::StrCat(name, ": ", shards.size(), " shards, not pinned");
  }
  std::vector<int> cpus;
  for (size_t i = 0; i < shards.size() && i < kMaxSpelledOut; ++i) cpus.push_back(shards[i].cpu);
  if (shards.size() == 1) return absl::StrCat(name, ": shard 0 on CPU ", cpus[0]);
  return absl::StrCat(name, ": shards 0-", shards.size() - 1, " on CPUs ", absl::StrJoin(cpus, ","),
                      shards.size() > kMaxSpelledOut ? ",…" : "");
}

absl::StatusOr<Placement> MakePlacement(const Topology& topology, PlacementPolicy policy,
                                        int shard_count, const std::vector<int>& custom_cpus) {
  if (shard_count < 1 || shard_count > kMaxShards) {
    return absl::InvalidArgumentError(
        absl::StrCat("the number of shards is ", shard_count, ": use 1 to ", kMaxShards));
  }
  const size_t shards = static_cast<size_t>(shard_count);
  if (policy != PlacementPolicy::kCustom && !custom_cpus.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("placement ", std::string(PlacementPolicyName(policy)),
                     " takes no list of CPUs: use custom, or leave the list empty"));
  }
  Placement placement;
  placement.policy = policy;
  placement.shards.resize(shards);
  if (policy == PlacementPolicy::kUnbound) return placement;

  std::vector<int> cpus = custom_cpus;
  if (policy == PlacementPolicy::kCustom) {
    absl::Status valid = CheckCustomCpus(topology, custom_cpus);
    if (!valid.ok()) return valid;
  } else {
    cpus = CpusInOrder(topology, policy);
  }
  if (shards > cpus.size()) return TooFewCpus(topology, policy, shard_count, cpus.size());
  for (size_t i = 0; i < shards; ++i) {
    placement.shards[i].cpu = cpus[i];
    placement.shards[i].memory_node =
        topology.NearestMemoryNode(topology.FindCpu(cpus[i])->node_id);
  }
  return placement;
}

}  // namespace ioengine
