// The slots of ROOT: golden bytes, and bytes that may be anything.

#include "ioengine/engine/format/root_state.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/engine/format/checksum.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/tests/engine/format/hex.h"

namespace ioengine {
namespace {

RootState Example() {
  RootState state;
  state.epoch = 7;
  state.database = MakeUuid(1, 2);
  state.incarnation = 3;
  state.placement = {.kind = KeyPlacement::Kind::kRange, .prefix_bytes = 300};
  state.streams = {
      {.stream = 1,
       .incarnation = 2,
       .root_epoch = 5,
       .segment_bytes = size_t{64} << 20,
       .seal = RootSeal{.frame = 9, .record = 200, .hash = 0x0102030405060708}},
      {.stream = 4, .incarnation = 3, .root_epoch = 7, .segment_bytes = 4096, .seal = {}}};
  state.manifests = {{.stream = 6,
                      .incarnation = 3,
                      .root_epoch = 7,
                      .least = {.frame = 2, .record = 40, .hash = 0x1112131415161718}}};
  state.tablets = {{.number = 1, .lower = ""}, {.number = 300, .lower = "m"}};
  return state;
}

std::vector<std::byte> Slot(const RootState& state, size_t number) {
  std::vector<std::byte> slot(kRootSlotBytes, std::byte{0xff});
  EXPECT_EQ(EncodeRootSlot(state, number, slot), absl::OkStatus());
  return slot;
}

TEST(RootStateTest, GoldenBytes) {
  const std::vector<std::byte> slot = Slot(Example(), 2);
  EXPECT_EQ(Hex(AsText(slot).substr(8, 56)),
            "696f65524f4f5400"  // magic
            "01000000"
            "33000000"                          // format version, body bytes
            "0700000000000000"                  // epoch
            "01000000000040008200000000000000"  // database
            "0300000000000000"
            "0000000000000000");
  EXPECT_EQ(Hex(AsText(slot).substr(64, 60)),
            "01"
            "ac02"  // placement
            "02"
            "01020580808020"
            "01"
            "09c801"
            "0807060504030201"  // streams
            "0403078020"
            "00"  //
            "01"
            "060307"
            "0228"
            "1817161514131211"  // manifests
            "02"
            "0100"
            "ac02016d"  // tablets
            "01"        // complete
            "000000000000000000");
  EXPECT_EQ(LoadFixed<uint64_t>(slot.data()), 15694181095497524650u) << "checksum";
}

TEST(RootStateTest, ComesBack) {
  for (size_t number = 0; number < kRootSlots; ++number) {
    EXPECT_EQ(DecodeRootSlot(Slot(Example(), number), number).value(), Example());
    EXPECT_TRUE(absl::IsDataLoss(
        DecodeRootSlot(Slot(Example(), number), (number + 1) % kRootSlots).status()))
        << "a slot in another one's place";
  }
}

TEST(RootStateTest, EveryBitCounts) {
  std::vector<std::byte> slot = Slot(Example(), 0);
  for (size_t bit = 0; bit < slot.size() * 8; bit += bit < 8 * 128 ? 1 : 61) {
    const std::byte mask{static_cast<uint8_t>(1 << bit % 8)};
    slot[bit / 8] ^= mask;
    ASSERT_TRUE(absl::IsDataLoss(DecodeRootSlot(slot, 0).status())) << "bit " << bit;
    slot[bit / 8] ^= mask;
  }
}

// With a checksum that is right, so that what is behind it is read.
absl::StatusOr<RootState> DecodeMended(std::vector<std::byte> slot) {
  StoreFixed(slot.data(), Checksum(std::span(slot).subspan(8), 0));
  return DecodeRootSlot(slot, 0);
}

TEST(RootStateTest, ANewerFormatIsNamed) {
  std::vector<std::byte> slot = Slot(Example(), 0);
  slot[16] = std::byte{kFormatVersion + 1};
  const absl::Status status = DecodeMended(slot).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(status.message().find("format 2"), std::string::npos) << status;
}

TEST(RootStateTest, WhatMakesNoSenseIsDataLossWithAGoodChecksumToo) {
  const std::vector<std::byte> slot = Slot(Example(), 0);
  for (size_t at = 64; at < 128; ++at) {
    for (const int value : {0, 1, 2, 0x7f, 0x80, 0xff}) {
      std::vector<std::byte> changed = slot;
      changed[at] = static_cast<std::byte>(value);
      const absl::StatusOr<RootState> state = DecodeMended(changed);
      EXPECT_TRUE(state.ok() || absl::IsDataLoss(state.status())) << at << ": " << state.status();
    }
  }
  std::vector<std::byte> changed = slot;
  StoreFixed<uint32_t>(changed.data() + 20, UINT32_MAX);
  EXPECT_TRUE(absl::IsDataLoss(DecodeMended(changed).status())) << "a body of 4 GiB";
}

TEST(RootStateTest, TooMuchForASlotIsRefused) {
  RootState state = Example();
  state.streams.resize(5000);
  std::vector<std::byte> slot(kRootSlotBytes);
  EXPECT_TRUE(absl::IsResourceExhausted(EncodeRootSlot(state, 0, slot)));
}

}  // namespace
}  // namespace ioengine
