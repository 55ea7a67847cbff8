// ProbeWalSync: what is faster is chosen, and a disk that fails is not written to.

#include "ioengine/engine/wal/sync_probe.h"

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/io/file_system.h"

namespace ioengine {
namespace {

Task<absl::Status> Probe(Shard& shard, WalSync* faster) {
  auto files = co_await FileSystem::Open(shard.io(), "/");
  if (!files.ok()) co_return files.status();
  const DmaFileOptions options = {.access = DmaFileOptions::Access::kReadWrite,
                                  .create = DmaFileOptions::Create::kIfMissing};
  auto file = co_await files->OpenFile("segment", options);
  if (!file.ok()) co_return file.status();
  const absl::StatusOr<WalSync> probed = co_await ProbeWalSync(shard.io(), *file);
  if (!probed.ok()) co_return probed.status();
  *faster = *probed;
  co_return absl::OkStatus();
}

TEST(SyncProbeTest, AWriteThatNeedsNoSyncIsFaster) {
  Simulation simulation({.seed = 1});
  WalSync faster = WalSync::kProbe;
  ASSERT_TRUE(simulation.Run(Probe, &faster).ok());
  EXPECT_EQ(faster, WalSync::kDsync) << "a sync costs what a write does, and comes behind one";
}

TEST(SyncProbeTest, SlowDsyncWritesAreNotChosen) {
  Simulation simulation({.seed = 1});
  // Every other write is one; a flush's write and its sync are as fast as ever.
  for (uint64_t write = 0; write < 10; write += 2) {
    simulation.disk().faults().Add(
        {.fault = SimFault::kSlow, .opcode = IoOpcode::kWrite, .skip = write / 2});
  }
  WalSync faster = WalSync::kProbe;
  ASSERT_TRUE(simulation.Run(Probe, &faster).ok());
  EXPECT_EQ(faster, WalSync::kFlush);
}

TEST(SyncProbeTest, AFailureIsGiven) {
  for (const IoOpcode opcode : {IoOpcode::kWrite, IoOpcode::kFdatasync}) {
    Simulation simulation({.seed = 1});
    simulation.disk().faults().Add({.opcode = opcode, .skip = 2});
    WalSync faster = WalSync::kProbe;
    EXPECT_FALSE(simulation.Run(Probe, &faster).ok());
  }
}

}  // namespace
}  // namespace ioengine
