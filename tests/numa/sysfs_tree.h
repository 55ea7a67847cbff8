// A sysfs of a machine that is not there, as files in a temporary folder.

#ifndef IOENGINE_TESTS_NUMA_SYSFS_TREE_H_
#define IOENGINE_TESTS_NUMA_SYSFS_TREE_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace ioengine {

// What `lscpu` would tell of a machine, in short.
struct MachineSpec {
  struct Node {
    std::string cpus;       // "0-31,64-95"
    std::string distances;  // "10 21"
    uint64_t memory_mib = 1024;
  };
  std::vector<Node> nodes;
  int smt_stride = 0;         // CPUs n and n + smt_stride share a core; 0: one thread per core
  int nodes_per_package = 1;  // node i is in package i / nodes_per_package
};

// One node, four CPUs, no SMT: a small virtual machine.
MachineSpec OneNode();
// Two sockets of 32 cores with two threads each; Linux numbers the second threads last.
MachineSpec TwoSocketsOf32CoresSmt();
// Two EPYC sockets, each split into four nodes (NPS4) of 16 cores with two threads.
MachineSpec EightNodeEpyc();
// Two nodes of four CPUs, of which node 0 has no memory, and a third of memory alone.
MachineSpec NodeWithoutMemory();

class SysfsTree {
 public:
  SysfsTree();  // empty
  explicit SysfsTree(const MachineSpec& machine);
  SysfsTree(const SysfsTree&) = delete;
  SysfsTree& operator=(const SysfsTree&) = delete;
  ~SysfsTree();

  // What Topology::Read takes.
  const std::string& root() const { return root_; }

  // Paths are below devices/system, such as "node/node0/cpulist"; folders are made as needed.
  void Write(const std::string& path, std::string_view content);
  void Remove(const std::string& path);

  // Overwrites a file until Repair().
  void Damage(const std::string& path, std::string_view content);
  void Repair();

  // Everything written and not removed, in alphabetical order.
  std::vector<std::string> Files() const;

 private:
  void WriteToDisk(const std::string& path, std::string_view content);

  std::string root_;
  std::map<std::string, std::string> contents_;  // by path
  std::set<std::string> folders_;                // made so far
  std::set<std::string> damaged_;
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_NUMA_SYSFS_TREE_H_
