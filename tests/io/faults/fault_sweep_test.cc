// Each I/O of each public operation fails in each way that it can.

#include "ioengine/tests/io/faults/fault_sweep.h"

#include <cctype>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest-spi.h"
#include "gtest/gtest.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/tests/io/faults/io_program.h"
#include "ioengine/tests/io/faults/legal_errnos.h"

namespace ioengine {
namespace {

constexpr char kProgramFile[] = "tests/io/faults/io_program.cc";

Task<absl::Status> Program(Shard& shard, int run) {
  return RunIoProgram(&shard.io(), absl::StrCat("/r", run));
}

// A directory that is there already, and a file system without O_DIRECT, are nothing wrong.
bool LivesWith(const SimSiteUses& point, int error) {
  return (point.opcode == IoOpcode::kMakeDirectory && error == EEXIST) ||
         (point.opcode == IoOpcode::kOpen && error == EINVAL);
}

TEST(FaultSweepTest, EachSiteOfEachOperation) {
  FaultSweepOptions options;
  options.site_files = {kProgramFile};
  options.may_succeed = LivesWith;
  const FaultSweepCounts counts = FaultSweep(options, Program).Run();
  EXPECT_EQ(counts.opcodes.size(), static_cast<size_t>(kIoOpcodes)) << "an opcode is not used";
  EXPECT_GE(counts.cases, 2'000u);
  RecordProperty("sites", static_cast<int>(counts.sites));
  RecordProperty("points", static_cast<int>(counts.points));
  RecordProperty("cases", static_cast<int>(counts.cases));
  std::printf("%d sites, %d points (site and opcode), %d pairs of point and errno, %d cases\n",
              static_cast<int>(counts.sites), static_cast<int>(counts.points),
              static_cast<int>(counts.errnos), static_cast<int>(counts.cases));
}

std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The function whose parameters surround the place `at`.
std::string FunctionAround(const std::string& text, size_t at) {
  for (int depth = 0; at > 0; --at) {
    const char c = text[at - 1];
    if (c == ')') ++depth;
    if (c == '(' && depth-- == 0) break;
  }
  const size_t end = at == 0 ? 0 : at - 1;
  size_t begin = end;
  while (begin > 0 && (std::isalnum(static_cast<unsigned char>(text[begin - 1])) != 0)) --begin;
  return text.substr(begin, end - begin);
}

// So that a new operation is not forgotten.
TEST(FaultSweepTest, TheProgramUsesEachPublicOperation) {
  const std::string program = TextOf(kProgramFile);
  ASSERT_FALSE(program.empty());
  const std::string site = "IoSite site = std::source_location::current()";
  int operations = 0;
  for (const char* const header :
       {"io/dma_file.h", "io/file_system.h", "io/sequential_reader.h", "io/sequential_writer.h"}) {
    const std::string text = TextOf(header);
    for (size_t at = text.find(site); at != std::string::npos; at = text.find(site, at + 1)) {
      const std::string name = FunctionAround(text, at);
      EXPECT_NE(name, "");
      EXPECT_NE(program.find(name + "("), std::string::npos) << header << ": " << name;
      ++operations;
    }
  }
  EXPECT_GE(operations, 30) << "the headers look otherwise now";
}

// What the sweep is to find is found.

Task<absl::Status> IgnoresAnError(Shard& shard, int /*run*/) {
  constexpr DmaFileOptions kCreate = {.access = DmaFileOptions::Access::kReadWrite,
                                      .create = DmaFileOptions::Create::kIfMissing};
  absl::StatusOr<DmaFile> file = co_await DmaFile::Open(shard.io(), "/x", kCreate);
  if (!file.ok()) co_return file.status();
  static_cast<void>(co_await file->Fdatasync());
  co_return co_await file->Close();
}

TEST(FaultSweepTest, FindsAnErrorThatIsIgnored) {
  EXPECT_NONFATAL_FAILURE(
      {
        FaultSweepOptions options;
        options.may_succeed = [](const SimSiteUses& point, int error) {
          return point.opcode != IoOpcode::kFdatasync || error != EROFS;
        };
        options.most_uses = 0;
        FaultSweep(options, IgnoresAnError).Run();
      },
      "nobody was told of the error");
}

Task<absl::Status> LeaksOnError(Shard& shard, int run) {
  constexpr DmaFileOptions kCreate = {.access = DmaFileOptions::Access::kReadWrite,
                                      .create = DmaFileOptions::Create::kIfMissing};
  static DmaFile leaked;
  leaked = DmaFile();
  absl::StatusOr<DmaFile> file = co_await DmaFile::Open(shard.io(), "/x", kCreate);
  if (!file.ok()) co_return file.status();
  absl::Status status = co_await file->Truncate(4096);
  const bool too_large = status.message().find("too large") != absl::string_view::npos;
  if (too_large && run == 0) leaked = *std::move(file);
  co_return status;
}

TEST(FaultSweepTest, FindsAFileThatIsLeaked) {
  EXPECT_NONFATAL_FAILURE(
      {
        FaultSweepOptions options;
        options.most_uses = 0;
        options.may_succeed = [](const SimSiteUses& point, int error) {
          return point.opcode == IoOpcode::kOpen && error == EINVAL;
        };
        FaultSweep(options, LeaksOnError).Run();
      },
      "1 files are open");
}

// In a file of its own, so to say: a prefix that has one site more than the program reaches.
Task<absl::Status> ReachesHalf(Shard& shard, int run) {
  constexpr DmaFileOptions kReadOnly = {};
  shard.io().backend();
  absl::StatusOr<DmaFile> file = co_await DmaFile::Open(shard.io(), "/there", kReadOnly);
  if (run < 0) co_return co_await file->Fdatasync();
  co_return file.status();
}

TEST(FaultSweepTest, FindsASiteThatIsNotReached) {
  testing::TestPartResultArray failures;
  {
    testing::ScopedFakeTestPartResultReporter reporter(
        testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
    FaultSweepOptions options;
    options.site_files = {"tests/io/faults/fault_sweep_test.cc"};
    options.prepare = [](SimDisk& disk) { disk.PutFile("/there", "x"); };
    options.may_succeed = [](const SimSiteUses&, int error) { return error == EINVAL; };
    FaultSweep(options, ReachesHalf).Run();
  }
  std::string messages;
  for (int i = 0; i < failures.size(); ++i) messages += failures.GetTestPartResult(i).message();
  EXPECT_NE(messages.find("asks for I/O and was not reached"), std::string::npos) << messages;
}

}  // namespace
}  // namespace ioengine
