// The machine as placement sees it: NUMA nodes, CPUs, which of them share a physical core, and
// which this process may use.
//
// It is read from sysfs once, at start-up, and does not change afterwards: a CPU that goes offline
// later is the kernel's to handle (it moves our thread). sysfs is believed only where it is
// consistent. Containers mask or rewrite it, so each of its two parts is taken whole or not at all:
//
//   nodes  <root>/devices/system/node/{online,node*/cpulist,node*/distance,node*/meminfo}
//          else: one node 0 that holds every CPU, and nodes_known() is false.
//   cores  <root>/devices/system/cpu/{online,cpu*/topology/…}
//          else: every CPU counts as a physical core of its own.
//
// What was given up, and because of which file, is in degraded_reason().
#ifndef IOENGINE_NUMA_TOPOLOGY_H_
#define IOENGINE_NUMA_TOPOLOGY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace ioengine {

// Node ids at or above this are taken for garbage (the kernel's MAX_NUMNODES).
inline constexpr int kMaxNodes = 1024;

struct CpuInfo {
  int id = 0;
  int core_id = 0;     // the kernel's number; unique only within a package and a die
  int package_id = 0;  // socket; -1 where the platform does not say
  int node_id = 0;
  std::vector<int> smt_siblings = {};  // the threads of its physical core, itself included
};

struct NodeInfo {
  int id = 0;
  std::vector<int> cpus;       // ascending; empty for a node of memory alone
  std::vector<int> distances;  // distances[i] is to nodes()[i]; 10 is local, larger is further
  bool has_memory = true;
  uint64_t memory_bytes = 0;  // 0 also when unknown (nodes_known() is false)
};

// A value; copy it freely. Shard: any thread.
class Topology {
 public:
  // Reads the machine below `sysfs_root`, and which CPUs the calling thread may use (affinity.h).
  // Missing, unreadable or senseless files are no error: see above, and degraded_reason().
  // Errors: as AllowedCpus(). Cost: four small files per CPU and node, some ms; blocks.
  static absl::StatusOr<Topology> Read(const std::string& sysfs_root = "/sys");

  // The same for a process that may use `allowed_cpus`, in any order.
  // Errors: InvalidArgument when that is empty, or holds an id outside of [0, kMaxCpus).
  static absl::StatusOr<Topology> Read(const std::string& sysfs_root,
                                       std::vector<int> allowed_cpus);

  // Ascending by id; never empty.
  const std::vector<NodeInfo>& nodes() const { return nodes_; }
  const std::vector<CpuInfo>& cpus() const { return cpus_; }
  const std::vector<int>& allowed_cpus() const { return allowed_cpus_; }

  // False when the one node is an assumption, so that nothing should be bound to it.
  bool nodes_known() const { return nodes_known_; }

  // Null when there is none with that id. Ownership: points into this Topology.
  const CpuInfo* FindCpu(int cpu_id) const;
  const NodeInfo* FindNode(int node_id) const;

  bool IsAllowed(int cpu_id) const;

  // The node to take memory from for work on `node_id`: itself if it has memory, else the nearest
  // that has, the lowest id among equals. -1 (let the kernel choose) when nodes_known() is false,
  // the node does not exist, or no node has memory.
  int NearestMemoryNode(int node_id) const;

  // What had to be assumed instead of read, and why; empty when sysfs told everything.
  const std::string& degraded_reason() const { return degraded_reason_; }

  // One line for people: "2 nodes, 64 CPUs on 32 cores; allowed: 0-63".
  std::string Describe() const;

 private:
  friend class TopologyReader;
  Topology() = default;

  std::vector<NodeInfo> nodes_;
  std::vector<CpuInfo> cpus_;
  std::vector<int> allowed_cpus_;
  bool nodes_known_ = false;
  std::string degraded_reason_;
};

}  // namespace ioengine

#endif  // IOENGINE_NUMA_TOPOLOGY_H_
