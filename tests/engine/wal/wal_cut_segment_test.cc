// Segments whose files are shorter than they were made, and those that are gone.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/sched/canary.h"
#include "ioengine/tests/engine/wal/wal_lab.h"

namespace ioengine {
namespace {

// Each in a frame of its own, over three segments.
Task<absl::Status> WriteTwenty(WalLab* lab, WalWriter* log) {
  for (int i = 0; i < 20; ++i) {
    absl::Status status = co_await AppendAndWait(lab, log, 3'000, Durability::kDurable);
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

class WalCutSegmentTest : public testing::Test {
 protected:
  ~WalCutSegmentTest() override { SetCanary(""); }

  // A log of twenty durable records that nothing was cut from yet. Without a Close: the last frame
  // is of the last record.
  struct Log {
    Log() {
      lab.closes = false;
      lab.expected.segment_bytes = lab.wal.segment_bytes;
      EXPECT_TRUE(lab.Write(WriteTwenty).ok());
      EXPECT_EQ(lab.ledger.durable(), 20u);
      frames = lab.Frames();
      for (uint64_t segment = 0; Has(segment); ++segment) ++segments;
    }

    bool Has(uint64_t segment) {
      return lab.simulation.disk().Contents(lab.PathOf(segment)).has_value();
    }
    void Cut(uint64_t segment, uint64_t size_bytes) {
      const std::string content = *lab.simulation.disk().Contents(lab.PathOf(segment));
      lab.simulation.disk().PutFile(lab.PathOf(segment), content.substr(0, size_bytes));
    }
    bool WasUsed(uint64_t segment) {
      for (const LabFrame& frame : frames) {
        if (frame.path == lab.PathOf(segment)) return true;
      }
      return false;
    }

    WalLab lab;
    std::vector<LabFrame> frames;
    uint64_t segments = 0;
  };
};

TEST_F(WalCutSegmentTest, OneThatWasInUseIsDataLossWhereverItIsCut) {
  const uint64_t segments = Log().segments;
  ASSERT_GE(segments, 3u);
  for (uint64_t segment = 0; segment < segments; ++segment) {
    for (size_t size = 0; size < kTinyWal.segment_bytes; size += 2'048) {
      Log log;
      if (!log.WasUsed(segment)) continue;
      // Of the last one there is nothing left that tells, see WalReplay.
      if (segment + 1 == segments && size < kWalPageBytes) continue;
      log.Cut(segment, size);
      const SimulationResult result = log.lab.Read();
      ASSERT_TRUE(absl::IsDataLoss(result.status)) << segment << ", " << size << result.message;
      for (const std::string& named : {log.lab.PathOf(segment), absl::StrCat(size, " bytes"),
                                       absl::StrCat(kTinyWal.segment_bytes)}) {
        EXPECT_NE(result.message.find(named), std::string::npos) << result.message;
      }
    }
  }
}

// What it is for.
TEST_F(WalCutSegmentTest, WithoutTheSizeTheLastDurableRecordIsLostInSilence) {
  for (const bool canary : {false, true}) {
    Log log;
    SetCanary(canary ? "wal-segment-size-unchecked" : "");
    const LabFrame& last = log.frames.back();
    log.Cut(ParseWalSegmentName(last.path.substr(1))->segment, last.offset_bytes);
    if (!canary) log.lab.expected.segment_bytes = 0;
    ASSERT_EQ(log.lab.Read().end, SimulationEnd::kFinished);
    EXPECT_EQ(log.lab.end.seal.record, 19u);
    SetCanary("");
    log.lab.expected.segment_bytes = kTinyWal.segment_bytes;
    EXPECT_TRUE(absl::IsDataLoss(log.lab.Read().status));
  }
}

// The power went while the next one was made: some zeros of it are there.
TEST_F(WalCutSegmentTest, TheNextOneMayBeUnfinished) {
  for (size_t size = 0; size < kTinyWal.segment_bytes; size += 2'048) {
    Log log;
    const uint64_t last = log.segments - 1;
    const uint64_t next = log.WasUsed(last) ? last + 1 : last;
    log.lab.simulation.disk().PutFile(log.lab.PathOf(next), std::string(size, '\0'));
    const SimulationResult result = log.lab.Read();
    EXPECT_TRUE(result.ok()) << size << ": " << result.message;
    EXPECT_EQ(log.lab.end.seal.record, 20u);
    // But not one before it.
    log.lab.simulation.disk().PutFile(log.lab.PathOf(next + 1), "");
    EXPECT_TRUE(absl::IsDataLoss(log.lab.Read().status)) << size;
  }
}

// Somebody else's, of the same name.
TEST_F(WalCutSegmentTest, ADirectoryIsNoSegment) {
  Log log;
  log.lab.simulation.disk().MakeDirectories(log.lab.PathOf(log.segments + 5));
  const SimulationResult result = log.lab.Read();
  EXPECT_TRUE(result.ok()) << result.message;
  EXPECT_EQ(log.lab.end.seal.record, 20u);
}

// Its first frame is torn, so that there is none; but it was written.
TEST_F(WalCutSegmentTest, OneWithATornFrameWasInUse) {
  Log log;
  WalLab torn;  // without the segments that were made ahead
  torn.expected = log.lab.expected;
  uint64_t last = 0;
  for (uint64_t segment = 0; log.WasUsed(segment); ++segment) {
    torn.simulation.disk().PutFile(torn.PathOf(segment),
                                   *log.lab.simulation.disk().Contents(torn.PathOf(segment)));
    last = segment;
  }
  ASSERT_GT(last, 0u);
  const std::string content = *torn.simulation.disk().Contents(torn.PathOf(last));
  torn.simulation.disk().PutFile(torn.PathOf(last), content.substr(0, kWalPageBytes));
  torn.simulation.disk().FlipBit(torn.PathOf(last), 100, 3);
  const SimulationResult result = torn.Read();
  EXPECT_TRUE(absl::IsDataLoss(result.status)) << result.message;
  EXPECT_NE(result.message.find("it was cut short"), std::string::npos) << result.message;
}

TEST_F(WalCutSegmentTest, OneThatIsMissingBeforeAnotherIsDataLoss) {
  Log log;
  ASSERT_GE(log.segments, 3u);
  // From the second on, under a name of no segment.
  WalLab gap;
  gap.expected = log.lab.expected;
  for (const uint64_t segment : {uint64_t{0}, uint64_t{2}}) {
    gap.simulation.disk().PutFile(gap.PathOf(segment),
                                  *log.lab.simulation.disk().Contents(gap.PathOf(segment)));
  }
  const SimulationResult result = gap.Read();
  EXPECT_TRUE(absl::IsDataLoss(result.status)) << result.message;
  EXPECT_NE(result.message.find("W-4-1 is missing"), std::string::npos) << result.message;
}

// With a seal, what it counts must be there, and nothing else.
TEST_F(WalCutSegmentTest, BehindASealNothingIsNeeded) {
  Log log;
  const LabFrame sealed = log.frames[11];
  const uint64_t segment = ParseWalSegmentName(sealed.path.substr(1))->segment;
  ASSERT_LT(segment + 1, log.segments);
  log.lab.ledger.seal = {sealed.header.frame, sealed.header.checksum, 12};
  log.lab.simulation.disk().PutFile(log.lab.PathOf(segment + 1), "");
  log.Cut(segment, sealed.offset_bytes + sealed.size_bytes);
  ASSERT_EQ(log.lab.Read().end, SimulationEnd::kFinished);
  EXPECT_EQ(log.lab.end.seal.record, 12u);
  log.Cut(segment, sealed.offset_bytes);
  const SimulationResult result = log.lab.Read();
  EXPECT_TRUE(absl::IsDataLoss(result.status)) << result.message;
  EXPECT_NE(result.message.find(absl::StrCat(sealed.path, " has ", sealed.offset_bytes, " bytes")),
            std::string::npos)
      << result.message;
}

}  // namespace
}  // namespace ioengine
