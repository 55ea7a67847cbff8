// What ioengine-inspect says of a database that is well, and of one that is not.

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/sched/future.h"
#include "ioengine/tests/io/test_directory.h"
#include "ioengine/tests/tools/inspect/inspect_fixture.h"
#include "ioengine/tools/inspect/print.h"
#include "ioengine/tools/inspect/report.h"
#include "ioengine/tools/inspect/salvage.h"

namespace ioengine::inspect {
namespace {

constexpr uint64_t kWrites = 20;

Task<absl::Status> WriteSome(Shard& shard, std::string directory) {
  StoreOptions options;
  options.wal.segment_bytes = size_t{64} << 10;
  options.wal.max_frame_bytes = size_t{16} << 10;
  options.wal_read.read_bytes = size_t{64} << 10;
  auto store = co_await ShardStore::Open(shard, directory, options);
  if (!store.ok()) co_return store.status();
  for (uint64_t i = 0; i < kWrites; ++i) {
    const std::string value(i * 300, 'v');
    auto written = co_await (*store)->Put(absl::StrCat("key", i), value);
    if (!written.ok()) co_return written.status();
  }
  auto deleted = co_await (*store)->Delete("key1");
  if (!deleted.ok()) co_return deleted.status();
  co_return co_await (*store)->Close();
}

class InspectTest : public testing::Test {
 protected:
  // Opened twice, so that there is a sealed stream.
  InspectTest() {
    auto runtime = Runtime::Start({.shard_count = 1});
    EXPECT_TRUE(runtime.ok()) << runtime.status();
    for (int i = 0; i < 2; ++i) {
      const absl::Status status = (*runtime)->Submit(0, WriteSome, path_).Wait();
      EXPECT_TRUE(status.ok()) << status;
    }
  }

  DatabaseReport Inspect() {
    const absl::StatusOr<DatabaseReport> report = InspectDatabase(path_);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report : DatabaseReport();
  }

  void Flip(const std::string& name, uint64_t offset_bytes) {
    std::fstream file(path_ + "/" + name, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(offset_bytes));
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(offset_bytes));
    file.put(byte);
    EXPECT_TRUE(file.good()) << name;
  }

  const TestDirectory directory_;
  const std::string path_ = directory_.File("db");
};

TEST_F(InspectTest, AGoodDatabase) {
  const DatabaseReport report = Inspect();
  EXPECT_EQ(VerifyText(report), path_ + ": all is well\n");
  ASSERT_EQ(report.streams.size(), 2u);
  for (const StreamReport& stream : report.streams) {
    EXPECT_EQ(stream.puts, kWrites);
    EXPECT_EQ(stream.deletes, 1u);
    EXPECT_EQ(stream.records, kWrites + 1);
    EXPECT_GT(stream.segments, 1u);
  }
  EXPECT_TRUE(report.streams[0].root.seal.has_value());
  EXPECT_FALSE(report.streams[1].root.seal.has_value());
  EXPECT_NE(StatsText(report).find("opened 2 times"), std::string::npos) << StatsText(report);
  EXPECT_NE(Json(report).find("\"problems\": []"), std::string::npos) << Json(report);
}

TEST_F(InspectTest, DumpsSlotsAndFrames) {
  const auto slots = InspectRoot(path_ + "/ROOT");
  ASSERT_TRUE(slots.ok()) << slots.status();
  EXPECT_NE(DumpText(*slots).find("log 1 of incarnation 1"), std::string::npos) << DumpText(*slots);
  EXPECT_NE(DumpJson(*slots).find("\"slot\": 3"), std::string::npos);
  const auto segment = InspectSegment(path_ + "/W-1-0");
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_NE(DumpText(*segment).find("frame 1, "), std::string::npos) << DumpText(*segment);
  EXPECT_EQ(DumpText(*segment).find("key1"), std::string::npos) << "no keys";
  EXPECT_NE(DumpJson(*segment).find("\"puts\": 1"), std::string::npos);
}

TEST_F(InspectTest, DamageIsNamed) {
  Flip("W-1-0", 5000);
  DatabaseReport report = Inspect();
  ASSERT_EQ(report.problems.size(), 1u) << VerifyText(report);
  EXPECT_NE(report.problems[0].find("log 1"), std::string::npos) << report.problems[0];
  Flip("W-1-0", 5000);
  Flip("W-2-0", 5000);
  report = Inspect();
  ASSERT_EQ(report.problems.size(), 1u) << VerifyText(report);
  EXPECT_NE(report.problems[0].find("log 2"), std::string::npos) << report.problems[0];
}

// The engine opens such a database: from the copy, and from the other pair.
TEST_F(InspectTest, ADamagedSlotWhoseCopyIsGoodIsAWarning) {
  for (const uint64_t slot : {0, 1, 2, 3}) {
    Flip("ROOT", slot * kRootSlotBytes + 3000);
    const DatabaseReport report = Inspect();
    EXPECT_EQ(report.problems.size(), 0u) << VerifyText(report);
    ASSERT_EQ(report.warnings.size(), 1u) << VerifyText(report);
    EXPECT_NE(report.warnings[0].find(absl::StrCat("slot ", slot, " of ROOT")), std::string::npos);
    EXPECT_TRUE(report.root.has_value());
    EXPECT_EQ(RunTool("verify " + path_), 0);
    Flip("ROOT", slot * kRootSlotBytes + 3000);
  }
  Flip("ROOT", 3000);
  Flip("ROOT", 3 * kRootSlotBytes + 3000);
  DatabaseReport report = Inspect();
  EXPECT_EQ(report.problems.size(), 0u) << "one of each pair: " << VerifyText(report);
  EXPECT_EQ(report.warnings.size(), 2u) << VerifyText(report);
  auto runtime = Runtime::Start({.shard_count = 1});
  ASSERT_TRUE(runtime.ok()) << runtime.status();
  const auto opened = (*runtime)->Submit(0, ReadContents, path_).Wait();
  EXPECT_TRUE(opened.ok()) << opened.status();
  report = Inspect();
  EXPECT_EQ(report.warnings.size(), 0u) << "opening it wrote them again: " << VerifyText(report);
  Flip("ROOT", 2 * kRootSlotBytes + 3000);
  Flip("ROOT", 3 * kRootSlotBytes + 3000);
  report = Inspect();
  EXPECT_EQ(report.problems.size(), 3u) << VerifyText(report);
  EXPECT_FALSE(report.root.has_value());
  EXPECT_EQ(RunTool("verify " + path_), 1);
}

// Damaged in the middle it does not open; what is not damaged is saved.
TEST_F(InspectTest, SalvagesWhatIsLeft) {
  Flip("W-2-0", 9000);
  auto runtime = Runtime::Start({.shard_count = 1});
  ASSERT_TRUE(runtime.ok()) << runtime.status();
  const auto opened = (*runtime)->Submit(0, ReadContents, path_).Wait();
  EXPECT_TRUE(absl::IsDataLoss(opened.status())) << opened.status();
  for (const bool with_root : {true, false}) {
    if (!with_root) std::filesystem::remove(path_ + "/ROOT");
    const std::string target = directory_.File(with_root ? "saved" : "saved without ROOT");
    const absl::StatusOr<SalvageReport> report = Salvage(path_, target);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->missing_frames, 1u);
    EXPECT_EQ(report->records, 2 * (kWrites + 1) - 1);
    const auto saved = (*runtime)->Submit(0, ReadContents, target).Wait();
    ASSERT_TRUE(saved.ok()) << saved.status();
    EXPECT_EQ(saved->size(), kWrites - 1) << "all that the first log has, but the deleted one";
    EXPECT_TRUE(absl::IsAlreadyExists(Salvage(path_, target).status()));
  }
  EXPECT_TRUE(absl::IsNotFound(Salvage(directory_.File("none"), directory_.File("x")).status()));
}

// In the middle of the log that is not sealed, and where it begins.
TEST_F(InspectTest, WhatOpenRefusesIsNotWell) {
  Flip("W-2-0", 13'000);
  DatabaseReport report = Inspect();
  ASSERT_EQ(report.problems.size(), 1u) << VerifyText(report);
  EXPECT_NE(report.problems[0].find("were durable"), std::string::npos) << report.problems[0];
  Flip("W-2-0", 13'000);
  std::filesystem::remove(path_ + "/W-1-0");
  report = Inspect();
  ASSERT_GE(report.problems.size(), 1u);
  EXPECT_NE(report.problems[0].find("W-1-0 is missing"), std::string::npos) << report.problems[0];
}

TEST_F(InspectTest, ASegmentThatWasCutShortIsNamed) {
  std::filesystem::resize_file(path_ + "/W-2-0", 8192);
  const DatabaseReport report = Inspect();
  ASSERT_GE(report.problems.size(), 1u);
  EXPECT_EQ(report.problems[0], "W-2-0 has 8192 bytes, and was made with 65536: it was cut short");
  EXPECT_EQ(RunTool("verify " + path_), 1);
  auto runtime = Runtime::Start({.shard_count = 1});
  ASSERT_TRUE(runtime.ok()) << runtime.status();
  const auto opened = (*runtime)->Submit(0, ReadContents, path_).Wait();
  EXPECT_TRUE(absl::IsDataLoss(opened.status())) << opened.status();
  EXPECT_NE(opened.status().message().find("W-2-0 has 8192 bytes"), std::string::npos)
      << opened.status();
}

TEST_F(InspectTest, WhatIsNoDatabase) {
  EXPECT_TRUE(absl::IsNotFound(InspectDatabase(directory_.path()).status()));
  EXPECT_TRUE(absl::IsNotFound(InspectSegment(path_ + "/W-9-9").status()));
  EXPECT_TRUE(absl::IsNotFound(InspectFile(path_ + "/x").status()));
  EXPECT_EQ(RunTool("verify " + directory_.File("none")), 2);
  EXPECT_EQ(RunTool("verify " + directory_.path()), 2);
  EXPECT_EQ(RunTool("verify " + path_ + "/ROOT"), 2);
  EXPECT_EQ(RunTool("dump " + path_), 2);
  EXPECT_EQ(RunTool("stats " + directory_.File("none")), 2);
  EXPECT_EQ(RunTool("check " + path_), 2);
  // Its creation was cut short: nothing was ever in force.
  const std::string cut = directory_.File("cut");
  std::filesystem::create_directory(cut);
  WriteWholeFile(cut + "/ROOT", std::string(1000, '\0'));
  EXPECT_EQ(RunTool("verify " + cut), 2);
}

TEST_F(InspectTest, StatusOneIsForDamageAlone) {
  EXPECT_EQ(RunTool("verify " + path_), 0);
  EXPECT_EQ(RunTool("stats --json " + path_), 0);
  std::filesystem::create_directory(path_ + "/W-9-9");  // not the engine's
  EXPECT_EQ(RunTool("verify " + path_), 0);
  Flip("W-1-0", 5000);
  EXPECT_EQ(RunTool("verify " + path_), 1);
  EXPECT_EQ(RunTool("verify --json " + path_), 1);
  EXPECT_EQ(RunTool("stats " + path_), 0);
  std::filesystem::remove(path_ + "/ROOT");
  EXPECT_EQ(RunTool("verify " + path_), 1) << "its log is there";
}

TEST_F(InspectTest, DumpsAFileOfAnyName) {
  const std::string root = directory_.File("a copy of ROOT");
  const std::string segment = directory_.File("a copy of a segment");
  std::filesystem::copy_file(path_ + "/ROOT", root);
  std::filesystem::copy_file(path_ + "/W-1-0", segment);
  auto file = InspectFile(root);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->index(), 0u);
  file = InspectFile(segment);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->index(), 1u);
  // With its front damaged, other frames tell; without any, the name does.
  std::fstream(segment, std::ios::binary | std::ios::in | std::ios::out) << std::string(4096, 'x');
  file = InspectFile(segment);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->index(), 1u);
  WriteWholeFile(segment, std::string(8192, 'x'));
  EXPECT_TRUE(absl::IsInvalidArgument(InspectFile(segment).status()));
  WriteWholeFile(directory_.File("W-1-7"), std::string(8192, 'x'));
  file = InspectFile(directory_.File("W-1-7"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->index(), 1u);
}

}  // namespace
}  // namespace ioengine::inspect
