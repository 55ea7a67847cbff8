// Placement and memory on the machine that runs the test, checked with what the kernel itself says.
// The cases named TwoNode need two nodes with memory and CPUs; tools/test-numa runs them in a guest
// that has these, and a pool of hugetlb pages.

#include <numaif.h>
#include <sched.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/numa/affinity.h"
#include "ioengine/numa/memory_audit.h"
#include "ioengine/numa/memory_calls.h"
#include "ioengine/numa/node_memory.h"
#include "ioengine/numa/placement.h"
#include "ioengine/numa/topology.h"

namespace ioengine {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;

constexpr size_t kSizeBytes = 2 * kHugePageBytes;
constexpr size_t kSmallPageBytes = 4096;

// A container may forbid mbind and move_pages, which is then what has to be reported.
bool IsForbidden(const MemoryAudit& audit) {
  return audit.degraded_reason.find("mbind") != std::string::npos ||
         audit.degraded_reason.find("move_pages") != std::string::npos;
}

// The node of each small page of `memory`, which was written. Does not go through AuditMemory, so
// that it can contradict it.
std::set<int> NodesOf(const NodeMemory& memory) {
  std::vector<void*> pages;
  for (size_t at = 0; at < memory.size_bytes(); at += kSmallPageBytes) {
    pages.push_back(memory.data() + at);
  }
  std::vector<int> nodes(pages.size(), -1);
  EXPECT_EQ(::move_pages(0, pages.size(), pages.data(), nullptr, nodes.data(), 0), 0);
  return {nodes.begin(), nodes.end()};
}

void MoveToNode(const NodeMemory& memory, int node) {
  std::vector<void*> pages;
  for (size_t at = 0; at < memory.size_bytes(); at += kSmallPageBytes) {
    pages.push_back(memory.data() + at);
  }
  const std::vector<int> targets(pages.size(), node);
  std::vector<int> results(pages.size(), -1);
  ASSERT_EQ(
      ::move_pages(0, pages.size(), pages.data(), targets.data(), results.data(), MPOL_MF_MOVE), 0);
}

// Nodes with memory and a CPU that this process may use, ascending.
std::vector<int> WholeNodes(const Topology& topology) {
  std::vector<int> ids;
  for (const NodeInfo& node : topology.nodes()) {
    const bool usable = std::any_of(node.cpus.begin(), node.cpus.end(),
                                    [&](int cpu) { return topology.IsAllowed(cpu); });
    if (node.has_memory && usable) ids.push_back(node.id);
  }
  return ids;
}

// Runs `check` as a shard of a Runtime starts: on a thread of its own, pinned, with its memory.
template <typename Check>
void OnShard(const ShardPlacement& shard, Check check) {
  std::thread([&] {
    if (shard.cpu >= 0) {
      ASSERT_TRUE(PinCurrentThread(shard.cpu).ok());
    }
    const auto memory = NodeMemory::Allocate(kSizeBytes, {.node = shard.memory_node});
    ASSERT_TRUE(memory.ok()) << memory.status();
    check(*memory);
  }).join();
}

// Free hugetlb pages of 2 MiB; 0 also where there is no such pool.
size_t FreeHugetlbPages(int node) {
  std::ifstream file(absl::StrCat("/sys/devices/system/node/node", node,
                                  "/hugepages/hugepages-2048kB/free_hugepages"));
  size_t count = 0;
  file >> count;
  return file ? count : 0;
}

// Whatever the placement, and on one node too, the audit says where the memory came to be.
TEST(MachineTest, EachPolicyAchievesWhatItPlaces) {
  const Topology topology = Topology::Read().value();
  const std::vector<int> allowed = topology.allowed_cpus();
  const int shard_count = static_cast<int>(std::min<size_t>(allowed.size(), 4));
  for (const PlacementPolicy policy : {PlacementPolicy::kUnbound, PlacementPolicy::kPack,
                                       PlacementPolicy::kSpread, PlacementPolicy::kCustom}) {
    SCOPED_TRACE(std::string(PlacementPolicyName(policy)));
    const bool custom = policy == PlacementPolicy::kCustom;
    const Placement placement =
        MakePlacement(topology, policy, shard_count, custom ? allowed : std::vector<int>()).value();
    for (const ShardPlacement& shard : placement.shards) {
      OnShard(shard, [&](const NodeMemory& memory) {
        if (shard.cpu >= 0) {
          EXPECT_EQ(::sched_getcpu(), shard.cpu);
        }
        const MemoryAudit& audit = memory.audit();
        if (IsForbidden(audit)) return;
        EXPECT_EQ(audit.resident_pages, 64u);
        EXPECT_THAT(NodesOf(memory), testing::Contains(audit.node));
        EXPECT_THAT(memory.Describe(),
                    HasSubstr(absl::StrCat(audit.pages_on_node, " of 64 sampled pages on node ",
                                           audit.node)));
        if (shard.memory_node < 0) return;
        EXPECT_EQ(audit.node, shard.memory_node) << memory.Describe();
        EXPECT_THAT(NodesOf(memory), Each(shard.memory_node));
      });
    }
  }
}

// The pool is empty on most machines; where it is not, this is the path that shards take. Others
// take pages from it and give them back meanwhile, so that one try in ten has to agree.
TEST(MachineTest, HugetlbPagesAreTakenWhileThereAreAny) {
  const Topology topology = Topology::Read().value();
  for (const int node : WholeNodes(topology)) {
    bool agrees = false;
    for (int attempt = 0; attempt < 10 && !agrees; ++attempt) {
      const bool enough = FreeHugetlbPages(node) >= kSizeBytes / kHugePageBytes;
      const NodeMemory memory = NodeMemory::Allocate(kSizeBytes, {.node = node}).value();
      agrees =
          IsForbidden(memory.audit()) || (memory.audit().page_kind == PageKind::kHugetlb) == enough;
    }
    EXPECT_TRUE(agrees) << FreeHugetlbPages(node) << " free hugetlb pages on node " << node;
  }
}

class TwoNodeTest : public testing::Test {
 protected:
  void SetUp() override {
    nodes_ = WholeNodes(topology_);
    if (nodes_.size() < 2) GTEST_SKIP() << "this machine has one node: " << topology_.Describe();
    const NodeMemory memory = NodeMemory::Allocate(kSizeBytes, {.node = nodes_[0]}).value();
    if (IsForbidden(memory.audit())) GTEST_SKIP() << "no node can be chosen: " << memory.Describe();
  }

  const Topology topology_ = Topology::Read().value();
  std::vector<int> nodes_;  // two or more
};

// From a thread on every node, so that first touch cannot be what chose the node.
TEST_F(TwoNodeTest, MemoryIsOnTheNodeAskedForWhereverTheThreadRuns) {
  const Placement spread =
      MakePlacement(topology_, PlacementPolicy::kSpread, static_cast<int>(nodes_.size())).value();
  for (const ShardPlacement& shard : spread.shards) {
    for (const int node : nodes_) {
      for (const bool allow_hugetlb : {true, false}) {
        std::thread([&] {
          ASSERT_TRUE(PinCurrentThread(shard.cpu).ok());
          const NodeMemory memory =
              NodeMemory::Allocate(kSizeBytes, {.node = node, .allow_hugetlb = allow_hugetlb})
                  .value();
          EXPECT_THAT(NodesOf(memory), Each(node)) << "from CPU " << shard.cpu;
          EXPECT_EQ(memory.audit().node, node);
          EXPECT_EQ(memory.audit().pages_on_node, 64u) << memory.Describe();
          EXPECT_THAT(memory.Describe(), HasSubstr(absl::StrCat("asked for: node ", node)));
        }).join();
      }
    }
  }
}

TEST_F(TwoNodeTest, UnboundMemoryComesFromTheNodeOfTheThread) {
  for (const int node : nodes_) {
    const std::vector<int>& cpus = topology_.FindNode(node)->cpus;
    const int cpu = *std::find_if(cpus.begin(), cpus.end(),
                                  [&](int candidate) { return topology_.IsAllowed(candidate); });
    OnShard({.cpu = cpu, .memory_node = -1}, [&](const NodeMemory& memory) {
      if (memory.audit().page_kind != PageKind::kHugetlb) {
        EXPECT_THAT(NodesOf(memory), Each(node)) << memory.Describe();
      }
      EXPECT_THAT(NodesOf(memory), testing::Contains(memory.audit().node));
    });
  }
}

TEST_F(TwoNodeTest, SpreadPutsShardsAndTheirMemoryOnEachNode) {
  const int shard_count = static_cast<int>(nodes_.size());
  std::set<int> achieved;
  const Placement spread = MakePlacement(topology_, PlacementPolicy::kSpread, shard_count).value();
  for (const ShardPlacement& shard : spread.shards) {
    OnShard(shard, [&](const NodeMemory& memory) {
      const int node = topology_.FindCpu(::sched_getcpu())->node_id;
      EXPECT_THAT(NodesOf(memory), Each(node)) << memory.Describe();
      achieved.insert(memory.audit().node);
    });
  }
  EXPECT_EQ(std::vector<int>(achieved.begin(), achieved.end()), nodes_);
}

TEST_F(TwoNodeTest, PackKeepsShardsAndTheirMemoryOnOneNode) {
  const std::vector<int>& cpus = topology_.FindNode(nodes_[0])->cpus;
  const int shard_count = static_cast<int>(
      std::count_if(cpus.begin(), cpus.end(), [&](int cpu) { return topology_.IsAllowed(cpu); }));
  const Placement pack = MakePlacement(topology_, PlacementPolicy::kPack, shard_count).value();
  for (const ShardPlacement& shard : pack.shards) {
    OnShard(shard, [&](const NodeMemory& memory) {
      EXPECT_EQ(topology_.FindCpu(::sched_getcpu())->node_id, nodes_[0]);
      EXPECT_EQ(memory.audit().node, nodes_[0]) << memory.Describe();
    });
  }
}

TEST_F(TwoNodeTest, AuditReportsMemoryOnTheWrongNode) {
  NodeMemory memory =
      NodeMemory::Allocate(kSizeBytes, {.node = nodes_[1], .allow_hugetlb = false}).value();
  EXPECT_EQ(memory.audit().pages_on_node, 64u) << memory.Describe();
  MoveToNode(memory, nodes_[0]);
  memory.Audit();
  EXPECT_EQ(memory.audit().node, nodes_[0]);
  EXPECT_EQ(memory.audit().PagesOn(nodes_[1]), 0u);
  EXPECT_THAT(memory.Describe(),
              AllOf(HasSubstr(absl::StrCat("64 of 64 sampled pages on node ", nodes_[0])),
                    HasSubstr(absl::StrCat("only 0 of 64 sampled pages on node ", nodes_[1],
                                           ", the others on node ", nodes_[0]))));
}

// The pool as a whole would have enough pages. Near goes before hugetlb.
TEST_F(TwoNodeTest, MorePagesThanThePoolOfTheNodeHoldsAreStillOnTheNode) {
  constexpr size_t kMostPages = 64;  // so that this does not eat up the machine
  const int node = nodes_[1];
  const size_t pages = std::min(FreeHugetlbPages(node) + 1, kMostPages);
  const NodeMemory memory = NodeMemory::Allocate(pages * kHugePageBytes, {.node = node}).value();
  EXPECT_THAT(NodesOf(memory), Each(node)) << memory.Describe();
}

}  // namespace
}  // namespace ioengine
