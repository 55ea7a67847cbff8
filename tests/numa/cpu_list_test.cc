#include "ioengine/numa/cpu_list.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ioengine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(CpuListTest, ParsesIdsAndRangesInTheOrderWritten) {
  EXPECT_THAT(ParseCpuList("0-3,8\n").value(), ElementsAre(0, 1, 2, 3, 8));
  EXPECT_THAT(ParseCpuList("4,0,2").value(), ElementsAre(4, 0, 2));
  EXPECT_THAT(ParseCpuList("7-7").value(), ElementsAre(7));
  EXPECT_THAT(ParseCpuList("1,1").value(), ElementsAre(1, 1));
  EXPECT_THAT(ParseCpuList(absl::StrCat(kMaxCpus - 1)).value(), ElementsAre(kMaxCpus - 1));
}

TEST(CpuListTest, EmptyTextIsTheEmptyList) {
  EXPECT_THAT(ParseCpuList("").value(), IsEmpty());
  EXPECT_THAT(ParseCpuList("\n").value(), IsEmpty());
}

TEST(CpuListTest, RefusesWhatIsNotAList) {
  for (const char* text :
       {"x", "0-", "-1", "-", "3-1", "0,,1", ",", "0,", "0 1", "0x10", "+1", "0-3:1/2", "1-2-3",
        "99999999999999999999", "0-99999999999", "8192", "0-8192", "0--1", "1\n2"}) {
    const auto parsed = ParseCpuList(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("write it like 0-3,8")) << text;
  }
}

TEST(CpuListTest, BoundsTheNumberOfIds) {
  EXPECT_EQ(ParseCpuList("0-8191").value().size(), 8192u);
  const auto parsed = ParseCpuList("0-8191,0");
  ASSERT_FALSE(parsed.ok());
  EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("more than 8192"));
  EXPECT_TRUE(ParseCpuList("0-1", 2).ok());
  EXPECT_FALSE(ParseCpuList("2", 2).ok());
  EXPECT_FALSE(ParseCpuList("0,1,0", 2).ok());
}

TEST(CpuListTest, QuotesGarbageInShortAndEscaped) {
  const auto parsed = ParseCpuList(std::string(10000, '\x01'));
  ASSERT_FALSE(parsed.ok());
  EXPECT_LT(parsed.status().message().size(), 300u);
  EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("\\x01"));
}

TEST(CpuListTest, FormatsTheShortestText) {
  EXPECT_EQ(FormatCpuList({}), "none");
  EXPECT_EQ(FormatCpuList({5}), "5");
  EXPECT_EQ(FormatCpuList({9, 0, 2, 1, 1, 4, 5}), "0-2,4-5,9");
}

}  // namespace
}  // namespace ioengine
