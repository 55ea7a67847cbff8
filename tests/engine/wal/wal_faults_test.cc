// What goes wrong under a log: it stops at the first failure, and waits for space.

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "ioengine/engine/wal/wal_writer.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/tests/engine/wal/wal_lab.h"

namespace ioengine {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

class WalFaultsTest : public testing::Test {
 protected:
  ~WalFaultsTest() override { SetCanary(""); }
};

// Two tasks and several segments, with releases; ends at the first error.
Task<absl::Status> AppendMany(WalLab* lab, WalWriter* log, Durability level) {
  for (int i = 0; i < 60; ++i) {
    absl::Status status = co_await AppendAndWait(lab, log, 2'500 + 10 * i, level);
    if (!status.ok()) co_return status;
    if (i % 10 != 9) continue;
    const uint64_t released = lab->ledger.durable();
    lab->ledger.SetStart(log->StartAfter(released), released);
    status = co_await log->Release(lab->ledger.start());
    if (!status.ok()) co_return status;
    if (i % 20 == 9) co_await Sleep(milliseconds(2));
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Work(WalLab* lab, WalWriter* log) {
  absl::Status status;
  {
    TaskScope scope(lab->shard->executor());
    scope.Spawn(AppendMany(lab, log, Durability::kDurable));
    scope.Spawn(AppendMany(lab, log, Durability::kWritten));
    status = co_await scope.Join();
  }
  EXPECT_EQ(log->poisoned(), !lab->ledger.failure().ok());
  if (log->poisoned()) {
    EXPECT_EQ(status, lab->ledger.failure());
    EXPECT_EQ(co_await log->Admit(1), status);
    EXPECT_EQ(co_await log->Sync(), status);
    EXPECT_EQ(co_await log->Release(log->start()), absl::OkStatus());
  }
  co_return status;
}

// Every operation of every kind that the log starts, in turn, fails once: either it says so, or it
// does without. What it has acknowledged is there.
void FailEach(IoOpcode opcode, const WalOptions& options, SimFault fault, int* poisoned) {
  for (uint64_t skip = 0;; ++skip) {
    ASSERT_LT(skip, 1'000u);
    WalLab lab;
    lab.wal = options;
    lab.wal.idle_ns = 500'000;
    SimFaults& faults = lab.simulation.disk().faults();
    SimFaultRule rule = {.fault = fault, .opcode = opcode, .skip = skip};
    if (fault == SimFault::kError) rule.argument = EIO;
    faults.Add(rule);
    const SimulationResult written = lab.Write(Work);
    ASSERT_EQ(written.end, SimulationEnd::kFinished) << written.message;
    const bool happened = faults.count(fault) > 0;
    faults.Clear();
    if (!happened) {
      ASSERT_TRUE(written.ok()) << written.message;
      break;
    }
    if (!written.ok()) ++*poisoned;
    // What is only in the cache is gone.
    if (!written.ok()) {
      lab.simulation.CutPower();
      lab.ledger.OnPowerCut();
    }
    lab.expected.may_be_missing = lab.ledger.appended() == 0;
    const SimulationResult read = lab.Read();
    if (lab.ledger.appended() == 0 && absl::IsDataLoss(read.status)) continue;  // never begun
    ASSERT_TRUE(read.ok()) << "operation " << skip << ": " << read.message;
  }
}

TEST_F(WalFaultsTest, AnyFailedWriteStopsTheLog) {
  for (const WalSync sync : {WalSync::kDsync, WalSync::kFlush}) {
    WalOptions options = kTinyWal;
    options.sync = sync;
    int poisoned = 0;
    FailEach(IoOpcode::kWrite, options, SimFault::kError, &poisoned);
    EXPECT_GT(poisoned, 50);
  }
}

TEST_F(WalFaultsTest, AnyFailedSyncStopsTheLog) {
  for (const WalSync sync : {WalSync::kDsync, WalSync::kFlush}) {
    for (const SimFault fault : {SimFault::kSyncDropsData, SimFault::kSyncKeepsData}) {
      WalOptions options = kTinyWal;
      options.sync = sync;
      int poisoned = 0;
      FailEach(IoOpcode::kFdatasync, options, fault, &poisoned);
      EXPECT_GT(poisoned, 8);
      poisoned = 0;
      FailEach(IoOpcode::kFsync, options, fault, &poisoned);
      EXPECT_GT(poisoned, 3);
    }
  }
}

TEST_F(WalFaultsTest, AnyFailedNameStopsTheLog) {
  int poisoned = 0;
  for (const IoOpcode opcode : {IoOpcode::kOpen, IoOpcode::kRename}) {
    FailEach(opcode, kTinyWal, SimFault::kError, &poisoned);
  }
  EXPECT_GT(poisoned, 5);
}

TEST_F(WalFaultsTest, ARetryAfterAFailureIsFound) {
  SetCanary("wal-retry-after-failure");
  WalLab lab;
  lab.wal.sync = WalSync::kFlush;
  lab.simulation.disk().faults().Add({.fault = SimFault::kSyncDropsData,
                                      .opcode = IoOpcode::kFdatasync,
                                      .path_part = "W-4-0",
                                      .skip = 1});
  const SimulationResult written = lab.Write(Work);
  ASSERT_GT(lab.simulation.disk().faults().count(SimFault::kSyncDropsData), 0u);
  EXPECT_TRUE(written.ok()) << "the log would be poisoned";
}

Task<absl::Status> FailInTheMiddle(WalLab* lab, WalWriter* log) {
  for (int i = 0; i < 3; ++i) {
    const absl::Status status = co_await AppendAndWait(lab, log, 3'000, Durability::kDurable);
    if (!status.ok()) co_return status;
  }
  lab->simulation.disk().faults().Add({.opcode = IoOpcode::kWrite, .path_part = "W-4-0"});
  const absl::Status failed = co_await AppendAndWait(lab, log, 3'000, Durability::kDurable);
  EXPECT_FALSE(failed.ok());
  lab->ledger.seal = log->durable_seal();
  co_return absl::OkStatus();
}

TEST_F(WalFaultsTest, AFailedStreamIsSealedWhereItIsDurable) {
  WalLab lab;
  lab.closes = false;
  const SimulationResult written = lab.Write(FailInTheMiddle);
  ASSERT_TRUE(written.ok()) << written.message;
  EXPECT_EQ(lab.ledger.seal->record, 3u);
  const SimulationResult read = lab.Read();
  EXPECT_TRUE(read.ok()) << read.message;
  EXPECT_EQ(lab.ledger.replayed(), 3u);
}

Task<absl::Status> DoNothing(WalLab*, WalWriter*) { co_return absl::OkStatus(); }

// The zeros of a segment, and its name, are synced before it is used.
TEST_F(WalFaultsTest, ASegmentIsDurableBeforeItIsUsed) {
  const std::pair<IoOpcode, const char*> cases[] = {
      {IoOpcode::kFdatasync, "wal-no-segment-zeroing-sync"},
      {IoOpcode::kFsync, "wal-no-directory-sync"}};
  for (const auto& [opcode, canary] : cases) {
    for (const bool planted : {false, true}) {
      SetCanary(planted ? canary : "");
      WalLab lab;
      lab.simulation.disk().faults().Add(
          {.fault = SimFault::kSyncDropsData, .opcode = opcode, .times = UINT64_MAX});
      EXPECT_EQ(lab.Write(DoNothing).ok(), planted) << canary;
    }
  }
}

Task<absl::Status> UseUpTheSpace(WalLab* lab, WalWriter* log) {
  // Somebody else takes all that is left.
  const DmaFileOptions options = {.access = DmaFileOptions::Access::kReadWrite,
                                  .create = DmaFileOptions::Create::kIfMissing};
  auto other = co_await lab->files->OpenFile("other", options);
  EXPECT_TRUE(other.ok());
  co_await Sleep(milliseconds(2));  // the second segment is ready
  uint64_t taken = lab->simulation.disk().free_bytes();
  absl::Status status = co_await other->Preallocate(0, taken);
  EXPECT_TRUE(status.ok()) << status;

  // More than there is room for, before the log has found out.
  while (status.ok()) status = co_await AppendToLab(lab, log, 3'000, Durability::kDurable);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  co_await Sleep(milliseconds(2));
  status = co_await log->Admit(3'000);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_LT(log->reached(Durability::kDurable), lab->ledger.appended()) << "some have to wait";
  EXPECT_FALSE(log->poisoned());
  EXPECT_GT(log->stats().times_no_space, 1u) << "it tries again";
  co_return absl::OkStatus();
}

Task<absl::Status> FreeTheSpace(WalLab* lab, WalWriter* log) {
  absl::Status status = co_await UseUpTheSpace(lab, log);
  status = co_await lab->files->Remove("other");
  EXPECT_TRUE(status.ok());
  status = co_await log->Sync();
  EXPECT_TRUE(status.ok()) << "what waited goes on: " << status;
  co_await Sleep(milliseconds(2));
  co_return co_await AppendAndWait(lab, log, 3'000, Durability::kDurable);
}

TEST_F(WalFaultsTest, AFullDiskRefusesAndGoesOn) {
  WalLab lab({.disk = {.capacity_bytes = size_t{256} << 10}});
  const SimulationResult written = lab.Write(FreeTheSpace);
  ASSERT_TRUE(written.ok()) << written.message;
  const SimulationResult read = lab.Read();
  ASSERT_TRUE(read.ok()) << read.message;
  EXPECT_EQ(lab.ledger.replayed(), lab.ledger.appended());
}

Task<absl::Status> CloseWithoutSpace(WalLab* lab, WalWriter* log) {
  absl::Status status = co_await UseUpTheSpace(lab, log);
  status = co_await log->Close();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  co_return absl::OkStatus();
}

TEST_F(WalFaultsTest, ACloseDoesNotWaitForSpace) {
  WalLab lab({.disk = {.capacity_bytes = size_t{256} << 10}});
  lab.closes = false;
  const SimulationResult written = lab.Write(CloseWithoutSpace);
  ASSERT_TRUE(written.ok()) << written.message;
  EXPECT_TRUE(lab.Read().ok());
}

Task<absl::Status> SleepAndAppend(WalLab* lab, WalWriter* log) {
  co_await Sleep(milliseconds(10));
  absl::Status status;
  for (int i = 0; i < 20 && status.ok(); ++i) {
    status = co_await AppendAndWait(lab, log, 3'000, Durability::kDurable);
  }
  co_return status;
}

// Its file is removed, at the latest before the next attempt.
TEST_F(WalFaultsTest, AHalfMadeSegmentIsNotUsed) {
  for (const IoOpcode opcode : {IoOpcode::kWrite, IoOpcode::kFdatasync}) {
    WalLab lab;
    SimFaults& faults = lab.simulation.disk().faults();
    faults.Add({.opcode = opcode, .path_part = "W-4-1", .argument = ENOSPC});
    faults.Add({.opcode = IoOpcode::kRemove, .argument = ENOSPC});
    const SimulationResult written = lab.Write(SleepAndAppend);
    ASSERT_TRUE(written.ok()) << written.message;
    EXPECT_EQ(faults.count(SimFault::kError), 2u);
    EXPECT_EQ(lab.stats.times_no_space, 1u);
    EXPECT_TRUE(lab.Read().ok());
  }
}

Task<absl::Status> ReleaseForSpace(WalLab* lab, WalWriter* log) {
  absl::Status status = co_await UseUpTheSpace(lab, log);
  const uint64_t released = log->reached(Durability::kDurable);
  lab->ledger.SetStart(log->StartAfter(released), released);
  status = co_await log->Release(lab->ledger.start());
  EXPECT_TRUE(status.ok()) << status;
  status = co_await log->Sync();
  EXPECT_TRUE(status.ok()) << status;
  co_return status;
}

TEST_F(WalFaultsTest, AReleasedSegmentIsSpaceToo) {
  WalLab lab({.disk = {.capacity_bytes = size_t{256} << 10}});
  const SimulationResult written = lab.Write(ReleaseForSpace);
  ASSERT_TRUE(written.ok()) << written.message;
  EXPECT_TRUE(lab.Read().ok());
}

// Errors by chance, over many lives: nothing that was promised is lost.
TEST_F(WalFaultsTest, NoLieWhereTheDeviceFails) {
  SimFaultRates rates;
  for (const SimFault fault :
       {SimFault::kError, SimFault::kSyncDropsData, SimFault::kSyncKeepsData, SimFault::kNoSpace}) {
    rates[fault] = 1'000;
  }
  rates[SimFault::kShortTransfer] = 20'000;
  uint64_t failures = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Simulation simulation({.seed = seed, .faults = rates});
    WalWorld world;
    world.options.sync = seed % 2 == 0 ? WalSync::kDsync : WalSync::kFlush;
    world.random = &simulation.random();
    for (int life = 0; life < 12; ++life) {
      simulation.CutPowerAfter(simulation.random().Below(1'500));
      const SimulationResult result = simulation.Run(RunWal, &world);
      ASSERT_TRUE(result.end == SimulationEnd::kFinished || result.end == SimulationEnd::kPowerCut)
          << result.message;
      const std::string text(result.status.message());
      ASSERT_FALSE(absl::IsDataLoss(result.status)) << result.message;
      for (const char* const complaint :
           {"lost:", "invented:", "not given", "not what", "after "}) {
        ASSERT_EQ(text.find(complaint), std::string::npos) << result.message;
      }
      failures += result.ok() ? 0 : 1;
      if (result.end == SimulationEnd::kFinished) simulation.CutPower();
      for (const auto& ledger : world.streams) ledger->OnPowerCut();
    }
  }
  EXPECT_GT(failures, 50u);
}

}  // namespace
}  // namespace ioengine
