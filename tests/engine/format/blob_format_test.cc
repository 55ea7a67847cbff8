#include "ioengine/engine/format/blob_format.h"

#include <array>
#include <cstddef>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/tests/engine/format/hex.h"

namespace ioengine {
namespace {

const BlobPointer kPointer = {MakeUuid(1, 2), 4096, 300};

TEST(BlobFormatTest, GoldenBytes) {
  EXPECT_EQ(Hex(EncodeBlobPointer(kPointer)),
            "01000000000040008200000000000000"  // file
            "8020"                              // offset
            "ac02");                            // bytes of the value
  const BlobPointer place = {MakeUuid(1, 2), 8192, 5};
  const auto head = EncodeBlobHead(place, "value");
  EXPECT_EQ(Hex(AsText(head)),
            "783be7968a1ab242"
            "05000000");
  std::array<std::byte, kBlobPageBytes> page;
  EncodeBlobFileHeader({MakeUuid(1, 2), MakeUuid(3, 4), false}, page);
  EXPECT_EQ(Hex(AsText(std::span(page).first(sizeof(BlobFileHeader)))),
            "ffb5d0745c88cf92"  // checksum
            "494f45424c4f4231"  // "IOEBLOB1"
            "01000000"
            "00000000"                            // version, moved
            "01000000000040008200000000000000"    // file
            "03000000000040008400000000000000");  // database
  for (const std::byte byte : std::span(page).subspan(sizeof(BlobFileHeader))) {
    ASSERT_EQ(byte, std::byte{0});
  }
}

TEST(BlobFormatTest, AnyBytesAreReadAsPointers) {
  const std::string encoded = EncodeBlobPointer(kPointer);
  BlobPointer pointer;
  ASSERT_TRUE(DecodeBlobPointer(encoded, &pointer));
  EXPECT_EQ(pointer, kPointer);
  for (size_t size = 0; size < encoded.size(); ++size) {
    EXPECT_FALSE(DecodeBlobPointer(encoded.substr(0, size), &pointer)) << size;
  }
  EXPECT_FALSE(DecodeBlobPointer(encoded + '\0', &pointer));
  for (size_t at = 0; at < encoded.size(); ++at) {
    std::string changed = encoded;
    for (const int value : {0, 1, 0x7f, 0x80, 0xff}) {
      changed[at] = static_cast<char>(value);
      if (DecodeBlobPointer(changed, &pointer)) {
        EXPECT_EQ(Hex(EncodeBlobPointer(pointer)), Hex(changed)) << at;
        EXPECT_LE(pointer.value_bytes, kMaxBlobBytes);
      }
    }
  }
}

TEST(BlobFormatTest, AValuePassesInItsPlaceOnly) {
  const BlobPointer place = {MakeUuid(1, 2), 8192, 5};
  const auto head = EncodeBlobHead(place, "value");
  EXPECT_EQ(CheckBlob(place, head, "value"), absl::OkStatus());
  EXPECT_TRUE(absl::IsDataLoss(CheckBlob(place, head, "valuf")));
  EXPECT_TRUE(absl::IsDataLoss(CheckBlob(place, head, "valu")));
  EXPECT_TRUE(absl::IsDataLoss(CheckBlob({place.file, 4096, 5}, head, "value")));
  EXPECT_TRUE(absl::IsDataLoss(CheckBlob({MakeUuid(1, 3), 8192, 5}, head, "value")));
  for (size_t at = 0; at < head.size(); ++at) {
    auto changed = head;
    changed[at] ^= std::byte{1};
    EXPECT_TRUE(absl::IsDataLoss(CheckBlob(place, changed, "value"))) << at;
  }
}

TEST(BlobFormatTest, AHeaderSaysWhoseFileItIs) {
  std::array<std::byte, kBlobPageBytes> page;
  const Uuid file = MakeUuid(1, 2);
  const BlobFileInfo info = {file, MakeUuid(3, 4), true};
  EncodeBlobFileHeader(info, page);
  const absl::StatusOr<BlobFileInfo> read = DecodeBlobFileHeader(page, file);
  EXPECT_TRUE(read.ok() && *read == info) << read.status();
  EXPECT_TRUE(absl::IsDataLoss(DecodeBlobFileHeader(page, MakeUuid(9, 9)).status()));
  EXPECT_TRUE(absl::IsDataLoss(DecodeBlobFileHeader(std::span(page).first(100), file).status()));
  for (size_t at = 0; at < page.size(); at += 61) {
    auto changed = page;
    changed[at] ^= std::byte{4};
    EXPECT_TRUE(absl::IsDataLoss(DecodeBlobFileHeader(changed, file).status())) << at;
  }
}

TEST(BlobFormatTest, NamesOfFiles) {
  const Uuid uuid = MakeUuid(0x1234, 0x5678);
  EXPECT_EQ(BlobFileName(uuid), "3412000000004000b856000000000000.blob");
  EXPECT_EQ(ParseBlobFileName(BlobFileName(uuid)), uuid);
  EXPECT_EQ(ParseBlobFileName("3412000000004000B856000000000000.blob"), std::nullopt);
  EXPECT_EQ(ParseBlobFileName("3412000000004000b856000000000000.sst"), std::nullopt);
  EXPECT_EQ(ParseBlobFileName("x412000000004000b856000000000000.blob"), std::nullopt);
  EXPECT_EQ(ParseBlobFileName(".blob"), std::nullopt);
}

}  // namespace
}  // namespace ioengine
