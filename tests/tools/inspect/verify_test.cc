// What ioengine-inspect finds wrong with a database that has tables.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/table/block_builder.h"
#include "ioengine/engine/table/block_format.h"
#include "ioengine/engine/table/table_footer.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/tests/io/test_directory.h"
#include "ioengine/tests/tools/inspect/inspect_fixture.h"
#include "ioengine/tools/inspect/print.h"
#include "ioengine/tools/inspect/report.h"
#include "ioengine/tools/inspect/table_scan.h"

namespace ioengine::inspect {
namespace {

class VerifyTest : public TablesTest {
 protected:
  DatabaseReport Inspect() const {
    const absl::StatusOr<DatabaseReport> report = InspectDatabase(path_);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report : DatabaseReport();
  }

  // That there is one problem, which has all of these.
  void ExpectProblem(const std::vector<std::string>& parts) {
    const DatabaseReport report = Inspect();
    ASSERT_EQ(report.problems.size(), 1u) << VerifyText(report);
    for (const std::string& part : parts) {
      EXPECT_NE(report.problems[0].find(part), std::string::npos)
          << part << " is not in " << report.problems[0];
    }
    EXPECT_EQ(RunTool("verify " + path_), 1);
  }

  // The first block of that kind in the file.
  BlockHandle FindBlock(const std::string& name, BlockKind kind) {
    const auto scan = InspectTable(path_ + "/" + name);
    EXPECT_TRUE(scan.ok()) << scan.status();
    for (const TableBlock& block : scan->blocks) {
      if (block.kind == kind) return block.handle;
    }
    ADD_FAILURE() << "there is no such block";
    return {};
  }
};

TEST_F(VerifyTest, AGoodDatabase) {
  const DatabaseReport report = Inspect();
  EXPECT_EQ(VerifyText(report), path_ + ": all is well\n");
  EXPECT_EQ(RunTool("verify " + path_), 0);
  ASSERT_TRUE(report.manifest.has_value());
  EXPECT_TRUE(report.manifest->is_whole);
  EXPECT_EQ(report.manifest->stream.records, 3u) << "snapshot and two flushes";
  ASSERT_EQ(report.tables.size(), 2u);
  ASSERT_EQ(report.streams.size(), 1u);
  EXPECT_EQ(report.streams[0].contained_record, 351u);
  EXPECT_EQ(report.streams[0].last_record, 372u);
  const std::string text = StatsText(report);
  EXPECT_NE(text.find("manifest 1: 3 segments"), std::string::npos) << text;
  EXPECT_NE(text.find("2 tables: "), std::string::npos) << text;
  EXPECT_NE(text.find(" 351 records, 1 deletes"), std::string::npos) << text;
  EXPECT_NE(Json(report).find("\"damage\": []"), std::string::npos);
}

TEST_F(VerifyTest, AndOneThatWasOpenedAgain) {
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(Read(path_).ok());
    EXPECT_EQ(VerifyText(Inspect()), path_ + ": all is well\n");
  }
}

TEST_F(VerifyTest, ADamagedBlockOfDataAndItsKeys) {
  const auto scan = InspectTable(path_ + "/" + Table(0));
  ASSERT_TRUE(scan.ok()) << scan.status();
  ASSERT_GT(scan->blocks.size(), 4u);
  const BlockHandle second = scan->blocks[1].handle;
  ASSERT_EQ(scan->blocks[2].kind, BlockKind::kData);
  const Block& before = scan->blocks[0].block;
  Flip(Table(0), second.offset_bytes + 50);
  ExpectProblem({Table(0), absl::StrCat("offset ", second.offset_bytes, ": damaged data"),
                 absl::StrCat("lost with it: keys from \"", before.KeyAt(before.size() - 1),
                              "\" to \"", scan->blocks[2].block.KeyAt(0), "\"")});
  const DatabaseReport report = Inspect();
  for (const TableReport& table : report.tables) {
    if (TableFileName(table.record.identity.uuid) != Table(0)) continue;
    ASSERT_EQ(table.damage.size(), 1u);
    EXPECT_EQ(table.damage[0].offset_bytes, second.offset_bytes);
    EXPECT_EQ(table.damage[0].size_bytes, second.size_bytes());
  }
}

TEST_F(VerifyTest, DamageToWhatLeadsThroughATable) {
  const std::string name = Table(0);
  struct Case {
    BlockKind kind;
    std::string problem;
    std::string lost;
  };
  const std::vector<Case> cases = {
      {BlockKind::kIndex, "damaged index", "keys from \"\" on (salvage finds"},
      {BlockKind::kFilter, "damaged filter", "no keys"},
      {BlockKind::kBounds, "damaged bounds", "keys from \"key1000\" to below \"key1299\\x00\""},
      {BlockKind::kFooter, "damaged index, bounds or footer", "keys from \"key1000\" to below"}};
  for (const Case& each : cases) {
    const BlockHandle block = FindBlock(name, each.kind);
    Flip(name, block.offset_bytes + 60);
    ExpectProblem({name, absl::StrCat("offset ", block.offset_bytes, ": ", each.problem),
                   "lost with it: " + each.lost});
    Flip(name, block.offset_bytes + 60);
  }
}

Task<absl::Status> WriteLargeTable(Shard& shard, std::string directory) {
  auto store = co_await ShardStore::Open(shard, directory, SmallOptions());
  if (!store.ok()) co_return store.status();
  absl::Status status = co_await PutKeys(**store, 0, 15'000, "large", Durability::kMemory);
  if (status.ok()) status = co_await (*store)->Flush();
  if (!status.ok()) co_return status;
  co_return co_await (*store)->Close();
}

// With a large index a part of it leads to a part of the keys.
TEST_F(VerifyTest, ADamagedBlockOfALargeIndex) {
  std::filesystem::remove_all(path_);
  const absl::Status written = runtime_->Submit(0, WriteLargeTable, path_).Wait();
  ASSERT_TRUE(written.ok()) << written;
  EXPECT_EQ(VerifyText(Inspect()), path_ + ": all is well\n");
  const auto scan = InspectTable(path_ + "/" + Table(0));
  ASSERT_TRUE(scan.ok()) << scan.status();
  std::vector<const TableBlock*> index;
  for (const TableBlock& block : scan->blocks) {
    if (block.kind == BlockKind::kIndex) index.push_back(&block);
  }
  ASSERT_GE(index.size(), 4u) << "three and the root";
  Flip(Table(0), index[1]->handle.offset_bytes + 40);
  ExpectProblem({Table(0),
                 absl::StrCat("offset ", index[1]->handle.offset_bytes, ": damaged index"),
                 absl::StrCat("lost with it: keys from \"", index[1]->block.KeyAt(0), "\" to \"",
                              index[2]->block.KeyAt(0), "\" (salvage")});
}

TEST_F(VerifyTest, ATableThatIsMissingOrAnotherOne) {
  const std::string first = Table(0);
  const std::string second = Table(1);
  std::filesystem::rename(path_ + "/" + first, directory_.File("kept"));
  ExpectProblem({first + " is missing", "keys from \"key1000\" to below \"key1299\\x00\""});
  std::filesystem::copy_file(path_ + "/" + second, path_ + "/" + first);
  DatabaseReport report = Inspect();
  ASSERT_EQ(report.problems.size(), 2u) << VerifyText(report);
  EXPECT_NE(report.problems[0].find(" bytes instead of "), std::string::npos) << report.problems[0];
  EXPECT_NE(report.problems[1].find("it is another table"), std::string::npos);
  std::filesystem::remove(path_ + "/" + first);
  std::filesystem::rename(directory_.File("kept"), path_ + "/" + first);
  EXPECT_EQ(RunTool("verify " + path_), 0);
  std::filesystem::resize_file(path_ + "/" + first, 40'000);
  report = Inspect();
  ASSERT_GE(report.problems.size(), 1u);
  EXPECT_NE(report.problems[0].find("it has 40000 bytes instead of"), std::string::npos);
  std::filesystem::remove(path_ + "/" + first);
  std::filesystem::create_directory(path_ + "/" + first);
  EXPECT_EQ(RunTool("verify " + path_), 2) << "it cannot be read";
}

TEST_F(VerifyTest, DamageToTheManifest) {
  // The snapshot, an edit in the middle, and a segment that is missing.
  Flip("M-1-0", 100);
  DatabaseReport report = Inspect();
  EXPECT_GE(report.problems.size(), 1u);
  EXPECT_NE(VerifyText(report).find("manifest 1: a frame says that "), std::string::npos)
      << VerifyText(report);
  EXPECT_NE(VerifyText(report).find("before offset 0 of M-1-0"), std::string::npos)
      << VerifyText(report);
  EXPECT_TRUE(report.orphans.empty()) << "nobody knows which tables are needed";
  Flip("M-1-0", 100);
  Flip("M-1-0", 8192 + 100);
  ExpectProblem({"manifest 1: a frame says that ", "before offset 8192 of M-1-0"});
  EXPECT_FALSE(Read(path_).ok());
  Flip("M-1-0", 8192 + 100);
  EXPECT_EQ(RunTool("verify " + path_), 0);
  std::filesystem::remove(path_ + "/M-1-0");
  report = Inspect();
  EXPECT_NE(VerifyText(report).find("manifest 1: its segment M-1-0 is missing"), std::string::npos)
      << VerifyText(report);
  EXPECT_EQ(RunTool("verify " + path_), 1);
}

TEST_F(VerifyTest, FilesThatNobodyNeedsAreWarnings) {
  const std::string table = "0123456789abcdef0123456789abcdef.sst";
  WriteWholeFile(path_ + "/" + table, std::string(4096, 'x'));
  WriteWholeFile(path_ + "/W-7-0", std::string(4096, '\0'));
  WriteWholeFile(path_ + "/M-7-0", std::string(4096, '\0'));
  std::filesystem::create_directory(path_ + "/M-8-0");
  DatabaseReport report = Inspect();
  EXPECT_TRUE(report.problems.empty()) << VerifyText(report);
  EXPECT_EQ(report.orphans, (std::vector<std::string>{"W-7-0", "M-7-0", table}));
  EXPECT_EQ(report.warnings.size(), 3u);
  EXPECT_EQ(RunTool("verify " + path_), 0);
  ASSERT_TRUE(Read(path_).ok());
  report = Inspect();
  EXPECT_TRUE(report.orphans.empty()) << VerifyText(report);
  for (const std::string& name : Files("", ".sst")) EXPECT_NE(name, table);
}

// Good checksums do not make up for what does not fit.
TEST_F(VerifyTest, WhatIsGoodByItselfAndDoesNotFit) {
  const std::string name = Table(1);
  std::fstream file(path_ + "/" + name, std::ios::binary | std::ios::in | std::ios::out);
  const uint64_t seed = TableSeed(*ParseTableFileName(name));
  const auto change = [&](BlockKind kind, auto how) {
    const BlockHandle handle = FindBlock(name, kind);
    std::vector<std::byte> bytes(handle.size_bytes());
    auto* const text = reinterpret_cast<char*>(bytes.data());
    file.seekg(static_cast<std::streamoff>(handle.offset_bytes));
    file.read(text, static_cast<std::streamsize>(bytes.size()));
    how(bytes);
    SealBlock(bytes, seed, handle.offset_bytes);
    file.seekp(static_cast<std::streamoff>(handle.offset_bytes));
    file.write(text, static_cast<std::streamsize>(bytes.size())).flush();
  };
  change(BlockKind::kFooter, [](std::vector<std::byte>& bytes) {
    bytes[sizeof(BlockHeader) + offsetof(TableFooter, deletes)] ^= std::byte{1};
  });
  ExpectProblem({name, "deletes of what it holds: 1, in its footer: 0, in the manifest: 1"});
  change(BlockKind::kFilter, [](std::vector<std::byte>& bytes) {
    std::fill(bytes.begin() + sizeof(BlockHeader), bytes.end(), std::byte{0});
  });
  std::string text = VerifyText(Inspect());
  EXPECT_NE(text.find("the filter lacks \"key1100\"; lost with it: key "), std::string::npos)
      << text;
  EXPECT_NE(text.find(": digest of what it holds: "), std::string::npos) << text;
  // The separator of the first block: no key stands at it any more.
  change(BlockKind::kIndex, [](std::vector<std::byte>& bytes) {
    BlockBuilder builder(1);
    const std::string handle = EncodeBlockHandle({0, 1});
    builder.Add({OperationKind::kPut, "key9", kMaxSequence, handle}, 0);
    builder.Encode(BlockKind::kIndex, bytes);
  });
  text = VerifyText(Inspect());
  EXPECT_NE(text.find("record 0 of the index "), std::string::npos) << text;
}

// Replay begins where the manifest says.
TEST_F(VerifyTest, SegmentsThatTablesContainAreNotNeeded) {
  const DatabaseReport before = Inspect();
  ASSERT_TRUE(before.manifest.has_value());
  const uint64_t begin = before.manifest->state.logs.at(1).segment;
  ASSERT_GT(begin, 0u);
  for (const std::string& name : Files("W-1-")) {
    if (ParseWalSegmentName(name)->segment < begin) std::filesystem::remove(path_ + "/" + name);
  }
  EXPECT_EQ(RunTool("verify " + path_), 0);
  Flip(WalSegmentName(1, begin), 100);
  ExpectProblem({"log 1: ", "before offset 0 of W-1-"});
}

TEST_F(VerifyTest, TablesWithoutARootAreDamage) {
  for (const std::string& name : Files("W-")) std::filesystem::remove(path_ + "/" + name);
  for (const std::string& name : Files("M-")) std::filesystem::remove(path_ + "/" + name);
  std::filesystem::remove(path_ + "/ROOT");
  ExpectProblem({"ROOT is missing, and there are tables"});
}

}  // namespace
}  // namespace ioengine::inspect
