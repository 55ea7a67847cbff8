// The frames of the log. Golden bytes: they must never change.

#include "ioengine/engine/format/wal_frame.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/tests/engine/format/hex.h"

namespace ioengine {
namespace {

constexpr uint64_t kSalt = 0x1122334455667788;
constexpr uint64_t kOffset = 8192;

// A whole record "abc" and the first part "de" of another one.
std::vector<std::byte> MakeFrame() {
  std::vector<std::byte> frame(kWalPageBytes, std::byte{0xff});
  std::byte* to = frame.data() + sizeof(WalFrameHeader);
  StoreWalFragmentHead(to, 3, WalFragmentKind::kWhole);
  std::memcpy(to + kWalFragmentHeadBytes, "abc", 3);
  to += kWalFragmentHeadBytes + 3;
  StoreWalFragmentHead(to, 2, WalFragmentKind::kFirst);
  std::memcpy(to + kWalFragmentHeadBytes, "de", 2);
  WalFrameHeader header;
  header.salt = kSalt;
  header.frame = 5;
  header.previous_hash = 0xa1a2a3a4a5a6a7a8;
  header.durable_frame = 4;
  header.root_epoch = 3;
  header.first_record = 17;
  header.body_bytes = 15;
  header.record_count = 1;
  FinishWalFrame(header, kOffset, frame);
  return frame;
}

TEST(WalFrameTest, HasTheseBytes) {
  const std::vector<std::byte> frame = MakeFrame();
  EXPECT_EQ(Hex(std::as_bytes(std::span(frame).first(80))),
            "4c7a3e95fd74f042"    // checksum
            "8877665544332211"    // salt
            "0500000000000000"    // frame
            "a8a7a6a5a4a3a2a1"    // previous hash
            "0400000000000000"    // durable frame
            "0300000000000000"    // root epoch
            "1100000000000000"    // first record
            "0f00000001000000"    // body bytes, record count
            "0300000001616263"    // size, whole, bytes
            "0200000002646500");  // size, first, bytes, padding
  for (size_t i = 79; i < frame.size(); ++i) EXPECT_EQ(frame[i], std::byte{0}) << i;
}

TEST(WalFrameTest, SizesAreWholePages) {
  EXPECT_EQ(WalFrameBytes(0), kWalPageBytes);
  EXPECT_EQ(WalFrameBytes(kWalPageBytes - 64), kWalPageBytes);
  EXPECT_EQ(WalFrameBytes(kWalPageBytes - 63), 2 * kWalPageBytes);
  EXPECT_EQ(WalFrameBytes(kMaxWalBodyBytes), kMaxWalFrameBytes);
}

TEST(WalFrameTest, IsFoundWithItsSaltAndRoomOnly) {
  const std::vector<std::byte> frame = MakeFrame();
  const std::optional<WalFrameHeader> header = PeekWalFrame(frame, kSalt, kWalPageBytes);
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->frame, 5u);
  EXPECT_FALSE(PeekWalFrame(frame, kSalt + 1, kWalPageBytes).has_value());
  EXPECT_FALSE(PeekWalFrame(frame, kSalt, kWalPageBytes - 1).has_value());
  EXPECT_FALSE(PeekWalFrame(std::span(frame).first(63), kSalt, kWalPageBytes).has_value());
  EXPECT_TRUE(IsWalFrameIntact(*header, kOffset, frame));
  EXPECT_FALSE(IsWalFrameIntact(*header, kOffset + kWalPageBytes, frame)) << "another place";
}

TEST(WalFrameTest, SizesThatNoFrameHasAreRefused) {
  std::vector<std::byte> frame = MakeFrame();
  for (const uint32_t size : {static_cast<uint32_t>(kMaxWalBodyBytes + 1), UINT32_MAX}) {
    StoreFixed(frame.data() + offsetof(WalFrameHeader, body_bytes), size);
    EXPECT_FALSE(PeekWalFrame(frame, kSalt, UINT64_MAX).has_value());
  }
}

TEST(WalFrameTest, EachBitCounts) {
  std::vector<std::byte> frame = MakeFrame();
  for (size_t bit = 0; bit < 8 * frame.size(); ++bit) {
    const std::byte mask = std::byte{1} << (bit % 8);
    frame[bit / 8] ^= mask;
    const std::optional<WalFrameHeader> header = PeekWalFrame(frame, kSalt, kWalPageBytes);
    EXPECT_FALSE(header.has_value() && IsWalFrameIntact(*header, kOffset, frame)) << bit;
    frame[bit / 8] ^= mask;
  }
}

TEST(WalFrameTest, FragmentsComeBack) {
  const std::vector<std::byte> frame = MakeFrame();
  const std::span<const std::byte> bytes = frame;
  WalFragmentReader reader(bytes.subspan(sizeof(WalFrameHeader), 15));
  std::optional<WalFragment> fragment = reader.Next();
  ASSERT_TRUE(fragment.has_value());
  EXPECT_EQ(fragment->kind, WalFragmentKind::kWhole);
  EXPECT_EQ(AsText(fragment->bytes), "abc");
  fragment = reader.Next();
  ASSERT_TRUE(fragment.has_value());
  EXPECT_EQ(fragment->kind, WalFragmentKind::kFirst);
  EXPECT_EQ(AsText(fragment->bytes), "de");
  EXPECT_FALSE(reader.Next().has_value());
  EXPECT_TRUE(reader.good());
}

TEST(WalFrameTest, FragmentsThatMakeNoSenseEnd) {
  std::byte body[9] = {};
  for (const size_t size : {size_t{1}, size_t{4}}) {
    WalFragmentReader reader(std::span<const std::byte>(body, size));
    EXPECT_FALSE(reader.Next().has_value());
    EXPECT_FALSE(reader.good());
  }
  for (const int kind : {0, 5, 255}) {
    StoreWalFragmentHead(body, 4, static_cast<WalFragmentKind>(kind));
    WalFragmentReader reader(body);
    EXPECT_FALSE(reader.Next().has_value());
    EXPECT_FALSE(reader.good());
  }
  for (const uint32_t size : {uint32_t{5}, UINT32_MAX}) {
    StoreWalFragmentHead(body, size, WalFragmentKind::kWhole);
    WalFragmentReader reader(body);
    EXPECT_FALSE(reader.Next().has_value());
    EXPECT_FALSE(reader.good());
  }
}

}  // namespace
}  // namespace ioengine
