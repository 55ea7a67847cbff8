// Where a log ends, and what is damage.

#include "ioengine/engine/wal/wal_reader.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/random.h"
#include "ioengine/tests/engine/wal/wal_lab.h"

namespace ioengine {
namespace {

class WalReaderTest : public testing::Test {
 protected:
  ~WalReaderTest() override { SetCanary(""); }
};

// Each in a frame of its own, over three segments.
Task<absl::Status> WriteTwenty(WalLab* lab, WalWriter* log) {
  for (int i = 0; i < 20; ++i) {
    absl::Status status = co_await AppendAndWait(lab, log, 3'000, Durability::kDurable);
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> WriteLargeOnes(WalLab* lab, WalWriter* log) {
  for (int i = 0; i < 10; ++i) {
    absl::Status status = co_await AppendAndWait(lab, log, 13'000 + i, Durability::kWritten);
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> WriteOneDurable(WalLab* lab, WalWriter* log) {
  for (int i = 0; i < 6; ++i) {
    const Durability level = i == 0 ? Durability::kDurable : Durability::kWritten;
    absl::Status status = co_await AppendAndWait(lab, log, 3'000, level);
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

void Overwrite(WalLab& lab, const LabFrame& frame) {
  std::string content = *lab.simulation.disk().Contents(frame.path);
  content.replace(frame.offset_bytes, frame.size_bytes, std::string(frame.size_bytes, '\0'));
  lab.simulation.disk().PutFile(frame.path, content);
}

TEST_F(WalReaderTest, EveryRecordComesBack) {
  for (const WalLab::Program program : {&WriteTwenty, &WriteLargeOnes}) {
    WalLab lab;
    ASSERT_TRUE(lab.Write(program).ok());
    const SimulationResult result = lab.Read();
    ASSERT_TRUE(result.ok()) << result.message;
    EXPECT_EQ(lab.ledger.replayed(), lab.ledger.appended());
    EXPECT_EQ(lab.end.seal.record, lab.ledger.appended());
    EXPECT_EQ(lab.end.seal.frame, lab.Frames().back().header.frame);
    EXPECT_EQ(lab.end.seal.hash, lab.Frames().back().header.checksum);
    EXPECT_EQ(lab.end.torn_frames, 0u);
    EXPECT_EQ(lab.end.root_epoch, 5u);
  }
}

TEST_F(WalReaderTest, FramesLargerThanTheWindowAreRead) {
  WalLab lab;
  lab.wal.max_frame_bytes = size_t{32} << 10;
  ASSERT_TRUE(lab.Write(WriteLargeOnes).ok());
  const SimulationResult result = lab.Read();
  ASSERT_TRUE(result.ok()) << result.message;
  EXPECT_EQ(lab.ledger.replayed(), 10u);
}

TEST_F(WalReaderTest, DamageBeforeTheLastFrameIsDataLoss) {
  WalLab whole;
  ASSERT_TRUE(whole.Write(WriteTwenty).ok());
  const std::vector<LabFrame> frames = whole.Frames();
  ASSERT_EQ(frames.size(), 21u) << "with the empty one of the Close";
  for (size_t i = 0; i + 1 < frames.size(); ++i) {
    for (const bool lost : {false, true}) {
      WalLab lab;
      ASSERT_TRUE(lab.Write(WriteTwenty).ok());
      if (lost) {
        Overwrite(lab, frames[i]);
      } else {
        lab.simulation.disk().FlipBit(frames[i].path, frames[i].offset_bytes + 100, 3);
      }
      const SimulationResult result = lab.Read();
      EXPECT_TRUE(absl::IsDataLoss(result.status)) << i << ": " << result.message;
    }
  }
}

TEST_F(WalReaderTest, WithoutASearchForProofDamageIsTakenForTheEnd) {
  SetCanary("wal-no-proof");
  WalLab lab;
  ASSERT_TRUE(lab.Write(WriteTwenty).ok());
  const LabFrame damaged = lab.Frames()[3];
  lab.simulation.disk().FlipBit(damaged.path, damaged.offset_bytes + 100, 3);
  EXPECT_FALSE(absl::IsDataLoss(lab.Read().status));
  EXPECT_EQ(lab.end.seal.record, 3u);
}

TEST_F(WalReaderTest, ATornTailIsTheEnd) {
  WalLab lab;
  ASSERT_TRUE(lab.Write(WriteTwenty).ok());
  const std::vector<LabFrame> frames = lab.Frames();
  lab.simulation.disk().FlipBit(frames[20].path, frames[20].offset_bytes + 4'000, 0);
  const SimulationResult result = lab.Read();
  EXPECT_TRUE(result.ok()) << result.message;
  EXPECT_EQ(lab.end.seal.record, 20u);
  EXPECT_EQ(lab.end.seal.frame, 20u);
}

// What was only written may be lost in the middle; what is behind it does not count then.
TEST_F(WalReaderTest, AHoleThatNothingProvesIsTheEnd) {
  WalLab lab;
  lab.closes = false;
  ASSERT_TRUE(lab.Write(WriteOneDurable).ok());
  const std::vector<LabFrame> frames = lab.Frames();
  ASSERT_EQ(frames.size(), 6u);
  ASSERT_EQ(lab.ledger.durable(), 1u);
  lab.ledger.OnPowerCut();
  Overwrite(lab, frames[2]);
  const SimulationResult result = lab.Read();
  EXPECT_TRUE(result.ok()) << result.message;
  EXPECT_EQ(lab.end.seal.frame, 2u);
  EXPECT_EQ(lab.end.torn_frames, 3u);
}

TEST_F(WalReaderTest, AReadThatFailsIsNoEnd) {
  WalLab whole;
  ASSERT_TRUE(whole.Write(WriteTwenty).ok());
  for (const LabFrame& frame : whole.Frames()) {
    WalLab lab;
    ASSERT_TRUE(lab.Write(WriteTwenty).ok());
    lab.simulation.disk().faults().Add({.fault = SimFault::kError,
                                        .opcode = IoOpcode::kRead,
                                        .path_part = frame.path.substr(1),
                                        .offset_bytes = frame.offset_bytes,
                                        .argument = EIO});
    const SimulationResult result = lab.Read();
    EXPECT_EQ(result.end, SimulationEnd::kFinished);
    EXPECT_FALSE(result.status.ok());
    EXPECT_FALSE(absl::IsDataLoss(result.status)) << result.message;
    EXPECT_TRUE(lab.Read().ok()) << "again";
  }
}

TEST_F(WalReaderTest, ASealIsReachedExactly) {
  for (const bool canary : {false, true}) {
    SetCanary(canary ? "wal-ignore-seal" : "");
    WalLab lab;
    ASSERT_TRUE(lab.Write(WriteTwenty).ok());
    const WalFrameHeader last = lab.Frames()[11].header;
    lab.ledger.seal = {last.frame, last.checksum, 12};
    lab.ledger.BeginReplay();
    const SimulationResult result = lab.Read();
    EXPECT_EQ(lab.end.seal.record, canary ? 20u : 12u) << "what follows does not count";
  }
}

TEST_F(WalReaderTest, LessThanTheSealIsDataLoss) {
  WalLab lab;
  ASSERT_TRUE(lab.Write(WriteTwenty).ok());
  const WalFrameHeader last = lab.Frames()[20].header;
  for (const WalSeal& seal :
       {WalSeal{last.frame + 1, last.checksum, 20}, WalSeal{last.frame, last.checksum + 1, 20},
        WalSeal{last.frame, last.checksum, 21}}) {
    lab.ledger.seal = seal;
    EXPECT_TRUE(absl::IsDataLoss(lab.Read().status));
  }
  lab.ledger.seal = {last.frame, last.checksum, 20};
  EXPECT_TRUE(lab.Read().ok());
  lab.simulation.disk().FlipBit(lab.Frames()[20].path, lab.Frames()[20].offset_bytes + 9, 0);
  EXPECT_TRUE(absl::IsDataLoss(lab.Read().status)) << "the sealed frame itself is damaged";
}

Task<absl::Status> WriteTwentyOthers(WalLab* lab, WalWriter* log) {
  for (int i = 0; i < 20; ++i) {
    absl::Status status = co_await AppendAndWait(lab, log, 2'999, Durability::kDurable);
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

// Good frames of the right numbers, which do not follow the ones before.
TEST_F(WalReaderTest, FramesOfAnotherChainAreNotTaken) {
  WalLab lab;
  WalLab other;
  ASSERT_TRUE(lab.Write(WriteTwenty).ok());
  ASSERT_TRUE(other.Write(WriteTwentyOthers).ok());
  for (const uint64_t segment : {uint64_t{1}, uint64_t{2}}) {
    lab.simulation.disk().PutFile(lab.PathOf(segment),
                                  *other.simulation.disk().Contents(lab.PathOf(segment)));
  }
  const SimulationResult result = lab.Read();
  EXPECT_TRUE(absl::IsDataLoss(result.status)) << result.message;
}

// Rule 6: what could not be made durable is not served.
TEST_F(WalReaderTest, AReplayWhoseSyncFailsHasFailed) {
  for (const IoOpcode opcode : {IoOpcode::kFdatasync, IoOpcode::kFsync}) {
    WalLab lab;
    ASSERT_TRUE(lab.Write(WriteTwenty).ok());
    lab.simulation.disk().faults().Add({.fault = SimFault::kSyncDropsData, .opcode = opcode});
    EXPECT_TRUE(absl::IsInternal(lab.Read().status));
    EXPECT_TRUE(lab.Read().ok());
  }
}

TEST_F(WalReaderTest, AMissingSegmentIsDataLoss) {
  for (const uint64_t segment : {uint64_t{0}, uint64_t{1}}) {
    WalLab lab;
    ASSERT_TRUE(lab.Write(WriteTwenty).ok());
    lab.simulation.disk().PutFile(lab.PathOf(segment), "");
    EXPECT_TRUE(absl::IsDataLoss(lab.Read().status)) << "an empty file";
  }
  WalLab none;
  EXPECT_TRUE(absl::IsDataLoss(none.Read().status));
  none.expected.may_be_missing = true;
  EXPECT_TRUE(none.Read().ok());
  EXPECT_EQ(none.end.seal, WalSeal());
}

TEST_F(WalReaderTest, AFrameOfANewerRootIsDataLoss) {
  WalLab lab;
  ASSERT_TRUE(lab.Write(WriteTwenty).ok());
  WalLab older;
  older.stream.root_epoch = 4;
  for (uint64_t segment = 0; segment < 4; ++segment) {
    const auto content = lab.simulation.disk().Contents(lab.PathOf(segment));
    if (content.has_value()) older.simulation.disk().PutFile(older.PathOf(segment), *content);
  }
  EXPECT_TRUE(absl::IsDataLoss(older.Read().status));
}

TEST_F(WalReaderTest, AnotherStreamsFramesAreNone) {
  WalLab lab;
  ASSERT_TRUE(lab.Write(WriteTwenty).ok());
  const std::string content = *lab.simulation.disk().Contents(lab.PathOf(0));
  for (int what = 0; what < 4; ++what) {
    WalLab other;
    if (what == 0) other.stream.database = MakeUuid(3, 4);
    if (what == 1) ++other.stream.incarnation;
    if (what == 2) ++other.stream.stream;
    other.simulation.disk().PutFile(other.PathOf(0), content);
    ASSERT_EQ(other.Read().end, SimulationEnd::kFinished);
    EXPECT_EQ(other.end.seal.frame, 0u) << what;
    if (what == 2) break;
  }
}

TEST_F(WalReaderTest, SaltsDifferBySegment) {
  const WalStream stream = {MakeUuid(1, 2), 3, 4, 5};
  EXPECT_NE(WalSalt(stream, 0), WalSalt(stream, 1));
  // Golden.
  EXPECT_EQ(WalSalt(stream, 6), 10139420115453587615u);
  WalStream manifest = stream;
  manifest.kind = WalKind::kManifest;
  EXPECT_NE(WalSalt(manifest, 0), WalSalt(stream, 0));
  SetCanary("wal-salt-without-segment");
  EXPECT_EQ(WalSalt(stream, 0), WalSalt(stream, 1)) << "which the first line would find";
}

TEST_F(WalReaderTest, NamesOfSegments) {
  EXPECT_EQ(WalSegmentName(4, 17), "W-4-17");
  EXPECT_EQ(ParseWalSegmentName("W-4-17"), (WalSegmentId{4, 17}));
  EXPECT_EQ(ParseWalSegmentName("W-5-17"), (WalSegmentId{5, 17}));
  EXPECT_EQ(ParseWalSegmentName("W-44-17"), (WalSegmentId{44, 17}));
  EXPECT_EQ(WalSegmentName(4, 17, WalKind::kManifest), "M-4-17");
  EXPECT_EQ(ParseWalSegmentName("M-4-17"), (WalSegmentId{4, 17, WalKind::kManifest}));
  for (const char* const name : {"W-4-", "W-4-017", "W-4-17x", "W-4--1", "W-04-17", "W-4_17", "W-4",
                                 "W--17", "W-", "W-4-99999999999999999999", "X-4-17", ""}) {
    EXPECT_EQ(ParseWalSegmentName(name), std::nullopt) << name;
  }
}

// Whatever stands in the files: no crash, and no record that was not appended.
TEST_F(WalReaderTest, AnyBytesAreRead) {
  WalLab source;
  source.closes = false;
  ASSERT_TRUE(source.Write(WriteLargeOnes).ok());
  std::vector<std::string> contents;
  for (uint64_t segment = 0;; ++segment) {
    const auto content = source.simulation.disk().Contents(source.PathOf(segment));
    if (!content.has_value()) break;
    contents.push_back(*content);
  }
  Random random(1);
  uint64_t ended = 0;
  for (int round = 0; round < 400; ++round) {
    WalLab lab;
    for (uint64_t record = 1; record <= source.ledger.appended(); ++record) {
      lab.ledger.OnAppend(record, 13'000 + record - 1);
    }
    for (size_t segment = 0; segment < contents.size(); ++segment) {
      std::string content = contents[segment];
      const uint64_t changes = random.OneIn(3) ? random.Below(3) : 0;
      for (uint64_t i = 0; i < changes; ++i) {
        const size_t begin = random.Below(content.size());
        const size_t size = random.Below(std::min<size_t>(content.size() - begin, 6'000)) + 1;
        const size_t from = random.Below(content.size() - size + 1);
        // Random bytes, or those of another place.
        for (size_t j = 0; j < size; ++j) {
          content[begin + j] =
              i % 2 == 0 ? contents[segment][from + j] : static_cast<char>(random.Next());
        }
      }
      // Sometimes of a whole page, which may be one with a frame's begin.
      if (random.OneIn(8)) {
        const size_t to = random.Below(content.size() / 4096) * 4096;
        const size_t from = random.Below(content.size() / 4096) * 4096;
        content.replace(to, 4096, contents[random.Below(contents.size())].substr(from, 4096));
      }
      lab.simulation.disk().PutFile(lab.PathOf(segment), content);
    }
    const SimulationResult result = lab.Read();
    ASSERT_EQ(result.end, SimulationEnd::kFinished) << result.message;
    ASSERT_TRUE(result.status.ok() || absl::IsDataLoss(result.status)) << result.message;
    if (result.ok()) ++ended;
  }
  EXPECT_GT(ended, 10u);
}

}  // namespace
}  // namespace ioengine
