// What ioengine-inspect dumps of manifests and tables.

#include <filesystem>
#include <string>
#include <variant>

#include "gtest/gtest.h"
#include "ioengine/tests/io/test_directory.h"
#include "ioengine/tests/tools/inspect/inspect_fixture.h"
#include "ioengine/tools/inspect/print.h"
#include "ioengine/tools/inspect/report.h"
#include "ioengine/tools/inspect/table_scan.h"

namespace ioengine::inspect {
namespace {

void ExpectHas(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << part << " is not in\n" << text;
}

TEST_F(TablesTest, DumpsAManifest) {
  const auto segment = InspectSegment(path_ + "/M-1-0");
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_EQ(segment->kind, WalKind::kManifest);
  const auto next = InspectSegment(path_ + "/M-1-1");
  ASSERT_TRUE(next.ok()) << next.status();
  const std::string text = DumpText(*segment) + DumpText(*next);
  ExpectHas(text, "edit 1: ");
  ExpectHas(text, "added " + Table(0) + ": run 1, tier 0, ");
  ExpectHas(text, ", 300 records, 0 deletes, ");
  ExpectHas(text, "keys from \"key1000\" to below \"key1299\\x00\"");
  ExpectHas(text, "added " + Table(1) + ": run 2, ");
  ExpectHas(text, ", 51 records, 1 deletes, ");
  ExpectHas(text, "log 1: tables contain it up to record 300; replay begins at segment ");
  const std::string json = DumpJson(*segment);
  ExpectHas(json, "\"kind\": \"manifest\"");
  ExpectHas(json, "\"file\": \"" + Table(0) + "\"");
  ExpectHas(json, "\"removed\": []");
  ExpectHas(json, "\"first_record\": ");
}

TEST_F(TablesTest, DumpsATable) {
  const auto table = InspectTable(path_ + "/" + Table(1));
  ASSERT_TRUE(table.ok()) << table.status();
  std::string text = DumpText(*table, /*with_records=*/false);
  ExpectHas(text, Table(1) + ": ");
  ExpectHas(text, ": 51 records, 1 deletes, 51 keys, ");
  ExpectHas(text, "keys from \"key1100\" to \"key1150\"");
  ExpectHas(text, "filter: 1 buckets in 1 pages, 6 probes");
  ExpectHas(text, "at 0: data, ");
  for (const char* const kind : {": index, ", ": filter, 1 pages", ": bounds, ", ": footer, "}) {
    ExpectHas(text, kind);
  }
  EXPECT_EQ(text.find("  put "), std::string::npos);
  text = DumpText(*table, /*with_records=*/true);
  ExpectHas(text, "  put \"key1149\", sequence ");
  ExpectHas(text, "  delete \"key1150\", sequence ");
  EXPECT_EQ(text.find("vvv"), std::string::npos) << "no values";
  ExpectHas(DumpJson(*table, /*with_records=*/false), "\"largest_key\": \"\\\"key1150\\\"\"");
  ExpectHas(DumpJson(*table, /*with_records=*/true), "\"kind\": \"delete\"");
  EXPECT_EQ(RunTool("dump --records --json " + path_ + "/" + Table(1)), 0);
}

TEST_F(TablesTest, DumpsWhatIsGoodOfADamagedTable) {
  const std::string name = Table(0);
  const auto whole = InspectTable(path_ + "/" + name);
  ASSERT_TRUE(whole.ok()) << whole.status();
  ASSERT_TRUE(whole->damaged.empty());
  Flip(name, 4096 + 100);
  Flip(name, SizeOf(name) - 4000);
  const auto table = InspectTable(path_ + "/" + name);
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_TRUE(absl::IsDataLoss(table->footer)) << table->footer;
  ASSERT_EQ(table->damaged.size(), 2u);
  EXPECT_LE(table->damaged[0].offset_bytes, 4096u);
  EXPECT_EQ(table->damaged[1].offset_bytes, SizeOf(name) - 4096);
  EXPECT_EQ(table->blocks.size(), whole->blocks.size() - 2);
  ExpectHas(DumpText(*table, false), "damaged bytes: ");
  ExpectHas(DumpJson(*table, false), "\"footer\": null");
}

TEST_F(TablesTest, KnowsFilesByWhatIsInThem) {
  const auto index_of = [&](const std::string& path) {
    const auto file = InspectFile(path);
    EXPECT_TRUE(file.ok()) << file.status();
    return file.ok() ? file->index() : std::variant_npos;
  };
  const std::string copy = directory_.File("copy");
  const auto replace = std::filesystem::copy_options::overwrite_existing;
  std::filesystem::copy_file(path_ + "/M-1-0", copy, replace);
  EXPECT_EQ(index_of(copy), 1u);
  const auto segment = InspectSegment(copy);
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_EQ(segment->kind, WalKind::kManifest);
  std::filesystem::copy_file(path_ + "/" + Table(0), copy, replace);
  EXPECT_EQ(index_of(copy), 2u);
  // Without its footer its blocks tell, and without those its name.
  std::filesystem::resize_file(copy, 8192);
  EXPECT_EQ(index_of(copy), 2u);
  EXPECT_EQ(index_of(path_ + "/ROOT"), 0u);
  EXPECT_EQ(index_of(path_ + "/" + Files("W-").back()), 1u);
  WriteWholeFile(path_ + "/" + Table(0), "nothing");
  EXPECT_EQ(index_of(path_ + "/" + Files("", ".sst").back()), 2u);
}

}  // namespace
}  // namespace ioengine::inspect
