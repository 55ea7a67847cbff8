// Blocks in memory: what goes in comes out, and nothing else does.

#include "ioengine/engine/table/block.h"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/table/block_builder.h"
#include "ioengine/engine/table/block_format.h"
#include "ioengine/engine/table/separator.h"
#include "ioengine/sched/random.h"
#include "ioengine/tests/engine/format/hex.h"
#include "ioengine/tests/engine/table/table_records.h"

namespace ioengine {
namespace {

constexpr uint64_t kSeed = 0x1234'5678'9abc'def0;
constexpr uint64_t kOffset = 40960;

std::vector<std::byte> Encoded(const BlockBuilder& builder) {
  std::vector<std::byte> block(builder.pages() * kBlockPageBytes);
  builder.Encode(BlockKind::kData, block);
  SealBlock(block, kSeed, kOffset);
  return block;
}

std::vector<std::byte> BlockOf(const TableModel& model) {
  BlockBuilder builder(1);
  for (const auto& entry : model) {
    builder.Add(RecordOf(entry), Fingerprint(TableKeyHash(entry.first.key, kSeed)));
  }
  return Encoded(builder);
}

std::string TextAt(const Block& block, size_t at) {
  if (at >= block.size()) return "none";
  const Block::Record record = block.At(at);
  return ChangeText(block.KeyAt(at), record.sequence, record.kind, record.value);
}

std::string TextAt(const TableModel& model, TableModel::const_iterator at) {
  return at == model.end() ? "none" : ChangeText(*at);
}

void ExpectSame(const Block& block, const TableModel& model, Random& random) {
  ASSERT_EQ(block.size(), model.size());
  size_t at = 0;
  for (const auto& entry : model) ASSERT_EQ(TextAt(block, at++), ChangeText(entry));
  for (int i = 0; i < 300; ++i) {
    TablePlace place = {RandomTableKey(random), {random.Below(4), random.Below(1000)}};
    if (random.OneIn(2)) place = std::next(model.begin(), random.Below(model.size()))->first;
    if (random.OneIn(8)) place.sequence = kMaxSequence;
    const auto bound = model.lower_bound(place);
    EXPECT_EQ(TextAt(block, block.LowerBound(place.key, place.sequence)), TextAt(model, bound));
    const auto above = model.upper_bound(place);
    EXPECT_EQ(TextAt(block, block.Covering(place.key, place.sequence)),
              above == model.begin() ? "none" : ChangeText(*std::prev(above)));
    const size_t found = block.Find(place.key, TableKeyHash(place.key, kSeed), place.sequence);
    const bool is_there = bound != model.end() && bound->first.key == place.key;
    EXPECT_EQ(TextAt(block, found), is_there ? ChangeText(*bound) : "none");
  }
}

TEST(BlockTest, HoldsWhatWasAdded) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    const TableModel model = RandomTable(random, {.records = 1 + random.Below(200)});
    const std::vector<std::byte> bytes = BlockOf(model);
    ASSERT_TRUE(CheckBlock(bytes, BlockKind::kData, kSeed, kOffset).ok());
    const absl::StatusOr<Block> block = Block::Parse(bytes);
    ASSERT_TRUE(block.ok()) << block.status();
    ASSERT_NO_FATAL_FAILURE(ExpectSame(*block, model, random)) << "seed " << seed;
  }
}

TEST(BlockTest, NoBitCanBeFlippedUnseen) {
  Random random(1);
  std::vector<std::byte> bytes = BlockOf(RandomTable(random, {.records = 10}));
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    ASSERT_TRUE(absl::IsDataLoss(CheckBlock(bytes, BlockKind::kData, kSeed, kOffset))) << bit;
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
  }
  EXPECT_TRUE(CheckBlock(bytes, BlockKind::kData, kSeed, kOffset).ok());
  EXPECT_FALSE(CheckBlock(bytes, BlockKind::kData, kSeed, kOffset + 4096).ok()) << "misplaced";
  EXPECT_FALSE(CheckBlock(bytes, BlockKind::kData, kSeed + 1, kOffset).ok()) << "another file's";
  EXPECT_FALSE(CheckBlock(bytes, BlockKind::kIndex, kSeed, kOffset).ok()) << "another kind";
}

// With the checksum mended, it may hold anything, but must not read what is not its own (ASan).
TEST(BlockTest, AMutatedBlockIsRefusedOrReadWithinItself) {
  Random random(1);
  size_t refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::byte> bytes = BlockOf(RandomTable(random, {.records = 8}));
    const BlockHeader header = LoadBlockHeader(bytes);
    for (uint64_t n = 1 + random.Below(3); n > 0; --n) {
      // Mostly lengths and offsets, by a little or by much.
      const size_t end = random.OneIn(3) ? header.used_bytes : sizeof(header) + header.records * 8;
      std::byte& byte = bytes[8 + random.Below(end - 8)];
      byte = static_cast<std::byte>(
          random.OneIn(2) ? random.Below(256) : static_cast<uint64_t>(byte) + random.Below(16) - 8);
    }
    SealBlock(bytes, kSeed, kOffset);
    if (!CheckBlock(bytes, BlockKind::kData, kSeed, kOffset).ok()) continue;
    const absl::StatusOr<Block> block = Block::Parse(bytes);
    if (!block.ok()) {
      EXPECT_TRUE(absl::IsDataLoss(block.status()));
      ++refused;
      continue;
    }
    for (size_t at = 0; at < block->size(); ++at) TextAt(*block, at);
    const std::string key = RandomTableKey(random);
    TextAt(*block, block->LowerBound(key, kMaxSequence));
    TextAt(*block, block->Covering(key, kMaxSequence));
    TextAt(*block, block->Find(key, TableKeyHash(key, kSeed), kMaxSequence));
  }
  EXPECT_GT(refused, 2'000u);
}

struct Sizes {
  size_t blocks = 0;
  size_t pages = 0;
  size_t most_pages = 0;
  size_t data_bytes = 0;  // of keys and values
};

// Cuts records of up to `value_bytes` into blocks.
Sizes Cut(size_t value_bytes, bool vary, size_t least_pages) {
  Random random(value_bytes);
  BlockBuilder builder(least_pages);
  Sizes sizes;
  size_t used = 0;
  for (uint64_t i = 0; i < 3'000; ++i) {
    const std::string key = "user" + std::to_string(1'000'000 + i);
    const std::string value(vary ? random.Below(value_bytes + 1) : value_bytes, 'v');
    const BlockRecord record = {OperationKind::kPut, key, {1, i}, value};
    if (builder.IsFullBefore(record)) {
      ++sizes.blocks;
      sizes.pages += builder.pages();
      sizes.most_pages = std::max(sizes.most_pages, builder.pages());
      std::vector<std::byte> bytes = Encoded(builder);
      used += LoadBlockHeader(bytes).used_bytes;
      builder.Clear();
    }
    builder.Add(record, 0);
  }
  sizes.data_bytes = used;
  return sizes;
}

TEST(BlockTest, NoMoreThanATwentiethIsEmpty) {
  for (const size_t value_bytes : {0, 100, 1000, 1024, 2150, 3000, 4096, 9000, 33'000, 45'000}) {
    for (const bool vary : {false, true}) {
      const Sizes sizes = Cut(value_bytes, vary, 1);
      ASSERT_GT(sizes.blocks, 0u);
      const size_t bytes = sizes.pages * kBlockPageBytes;
      EXPECT_LE((bytes - sizes.data_bytes) * 20, bytes) << value_bytes << (vary ? " varying" : "");
      EXPECT_LE(sizes.most_pages, kMostBlockPages) << value_bytes;
    }
  }
  EXPECT_EQ(Cut(100, false, 1).most_pages, 1u) << "as few pages as possible";
  EXPECT_EQ(Cut(100, false, 4).most_pages, 4u);
}

TEST(SeparatorTest, IsTheShortestThatSeparates) {
  const auto key = [](std::string_view last, std::string_view next) {
    return SeparatorBetween(last, {1, 5}, next).key;
  };
  EXPECT_EQ(key("abcd", "abxyz"), "abx");
  EXPECT_EQ(key("abc", "abcd"), "abcd");
  EXPECT_EQ(key("", "zebra"), "z");
  const Separator versions = SeparatorBetween("a", {2, 5}, "a");
  EXPECT_EQ(versions.key, "a");
  EXPECT_TRUE(versions.sequence == (Sequence{2, 4}));
  EXPECT_TRUE(SeparatorBetween("a", {2, 0}, "a").sequence == (Sequence{1, UINT64_MAX}));
}

TEST(BlockTest, GoldenBytes) {
  const TableModel model = {{{"keyA", {1, 300}}, {OperationKind::kPut, "value"}},
                            {{"keyA", {1, 2}}, {OperationKind::kDelete, ""}},
                            {{"keyBcdefg", kMaxSequence}, {OperationKind::kPut, ""}}};
  const std::vector<std::byte> bytes = BlockOf(model);
  const size_t used = LoadBlockHeader(bytes).used_bytes;
  EXPECT_EQ(Hex(std::as_bytes(std::span(bytes).first(used))),
            "1aa5aefc92e3a89b"          // checksum
            "69424c4b0100000001000000"  // magic, kind, pages
            "550000000300000003000000"  // used bytes, records, prefix
            "000000413e000000"          // slots
            "0000004149000000"
            "656463424d000000"
            "cece98"                  // fingerprints
            "6b6579"                  // prefix
            "0101ac02054176616c7565"  // records
            "02010241"
            "8100426364656667");
}

}  // namespace
}  // namespace ioengine
