// The smallest parts of the format. Golden values: they must never change.

#include "ioengine/engine/format/coding.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "ioengine/engine/format/checksum.h"
#include "ioengine/engine/format/uuid.h"

namespace ioengine {
namespace {

std::string Varint(uint64_t value) {
  std::string bytes;
  AppendVarint(bytes, value);
  return bytes;
}

uint64_t Decoded(std::string_view bytes, bool* done) {
  Decoder decoder(AsBytes(bytes));
  const uint64_t value = decoder.Varint();
  *done = decoder.done();
  return value;
}

TEST(CodingTest, VarintsAreSevenBitsAByteTheLowestFirst) {
  EXPECT_EQ(Varint(0), std::string("\x00", 1));
  EXPECT_EQ(Varint(127), "\x7f");
  EXPECT_EQ(Varint(128), "\x80\x01");
  EXPECT_EQ(Varint(300), "\xac\x02");
  EXPECT_EQ(Varint(UINT64_MAX), "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
}

TEST(CodingTest, VarintsComeBack) {
  for (int bit = 0; bit < 64; ++bit) {
    for (const uint64_t value : {uint64_t{1} << bit, (uint64_t{1} << bit) - 1}) {
      const std::string bytes = Varint(value);
      EXPECT_EQ(bytes.size(), VarintBytes(value));
      bool done = false;
      EXPECT_EQ(Decoded(bytes, &done), value);
      EXPECT_TRUE(done);
      Decoded(bytes.substr(0, bytes.size() - 1), &done);
      EXPECT_FALSE(done) << "cut short";
    }
  }
}

TEST(CodingTest, VarintsThatAreLongerThanTheyMustOr64BitsAreRefused) {
  bool done = true;
  for (const std::string_view bytes :
       {std::string_view("\x80\x00", 2), std::string_view("\xff\x80\x00", 3),
        std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10),
        std::string_view("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11)}) {
    EXPECT_EQ(Decoded(bytes, &done), 0u);
    EXPECT_FALSE(done);
  }
}

TEST(CodingTest, ADecoderThatFailedGivesNothingMore) {
  Decoder decoder(
      AsBytes("\x05"
              "abc"
              "\x01"));
  EXPECT_EQ(decoder.Text(), "");
  EXPECT_FALSE(decoder.ok());
  EXPECT_EQ(decoder.Fixed<uint8_t>(), 0);
  EXPECT_EQ(decoder.Varint(), 0u);
  EXPECT_FALSE(decoder.done());
}

TEST(CodingTest, FixedNumbersAreLittleEndian) {
  std::byte bytes[4];
  StoreFixed<uint32_t>(bytes, 0x01020304);
  EXPECT_EQ(bytes[0], std::byte{4});
  EXPECT_EQ(Decoder(bytes).Fixed<uint32_t>(), 0x01020304u);
  EXPECT_EQ(LoadFixed<uint16_t>(bytes), 0x0304);
}

TEST(ChecksumTest, IsXxh3With64Bits) {
  EXPECT_EQ(Checksum({}, 0), 0x2d06800538d394c2u);
  EXPECT_NE(Checksum({}, 0), Checksum({}, 1));
  EXPECT_NE(Checksum(AsBytes("a"), 0), Checksum(AsBytes("b"), 0));
}

TEST(UuidTest, IsARandomOneOfVersion4) {
  EXPECT_EQ(MakeUuid(UINT64_MAX, UINT64_MAX).ToString(), "ffffffffffff4fffbfffffffffffffff");
  EXPECT_EQ(MakeUuid(0, 0).ToString(), "00000000000040008000000000000000");
}

}  // namespace
}  // namespace ioengine
