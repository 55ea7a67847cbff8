// The parts of a table's format that block_test.cc does not have. Golden bytes: they must never
// change.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/record_hash.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/engine/table/block_format.h"
#include "ioengine/engine/table/bloom_filter.h"
#include "ioengine/engine/table/table_footer.h"
#include "ioengine/sched/random.h"
#include "ioengine/tests/engine/format/hex.h"

namespace ioengine {
namespace {

TableDescription SomeTable() {
  TableDescription table;
  table.info.uuid = MakeUuid(0x0102'0304'0506'0708, 0x090a'0b0c'0d0e'0f10);
  table.info.file_bytes = 10 * 4096;
  table.info.records = 1000;
  table.info.deletes = 10;
  table.info.keys = 900;
  table.info.key_bytes = 9000;
  table.info.value_bytes = 10'000;
  table.info.smallest_key = "aa";
  table.info.largest_key = "zzz";
  table.info.smallest_sequence = {1, 5};
  table.info.largest_sequence = {2, 1005};
  table.info.records_hash = 0x1111'2222'3333'4444;
  table.info.digest = 0x5555'6666'7777'8888;
  table.layout.data_bytes = 4 * 4096;
  table.layout.root = {5 * 4096, 1};
  table.layout.filter_offset_bytes = 6 * 4096;
  table.layout.filter = {100, 6};
  table.layout.bounds = {8 * 4096, 1};
  return table;
}

TEST(TableFormatTest, GoldenFooter) {
  std::vector<std::byte> page(kBlockPageBytes);
  EncodeTableFooter(SomeTable(), page);
  EXPECT_EQ(Hex(std::as_bytes(std::span(page).first(LoadBlockHeader(page).used_bytes))),
            "8d59e81692ff0b8c69424c4b0500000001000000c80000000000000000000000"
            "01000000060000000807060504034201900f0e0d0c0b0a0900a00000000000000040000000000000"
            "005000000000000000800000000000000100000001000000"
            "00600000000000006400000000000000e8030000000000000a00000000000000"
            "8403000000000000282300000000000010270000000000000100000000000000"
            "05000000000000000200000000000000ed030000000000004444333322221111"
            "8888777766665555");
  const absl::StatusOr<TableDescription> decoded = DecodeTableFooter(page, 10 * 4096);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  TableDescription table = SomeTable();
  TableInfo info = decoded->info;
  const std::string bounds = EncodeTableBounds(table.info);
  ASSERT_TRUE(DecodeTableBounds(std::as_bytes(std::span(bounds)), &info));
  EXPECT_EQ(info, table.info);
  EXPECT_EQ(decoded->layout.root, table.layout.root);
  EXPECT_EQ(decoded->layout.bounds, table.layout.bounds);
  EXPECT_EQ(decoded->layout.filter.buckets, table.layout.filter.buckets);
}

TEST(TableFormatTest, GoldenBoundsAndHandle) {
  EXPECT_EQ(Hex(EncodeTableBounds(SomeTable().info)),
            "02616103"
            "7a7a7a");
  EXPECT_EQ(Hex(EncodeBlockHandle({300 * 4096, 5})), "ac0205");
  BlockHandle handle;
  EXPECT_TRUE(DecodeBlockHandle("\x01\x02", 3 * 4096, &handle));
  EXPECT_EQ(handle, (BlockHandle{4096, 2}));
  EXPECT_FALSE(DecodeBlockHandle("\x01\x03", 3 * 4096, &handle)) << "leads out";
  EXPECT_FALSE(DecodeBlockHandle(std::string("\x01\x00", 2), 3 * 4096, &handle)) << "no pages";
  EXPECT_FALSE(DecodeBlockHandle("\x01\x02\x03", 3 * 4096, &handle)) << "more behind it";
}

TEST(TableFormatTest, GoldenRecordHash) {
  EXPECT_EQ(RecordHash(OperationKind::kPut, "key", {1, 2}, "value"), 4763190748344623820u);
  EXPECT_EQ(RecordHash(OperationKind::kDelete, "key", {1, 2}, ""), 15601993383361113258u);
}

TEST(BloomFilterTest, GoldenBits) {
  const BloomFilterShape shape = BloomFilterShape::For(100, 10);
  EXPECT_EQ(shape.buckets, 2u);
  EXPECT_EQ(shape.probes, 6u);
  std::vector<std::byte> page(kBlockPageBytes);
  shape.Insert(0x8123'4567'89ab'cdef, page);
  std::string bits;
  for (size_t bit = 0; bit < page.size() * 8; ++bit) {
    if ((page[bit / 8] & static_cast<std::byte>(1 << bit % 8)) != std::byte{0}) {
      bits += std::to_string(bit) + " ";
    }
  }
  EXPECT_EQ(bits, "1172 1292 1348 1445 1478 1528 ");
}

// How many of a million keys that are not there are said to be.
uint64_t FalsePositives(uint64_t keys, size_t bits_per_key) {
  Random random(keys);
  const BloomFilterShape shape = BloomFilterShape::For(keys, bits_per_key);
  std::vector<std::vector<std::byte>> pages(shape.pages(), std::vector<std::byte>(kBlockPageBytes));
  std::vector<uint64_t> hashes(keys);
  for (uint64_t& hash : hashes) {
    hash = random.Next();
    shape.Insert(hash, pages[shape.PageOf(hash)]);
  }
  for (const uint64_t hash : hashes) {
    if (!shape.MayContain(hash, pages[shape.PageOf(hash)])) return UINT64_MAX;
  }
  uint64_t positives = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    const uint64_t hash = random.Next();
    if (shape.MayContain(hash, pages[shape.PageOf(hash)])) ++positives;
  }
  return positives;
}

TEST(BloomFilterTest, SaysYesToAllKeysAndToFewOthers) {
  for (const uint64_t keys : {10, 1000, 100'000}) {
    EXPECT_LT(FalsePositives(keys, 10), 16'000u) << keys;
    EXPECT_LT(FalsePositives(keys, 16), 3'000u) << keys;
  }
  EXPECT_EQ(BloomFilterShape::For(0, 10).pages(), 0u);
  EXPECT_EQ(BloomFilterShape::For(10, 0).pages(), 0u);
}

}  // namespace
}  // namespace ioengine
