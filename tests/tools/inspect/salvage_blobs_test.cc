// What ioengine-inspect saves of values in blob files.

#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/tests/tools/inspect/blobs_fixture.h"
#include "ioengine/tools/inspect/salvage.h"
#include "ioengine/tools/inspect/salvage_parts.h"

namespace ioengine::inspect {
namespace {

class SalvageBlobsTest : public BlobsTest {
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
};

TEST_F(SalvageBlobsTest, AGoodDatabaseIsCopied) {
  const SalvageReport report = SalvageInto("copy");
  EXPECT_TRUE(report.lost.empty()) << report.lost[0];
  EXPECT_EQ(report.blob_values, 11u) << "keys 0 to 3, and 7 and on in the table";
  EXPECT_EQ(report.lost_blob_values, 0u);
  EXPECT_EQ(report.keys, All().size());
  EXPECT_TRUE(Saved("copy") == All());
  EXPECT_EQ(RunTool("salvage " + path_ + " " + directory_.File("second")), 0);
}

// An older value comes back, as behind a damaged block of a table, and is told.
TEST_F(SalvageBlobsTest, DamagedValues) {
  Flip(NewBlobs(), PageOf(0) + 100);  // key 0, before which there was a small value
  Flip(NewBlobs(), PageOf(1) + 100);  // key 1, before which there was a value in the other file
  Flip(NewBlobs(), PageOf(3) + 100);  // key 3, of which that is damaged too
  Flip(OldBlobs(), PageOf(1) + 100);
  Flip(OldBlobs(), PageOf(2) + 100);  // key 5, whose newest value is elsewhere
  Flip(OldBlobs(), PageOf(9) + 100);  // key 19
  Contents expected = All();
  expected[KeyOf(0)] = OldValueOf(0);
  expected[KeyOf(1)] = OldValueOf(1);
  expected.erase(KeyOf(3));
  expected.erase(KeyOf(19));
  const SalvageReport report = SalvageInto("damaged");
  EXPECT_EQ(report.lost_blob_values, 5u);
  ASSERT_EQ(report.lost.size(), 5u);
  std::string text;
  for (const std::string& lost : report.lost) absl::StrAppend(&text, lost, "\n");
  const std::string lost = absl::StrCat(", offset ", PageOf(0), ": value of 2000 bytes: ");
  ExpectHas(text, NewBlobs() + lost);
  ExpectHas(text, "; lost with it: key \"key1000\", which has an older value now\n");
  ExpectHas(text, "; lost with it: key \"key1001\", which has an older value now\n");
  ExpectHas(text, "; lost with it: key \"key1003\"\n");
  ExpectHas(text, "; lost with it: key \"key1019\"\n");
  EXPECT_EQ(text.find("key1005"), std::string::npos) << text;
  EXPECT_TRUE(Saved("damaged") == expected);
}

TEST_F(SalvageBlobsTest, AMissingFile) {
  const std::string name = NewBlobs();
  std::filesystem::remove(path_ + "/" + name);
  Contents expected = All();
  for (uint64_t i = 0; i < 4; ++i) expected[KeyOf(i)] = OldValueOf(i);
  const SalvageReport report = SalvageInto("missing");
  ASSERT_EQ(report.lost.size(), 1u);
  EXPECT_EQ(report.lost[0],
            name +
                ": it is missing; lost with it: 4 values of keys from \"key1000\" to "
                "\"key1003\", of which 4 have an older value now");
  EXPECT_TRUE(Saved("missing") == expected);
}

Task<absl::Status> MoveValues(Shard& shard, std::string directory) {
  StoreOptions options = BlobOptionsForTests();
  options.blobs.garbage_percent = 1;
  auto store = co_await ShardStore::Open(shard, directory, options);
  if (!store.ok()) co_return store.status();
  const absl::Status compacted = co_await (*store)->Compact();
  if (!compacted.ok()) co_return compacted;
  co_return co_await (*store)->Close();
}

// Without the manifest nobody knows which of two tables is in force: a pointer of the older one
// that leads nowhere is no loss.
TEST_F(SalvageBlobsTest, MovedValuesWithoutTheManifest) {
  const std::string old_blobs = OldBlobs();
  const std::string old_table = Table(0);
  std::filesystem::copy_file(path_ + "/" + old_table, directory_.File("kept"));
  const absl::Status moved = runtime_->Submit(0, MoveValues, path_).Wait();
  ASSERT_TRUE(moved.ok()) << moved;
  ASSERT_FALSE(std::filesystem::exists(path_ + "/" + old_blobs));
  ASSERT_FALSE(std::filesystem::exists(path_ + "/" + old_table));
  std::filesystem::rename(directory_.File("kept"), path_ + "/" + old_table);
  for (const std::string& name : Files("M-")) std::filesystem::remove(path_ + "/" + name);
  const SalvageReport report = SalvageInto("saved");
  EXPECT_TRUE(report.lost.empty()) << report.lost[0];
  EXPECT_EQ(report.blob_values, 11u);
  EXPECT_TRUE(Saved("saved") == All());
}

// Two tables have it, where a value was moved and nobody knows which of them is in force.
TEST(ChangesTest, AValueInTwoPlacesIsThereTwice) {
  Changes changes;
  changes.Add(OperationKind::kPut, "key", {1, 5}, "old");
  changes.Add(OperationKind::kPutBlob, "key", {1, 7}, "there");
  changes.Add(OperationKind::kPutBlob, "key", {1, 7}, "here");
  changes.Add(OperationKind::kPut, "key", {1, 3}, "older");
  const Changes::OfKey& all = changes.keys().at("key");
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[2].value, "old");
  changes.Add(OperationKind::kDelete, "key", {1, 6}, "");
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[2].kind, OperationKind::kDelete);
  changes.Add(OperationKind::kPut, "key", {1, 7}, "small");
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].value, "small");
}

}  // namespace
}  // namespace ioengine::inspect
