// What a log does with records, and when.

#include "ioengine/engine/wal/wal_writer.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/engine/wal/pending_records.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/engine/wal/wal_lab.h"

namespace ioengine {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// All sizes around the ends of frames, and of several frames.
Task<absl::Status> WriteAllSizes(WalLab* lab, WalWriter* log) {
  constexpr size_t kFrame = kTinyWal.max_frame_bytes;
  std::vector<size_t> sizes = {0, 1, 2, 3};
  for (size_t i = 1; i <= 2; ++i) {
    for (size_t size = i * kFrame - 80; size <= i * kFrame - 55; ++size) sizes.push_back(size);
  }
  sizes.push_back(log->max_record_bytes());
  for (const size_t size : sizes) {
    const absl::Status status = co_await AppendToLab(lab, log, size, Durability::kWritten);
    if (!status.ok()) co_return status;
    co_await Sleep(microseconds(50));
  }
  for (size_t size = 3'900; size < 4'200; size += 3) {
    const absl::Status status = co_await AppendAndWait(lab, log, size, Durability::kDurable);
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

TEST(WalWriterTest, RecordsOfAllSizesComeBack) {
  WalLab lab;
  const SimulationResult written = lab.Write(WriteAllSizes);
  ASSERT_TRUE(written.ok()) << written.message;
  const SimulationResult read = lab.Read();
  ASSERT_TRUE(read.ok()) << read.message;
  EXPECT_EQ(lab.ledger.replayed(), lab.ledger.appended());
  EXPECT_GT(lab.end.segments.size(), 10u);
}

Task<absl::Status> FillSegments(WalLab* lab, WalWriter* log) {
  // Frames of one page and of two: some segments end with a page that is too small.
  for (int i = 0; i < 60; ++i) {
    const size_t size = i % 3 == 0 ? 1'000 : 6'000;
    const absl::Status status = co_await AppendAndWait(lab, log, size, Durability::kDurable);
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

TEST(WalWriterTest, AFrameThatDoesNotFitGoesToTheNextSegment) {
  WalLab lab;
  ASSERT_TRUE(lab.Write(FillSegments).ok());
  bool has_gap = false;
  const std::vector<LabFrame> frames = lab.Frames();
  for (size_t i = 1; i < frames.size(); ++i) {
    EXPECT_EQ(frames[i].header.frame, frames[i - 1].header.frame + 1);
    EXPECT_EQ(frames[i].header.previous_hash, frames[i - 1].header.checksum);
    EXPECT_LT(frames[i].header.durable_frame, frames[i].header.frame);
    if (frames[i].path == frames[i - 1].path) continue;
    EXPECT_EQ(frames[i].offset_bytes, 0u);
    has_gap |= frames[i - 1].offset_bytes + frames[i - 1].size_bytes < kTinyWal.segment_bytes;
  }
  EXPECT_TRUE(has_gap);
  const SimulationResult read = lab.Read();
  EXPECT_TRUE(read.ok()) << read.message;
}

Task<absl::Status> WriteLevels(WalLab* lab, WalWriter* log) {
  auto status = co_await AppendAndWait(lab, log, 100, Durability::kDurable);
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(log->stats().dsync_frames, 1u);
  EXPECT_EQ(log->reached(Durability::kDurable), 1u);
  status = co_await AppendAndWait(lab, log, 100, Durability::kWritten);
  EXPECT_EQ(log->stats().frames, 2u);
  EXPECT_EQ(log->stats().dsync_frames, 1u) << "nobody asked for more";
  EXPECT_EQ(log->reached(Durability::kWritten), 2u);
  EXPECT_EQ(log->reached(Durability::kDurable), 1u);
  EXPECT_EQ(log->stats().syncs, 0u);
  status = co_await AppendAndWait(lab, log, 100, Durability::kDurable);
  EXPECT_EQ(log->stats().dsync_frames, 1u) << "which would not cover the frame before";
  EXPECT_EQ(log->stats().syncs, 1u);
  EXPECT_EQ(log->reached(Durability::kDurable), 3u);
  status = co_await AppendAndWait(lab, log, 100, Durability::kDurable);
  EXPECT_EQ(log->stats().dsync_frames, 2u) << "all before it are durable";
  status = co_await AppendAndWait(lab, log, 100, Durability::kWritten);
  status = co_await log->Reached(5, Durability::kDurable);
  EXPECT_EQ(log->reached(Durability::kDurable), 5u) << "more was asked for later";
  EXPECT_EQ(log->stats().frames, 5u);
  co_return co_await log->Sync();
}

TEST(WalWriterTest, EachLevelTakesWhatItNeeds) {
  WalLab lab;
  EXPECT_TRUE(lab.Write(WriteLevels).ok());
}

Task<absl::Status> WriteMemory(WalLab* lab, WalWriter* log) {
  co_await Sleep(milliseconds(1));
  auto status = co_await AppendAndWait(lab, log, 100, Durability::kMemory);
  EXPECT_TRUE(status.ok());
  co_await Sleep(microseconds(50));
  EXPECT_EQ(log->stats().frames, 0u);
  co_await Sleep(microseconds(500));
  EXPECT_EQ(log->stats().frames, 1u) << "after memory_delay_ns";
  EXPECT_EQ(log->reached(Durability::kWritten), 1u);
  const uint64_t begin_ns = lab->simulation.clock().NowNs();
  for (int i = 0; i < 5; ++i) {
    status = co_await AppendToLab(lab, log, 1'000, Durability::kMemory);
  }
  status = co_await log->Reached(6, Durability::kWritten);
  EXPECT_LT(lab->simulation.clock().NowNs() - begin_ns, 2'000'000u);
  EXPECT_EQ(log->stats().frames, 2u) << "memory_bytes";
  status = co_await AppendToLab(lab, log, 10, Durability::kMemory);
  status = co_await log->Reached(7, Durability::kWritten);
  EXPECT_EQ(log->stats().frames, 3u) << "somebody waits for it after all";
  co_return status;
}

TEST(WalWriterTest, WhatNobodyWaitsForGoesOutABitLater) {
  WalLab lab;
  lab.wal.memory_delay_ns = 300'000;
  EXPECT_TRUE(lab.Write(WriteMemory).ok());
}

Task<absl::Status> BecomeIdle(WalLab* lab, WalWriter* log) {
  co_await Sleep(milliseconds(5));
  EXPECT_EQ(log->stats().frames, 0u) << "there is nothing to cover";
  for (int i = 1; i <= 3; ++i) {
    const absl::Status status =
        co_await AppendAndWait(lab, log, 100, i == 2 ? Durability::kWritten : Durability::kDurable);
    EXPECT_TRUE(status.ok());
    co_await Sleep(milliseconds(20));
    EXPECT_EQ(log->stats().empty_frames, static_cast<uint64_t>(i)) << "once";
    EXPECT_EQ(log->reached(Durability::kDurable), static_cast<uint64_t>(i));
  }
  co_return absl::OkStatus();
}

TEST(WalWriterTest, AnIdleLogCoversItsLastFrame) {
  for (const WalSync sync : {WalSync::kDsync, WalSync::kFlush}) {
    WalLab lab;
    lab.wal.sync = sync;
    lab.wal.idle_ns = 2'000'000;
    lab.closes = false;
    const SimulationResult written = lab.Write(BecomeIdle);
    ASSERT_TRUE(written.ok()) << written.message;
    const LabFrame frame = lab.Frames()[4];
    ASSERT_EQ(frame.header.record_count, 1u);
    ASSERT_TRUE(lab.Read().ok());
    lab.simulation.disk().FlipBit(frame.path, frame.offset_bytes + 70, 0);
    EXPECT_TRUE(absl::IsDataLoss(lab.Read().status));
  }
}

Task<absl::Status> WriteOneAndWait(WalLab* lab, WalWriter* log) {
  const absl::Status status = co_await AppendAndWait(lab, log, 100, Durability::kDurable);
  co_await Sleep(milliseconds(20));
  co_return status;
}

TEST(WalWriterTest, WithoutAnEmptyFrameTheLastOneIsLostSilently) {
  for (const bool planted : {false, true}) {
    SetCanary(planted ? "wal-no-idle-frame" : "");
    WalLab lab;
    lab.wal.idle_ns = 2'000'000;
    lab.closes = false;
    ASSERT_TRUE(lab.Write(WriteOneAndWait).ok());
    lab.simulation.disk().FlipBit(lab.PathOf(0), 70, 0);
    EXPECT_EQ(absl::IsDataLoss(lab.Read().status), !planted);
  }
  SetCanary("");
}

Task<absl::Status> AppendLate(WalLab* lab, WalWriter* log, size_t size,
                              std::vector<size_t>* order) {
  const absl::Status status = co_await AppendToLab(lab, log, size, Durability::kMemory);
  order->push_back(size);
  co_return status;
}

Task<absl::Status> Overfill(WalLab* lab, WalWriter* log) {
  const size_t most = log->max_record_bytes();
  EXPECT_TRUE(absl::IsInvalidArgument(co_await log->Admit(most + 1)));
  std::vector<size_t> order;
  {
    TaskScope scope(lab->shard->executor());
    for (size_t i = 0; i < 6; ++i) scope.Spawn(AppendLate(lab, log, most - i, &order));
    TaskScope cancelled(lab->shard->executor());
    cancelled.Spawn(AppendLate(lab, log, most - 100, &order));
    co_await Yield();
    cancelled.Cancel();
    const absl::Status joined = co_await scope.Join();
    EXPECT_TRUE(joined.ok()) << joined;
  }
  EXPECT_GE(order.size(), 6u);
  EXPECT_GT(log->stats().times_full, 0u);
  co_return absl::OkStatus();
}

TEST(WalWriterTest, WhoFindsNoRoomWaits) {
  WalLab lab;
  const SimulationResult written = lab.Write(Overfill);
  ASSERT_TRUE(written.ok()) << written.message;
  ASSERT_TRUE(lab.Read().ok());
  EXPECT_EQ(lab.ledger.replayed(), lab.ledger.appended());
}

Task<absl::Status> CancelWaiters(WalLab* lab, WalWriter* log) {
  for (int i = 0; i < 200; ++i) {
    const absl::Status appended = co_await AppendToLab(lab, log, 3'000, Durability::kDurable);
    EXPECT_TRUE(appended.ok());
    TaskScope scope(lab->shard->executor());
    for (int j = 0; j < 4; ++j) {
      scope.Spawn(AppendAndWait(lab, log, 2'000 + 100 * j, Durability::kDurable));
    }
    co_await Sleep(microseconds(i));
  }
  co_return absl::OkStatus();
}

TEST(WalWriterTest, CancelledTasksTakeNothingBack) {
  WalLab lab;
  const SimulationResult written = lab.Write(CancelWaiters);
  ASSERT_TRUE(written.ok()) << written.message;
  ASSERT_TRUE(lab.Read().ok());
  EXPECT_EQ(lab.ledger.replayed(), lab.ledger.appended());
}

Task<absl::Status> ReleaseAsItGoes(WalLab* lab, WalWriter* log) {
  for (uint64_t record = 1; record <= 100; ++record) {
    absl::Status status = co_await AppendAndWait(lab, log, 9'000, Durability::kDurable);
    if (!status.ok()) co_return status;
    const uint64_t released = record > 5 ? record - 5 : 0;
    lab->ledger.SetStart(log->StartAfter(released), released);
    status = co_await log->Release(lab->ledger.start());
    if (!status.ok()) co_return status;
    EXPECT_EQ(log->start(), lab->ledger.start());
    EXPECT_LE(log->live_segments(), 6u);
  }
  EXPECT_EQ(log->stats().segments_recycled > 10, lab->wal.pooled_segments > 0);
  const auto entries = co_await lab->files->List();
  EXPECT_LE(entries->size(), 6u + 1 + lab->wal.pooled_segments);
  co_return absl::OkStatus();
}

TEST(WalWriterTest, ReleasedSegmentsAreUsedAgain) {
  WalLab lab;
  const SimulationResult written = lab.Write(ReleaseAsItGoes);
  ASSERT_TRUE(written.ok()) << written.message;
  const SimulationResult read = lab.Read();
  ASSERT_TRUE(read.ok()) << read.message;
  EXPECT_LT(lab.ledger.replayed(), 20u);
  EXPECT_EQ(lab.end.seal.record, 100u);
}

TEST(WalWriterTest, WithoutAPoolReleasedSegmentsAreRemoved) {
  WalLab lab;
  lab.wal.pooled_segments = 0;
  const SimulationResult written = lab.Write(ReleaseAsItGoes);
  EXPECT_EQ(written.end, SimulationEnd::kFinished) << written.message;
  EXPECT_EQ(lab.stats.segments_recycled, 0u);
  EXPECT_GT(lab.stats.segments_removed, 10u);
  EXPECT_TRUE(lab.Read().ok());
}

Task<absl::Status> DoNothing(WalLab*, WalWriter*) { co_return absl::OkStatus(); }

TEST(WalWriterTest, AnEmptyLogIsRead) {
  WalLab lab;
  ASSERT_TRUE(lab.Write(DoNothing).ok());
  EXPECT_EQ(lab.stats.frames, 0u);
  ASSERT_TRUE(lab.Read().ok());
  EXPECT_EQ(lab.end.seal, WalSeal());
}

TEST(WalWriterTest, ASegmentThatIsThereIsNotOverwritten) {
  WalLab lab;
  lab.simulation.disk().PutFile(lab.PathOf(0), "somebody's");
  EXPECT_TRUE(absl::IsAlreadyExists(lab.Write(DoNothing).status));
  EXPECT_EQ(lab.simulation.disk().Contents(lab.PathOf(0)), "somebody's");
}

TEST(WalWriterTest, OptionsAreChecked) {
  WalOptions options;
  EXPECT_TRUE(options.Validate().ok());
  const std::vector<WalOptions> bad = {
      {.segment_bytes = 0},       {.segment_bytes = 5'000'000},  {.max_frame_bytes = 0},
      {.max_frame_bytes = 5'000}, {.max_frame_bytes = 2u << 20}, {.max_frames_in_flight = 0},
      {.idle_ns = UINT64_MAX},    {.max_pending_bytes = 4'000},  {.max_pending_bytes = 1u << 30}};
  for (const WalOptions& each : bad) {
    EXPECT_TRUE(absl::IsInvalidArgument(each.Validate()));
    WalLab lab;
    lab.wal = each;
    EXPECT_TRUE(absl::IsInvalidArgument(lab.Write(DoNothing).status));
  }
}

Task<absl::Status> UseClosed(WalLab* lab, WalWriter* log) {
  co_await AppendToLab(lab, log, 10, Durability::kMemory);
  absl::Status closed = co_await log->Close();
  EXPECT_EQ(log->reached(Durability::kDurable), 1u);
  EXPECT_TRUE(absl::IsUnavailable(co_await log->Admit(1)));
  co_return closed;
}

TEST(WalWriterTest, ACloseMakesDurableAndTakesNothingMore) {
  WalLab lab;
  lab.closes = false;
  const SimulationResult written = lab.Write(UseClosed);
  ASSERT_TRUE(written.ok()) << written.message;
  ASSERT_TRUE(lab.Read().ok());
}

}  // namespace
}  // namespace ioengine
