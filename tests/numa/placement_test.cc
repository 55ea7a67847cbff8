#include "ioengine/numa/placement.h"

#include <sched.h>

#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/numa/affinity.h"
#include "ioengine/numa/cpu_list.h"
#include "ioengine/numa/topology.h"
#include "ioengine/tests/numa/sysfs_tree.h"

namespace ioengine {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

Topology Read(const MachineSpec& machine, const char* allowed) {
  const SysfsTree tree(machine);
  return Topology::Read(tree.root(), ParseCpuList(allowed).value()).value();
}

// The tree of this one is large, so it is written once.
Topology ReadTwoSockets(const char* allowed) {
  static const SysfsTree tree(TwoSocketsOf32CoresSmt());
  return Topology::Read(tree.root(), ParseCpuList(allowed).value()).value();
}

std::vector<int> PlacedCpus(const Topology& topology, PlacementPolicy policy, int shard_count) {
  std::vector<int> cpus;
  const Placement placement = MakePlacement(topology, policy, shard_count).value();
  for (const ShardPlacement& shard : placement.shards) cpus.push_back(shard.cpu);
  return cpus;
}

std::vector<int> PlacedMemory(const Topology& topology, PlacementPolicy policy, int shard_count) {
  std::vector<int> nodes;
  const Placement placement = MakePlacement(topology, policy, shard_count).value();
  for (const ShardPlacement& shard : placement.shards) nodes.push_back(shard.memory_node);
  return nodes;
}

std::string Error(const absl::StatusOr<Placement>& placement) {
  EXPECT_EQ(placement.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(placement.status().message());
}

TEST(PlacementTest, UnboundTakesAnyNumberAndPinsNone) {
  const Topology topology = Read(OneNode(), "0-3");
  const Placement placement = MakePlacement(topology, PlacementPolicy::kUnbound, 1000).value();
  ASSERT_EQ(placement.shards.size(), 1000u);
  for (const ShardPlacement& shard : placement.shards) {
    EXPECT_EQ(shard.cpu, -1);
    EXPECT_EQ(shard.memory_node, -1);
  }
  EXPECT_EQ(placement.Describe(), "unbound: 1000 shards, not pinned");
}

TEST(PlacementTest, PackFillsCoresThenSiblingsThenTheNextNode) {
  const Topology topology = ReadTwoSockets("0-127");
  const std::vector<int> cpus = PlacedCpus(topology, PlacementPolicy::kPack, 128);
  const auto part = [&](int first, int count) {
    return FormatCpuList({cpus.begin() + first, cpus.begin() + first + count});
  };
  EXPECT_EQ(part(0, 32), "0-31");
  EXPECT_EQ(part(32, 32), "64-95");
  EXPECT_EQ(part(64, 32), "32-63");
  EXPECT_EQ(part(96, 32), "96-127");
  EXPECT_THAT(PlacedMemory(topology, PlacementPolicy::kPack, 64), Each(0));
}

TEST(PlacementTest, SpreadTakesNodesInTurnAndSiblingsLast) {
  const Topology topology = ReadTwoSockets("0-127");
  const std::vector<int> cpus = PlacedCpus(topology, PlacementPolicy::kSpread, 128);
  EXPECT_THAT(std::vector<int>(cpus.begin(), cpus.begin() + 4), ElementsAre(0, 32, 1, 33));
  EXPECT_EQ(FormatCpuList({cpus.begin(), cpus.begin() + 64}), "0-63");
  EXPECT_THAT(std::vector<int>(cpus.begin() + 64, cpus.begin() + 66), ElementsAre(64, 96));
  EXPECT_THAT(PlacedMemory(topology, PlacementPolicy::kSpread, 4), ElementsAre(0, 1, 0, 1));
}

TEST(PlacementTest, EpycPacksIntoTheNearestNodesFirst) {
  // Nodes 0 and 1 cannot come first, so it starts in node 4: 5 and 7 are in the same socket.
  MachineSpec machine = EightNodeEpyc();
  machine.nodes[0].memory_mib = 0;
  machine.nodes[1].memory_mib = 0;
  const Topology topology = Read(machine, "0,16,64,80,112");
  EXPECT_THAT(PlacedCpus(topology, PlacementPolicy::kPack, 5), ElementsAre(64, 80, 112, 0, 16));
  EXPECT_THAT(PlacedMemory(topology, PlacementPolicy::kPack, 5), ElementsAre(4, 5, 7, 2, 2));
}

TEST(PlacementTest, EpycSpreadsOverAllNodesAndPackFillsOne) {
  const Topology topology = Read(EightNodeEpyc(), "0-255");
  EXPECT_THAT(PlacedCpus(topology, PlacementPolicy::kSpread, 9),
              ElementsAre(0, 16, 32, 48, 64, 80, 96, 112, 1));
  EXPECT_THAT(PlacedMemory(topology, PlacementPolicy::kSpread, 9),
              ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 0));
  const std::vector<int> packed = PlacedCpus(topology, PlacementPolicy::kPack, 33);
  EXPECT_EQ(FormatCpuList({packed.begin(), packed.begin() + 32}), "0-15,128-143");
  EXPECT_EQ(packed[32], 16);
}

TEST(PlacementTest, OneNodeGivesPackAndSpreadTheSame) {
  const Topology topology = Read(OneNode(), "0-3");
  for (const PlacementPolicy policy : {PlacementPolicy::kPack, PlacementPolicy::kSpread}) {
    EXPECT_THAT(PlacedCpus(topology, policy, 4), ElementsAre(0, 1, 2, 3));
    EXPECT_THAT(PlacedMemory(topology, policy, 4), Each(0));
  }
}

TEST(PlacementTest, SpreadSkipsNodesThatAreUsedUp) {
  const Topology topology = ReadTwoSockets("0,32-35");
  EXPECT_THAT(PlacedCpus(topology, PlacementPolicy::kSpread, 5), ElementsAre(0, 32, 33, 34, 35));
}

TEST(PlacementTest, ScatteredCpusetCountsSiblingsAmongTheAllowedOnes) {
  // 70 is the second thread of core 6, but its first is not ours: a whole core for us.
  const Topology topology = ReadTwoSockets("3,40,67,70");
  EXPECT_THAT(PlacedCpus(topology, PlacementPolicy::kPack, 4), ElementsAre(3, 70, 67, 40));
  EXPECT_THAT(PlacedCpus(topology, PlacementPolicy::kSpread, 4), ElementsAre(3, 40, 70, 67));
}

TEST(PlacementTest, NodeWithoutMemoryComesLast) {
  const Topology topology = Read(NodeWithoutMemory(), "0-7");
  EXPECT_THAT(PlacedCpus(topology, PlacementPolicy::kPack, 8), ElementsAre(4, 5, 6, 7, 0, 1, 2, 3));
  EXPECT_THAT(PlacedMemory(topology, PlacementPolicy::kPack, 5), ElementsAre(1, 1, 1, 1, 2));
}

TEST(PlacementTest, SpreadGivesTheShardsOfANodeWithoutMemoryThatOfTheNearest) {
  const Topology topology = Read(NodeWithoutMemory(), "0-7");
  EXPECT_THAT(PlacedCpus(topology, PlacementPolicy::kSpread, 4), ElementsAre(4, 0, 5, 1));
  EXPECT_THAT(PlacedMemory(topology, PlacementPolicy::kSpread, 4), ElementsAre(1, 2, 1, 2));
}

TEST(PlacementTest, ThreeScatteredCpus) {
  const Topology topology = ReadTwoSockets("3,40,70");
  EXPECT_THAT(PlacedCpus(topology, PlacementPolicy::kPack, 3), ElementsAre(3, 70, 40));
  EXPECT_THAT(PlacedMemory(topology, PlacementPolicy::kPack, 3), ElementsAre(0, 0, 1));
  EXPECT_THAT(PlacedCpus(topology, PlacementPolicy::kSpread, 3), ElementsAre(3, 40, 70));
  EXPECT_THAT(PlacedMemory(topology, PlacementPolicy::kSpread, 3), ElementsAre(0, 1, 0));
}

// A container without sysfs has CPUs all the same, and shards can be pinned to them.
TEST(PlacementTest, UnknownNodesBindNoMemory) {
  const Topology topology = Topology::Read("/nonexistent", {0, 1}).value();
  for (const PlacementPolicy policy : {PlacementPolicy::kPack, PlacementPolicy::kSpread}) {
    EXPECT_THAT(PlacedCpus(topology, policy, 2), ElementsAre(0, 1));
    EXPECT_THAT(PlacedMemory(topology, policy, 2), Each(-1));
    EXPECT_THAT(Error(MakePlacement(topology, policy, 3)), HasSubstr("may use 2 (0-1)"));
  }
  const Placement custom = MakePlacement(topology, PlacementPolicy::kCustom, 1, {1}).value();
  EXPECT_EQ(custom.shards[0].cpu, 1);
  EXPECT_EQ(custom.shards[0].memory_node, -1);
}

TEST(PlacementTest, CustomGivesShardsTheCpusInTheOrderListed) {
  const Topology topology = ReadTwoSockets("0-127");
  const Placement placement =
      MakePlacement(topology, PlacementPolicy::kCustom, 3, {33, 5, 100, 7}).value();
  ASSERT_EQ(placement.shards.size(), 3u);
  EXPECT_EQ(placement.shards[0].cpu, 33);
  EXPECT_EQ(placement.shards[0].memory_node, 1);
  EXPECT_EQ(placement.shards[1].cpu, 5);
  EXPECT_EQ(placement.shards[2].cpu, 100);
  EXPECT_EQ(placement.Describe(), "custom: shards 0-2 on CPUs 33,5,100");
  Placement one = placement;
  one.shards.resize(1);
  EXPECT_EQ(one.Describe(), "custom: shard 0 on CPU 33");
}

TEST(PlacementTest, MoreShardsThanCpusIsAnErrorThatSaysWhatToDo) {
  const Topology topology = ReadTwoSockets("3,40,70");
  for (const PlacementPolicy policy : {PlacementPolicy::kPack, PlacementPolicy::kSpread}) {
    EXPECT_TRUE(MakePlacement(topology, policy, 3).ok());
    EXPECT_THAT(Error(MakePlacement(topology, policy, 4)),
                AllOf(HasSubstr("each of 4 shards"), HasSubstr("may use 3 (3,40,70)"),
                      HasSubstr("at most 3 shards, or placement unbound")));
  }
  EXPECT_THAT(Error(MakePlacement(topology, PlacementPolicy::kCustom, 2, {40})),
              AllOf(HasSubstr("the placement lists 1"), HasSubstr("at most 1 shards")));
}

TEST(PlacementTest, CustomRefusesDuplicatesAndForbiddenCpus) {
  const Topology topology = ReadTwoSockets("3,40,70");
  EXPECT_THAT(Error(MakePlacement(topology, PlacementPolicy::kCustom, 2, {40, 40})),
              HasSubstr("CPU 40 twice"));
  for (const int cpu : {4, -1, 128, kMaxCpus}) {
    EXPECT_THAT(Error(MakePlacement(topology, PlacementPolicy::kCustom, 2, {40, cpu})),
                HasSubstr("may only use 3,40,70"));
  }
  EXPECT_THAT(Error(MakePlacement(topology, PlacementPolicy::kCustom, 1)), HasSubstr("lists 0"));
  EXPECT_THAT(Error(MakePlacement(topology, PlacementPolicy::kPack, 1, {40})),
              HasSubstr("takes no list"));
}

TEST(PlacementTest, ShardCountIsBounded) {
  const Topology topology = Read(OneNode(), "0-3");
  for (const int count : {-1, 0, kMaxShards + 1}) {
    EXPECT_THAT(Error(MakePlacement(topology, PlacementPolicy::kUnbound, count)),
                HasSubstr("use 1 to 65536"));
  }
  EXPECT_TRUE(MakePlacement(topology, PlacementPolicy::kUnbound, kMaxShards).ok());
}

TEST(PlacementTest, ParsesFlags) {
  EXPECT_EQ(ParsePlacement("unbound")->policy, PlacementPolicy::kUnbound);
  EXPECT_EQ(ParsePlacement("pack")->policy, PlacementPolicy::kPack);
  EXPECT_EQ(ParsePlacement("spread")->policy, PlacementPolicy::kSpread);
  const PlacementSpec custom = ParsePlacement("4-5,0").value();
  EXPECT_EQ(custom.policy, PlacementPolicy::kCustom);
  EXPECT_THAT(custom.custom_cpus, ElementsAre(4, 5, 0));
  for (const std::string_view text : {"", "Pack", "packed", "1,", "0-99999999", "custom"}) {
    const absl::StatusOr<PlacementSpec> spec = ParsePlacement(text);
    ASSERT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(spec.status().message()),
                HasSubstr("unbound, pack, spread, or a list"));
  }
}

TEST(AffinityTest, PinsTheCallingThreadAlone) {
  const std::vector<int> before = AllowedCpus().value();
  for (const int cpu : before) {
    std::thread([cpu] {
      ASSERT_TRUE(PinCurrentThread(cpu).ok());
      EXPECT_EQ(::sched_getcpu(), cpu);
      EXPECT_THAT(AllowedCpus().value(), ElementsAre(cpu));
    }).join();
  }
  EXPECT_EQ(AllowedCpus().value(), before);
}

TEST(AffinityTest, RefusesCpusThatAreNotThere) {
  const std::vector<int> before = AllowedCpus().value();
  for (const int cpu : {-1, kMaxCpus, kMaxCpus - 1}) {
    const absl::Status status = PinCurrentThread(cpu);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << cpu;
    EXPECT_THAT(std::string(status.message()), HasSubstr("cannot pin to CPU"));
  }
  EXPECT_EQ(AllowedCpus().value(), before);
}

}  // namespace
}  // namespace ioengine
