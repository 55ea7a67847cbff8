#include "ioengine/tools/benchmark/io_stamp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ioengine::bench {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kSeed = 7;
constexpr uint64_t kOffset = 8192;

std::vector<std::byte> Stamped(uint64_t offset_bytes, uint64_t version) {
  std::vector<std::byte> bytes(4096);
  FillStamped(bytes, kSeed, offset_bytes, version);
  return bytes;
}

std::string Complaint(const std::vector<std::byte>& bytes) {
  return std::string(CheckStamped(bytes, kSeed, kOffset, 3).message());
}

TEST(IoStampTest, AcceptsWhatWasWritten) { EXPECT_EQ(Complaint(Stamped(kOffset, 3)), ""); }

TEST(IoStampTest, TellsWhatIsWrong) {
  EXPECT_THAT(Complaint(Stamped(kOffset + 4096, 3)), HasSubstr("the sector of offset 12288"));
  EXPECT_THAT(Complaint(Stamped(kOffset, 2)), HasSubstr("version 2 of it"));
  EXPECT_THAT(Complaint(std::vector<std::byte>(4096)), HasSubstr("only zeros"));
  std::vector<std::byte> foreign(4096, std::byte{0x55});
  EXPECT_THAT(Complaint(foreign), HasSubstr("no stamp"));
}

TEST(IoStampTest, SeesEveryDamagedBit) {
  const std::vector<std::byte> good = Stamped(kOffset, 3);
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::vector<std::byte> bad = good;
    bad[bit / 8] ^= std::byte{1} << (bit % 8);
    ASSERT_FALSE(CheckStamped(bad, kSeed, kOffset, 3).ok()) << bit;
  }
}

TEST(IoStampTest, SeesATornBlock) {
  std::vector<std::byte> torn = Stamped(kOffset, 3);
  const std::vector<std::byte> old = Stamped(kOffset, 2);
  std::copy(old.end() - 512, old.end(), torn.end() - 512);
  EXPECT_THAT(Complaint(torn), HasSubstr("at offset 11776"));
}

TEST(VersionMapTest, AWriteIsAlone) {
  VersionMap map(0, 65536, 4096);
  ASSERT_TRUE(map.TryClaim(8192, 8192, true));
  EXPECT_FALSE(map.TryClaim(8192, 4096, true));
  EXPECT_FALSE(map.TryClaim(12288, 4096, false));
  EXPECT_TRUE(map.TryClaim(16384, 4096, true));
  map.Release(8192, 8192, true, 1);
  EXPECT_TRUE(map.TryClaim(12288, 4096, false));
  EXPECT_TRUE(map.TryClaim(12288, 4096, false)) << "reads go side by side";
  EXPECT_FALSE(map.TryClaim(8192, 8192, true));
}

TEST(VersionMapTest, ChecksAgainstTheLastWrite) {
  VersionMap map(65536, 65536, 4096);
  std::vector<std::byte> bytes(8192);
  FillStamped(bytes, kSeed, 65536, 0);
  EXPECT_TRUE(map.Check(bytes, kSeed, 65536).ok()) << "the layout is version 0";

  const uint32_t version = map.NextVersion();
  ASSERT_TRUE(map.TryClaim(65536 + 4096, 4096, true));
  map.Release(65536 + 4096, 4096, true, version);
  EXPECT_THAT(std::string(map.Check(bytes, kSeed, 65536).message()), HasSubstr("version 0 of it"));
  FillStamped(std::span(bytes).subspan(4096), kSeed, 65536 + 4096, version);
  EXPECT_TRUE(map.Check(bytes, kSeed, 65536).ok());
}

}  // namespace
}  // namespace ioengine::bench
