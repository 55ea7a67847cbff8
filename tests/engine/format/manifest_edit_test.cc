#include "ioengine/engine/format/manifest_edit.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/tests/engine/format/hex.h"

namespace ioengine {
namespace {

ManifestEdit Example() {
  TableRecord table;
  table.identity = {.uuid = MakeUuid(1, 2),
                    .file_bytes = 8192,
                    .records = 5,
                    .records_hash = 0x0807060504030201,
                    .digest = 0x1817161514131211};
  table.run = 300;
  table.tier = 1;
  table.deletes = 2;
  table.key_bytes = 9;
  table.value_bytes = 10;
  table.largest_sequence = {4, 200};
  table.lower = "a";
  ManifestEdit edit;
  edit.added = {table, table};
  edit.added[1].upper = "bc";
  edit.added[1].blobs = {{MakeUuid(5, 6), 3, 5000}};
  edit.removed = {MakeUuid(3, 4)};
  edit.logs = {{.stream = 7,
                .record = 130,
                .segment = 2,
                .frame = 3,
                .first_record = 5,
                .previous_hash = 0x2827262524232221}};
  edit.finished = {6, 128};
  edit.batches = {{.coordinator = 3, .place = {5, 129}}};
  return edit;
}

TEST(ManifestEditTest, GoldenBytes) {
  const std::string table =
      "01000000000040008200000000000000"  // uuid
      "1112131415161718"
      "0102030405060708"  // digest, records' hash
      "ac02"
      "01"
      "8040"
      "05"  // run, tier, file bytes, records
      "02"
      "09"
      "0a"  // deletes, key bytes, value bytes
      "04"
      "c801"   // largest sequence
      "0161";  // lower
  EXPECT_EQ(Hex(EncodeManifestEdit(Example())),
            "02" + table + "00" + "00" + table + "01" + "026263" + "01" +
                "05000000000040008600000000000000" + "03" + "8827" + "01" +
                "03000000000040008400000000000000" + "01" + "07" + "8201" + "020305" +
                "2122232425262728" + "02" + "06" + "8001" + "01" + "03" + "05" + "8101");
}

TEST(ManifestEditTest, ComesBack) {
  ManifestEdit edit;
  ASSERT_TRUE(DecodeManifestEdit(AsBytes(EncodeManifestEdit(Example())), &edit));
  EXPECT_EQ(edit, Example());
  ASSERT_TRUE(DecodeManifestEdit(AsBytes(EncodeManifestEdit({})), &edit));
  EXPECT_TRUE(edit.empty());
}

TEST(ManifestEditTest, AnyBytesAreRead) {
  const std::string record = EncodeManifestEdit(Example());
  ManifestEdit edit;
  for (size_t size = 0; size < record.size(); ++size) {
    EXPECT_FALSE(DecodeManifestEdit(AsBytes(record.substr(0, size)), &edit)) << size;
  }
  EXPECT_FALSE(DecodeManifestEdit(AsBytes(record + '\0'), &edit));
  for (size_t at = 0; at < record.size(); ++at) {
    for (const int value : {0, 1, 2, 0x7f, 0x80, 0xff}) {
      std::string changed = record;
      changed[at] = static_cast<char>(value);
      // What is read at all is what those bytes say.
      if (DecodeManifestEdit(AsBytes(changed), &edit)) {
        EXPECT_EQ(Hex(EncodeManifestEdit(edit)), Hex(changed)) << at;
      }
    }
  }
}

TEST(ManifestEditTest, BoundsAreAroundTheKeys) {
  const std::string longest(kMaxKeyBytes, 'k');
  const std::string highest(kMaxKeyBytes, '\xff');
  for (const std::string& key : {std::string(), std::string("a"), std::string("a\0", 2),
                                 std::string(kMaxBoundBytes - 1, '\xff'), longest, highest}) {
    TableRecord table;
    table.lower = LowerBound(key);
    table.upper = UpperBound(key);
    EXPECT_TRUE(table.MayHave(key)) << key.size();
    EXPECT_LE(table.lower.size(), kMaxBoundBytes);
    EXPECT_LE(table.upper.value_or("").size(), kMaxBoundBytes);
  }
  EXPECT_EQ(UpperBound("ab"), std::string("ab\0", 3)) << "the very next key";
  EXPECT_EQ(UpperBound(highest), std::nullopt);
}

TEST(ManifestEditTest, NamesOfTables) {
  const Uuid uuid = MakeUuid(0x1234, 0x5678);
  const std::string name = TableFileName(uuid);
  EXPECT_EQ(name, "3412000000004000b856000000000000.sst");
  EXPECT_EQ(ParseTableFileName(name), uuid);
  std::string capitals = name;
  capitals[0] = 'A';
  for (const std::string& other :
       {capitals, name + "x", name.substr(1), std::string("x") + name.substr(1), std::string()}) {
    EXPECT_EQ(ParseTableFileName(other), std::nullopt) << other;
  }
}

}  // namespace
}  // namespace ioengine
