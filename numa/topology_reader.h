// How a Topology is read out of sysfs. Private to numa/: use Topology::Read.
#ifndef IOENGINE_NUMA_TOPOLOGY_READER_H_
#define IOENGINE_NUMA_TOPOLOGY_READER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/numa/topology.h"

namespace ioengine {

// Used once: construct, Read(). Its steps, each of which only adds to the topology when the whole
// part that it reads is consistent:
//
//   ReadNodes ──ok──► nodes_known_ = true        ReadCores ──ok──► core ids and SMT siblings
//        └─ else ───► AssumeOneNode                   └─ else ───► AssumeOneThreadPerCore
class TopologyReader {
 public:
  // `allowed_cpus` is valid, ascending and without duplicates.
  TopologyReader(const std::string& sysfs_root, std::vector<int> allowed_cpus);

  Topology Read();

 private:
  // The CPUs there are: those online, those allowed, and those in a node. Not only the online
  // ones, because lxcfs shows a container "0-1" while its affinity mask says CPUs 5 and 7.
  std::vector<int> AllCpuIds() const;

  absl::Status ReadNodes();
  absl::StatusOr<NodeInfo> ReadNode(int node_id) const;
  absl::Status AssignCpusToNodes(const std::vector<NodeInfo>& nodes);
  void AssumeOneNode();

  absl::Status ReadCores();
  absl::Status ReadCore(CpuInfo* cpu) const;
  void AssumeOneThreadPerCore();

  void Degrade(const char* assumption, const absl::Status& why);

  absl::StatusOr<std::vector<int>> ReadIds(const std::string& path, int limit) const;
  absl::StatusOr<int> ReadNumber(const std::string& path) const;

  const std::string cpu_folder_;
  const std::string node_folder_;
  Topology topology_;
};

}  // namespace ioengine

#endif  // IOENGINE_NUMA_TOPOLOGY_READER_H_
