// What ioengine-inspect says of blob files: numbers, damage, and what stands in them.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/format/blob_format.h"
#include "ioengine/engine/format/checksum.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/write_batch.h"
#include "ioengine/tests/io/test_directory.h"
#include "ioengine/tests/tools/inspect/blobs_fixture.h"
#include "ioengine/tools/inspect/blob_check.h"
#include "ioengine/tools/inspect/blob_reader.h"
#include "ioengine/tools/inspect/blob_scan.h"
#include "ioengine/tools/inspect/print.h"
#include "ioengine/tools/inspect/report.h"

namespace ioengine::inspect {
namespace {

class VerifyBlobsTest : public BlobsTest {
 protected:
  DatabaseReport Inspect() const {
    const absl::StatusOr<DatabaseReport> report = InspectDatabase(path_);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report : DatabaseReport();
  }
  std::string Verify(int expected_status) const {
    EXPECT_EQ(RunTool("verify " + path_), expected_status);
    return VerifyText(Inspect());
  }

  // Of a file, as another one of that name would have it.
  void WriteHeader(const std::string& name, const Uuid& database, uint32_t format_version) {
    std::string file = ReadWholeFile(path_ + "/" + name);
    const Uuid uuid = *ParseBlobFileName(name);
    std::vector<std::byte> page(kBlobPageBytes);
    EncodeBlobFileHeader({uuid, database, false}, page);
    StoreFixed(page.data() + offsetof(BlobFileHeader, format_version), format_version);
    const uint64_t seed =
        LoadFixed<uint64_t>(uuid.bytes.data()) ^ LoadFixed<uint64_t>(uuid.bytes.data() + 8);
    StoreFixed(page.data(), Checksum(std::span<const std::byte>(page).subspan(8), seed));
    file.replace(0, page.size(), std::string(AsText(page)));
    WriteWholeFile(path_ + "/" + name, file);
  }
};

TEST_F(VerifyBlobsTest, NumbersOfAGoodDatabase) {
  EXPECT_EQ(Verify(0), path_ + ": all is well\n");
  const DatabaseReport report = Inspect();
  const std::string text = StatsText(report);
  ExpectHas(text,
            "2 blob files: 65536 bytes, tables refer to 10 values of 10120 bytes, logs to 4 of "
            "8048; 39176 bytes of garbage; 0 files that nobody refers to\n");
  ExpectHas(text, "  " + OldBlobs() +
                      ": 45056 bytes, tables refer to 10 values of 10120 bytes, logs to 0 of 0; "
                      "30840 bytes of garbage\n");
  const std::string json = Json(report);
  ExpectHas(json, "\"table_values\": 10");
  ExpectHas(json, "\"log_bytes\": 8048");
}

TEST_F(VerifyBlobsTest, AFileThatNobodyRefersTo) {
  const std::string orphan = BlobFileName(MakeUuid(1, 2));
  WriteWholeFile(path_ + "/" + orphan, std::string(5000, 'x'));
  const DatabaseReport report = Inspect();
  EXPECT_EQ(report.orphans, std::vector<std::string>{orphan});
  ExpectHas(StatsText(report), "; 904 bytes of garbage; nobody refers to it\n");
  ExpectHas(Verify(0), "warning: " + orphan + ": nobody needs it");
}

TEST_F(VerifyBlobsTest, DamagedValues) {
  Flip(OldBlobs(), PageOf(1) + 500);
  std::string text = Verify(1);
  EXPECT_EQ(text, absl::StrCat(OldBlobs(), ", offset ", PageOf(1),
                               ": value of 1000 bytes: its checksum does not fit its bytes, or "
                               "they are another value's; lost with it: key \"key1003\" of ",
                               Table(0), "\n"));
  Flip(NewBlobs(), PageOf(2) + 3);
  text = Verify(1);
  ExpectHas(text, absl::StrCat(NewBlobs(), ", offset ", PageOf(2), ": value of 2000 bytes: "));
  ExpectHas(text, "lost with it: key \"key1002\" of record 3 of log 2\n");
  const DatabaseReport report = Inspect();
  EXPECT_EQ(report.problems.size(), 2u);
  ExpectHas(StatsText(report), "; 1 values are damaged or missing\n");
  ExpectHas(Json(report), "\"lost_values\": 1");
}

// Of which no segment has all.
Task<absl::Status> WriteLongRecord(Shard& shard, std::string directory) {
  const StoreOptions options = BlobOptionsForTests();
  auto store = co_await ShardStore::Open(shard, directory, options);
  if (!store.ok()) co_return store.status();
  WriteBatch batch;
  batch.Put("blob1", std::string(kNewBlobBytes, 'x'));
  for (int i = 0; i < 400; ++i) batch.Put(absl::StrCat("small", i), std::string(400, 's'));
  batch.Put("blob2", std::string(kNewBlobBytes, 'x'));
  auto written = co_await (*store)->Write(batch);
  if (!written.ok()) co_return written.status();
  co_return co_await (*store)->Close();
}

TEST_F(VerifyBlobsTest, ValuesOfARecordThatSpansSegments) {
  const std::string old_blobs = OldBlobs();
  const std::string new_blobs = NewBlobs();
  const absl::Status written = runtime_->Submit(0, WriteLongRecord, path_).Wait();
  ASSERT_TRUE(written.ok()) << written;
  EXPECT_EQ(Verify(0), path_ + ": all is well\n");
  for (const std::string& name : Files("", ".blob")) {
    if (name != old_blobs && name != new_blobs) std::filesystem::remove(path_ + "/" + name);
  }
  ExpectHas(Verify(1),
            ": it is missing; lost with it: 2 values of keys from \"blob1\" to \"blob2\"");
}

TEST_F(VerifyBlobsTest, AFileThatIsCutOrMissing) {
  std::filesystem::resize_file(path_ + "/" + OldBlobs(), PageOf(8) + 700);
  const std::string text = Verify(1);
  EXPECT_EQ(Inspect().problems.size(), 2u) << text;
  ExpectHas(text, absl::StrCat(OldBlobs(), ", offset ", PageOf(9),
                               ": value of 1000 bytes: the file has ", PageOf(8) + 700,
                               " bytes, and ends before it does; lost with it: key \"key1019\""));
  const std::string name = OldBlobs();
  std::filesystem::remove(path_ + "/" + name);
  EXPECT_EQ(Verify(1), name + ": it is missing; lost with it: 10 values of keys from \"key1001\" " +
                           "to \"key1019\"\n");
  ExpectHas(StatsText(Inspect()), name + ": 0 bytes, missing, tables refer to 10 values");
  std::filesystem::create_directory(path_ + "/" + name);
  ExpectHas(Verify(1), "; lost with it: 10 values");
}

TEST_F(VerifyBlobsTest, Headers) {
  const std::string name = OldBlobs();
  Flip(name, 100);
  EXPECT_EQ(Verify(1), name +
                           ", offset 0: its header is damaged, or it is another file's; lost with "
                           "it: no keys\n");
  const Uuid other = MakeUuid(1, 2);
  WriteHeader(name, other, kBlobFormatVersion);
  EXPECT_EQ(Verify(1), name + ", offset 0: it is of another database, " + other.ToString() +
                           "; lost with it: no keys\n");
  WriteHeader(name, other, kBlobFormatVersion + 1);
  EXPECT_EQ(RunTool("verify " + path_), 2);
  const absl::Status status = InspectDatabase(path_).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_EQ(RunTool("dump " + path_ + "/" + name), 2);
}

// Also of another file than it has.
TEST_F(VerifyBlobsTest, WhatTheManifestSaysOfATable) {
  const auto scan = InspectTable(path_ + "/" + Table(0));
  ASSERT_TRUE(scan.ok()) << scan.status();
  TableReport report;
  report.record = Inspect().tables.at(0).record;
  ASSERT_EQ(report.record.blobs.size(), 1u);
  const auto check = [&] {
    report.damage.clear();
    BlobCheck(path_, {}).CheckTable(*scan, report);
    std::string text;
    for (const TableDamage& damage : report.damage) absl::StrAppend(&text, damage.problem, "\n");
    return text;
  };
  EXPECT_EQ(check(), "");
  report.record.blobs[0].values = 9;
  EXPECT_EQ(check(), "it points to 10 values of 10120 bytes in " + OldBlobs() +
                         ", in the manifest: 9 values of 10120 bytes\n");
  report.record.blobs[0].file = MakeUuid(1, 2);
  const std::string text = check();
  ExpectHas(text, "it points to 0 values of 0 bytes in ");
  ExpectHas(text, ", in the manifest: 0 values of 0 bytes; the next open may remove that file\n");
}

TEST(BlobLossesTest, ManyAreSummedUp) {
  BlobLosses losses;
  const Uuid file = MakeUuid(1, 2);
  for (uint64_t i = 0; i < 20; ++i) {
    losses.Add({file, PageOf(i), 7}, absl::DataLossError("bad"), KeyOf(i), " here", i % 2 == 0);
  }
  const std::vector<std::string> lines = losses.Lines();
  ASSERT_EQ(lines.size(), BlobLosses::kMaxTold + 1);
  EXPECT_EQ(lines[0], BlobFileName(file) +
                          ", offset 4096: value of 7 bytes: bad; lost with it: key \"key1000\" "
                          "here, which has an older value now");
  EXPECT_EQ(lines.back(), BlobFileName(file) +
                              ": 20 values are damaged, and the first 16 are named; lost with it: "
                              "20 values of keys from \"key1000\" to \"key1019\", of which 10 have "
                              "an older value now");
}

TEST_F(BlobsTest, DumpsABlobFile) {
  const std::string path = path_ + "/" + NewBlobs();
  auto scan = InspectBlobs(path);
  ASSERT_TRUE(scan.ok()) << scan.status();
  std::string text = DumpText(*scan);
  ExpectHas(text, NewBlobs() + ": 20480 bytes, 4 values, 0 places with something else\n");
  ExpectHas(text, " of database ");
  ExpectHas(text, "at 4096: 2000 bytes, good\nat 8192: 2000 bytes, good\n");
  EXPECT_EQ(text.find("AAA"), std::string::npos) << "no values";
  ExpectHas(DumpJson(*scan), "\"value_bytes\": 2000");
  Flip(NewBlobs(), PageOf(0) + 100);
  Flip(NewBlobs(), PageOf(2) + 10);  // of its size
  std::filesystem::resize_file(path, PageOf(3) + 1000);
  scan = InspectBlobs(path);
  ASSERT_TRUE(scan.ok()) << scan.status();
  text = DumpText(*scan);
  ExpectHas(text, "at 4096: 2000 bytes, damaged: the checksum does not fit\n");
  ExpectHas(text, "at 8192: 2000 bytes, good\n");
  ExpectHas(text, "at 12288: 5096 bytes, torn or damaged: ");
  EXPECT_EQ(RunTool("dump " + path), 0);
  EXPECT_EQ(RunTool("dump --json " + path), 0);
}

TEST_F(BlobsTest, KnowsABlobFileByItsHeaderAndByItsName) {
  const std::string copy = directory_.File("copy");
  std::filesystem::copy_file(path_ + "/" + NewBlobs(), copy);
  auto file = InspectFile(copy);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->index(), 3u);
  EXPECT_TRUE(std::get<BlobScan>(*file).header.ok());
  EXPECT_EQ(std::get<BlobScan>(*file).values.size(), 4u);
  // Under another file's name.
  std::filesystem::rename(copy, path_ + "/" + OldBlobs());
  const std::string other = Files("", ".blob").at(0);
  const std::string first = Files("", ".blob").at(1);
  for (const std::string& name : {other, first}) {
    file = InspectFile(path_ + "/" + name);
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ(std::get<BlobScan>(*file).values.size(), 4u);
  }
  WriteWholeFile(path_ + "/" + other, "nothing");
  file = InspectFile(path_ + "/" + other);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->index(), 3u);
  ExpectHas(DumpText(std::get<BlobScan>(*file)), "header: it is cut short");
}

// A file in memory.
class BlobBytes {
 public:
  BlobBytes() : bytes_(kBlobPageBytes) {
    EncodeBlobFileHeader({uuid_, MakeUuid(5, 6), true}, bytes_);
  }

  uint64_t Add(std::string_view value) {
    const uint64_t at = bytes_.size();
    const auto head = EncodeBlobHead({uuid_, at, static_cast<uint32_t>(value.size())}, value);
    bytes_.insert(bytes_.end(), head.begin(), head.end());
    const std::span<const std::byte> body = AsBytes(value);
    bytes_.insert(bytes_.end(), body.begin(), body.end());
    return at;
  }
  void Pad() {
    bytes_.resize((bytes_.size() + kBlobPageBytes - 1) / kBlobPageBytes * kBlobPageBytes);
  }
  void Flip(uint64_t offset) { bytes_[offset] ^= std::byte{1}; }

  BlobScan Scan() const { return ScanBlobs(BlobFileName(uuid_), bytes_, uuid_); }

 private:
  const Uuid uuid_ = MakeUuid(3, 4);
  std::vector<std::byte> bytes_;
};

// Of values that stand behind each other only those are lost whose bytes are, if sizes are good.
TEST(BlobScanTest, GoesOnBehindDamage) {
  BlobBytes file;
  std::vector<uint64_t> at;
  for (int i = 0; i < 4; ++i) at.push_back(file.Add(std::string(3000, 'v')));
  file.Pad();
  at.push_back(file.Add(std::string(9000, 'w')));
  file.Pad();
  at.push_back(file.Add("last"));
  file.Pad();
  BlobScan scan = file.Scan();
  EXPECT_TRUE(scan.header.ok()) << scan.header;
  EXPECT_TRUE(scan.info.moved);
  ASSERT_EQ(scan.values.size(), 6u);
  EXPECT_TRUE(scan.other.empty());
  for (size_t i = 0; i < at.size(); ++i) {
    EXPECT_EQ(scan.values[i].offset_bytes, at[i]);
    EXPECT_TRUE(scan.values[i].is_good);
  }
  file.Flip(at[1] + 500);
  file.Flip(at[3] + 500);
  scan = file.Scan();
  ASSERT_EQ(scan.values.size(), 6u);
  for (size_t i = 0; i < at.size(); ++i) EXPECT_EQ(scan.values[i].is_good, i != 1 && i != 3);
  // With its size what stands behind it is lost, up to what was written next.
  file.Flip(at[1] + 9);
  scan = file.Scan();
  ASSERT_EQ(scan.values.size(), 3u);
  EXPECT_EQ(scan.values[1].offset_bytes, at[4]);
  ASSERT_EQ(scan.other.size(), 1u);
  EXPECT_EQ(scan.other[0].offset_bytes, at[1]);
  EXPECT_EQ(scan.other[0].offset_bytes + scan.other[0].size_bytes, at[4]);
}

TEST_F(BlobsTest, DumpsPointers) {
  const auto table = InspectTable(path_ + "/" + Table(0));
  ASSERT_TRUE(table.ok()) << table.status();
  const std::string old_uuid = ParseBlobFileName(OldBlobs())->ToString();
  const std::string new_uuid = ParseBlobFileName(NewBlobs())->ToString();
  std::string text = DumpText(*table, /*with_records=*/true);
  ExpectHas(text, ", blob " + old_uuid + " at 4096, 1000 bytes\n");
  ExpectHas(text, "  put \"key1002\", sequence ");
  ExpectHas(text, ", 7 bytes\n");
  EXPECT_EQ(text.find("delete \""), std::string::npos) << text;
  const std::string json = DumpJson(*table, /*with_records=*/true);
  ExpectHas(json, "\"file\": \"" + OldBlobs() + "\"");
  ExpectHas(json, "\"value_bytes\": 1000");
  const auto log = InspectSegment(path_ + "/W-2-0");
  ASSERT_TRUE(log.ok()) << log.status();
  text = DumpText(*log);
  ExpectHas(text, "1 puts, 0 deletes\n    put blob " + new_uuid + " at 4096, 2000 bytes\n");
  ExpectHas(DumpJson(*log), "\"file\": \"" + NewBlobs() + "\"");
  text.clear();
  for (const std::string& name : Files("M-")) {
    const auto manifest = InspectSegment(path_ + "/" + name);
    ASSERT_TRUE(manifest.ok()) << manifest.status();
    text += DumpText(*manifest) + DumpJson(*manifest);
  }
  ExpectHas(text, "      10 of its values in " + OldBlobs() + ", 10120 bytes\n");
  ExpectHas(text, "\"stored_bytes\": 10120");
}

}  // namespace
}  // namespace ioengine::inspect
