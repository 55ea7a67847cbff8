// Which CPU each shard runs on.
//
//   unbound  the kernel's scheduler decides; for a host that shares its machine, and for tests.
//   pack     shards close together: all physical cores of a node, then their SMT siblings, then
//            the next node. Nodes with memory come before those without, then the nearest to the
//            first. For messages between shards, and to leave other nodes to others.
//   spread   shards far apart: one to each node in turn; physical cores everywhere before the
//            first SMT sibling. For memory bandwidth and for power.
//   custom   the CPUs that the user lists: shard i on the i-th.
//
// What pack and spread ignore: which cores share a last-level cache (CCX) or a die, fast and slow
// cores of hybrid processors, which node the disk or the network card is at, where its interrupts
// go, isolated CPUs, what else runs on the machine, and a CPU quota (cgroup cpu.max) below the
// number of CPUs allowed. Who knows better uses custom.
#ifndef IOENGINE_NUMA_PLACEMENT_H_
#define IOENGINE_NUMA_PLACEMENT_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "ioengine/numa/affinity.h"  // PinCurrentThread, which carries a placement out
#include "ioengine/numa/topology.h"

namespace ioengine {

// More shards than this are taken for a mistake.
inline constexpr int kMaxShards = 65536;

enum class PlacementPolicy { kUnbound, kPack, kSpread, kCustom };

// "unbound", "pack", "spread" or "custom".
std::string_view PlacementPolicyName(PlacementPolicy policy);

// What a user asks for, as a flag or an option states it.
struct PlacementSpec {
  PlacementPolicy policy = PlacementPolicy::kUnbound;
  std::vector<int> custom_cpus;  // in shard order; for kCustom alone
};

// Parses "unbound", "pack", "spread", or a list of CPUs such as "0,2,4-7", which is custom.
// Errors: InvalidArgument, with what would be right.
absl::StatusOr<PlacementSpec> ParsePlacement(std::string_view text);

struct ShardPlacement {
  int cpu = -1;          // pin to this one; -1: do not pin
  int memory_node = -1;  // take memory from this node; -1: wherever the thread runs
};

struct Placement {
  PlacementPolicy policy = PlacementPolicy::kUnbound;
  std::vector<ShardPlacement> shards;  // by shard

  // One line for people: "pack: shards 0-3 on CPUs 0,1,4,5". At most 64 CPUs are spelled out.
  std::string Describe() const;
};

// Decides for `shard_count` shards on `topology`. Of custom_cpus the first `shard_count` are used.
// The same arguments give the same placement.
// Errors: InvalidArgument, saying what to do, when `shard_count` is not in [1, kMaxShards]; when a
// pinned policy has more shards than CPUs; when custom_cpus names a CPU twice or one that this
// process may not use, or is not empty though the policy is another.
absl::StatusOr<Placement> MakePlacement(const Topology& topology, PlacementPolicy policy,
                                        int shard_count, const std::vector<int>& custom_cpus = {});

}  // namespace ioengine

#endif  // IOENGINE_NUMA_PLACEMENT_H_
