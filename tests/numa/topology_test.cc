#include "ioengine/numa/topology.h"

#include <sys/stat.h>

#include <cstddef>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/numa/affinity.h"
#include "ioengine/numa/cpu_list.h"
#include "ioengine/numa/placement.h"
#include "ioengine/tests/numa/sysfs_tree.h"

namespace ioengine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<int> Cpus(const char* list) { return ParseCpuList(list).value(); }

// What has to hold whatever sysfs says.
void ExpectConsistent(const Topology& topology) {
  std::map<int, int> node_of;
  for (const NodeInfo& node : topology.nodes()) {
    EXPECT_EQ(node.distances.size(), topology.nodes().size());
    EXPECT_EQ(topology.FindNode(node.id), &node);
    for (const int cpu : node.cpus) {
      EXPECT_TRUE(node_of.emplace(cpu, node.id).second) << "CPU " << cpu << " is in two nodes";
    }
  }
  EXPECT_EQ(node_of.size(), topology.cpus().size());
  for (const CpuInfo& cpu : topology.cpus()) {
    EXPECT_EQ(node_of.at(cpu.id), cpu.node_id);
    EXPECT_EQ(topology.FindCpu(cpu.id), &cpu);
    EXPECT_THAT(cpu.smt_siblings, testing::Contains(cpu.id));
  }
  EXPECT_FALSE(topology.allowed_cpus().empty());
  for (const int cpu : topology.allowed_cpus()) EXPECT_NE(topology.FindCpu(cpu), nullptr) << cpu;
  for (const PlacementPolicy policy : {PlacementPolicy::kPack, PlacementPolicy::kSpread}) {
    const int all = static_cast<int>(topology.allowed_cpus().size());
    const auto placement = MakePlacement(topology, policy, all);
    ASSERT_TRUE(placement.ok()) << placement.status();
    std::set<int> used;
    for (const ShardPlacement& shard : placement->shards) used.insert(shard.cpu);
    EXPECT_EQ(std::vector<int>(used.begin(), used.end()), topology.allowed_cpus());
  }
}

TEST(TopologyTest, OneNode) {
  const SysfsTree tree(OneNode());
  const Topology topology = Topology::Read(tree.root(), Cpus("0-3")).value();
  ExpectConsistent(topology);
  ASSERT_EQ(topology.nodes().size(), 1u);
  EXPECT_THAT(topology.nodes()[0].cpus, ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(topology.nodes()[0].distances, ElementsAre(10));
  EXPECT_EQ(topology.nodes()[0].memory_bytes, uint64_t{1} << 30);
  EXPECT_TRUE(topology.nodes_known());
  EXPECT_EQ(topology.degraded_reason(), "");
  EXPECT_EQ(topology.Describe(), "1 node, 4 CPUs on 4 cores; allowed: 0-3");
}

TEST(TopologyTest, TwoSocketsWithSmt) {
  const SysfsTree tree(TwoSocketsOf32CoresSmt());
  const Topology topology = Topology::Read(tree.root(), Cpus("0-127")).value();
  ExpectConsistent(topology);
  EXPECT_EQ(topology.Describe(), "2 nodes, 128 CPUs on 64 cores; allowed: 0-127");
  const CpuInfo* cpu = topology.FindCpu(100);
  ASSERT_NE(cpu, nullptr);
  EXPECT_EQ(cpu->node_id, 1);
  EXPECT_EQ(cpu->package_id, 1);
  EXPECT_EQ(cpu->core_id, 36);
  EXPECT_THAT(cpu->smt_siblings, ElementsAre(36, 100));
  EXPECT_THAT(topology.nodes()[1].distances, ElementsAre(21, 10));
}

TEST(TopologyTest, EightNodeEpyc) {
  const SysfsTree tree(EightNodeEpyc());
  const Topology topology = Topology::Read(tree.root(), Cpus("0-255")).value();
  ExpectConsistent(topology);
  EXPECT_EQ(topology.Describe(), "8 nodes, 256 CPUs on 128 cores; allowed: 0-255");
  EXPECT_THAT(topology.nodes()[5].distances, ElementsAre(32, 32, 32, 32, 12, 10, 12, 12));
  EXPECT_EQ(topology.FindCpu(143)->node_id, 0);
  EXPECT_EQ(topology.FindCpu(255)->package_id, 1);
}

TEST(TopologyTest, CpusetOfThreeScatteredCpus) {
  const SysfsTree tree(TwoSocketsOf32CoresSmt());
  const Topology topology = Topology::Read(tree.root(), {70, 3, 40, 3}).value();
  ExpectConsistent(topology);
  EXPECT_THAT(topology.allowed_cpus(), ElementsAre(3, 40, 70));
  EXPECT_TRUE(topology.IsAllowed(40));
  EXPECT_FALSE(topology.IsAllowed(41));
  EXPECT_EQ(topology.cpus().size(), 128u);
}

TEST(TopologyTest, NodeWithoutMemoryBorrowsFromTheNearest) {
  const SysfsTree tree(NodeWithoutMemory());
  const Topology topology = Topology::Read(tree.root(), Cpus("0-7")).value();
  ExpectConsistent(topology);
  EXPECT_FALSE(topology.FindNode(0)->has_memory);
  EXPECT_THAT(topology.FindNode(2)->cpus, IsEmpty());
  EXPECT_EQ(topology.NearestMemoryNode(0), 2);
  EXPECT_EQ(topology.NearestMemoryNode(1), 1);
  EXPECT_EQ(topology.NearestMemoryNode(7), -1);
}

TEST(TopologyTest, NoNodeHasMemory) {
  MachineSpec machine = OneNode();
  machine.nodes[0].memory_mib = 0;
  const SysfsTree tree(machine);
  EXPECT_EQ(Topology::Read(tree.root(), {0})->NearestMemoryNode(0), -1);
}

TEST(TopologyTest, SysfsMissing) {
  const Topology topology = Topology::Read("/nonexistent/sys", {9, 4}).value();
  ExpectConsistent(topology);
  ASSERT_EQ(topology.nodes().size(), 1u);
  EXPECT_THAT(topology.nodes()[0].cpus, ElementsAre(4, 9));
  EXPECT_FALSE(topology.nodes_known());
  EXPECT_EQ(topology.NearestMemoryNode(0), -1);
  EXPECT_THAT(topology.degraded_reason(), HasSubstr("one node with all CPUs"));
  EXPECT_THAT(topology.degraded_reason(), HasSubstr("/nonexistent/sys/devices/system/node/online"));
  EXPECT_THAT(topology.degraded_reason(), HasSubstr("one thread per core"));
  EXPECT_THAT(topology.Describe(), HasSubstr("assumed: one node"));
}

TEST(TopologyTest, KernelWithoutNumaKeepsTheCores) {
  SysfsTree tree(TwoSocketsOf32CoresSmt());
  tree.Remove("node");
  const Topology topology = Topology::Read(tree.root(), Cpus("0-127")).value();
  ExpectConsistent(topology);
  EXPECT_EQ(topology.nodes().size(), 1u);
  EXPECT_THAT(topology.FindCpu(100)->smt_siblings, ElementsAre(36, 100));
  EXPECT_THAT(topology.degraded_reason(), testing::Not(HasSubstr("one thread per core")));
}

TEST(TopologyTest, OnlineListThatAContainerRewroteHidesNoAllowedCpu) {
  SysfsTree tree(TwoSocketsOf32CoresSmt());
  tree.Write("cpu/online", "0-1\n");
  const Topology topology = Topology::Read(tree.root(), {40, 70}).value();
  ExpectConsistent(topology);
  EXPECT_EQ(topology.FindCpu(40)->node_id, 1);
  EXPECT_EQ(topology.degraded_reason(), "");
}

TEST(TopologyTest, AllowedCpusAreValidated) {
  const SysfsTree tree(OneNode());
  for (const std::vector<int>& allowed : std::vector<std::vector<int>>{{}, {-1}, {kMaxCpus}}) {
    EXPECT_EQ(Topology::Read(tree.root(), allowed).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_TRUE(Topology::Read(tree.root(), {kMaxCpus - 1}).ok());
}

struct Hostile {
  const char* path;
  std::string content;
};

TEST(TopologyTest, HostileContentDegradesAndNamesTheFile) {
  const std::string endless(200000, '1');
  const std::string many_siblings = "0-8191";
  SysfsTree tree(TwoSocketsOf32CoresSmt());
  for (const Hostile& hostile :
       std::vector<Hostile>{{"node/online", "garbage"},
                            {"node/online", ""},
                            {"node/online", "0-99999999999\n"},
                            {"node/online", "0-1023"},
                            {"node/online", "1024"},
                            {"node/node0/cpulist", "0-99999999999"},
                            {"node/node0/cpulist", std::string("0-3\0,4", 6)},
                            {"node/node1/cpulist", "32-31"},
                            {"node/node1/cpulist", "0"},   // also in node 0
                            {"node/node1/cpulist", "32"},  // the others are in no node
                            {"node/node0/cpulist", endless},
                            {"node/node0/distance", "10"},
                            {"node/node0/distance", "10 21 21"},
                            {"node/node0/distance", "10 -21"},
                            {"node/node0/distance", "10 256"},
                            {"node/node0/distance", "10 x"},
                            {"node/node1/meminfo", ""},
                            {"node/node1/meminfo", "MemTotal: x kB"},
                            {"node/node1/meminfo", "MemTotal: -1 kB"},
                            {"node/node1/meminfo", "MemTotal: 99999999999999999999999 kB"},
                            {"node/node1/meminfo", "MemTotal: 1125899906842625 kB"},
                            {"node/node1/meminfo", "MemTotal: 12 MB"},
                            {"cpu/cpu5/topology/core_id", "five"},
                            {"cpu/cpu5/topology/core_id", "5 6"},
                            {"cpu/cpu5/topology/physical_package_id", ""},
                            {"cpu/cpu5/topology/thread_siblings_list", "6"},
                            {"cpu/cpu5/topology/thread_siblings_list", ""},
                            {"cpu/cpu5/topology/thread_siblings_list", many_siblings},
                            {"cpu/cpu5/topology/thread_siblings_list", endless}}) {
    tree.Damage(hostile.path, hostile.content);
    const absl::StatusOr<Topology> topology = Topology::Read(tree.root(), Cpus("0-127"));
    ASSERT_TRUE(topology.ok()) << hostile.path;
    ExpectConsistent(*topology);
    const std::string folder = std::string(hostile.path).substr(0, 4);
    EXPECT_THAT(topology->degraded_reason(), HasSubstr("/devices/system/" + folder))
        << hostile.path << ": " << hostile.content.substr(0, 50);
    EXPECT_LT(topology->degraded_reason().size(), 1000u);
    EXPECT_EQ(topology->nodes_known(), folder != "node");
    tree.Repair();
  }
}

TEST(TopologyTest, FoldersAndFifosInPlaceOfFilesDoNotHang) {
  SysfsTree tree(OneNode());
  tree.Remove("cpu/cpu1/topology/core_id");
  const std::string fifo = tree.root() + "/devices/system/cpu/cpu1/topology/core_id";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  tree.Remove("node/online");
  tree.Write("node/online/unexpected", "");
  const Topology topology = Topology::Read(tree.root(), Cpus("0-3")).value();
  ExpectConsistent(topology);
  EXPECT_THAT(topology.degraded_reason(), HasSubstr("node/online"));
  EXPECT_THAT(topology.degraded_reason(), HasSubstr("cpu1/topology/core_id"));
}

// Any bytes in any file: the result is consistent. A failure prints the step, and the same seed
// gives the same run.
TEST(TopologyTest, RandomDamageNeverBreaksConsistency) {
  MachineSpec machine = NodeWithoutMemory();
  machine.smt_stride = 4;
  SysfsTree tree(machine);
  const std::vector<std::string> files = tree.Files();
  std::mt19937 random(20240817);
  const std::string alphabet = "0123456789,- \nkBMemTotal:x\xff";
  int degraded = 0;
  for (int step = 0; step < 400 && !testing::Test::HasFailure(); ++step) {
    SCOPED_TRACE(absl::StrCat("step ", step));
    std::string content;
    for (size_t length = random() % 12; length > 0; --length) {
      content += alphabet[random() % alphabet.size()];
    }
    tree.Damage(files[random() % files.size()], content);
    const Topology topology = Topology::Read(tree.root(), Cpus("0-7")).value();
    ExpectConsistent(topology);
    degraded += topology.degraded_reason().empty() ? 0 : 1;
    if (step % 8 == 7) tree.Repair();
  }
  EXPECT_GT(degraded, 100) << "the damage is too small to prove anything";
}

TEST(TopologyTest, ThisMachine) {
  const absl::StatusOr<Topology> topology = Topology::Read();
  ASSERT_TRUE(topology.ok()) << topology.status();
  ExpectConsistent(*topology);
  EXPECT_EQ(topology->allowed_cpus(), AllowedCpus().value());
}

}  // namespace
}  // namespace ioengine
