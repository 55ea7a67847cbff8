#include "ioengine/tools/benchmark/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace ioengine::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FlagsTest : public ::testing::Test {
 protected:
  FlagsTest() {
    flags_.AddString("dir", "DIR", "where", &dir_);
    flags_.AddSwitch("verify", "check", &verify_);
    flags_.AddBytes("block-size", "bytes", &block_size_);
    flags_.AddInteger("depth", "in flight", 1, 4096, &depth_);
    flags_.AddSeconds("duration", "of a run\nin all", &duration_);
  }

  absl::StatusOr<std::vector<std::string>> Parse(std::vector<std::string> words) {
    words.insert(words.begin(), "bench");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    return flags_.Parse(static_cast<int>(words.size()), argv.data());
  }

  std::string Complaint(std::vector<std::string> words) {
    return std::string(Parse(std::move(words)).status().message());
  }

  FlagSet flags_;
  std::string dir_ = "/var/tmp";
  bool verify_ = false;
  uint64_t block_size_ = 0;
  int64_t depth_ = 8;
  double duration_ = 5;
};

TEST_F(FlagsTest, ReadsBothForms) {
  const auto words = Parse({"--dir=/data", "--depth", "16", "--verify", "more"});
  ASSERT_TRUE(words.ok()) << words.status();
  EXPECT_THAT(*words, ElementsAre("more"));
  EXPECT_EQ(dir_, "/data");
  EXPECT_EQ(depth_, 16);
  EXPECT_TRUE(verify_);
  EXPECT_TRUE(flags_.given("depth"));
  EXPECT_FALSE(flags_.given("duration"));
}

TEST_F(FlagsTest, LeavesDefaultsAlone) {
  ASSERT_TRUE(Parse({}).ok());
  EXPECT_EQ(dir_, "/var/tmp");
  EXPECT_EQ(depth_, 8);
  EXPECT_EQ(duration_, 5);
  EXPECT_FALSE(verify_);
}

TEST_F(FlagsTest, NamesTheFlagInEveryComplaint) {
  EXPECT_THAT(Complaint({"--dpeth=3"}), HasSubstr("--dpeth=3: no such flag"));
  EXPECT_THAT(Complaint({"--depth"}), HasSubstr("--depth: needs a value"));
  EXPECT_THAT(Complaint({"--depth=0"}), HasSubstr("--depth=0: give a whole number from 1 to 4096"));
  EXPECT_THAT(Complaint({"--depth=4097"}), HasSubstr("--depth=4097"));
  EXPECT_THAT(Complaint({"--depth=3x"}), HasSubstr("--depth=3x"));
  EXPECT_THAT(Complaint({"--depth="}), HasSubstr("--depth="));
  EXPECT_THAT(Complaint({"--block-size=4q"}), HasSubstr("--block-size=4q: give a number of bytes"));
  EXPECT_THAT(Complaint({"--duration=-1"}), HasSubstr("--duration=-1: give a time above 0"));
  EXPECT_THAT(Complaint({"--verify=yes"}), HasSubstr("--verify=yes"));
  EXPECT_THAT(Complaint({"-x"}), HasSubstr("-x: no such flag"));
}

TEST_F(FlagsTest, CanBeParsedAgain) {
  EXPECT_FALSE(Parse({"--depth=3", "--bogus"}).ok());
  EXPECT_TRUE(Parse({"--depth=4"}).ok());
  EXPECT_EQ(depth_, 4);
}

TEST_F(FlagsTest, HelpListsEveryFlagAndIsKnownItself) {
  ASSERT_TRUE(Parse({"--help"}).ok());
  EXPECT_TRUE(flags_.help_wanted());
  const std::string help = flags_.Help();
  EXPECT_THAT(help, HasSubstr("  --block-size=BYTES         bytes\n"));
  EXPECT_THAT(help, HasSubstr("  --verify                   check\n"));
  EXPECT_THAT(help, HasSubstr("of a run\n                             in all\n"));
}

TEST(ParseBytesTest, KnowsUnits) {
  EXPECT_EQ(*ParseBytes("4096"), 4096u);
  EXPECT_EQ(*ParseBytes("4k"), 4096u);
  EXPECT_EQ(*ParseBytes("4KiB"), 4096u);
  EXPECT_EQ(*ParseBytes("1.5M"), 1572864u);
  EXPECT_EQ(*ParseBytes("2GiB"), uint64_t{2} << 30);
  EXPECT_EQ(*ParseBytes("1T"), uint64_t{1} << 40);
  for (const char* bad : {"", "k", "-1", "1.3", "1e30", "4 k", "nan", "inf", "0x10", "4kk"}) {
    EXPECT_FALSE(ParseBytes(bad).ok()) << bad;
  }
}

TEST(ParseSecondsTest, KnowsUnits) {
  EXPECT_DOUBLE_EQ(*ParseSeconds("2"), 2);
  EXPECT_DOUBLE_EQ(*ParseSeconds("0.5"), 0.5);
  EXPECT_DOUBLE_EQ(*ParseSeconds("500ms"), 0.5);
  EXPECT_EQ(*ParseSeconds("700ms"), 0.7) << "to the bit: it is printed";
  EXPECT_DOUBLE_EQ(*ParseSeconds("1m"), 60);
  for (const char* bad : {"", "0", "-1", "1y", "ms", "nan"}) {
    EXPECT_FALSE(ParseSeconds(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace ioengine::bench
