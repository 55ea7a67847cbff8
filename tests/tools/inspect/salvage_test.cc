// What ioengine-inspect saves of a damaged database that has tables.

#include "ioengine/tools/inspect/salvage.h"

#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/format/root_state.h"
#include "ioengine/tests/tools/inspect/inspect_fixture.h"
#include "ioengine/tools/inspect/report.h"
#include "ioengine/tools/inspect/table_scan.h"

namespace ioengine::inspect {
namespace {

class SalvageTest : public TablesTest {
 protected:
  SalvageReport SalvageInto(const std::string& name) {
    const absl::StatusOr<SalvageReport> report = Salvage(path_, directory_.File(name));
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report : SalvageReport();
  }
  Contents Saved(const std::string& name) {
    const absl::StatusOr<Contents> contents = Read(directory_.File(name));
    EXPECT_TRUE(contents.ok()) << contents.status();
    return contents.ok() ? *contents : Contents();
  }

  // Where nothing is lost but what leads to it.
  void ExpectAll(const std::string& name, bool with_manifest = true) {
    const SalvageReport report = SalvageInto(name);
    EXPECT_EQ(report.lost.size(), 0u) << report.lost[0];
    EXPECT_EQ(report.tables, 2u);
    EXPECT_EQ(report.table_records, 351u);
    // Without it nobody knows which frames tables contain, of which some may be left.
    EXPECT_TRUE(report.missing_frames == 0 || !with_manifest) << report.missing_frames;
    EXPECT_EQ(report.cut_records, 0u);
    EXPECT_EQ(report.keys, WhatWasWritten().size());
    EXPECT_TRUE(Saved(name) == WhatWasWritten()) << name;
    EXPECT_EQ(RunTool("verify " + directory_.File(name)), 0);
  }

  BlockHandle BlockOf(const std::string& name, BlockKind kind) {
    const auto scan = InspectTable(path_ + "/" + name);
    EXPECT_TRUE(scan.ok()) << scan.status();
    for (const TableBlock& block : scan->blocks) {
      if (block.kind == kind) return block.handle;
    }
    ADD_FAILURE() << "there is no such block";
    return {};
  }
};

TEST_F(SalvageTest, AGoodDatabaseIsCopied) {
  ExpectAll("copy");
  EXPECT_EQ(RunTool("salvage " + path_ + " " + directory_.File("second")), 0);
  EXPECT_EQ(RunTool("salvage " + path_ + " " + directory_.File("second")), 2) << "it is not empty";
}

TEST_F(SalvageTest, WithoutWhatLeadsThroughATable) {
  const std::string name = Table(0);
  for (const BlockKind kind :
       {BlockKind::kIndex, BlockKind::kFilter, BlockKind::kBounds, BlockKind::kFooter}) {
    const BlockHandle block = BlockOf(name, kind);
    Flip(name, block.offset_bytes + 70);
    ExpectAll(absl::StrCat("without_", BlockKindName(kind)));
    Flip(name, block.offset_bytes + 70);
  }
}

TEST_F(SalvageTest, WithoutTheManifest) {
  Flip("M-1-0", 8192 + 100);
  EXPECT_TRUE(absl::IsDataLoss(Read(path_).status()));
  ExpectAll("damaged", /*with_manifest=*/false);
  for (const std::string& name : Files("M-")) std::filesystem::remove(path_ + "/" + name);
  ExpectAll("missing", /*with_manifest=*/false);
  // Nor what says whose a table's blocks are, but its name.
  Flip(Table(0), SizeOf(Table(0)) - 4000);
  ExpectAll("no_footer", /*with_manifest=*/false);
}

TEST_F(SalvageTest, WithoutRoot) {
  for (const uint64_t slot : {0, 1, 2, 3}) Flip("ROOT", slot * kRootSlotBytes + 100);
  EXPECT_TRUE(absl::IsDataLoss(Read(path_).status()));
  ExpectAll("damaged", /*with_manifest=*/false);
  std::filesystem::remove(path_ + "/ROOT");
  ExpectAll("missing", /*with_manifest=*/false);
}

TEST_F(SalvageTest, WithoutABlockOfData) {
  const std::string name = Table(0);
  for (const std::string& log : Files("W-")) std::filesystem::remove(path_ + "/" + log);
  const auto scan = InspectTable(path_ + "/" + name);
  ASSERT_TRUE(scan.ok()) << scan.status();
  const TableBlock& second = scan->blocks[1];
  ASSERT_EQ(scan->blocks[2].kind, BlockKind::kData);
  Contents expected;
  for (uint64_t i = 0; i < 300; ++i) {
    expected[KeyOf(i)] = ValueOf(i, i >= 100 && i < 150 ? "two" : "one");
  }
  expected.erase(KeyOf(150));
  for (size_t at = 0; at < second.block.size(); ++at) expected.erase(second.block.KeyAt(at));
  Flip(name, second.handle.offset_bytes + 200);
  const SalvageReport report = SalvageInto("saved");
  EXPECT_EQ(report.table_records, 351 - second.block.size());
  const Block& before = scan->blocks[0].block;
  ASSERT_EQ(report.lost.size(), 1u);
  EXPECT_EQ(report.lost[0], absl::StrCat(name, ", offset ", second.handle.offset_bytes,
                                         ": keys from \"", before.KeyAt(before.size() - 1),
                                         "\" to \"", scan->blocks[2].block.KeyAt(0), "\""));
  EXPECT_TRUE(Saved("saved") == expected);
}

TEST_F(SalvageTest, WithoutATable) {
  const std::string name = Table(1);
  std::filesystem::remove(path_ + "/" + name);
  const SalvageReport report = SalvageInto("missing");
  ASSERT_EQ(report.lost.size(), 1u);
  EXPECT_NE(report.lost[0].find("keys from \"key1100\" to below \"key1150\\x00\""),
            std::string::npos)
      << report.lost[0];
  const Contents saved = Saved("missing");
  for (const auto& [key, value] : WhatWasWritten()) {
    if (key >= KeyOf(100) && key <= KeyOf(150)) continue;
    ASSERT_EQ(saved.count(key), 1u) << key;
    EXPECT_EQ(saved.at(key), value);
  }
}

TEST_F(SalvageTest, ATableThatCannotBeReadIsLost) {
  const std::string name = Table(1);
  std::filesystem::remove(path_ + "/" + name);
  std::filesystem::create_directory(path_ + "/" + name);
  const SalvageReport report = SalvageInto("unreadable");
  ASSERT_EQ(report.lost.size(), 1u);
  EXPECT_EQ(report.tables, 1u);
  EXPECT_EQ(Saved("unreadable").count(KeyOf(0)), 1u);
}

TEST_F(SalvageTest, WithoutTheEndOfATable) {
  const std::string name = Table(0);
  const auto scan = InspectTable(path_ + "/" + name);
  ASSERT_TRUE(scan.ok()) << scan.status();
  const uint64_t cut_bytes = scan->blocks[2].handle.offset_bytes;
  const std::string last = scan->blocks[1].block.KeyAt(scan->blocks[1].block.size() - 1);
  std::filesystem::resize_file(path_ + "/" + name, cut_bytes);
  const SalvageReport report = SalvageInto("cut");
  ASSERT_EQ(report.lost.size(), 1u);
  EXPECT_EQ(report.lost[0], absl::StrCat(name, ", offset ", cut_bytes, ": keys from \"", last,
                                         "\" to below \"key1299\\x00\""));
  const Contents saved = Saved("cut");
  EXPECT_EQ(saved.count(last), 1u);
  EXPECT_EQ(saved.count(KeyOf(309)), 1u) << "in the log";
}

// The newest change of a key may be in a table, and an older one in a log that it contains.
TEST_F(SalvageTest, WhatTablesContainOfALogDoesNotComeBack) {
  ASSERT_FALSE(Files("W-1-").empty());
  const SalvageReport whole = SalvageInto("whole");
  EXPECT_EQ(whole.records, 21u) << "what tables do not contain";
  Flip(Table(0), 100);
  const SalvageReport damaged = SalvageInto("damaged");
  EXPECT_GT(damaged.records, 21u) << "what is still there";
  const Contents saved = Saved("damaged");
  for (const auto& [key, value] : saved) EXPECT_EQ(WhatWasWritten().at(key), value) << key;
}

}  // namespace
}  // namespace ioengine::inspect
