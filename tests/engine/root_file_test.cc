// ROOT: what was in force stays so through power cuts, kills and damage, and no planted bug does.

#include "ioengine/engine/manifest/root_file.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/sched/canary.h"

namespace ioengine {
namespace {

constexpr uint64_t kSeeds = 200;
constexpr int kLives = 20;
// Turns that one life takes at most: an open and a few changes.
constexpr uint64_t kTurns = 60;

// What whoever changes ROOT knows.
struct Ledger {
  uint64_t in_force = 0;  // epoch that a Commit, an Open or a Create gave
  uint64_t begun = 0;     // the largest that was asked for
};

absl::Status Lost(const RootState& state, const Ledger& ledger) {
  return absl::DataLossError(absl::StrCat("epoch ", state.epoch, " is in force, and ",
                                          ledger.in_force, " was; begun is ", ledger.begun));
}

RootState FirstState() {
  RootState state;
  state.epoch = 1;
  state.database = MakeUuid(1, 2);
  state.streams.push_back({.stream = 1, .incarnation = 1, .root_epoch = 1});
  return state;
}

Task<absl::StatusOr<std::unique_ptr<RootFile>>> OpenOrCreate(ShardIo& io, FileSystem& files,
                                                             Ledger* ledger) {
  auto root = co_await RootFile::Open(io, files);
  if (root.ok() || ledger->in_force > 0) co_return root;
  // It was never made whole, so nothing is lost with it.
  absl::Status removed = co_await files.Remove(RootFile::kName);
  if (!removed.ok() && !absl::IsNotFound(removed)) co_return removed;
  co_return co_await RootFile::Create(io, files, FirstState());
}

// One life: finds what was in force, and changes it until the end comes.
Task<absl::Status> ChangeRoot(Shard& shard, Ledger* ledger) {
  auto files = co_await FileSystem::Open(shard.io(), "/");
  if (!files.ok()) co_return files.status();
  auto root = co_await OpenOrCreate(shard.io(), *files, ledger);
  if (!root.ok()) co_return root.status();
  if ((*root)->state().epoch < ledger->in_force) co_return Lost((*root)->state(), *ledger);
  if (ledger->begun > 0 && (*root)->state().epoch > ledger->begun) {
    co_return Lost((*root)->state(), *ledger);
  }
  for (;;) {
    ledger->in_force = (*root)->state().epoch;
    RootState next = (*root)->state();
    if (next.incarnation + 1 != next.epoch) co_return absl::DataLossError("not what was written");
    ++next.incarnation;
    ledger->begun = next.epoch + 1;
    absl::Status status = co_await (*root)->Commit(next);
    if (!status.ok()) co_return status;
  }
}

// Gives what was wrong, or "".
std::string RunSeed(uint64_t seed) {
  Simulation simulation({.seed = seed, .disk = {.fua = seed % 2 == 0}});
  Ledger ledger;
  for (int life = 0; life < kLives; ++life) {
    const uint64_t turns = simulation.random().Below(kTurns);
    if (simulation.random().OneIn(3)) {
      simulation.KillAfter(turns);
    } else {
      simulation.CutPowerAfter(turns);
    }
    const SimulationResult result = simulation.Run(ChangeRoot, &ledger);
    if (result.end == SimulationEnd::kFinished) return result.message;
  }
  return ledger.in_force > 2 ? "" : "hardly anything was done";
}

// A file that has seen some changes, and what is in force.
Task<absl::Status> MakeRoot(Shard& shard, RootState* in_force) {
  auto files = co_await FileSystem::Open(shard.io(), "/");
  if (!files.ok()) co_return files.status();
  auto root = co_await RootFile::Create(shard.io(), *files, FirstState());
  if (!root.ok()) co_return root.status();
  for (uint64_t i = 0; i < 3; ++i) {
    RootState next = (*root)->state();
    next.streams.push_back({.stream = i + 2, .incarnation = i, .seal = RootSeal{.frame = i}});
    next.manifests.push_back({.stream = i, .incarnation = i, .root_epoch = 1, .least = {}});
    if (absl::Status status = co_await (*root)->Commit(next); !status.ok()) co_return status;
  }
  *in_force = (*root)->state();
  co_return absl::OkStatus();
}

Task<absl::Status> OpenRoot(Shard& shard, RootState* in_force) {
  auto files = co_await FileSystem::Open(shard.io(), "/");
  if (!files.ok()) co_return files.status();
  auto root = co_await RootFile::Open(shard.io(), *files);
  if (root.ok()) *in_force = (*root)->state();
  co_return root.status();
}

class RootFileTest : public testing::Test {
 protected:
  ~RootFileTest() override { SetCanary(""); }
};

TEST_F(RootFileTest, SurvivesPowerCutsAndKillsAtAnyTurn) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    ASSERT_EQ(RunSeed(seed), "") << "seed " << seed;
  }
}

TEST_F(RootFileTest, PlantedBugsAreFound) {
  for (const std::string_view canary : {"root-without-sync", "root-served-from-cache"}) {
    SetCanary(canary);
    uint64_t seed = 1;
    while (seed <= 10 * kSeeds && RunSeed(seed).empty()) ++seed;
    EXPECT_LE(seed, 10 * kSeeds) << canary << " was not found";
  }
}

// Damages the slots whose bits are set in `slots`; gives what Open says.
absl::Status OpenDamaged(unsigned slots, RootState* made, RootState* opened) {
  Simulation simulation({.seed = 1 + slots});
  SimulationResult result = simulation.Run(MakeRoot, made);
  EXPECT_TRUE(result.ok()) << result.message;
  for (size_t slot = 0; slot < kRootSlots; ++slot) {
    if ((slots >> slot & 1) == 0) continue;
    const uint64_t offset_bytes = slot * kRootSlotBytes + simulation.random().Below(kRootSlotBytes);
    EXPECT_TRUE(simulation.disk().FlipBit("/ROOT", offset_bytes, 3));
  }
  return simulation.Run(OpenRoot, opened).status;
}

TEST_F(RootFileTest, DamageToOneSlotOfAPairChangesNothing) {
  for (const unsigned slots :
       {0b0000u, 0b0001u, 0b0010u, 0b0100u, 0b1000u, 0b0101u, 0b1001u, 0b0110u, 0b1010u}) {
    RootState made, opened;
    EXPECT_EQ(OpenDamaged(slots, &made, &opened), absl::OkStatus()) << slots;
    EXPECT_EQ(opened, made) << slots;
  }
}

TEST_F(RootFileTest, DamageToAPairIsDataLossAndNoOlderState) {
  for (const unsigned slots : {0b0011u, 0b1100u, 0b1111u, 0b0111u}) {
    RootState made, opened;
    const absl::Status status = OpenDamaged(slots, &made, &opened);
    EXPECT_TRUE(absl::IsDataLoss(status)) << slots << ": " << status;
    EXPECT_NE(status.message().find("ROOT"), std::string::npos) << status;
  }
  SetCanary("root-newest-slot-wins");
  RootState made, opened;
  EXPECT_EQ(OpenDamaged(0b0011, &made, &opened), absl::OkStatus());
  EXPECT_LT(opened.epoch, made.epoch) << "the planted bug brings an older state back";
}

TEST_F(RootFileTest, OneCopyAloneIsFound) {
  SetCanary("root-one-copy");
  int wrong = 0;
  for (const unsigned slots : {0b0001u, 0b0010u, 0b0100u, 0b1000u}) {
    RootState made, opened;
    wrong += OpenDamaged(slots, &made, &opened).ok() && opened == made ? 0 : 1;
  }
  EXPECT_GT(wrong, 0);
}

// A change of which one copy was written, as a power cut may leave it.
Task<absl::Status> CommitHalf(Shard& shard, Simulation* simulation, RootState* half) {
  auto files = co_await FileSystem::Open(shard.io(), "/");
  if (!files.ok()) co_return files.status();
  auto root = co_await RootFile::Open(shard.io(), *files);
  if (!root.ok()) co_return root.status();
  SimFaultRule rule = {.fault = SimFault::kError, .opcode = IoOpcode::kWrite};
  rule.skip = 1;
  simulation->disk().faults().Add(rule);
  *half = (*root)->state();
  ++half->epoch;
  const absl::Status status = co_await (*root)->Commit((*root)->state());
  EXPECT_FALSE(status.ok());
  co_return absl::OkStatus();
}

// What an Open finds after another one that found half a change, and damage to its first copy.
RootState OpenAfterHalf(RootState* half) {
  Simulation simulation({.seed = 1});
  RootState made, opened;
  EXPECT_TRUE(simulation.Run(MakeRoot, &made).ok());
  EXPECT_TRUE(simulation.Run(CommitHalf, &simulation, half).ok());
  EXPECT_TRUE(simulation.Run(OpenRoot, &opened).ok());
  EXPECT_EQ(opened, *half);
  const uint64_t slot = half->epoch % 2 == 0 ? 0 : 2;
  EXPECT_TRUE(simulation.disk().FlipBit("/ROOT", slot * kRootSlotBytes + 100, 0));
  EXPECT_TRUE(simulation.Run(OpenRoot, &opened).ok());
  return opened;
}

TEST_F(RootFileTest, OpenCompletesThePair) {
  RootState half;
  EXPECT_EQ(OpenAfterHalf(&half), half);
  SetCanary("root-pair-left-incomplete");
  EXPECT_NE(OpenAfterHalf(&half), half) << "the planted bug";
}

// Puts a state into a slot, as a late write does.
Task<absl::Status> WriteRootSlot(Shard& shard, RootState state, size_t slot) {
  const DmaFileOptions options = {.access = DmaFileOptions::Access::kReadWrite};
  auto file = co_await DmaFile::Open(shard.io(), "/ROOT", options);
  if (!file.ok()) co_return file.status();
  auto buffer = shard.io().AllocateBuffer(kRootSlotBytes);
  if (!buffer.ok()) co_return buffer.status();
  absl::Status status = EncodeRootSlot(state, slot, buffer->bytes());
  if (!status.ok()) co_return status;
  status = co_await file->Write(slot * kRootSlotBytes, *buffer, kRootSlotBytes);
  co_return status;
}

// A killed process was about to make a change; the next one made its own, with the same number.
TEST_F(RootFileTest, AWriteOfAKilledProcessThatLandsLateDoesNotCount) {
  for (const size_t slot : {size_t{0}, size_t{1}, size_t{2}, size_t{3}}) {
    Simulation simulation({.seed = 1});
    RootState made, opened;
    ASSERT_TRUE(simulation.Run(MakeRoot, &made).ok());
    RootState late = made;
    late.streams.clear();
    made.incarnation = 1;
    // That is in force; its pair is 0 and 1.
    ASSERT_EQ(made.epoch % 2, 0u);
    for (const size_t copy : {size_t{0}, size_t{1}}) {
      ASSERT_TRUE(simulation.Run(WriteRootSlot, made, copy).ok());
    }
    if (slot >= 2) --late.epoch;
    ASSERT_TRUE(simulation.Run(WriteRootSlot, late, slot).ok());
    ASSERT_TRUE(simulation.Run(OpenRoot, &opened).ok());
    EXPECT_EQ(opened, made) << "slot " << slot;
  }
}

// The same of a process of which the next one saw nothing, so that both had one incarnation.
TEST_F(RootFileTest, ALateWriteOfTheSameIncarnationDoesNotCount) {
  Simulation simulation({.seed = 1});
  RootState made, opened;
  ASSERT_TRUE(simulation.Run(MakeRoot, &made).ok());
  RootState late = made;
  late.streams.clear();
  ASSERT_EQ(made.epoch % 2, 0u);
  ASSERT_TRUE(simulation.Run(WriteRootSlot, late, size_t{0}).ok());
  ASSERT_TRUE(simulation.Run(OpenRoot, &opened).ok());
  EXPECT_EQ(opened, made);
}

// One that opens, and finds a first copy that is in the device's cache only.
TEST_F(RootFileTest, APowerCutWhileAPairIsCompletedTearsOneSlotAtMost) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Simulation simulation({.seed = seed, .disk = {.fua = seed % 2 == 0}});
    RootState made, opened;
    ASSERT_TRUE(simulation.Run(MakeRoot, &made).ok());
    RootState next = made;
    ++next.epoch;
    ASSERT_TRUE(simulation.Run(WriteRootSlot, next, size_t{2}).ok());
    simulation.CutPowerAfter(simulation.random().Below(25));
    simulation.Run(OpenRoot, &opened);
    const SimulationResult again = simulation.Run(OpenRoot, &opened);
    ASSERT_TRUE(again.ok()) << again.message;
    EXPECT_TRUE(opened == made || opened == next) << "seed " << seed;
  }
}

Task<absl::Status> FailACommit(Shard& shard, Simulation* simulation) {
  auto files = co_await FileSystem::Open(shard.io(), "/");
  auto root = co_await RootFile::Open(shard.io(), *files);
  if (!root.ok()) co_return root.status();
  SimFaultRule rule = {.fault = SimFault::kError, .opcode = IoOpcode::kWrite};
  simulation->disk().faults().Add(rule);
  const absl::Status first = co_await (*root)->Commit((*root)->state());
  const absl::Status second = co_await (*root)->Commit((*root)->state());
  EXPECT_FALSE(first.ok());
  EXPECT_EQ(second, first) << "nobody knows which of both is in force";
  co_return absl::OkStatus();
}

TEST_F(RootFileTest, TakesNoMoreChangesAfterAFailedOne) {
  Simulation simulation({.seed = 1});
  RootState made;
  ASSERT_TRUE(simulation.Run(MakeRoot, &made).ok());
  EXPECT_EQ(simulation.Run(FailACommit, &simulation).status, absl::OkStatus());
}

}  // namespace
}  // namespace ioengine
