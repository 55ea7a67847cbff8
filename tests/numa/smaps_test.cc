#include "ioengine/numa/smaps.h"

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ioengine {
namespace {

using testing::HasSubstr;

constexpr uintptr_t kStart = 0x7f1200000000;
constexpr uintptr_t kEnd = 0x7f1200400000;  // 4 MiB

constexpr char kBefore[] =
    "00400000-00500000 r-xp 00000000 08:01 12345                      /usr/bin/some: program\n"
    "Size:               1024 kB\n"
    "AnonHugePages:       512 kB\n"
    "VmFlags: rd ex mr mw me sd\n";
constexpr char kHeader[] = "7f1200000000-7f1200400000 rw-p 00000000 00:00 0 \n";
constexpr char kAfter[] =
    "7f1200400000-7f1200800000 rw-p 00000000 00:00 0 \n"
    "AnonHugePages:      4096 kB\n";

absl::StatusOr<size_t> Parse(const std::string& content) {
  const std::string path = testing::TempDir() + "/smaps";
  std::ofstream(path, std::ios::binary) << content;
  return AnonHugeBytes(path, kStart, kEnd);
}

TEST(SmapsTest, FindsTheMapping) {
  const std::string entry = absl::StrCat(kHeader, "Size:               4096 kB\n",
                                         "AnonHugePages:      2048 kB\n", "VmFlags: rd wr\n");
  EXPECT_EQ(Parse(absl::StrCat(kBefore, entry, kAfter)).value(), size_t{2048} * 1024);
  EXPECT_EQ(Parse(entry).value(), size_t{2048} * 1024);
}

TEST(SmapsTest, PadsLowAddressesAsTheKernelDoes) {
  const std::string path = testing::TempDir() + "/smaps";
  std::ofstream(path) << kBefore;
  EXPECT_EQ(AnonHugeBytes(path, 0x400000, 0x500000).value(), size_t{512} * 1024);
}

TEST(SmapsTest, LongFilesAreReadThroughASmallBuffer) {
  std::string content;
  for (int i = 0; i < 2000; ++i) content += kBefore;
  EXPECT_EQ(Parse(absl::StrCat(content, kHeader, "AnonHugePages:  4 kB\n")).value(), 4096u);
}

TEST(SmapsTest, OtherMappingsAreNotTakenForIt) {
  for (const std::string& content : {
           std::string(),
           absl::StrCat(kBefore, kAfter),
           absl::StrCat(kHeader, "Size: 4096 kB\n", kAfter),
           absl::StrCat("7f1200000000-7f12004000000 rw-p\n", "AnonHugePages: 4 kB\n"),
           absl::StrCat("7f1200000000-7f1200200000 rw-p\n", "AnonHugePages: 4 kB\n"),
       }) {
    EXPECT_EQ(Parse(content).status().code(), absl::StatusCode::kNotFound) << content;
  }
}

TEST(SmapsTest, RefusesWhatMakesNoSense) {
  for (const char* line : {"AnonHugePages: x kB\n", "AnonHugePages:\n", "AnonHugePages: -4 kB\n",
                           "AnonHugePages: 4 MB\n", "AnonHugePages: 4097 kB\n",
                           "AnonHugePages: 99999999999999999999999 kB\n"}) {
    const absl::StatusOr<size_t> parsed = Parse(absl::StrCat(kHeader, line));
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << line;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("7f1200000000-7f1200400000"));
  }
}

TEST(SmapsTest, BoundsTheLengthOfALine) {
  EXPECT_EQ(Parse(std::string(1 << 20, 'x')).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(SmapsTest, MissingFileIsNamed) {
  const absl::StatusOr<size_t> parsed = AnonHugeBytes("/nonexistent/smaps", kStart, kEnd);
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("/nonexistent/smaps"));
}

}  // namespace
}  // namespace ioengine
