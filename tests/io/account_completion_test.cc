// AccountCompletion: what becomes of each raw result, as a table.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/io/io_operation.h"
#include "ioengine/io/io_request.h"

namespace ioengine {
namespace {

constexpr uint8_t kSectorShift = 9;
constexpr uint8_t kPageShift = 12;

struct Case {
  std::string name;
  IoOpcode opcode;
  uint8_t flags = kIoNone;
  uint8_t alignment_shift = 0;
  bool cancelled = false;
  std::vector<int32_t> raw;  // all but the last are to be followed by another start
  int32_t result = 0;
};

constexpr uint32_t kSize = 16384;
constexpr uint64_t kOffset = 1 << 20;

class AccountCompletionTest : public testing::TestWithParam<Case> {};

TEST_P(AccountCompletionTest, GivesTheResult) {
  const Case& given = GetParam();
  std::vector<std::byte> data(kSize);
  IoOperation operation;
  IoRequest& request = operation.command.request;
  request.opcode = given.opcode;
  request.flags = given.flags;
  request.alignment_shift = given.alignment_shift;
  request.size_bytes = kSize;
  request.offset_bytes = kOffset;
  request.data = data.data();
  operation.cancel_requested = given.cancelled;

  uint32_t done = 0;
  for (size_t i = 0; i < given.raw.size(); ++i) {
    int32_t result = given.raw[i];
    const bool last = i + 1 == given.raw.size();
    ASSERT_EQ(AccountCompletion(operation, &result),
              last ? IoOutcome::kFinished : IoOutcome::kStartAgain)
        << "result " << i;
    if (last) {
      EXPECT_EQ(result, given.result);
      return;
    }
    if (given.raw[i] > 0) done += static_cast<uint32_t>(given.raw[i]);
    EXPECT_EQ(request.offset_bytes, kOffset + done);
    EXPECT_EQ(request.size_bytes, kSize - done);
    EXPECT_EQ(request.data, data.data() + done);
  }
}

constexpr uint8_t kWhole = kIoWhole;
constexpr IoOpcode kRead = IoOpcode::kRead;
constexpr IoOpcode kWrite = IoOpcode::kWrite;

INSTANTIATE_TEST_SUITE_P(
    Transfers, AccountCompletionTest,
    testing::Values(
        Case{"whole_read", kRead, kWhole, 0, false, {16384}, 16384},
        Case{"whole_write", kWrite, kWhole, 0, false, {16384}, 16384},
        Case{"short_read_goes_on", kRead, kWhole, 0, false, {4096, 8192, 4096}, 16384},
        Case{"short_write_goes_on", kWrite, kWhole, 0, false, {1, 16382, 1}, 16384},
        Case{"short_read_is_left_short", kRead, kIoNone, 0, false, {100}, 100},
        Case{"short_write_is_left_short", kWrite, kIoNone, 0, false, {100}, 100},
        Case{"read_at_the_end", kRead, kWhole, 0, false, {0}, 0},
        Case{"read_meets_the_end", kRead, kWhole, 0, false, {5000, 0}, 5000},
        Case{"direct_read_ends_off_a_sector", kRead, kWhole, kSectorShift, false, {5000}, 5000},
        Case{"direct_read_ends_on_a_sector", kRead, kWhole, kSectorShift, false, {5120, 0}, 5120},
        // The rest would be a misaligned read, which the device refuses.
        Case{"direct_read_ends_off_a_page", kRead, kWhole, kPageShift, false, {4608}, 4608},
        Case{"direct_read_ends_on_a_page", kRead, kWhole, kPageShift, false, {4096, 0}, 4096},
        Case{"direct_read_ends_off_a_sector_later",
             kRead,
             kWhole,
             kSectorShift,
             false,
             {8192, 100},
             8292},
        // A write has no end of file to meet: what is left must be written, or fail.
        Case{"direct_write_ends_off_a_sector",
             kWrite,
             kWhole,
             kSectorShift,
             false,
             {5000, -EINVAL},
             -EINVAL},
        Case{"direct_write_goes_on", kWrite, kWhole, kSectorShift, false, {512, 15872}, 16384},
        Case{"write_without_progress", kWrite, kWhole, 0, false, {0}, -EIO},
        Case{"write_loses_progress", kWrite, kWhole, 0, false, {4096, 0}, -EIO},
        Case{"disk_full_in_the_middle", kWrite, kWhole, 0, false, {4096, -ENOSPC}, -ENOSPC},
        Case{"bad_sector_in_the_middle", kRead, kWhole, 0, false, {4096, -EIO}, -EIO}),
    [](const auto& parameter) { return parameter.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Interruptions, AccountCompletionTest,
    testing::Values(
        Case{"eintr", kRead, kWhole, 0, false, {-EINTR, 16384}, 16384},
        Case{"eagain", kWrite, kWhole, 0, false, {-EAGAIN, -EAGAIN, 16384}, 16384},
        Case{"eintr_between_parts", kRead, kWhole, 0, false, {4096, -EINTR, 12288}, 16384},
        Case{"eintr_of_open", IoOpcode::kOpen, kIoNone, 0, false, {-EINTR, 5}, 5},
        Case{"eagain_of_fdatasync", IoOpcode::kFdatasync, kIoNone, 0, false, {-EAGAIN, 0}, 0},
        Case{"eintr_of_fallocate", IoOpcode::kAllocate, kIoNone, 0, false, {-EINTR, 0}, 0},
        // The descriptor is gone, and may be another file's by now.
        Case{"eintr_of_close", IoOpcode::kClose, kIoNone, 0, false, {-EINTR}, -EINTR},
        Case{"eagain_of_close", IoOpcode::kClose, kIoNone, 0, false, {-EAGAIN}, -EAGAIN},
        Case{"failure_of_close", IoOpcode::kClose, kIoNone, 0, false, {-EIO}, -EIO}),
    [](const auto& parameter) { return parameter.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Cancelled, AccountCompletionTest,
    testing::Values(
        Case{"in_time", kRead, kWhole, 0, true, {-ECANCELED}, -ECANCELED},
        Case{"too_late", kRead, kWhole, 0, true, {16384}, 16384},
        Case{"too_late_with_an_error", kRead, kWhole, 0, true, {-EIO}, -EIO},
        // How the kernel ends work that runs in one of its threads.
        Case{"interrupted", kRead, kWhole, 0, true, {-EINTR}, -ECANCELED},
        Case{"interrupted_open", IoOpcode::kOpen, kIoNone, 0, true, {-EINTR}, -ECANCELED},
        Case{"not_tried_again", kRead, kWhole, 0, true, {-EAGAIN}, -ECANCELED},
        // The bytes so far would look like the end of the file.
        Case{"short_read", kRead, kWhole, 0, true, {4096}, -ECANCELED},
        Case{"short_write", kWrite, kWhole, 0, true, {4096}, -ECANCELED},
        Case{"at_the_end", kRead, kWhole, kSectorShift, true, {100}, 100}),
    [](const auto& parameter) { return parameter.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Others, AccountCompletionTest,
    testing::Values(Case{"descriptor", IoOpcode::kOpen, kIoNone, 0, false, {7}, 7},
                    Case{"no_such_file", IoOpcode::kOpen, kIoNone, 0, false, {-ENOENT}, -ENOENT},
                    Case{"fdatasync", IoOpcode::kFdatasync, kIoNone, 0, false, {0}, 0},
                    Case{"failed_fdatasync", IoOpcode::kFdatasync, kIoNone, 0, false, {-EIO}, -EIO},
                    Case{"stat", IoOpcode::kStat, kIoNone, 0, false, {0}, 0},
                    Case{"close", IoOpcode::kClose, kIoNone, 0, false, {0}, 0}),
    [](const auto& parameter) { return parameter.param.name; });

TEST(AccountCompletionBoundTest, InterruptionsAreTriedAgainSoOftenOnly) {
  for (const int error : {EINTR, EAGAIN}) {
    IoOperation operation;
    operation.command.request.opcode = IoOpcode::kRead;
    operation.command.request.size_bytes = kSize;
    int attempts = 0;
    int32_t result = 0;
    do {
      result = -error;
      ++attempts;
      ASSERT_LE(attempts, 1000);
    } while (AccountCompletion(operation, &result) == IoOutcome::kStartAgain);
    EXPECT_EQ(attempts, kMaxAttempts);
    EXPECT_EQ(result, -error);
  }
}

TEST(AccountCompletionBoundTest, AnEmptyWriteIsComplete) {
  IoOperation operation;
  operation.command.request.opcode = IoOpcode::kWrite;
  operation.command.request.flags = kIoWhole;
  int32_t result = 0;
  EXPECT_EQ(AccountCompletion(operation, &result), IoOutcome::kFinished);
  EXPECT_EQ(result, 0);
}

TEST(AccountCompletionDeathTest, MoreBytesThanWereAskedFor) {
  IoOperation operation;
  operation.command.request.opcode = IoOpcode::kRead;
  operation.command.request.size_bytes = 10;
  int32_t result = 11;
  EXPECT_DEATH(AccountCompletion(operation, &result), "more bytes than were asked for");
}

// A write with kIoThenSync: the raw results of its parts and of the fdatasync after them.
struct SyncCase {
  std::string name;
  std::vector<int32_t> raw;
  bool cancelled;
  int32_t result;
  IoOpcode last;  // what the error is to be named after
};

class ThenSyncTest : public testing::TestWithParam<SyncCase> {};

TEST_P(ThenSyncTest, TheResultIsThatOfTheWrite) {
  std::vector<std::byte> data(kSize);
  IoOperation operation;
  IoRequest& request = operation.command.request;
  request.opcode = kWrite;
  request.flags = kIoWhole | kIoThenSync;
  request.data = data.data();
  request.size_bytes = kSize;
  operation.cancel_requested = GetParam().cancelled;
  int32_t result = 0;
  for (size_t i = 0; i < GetParam().raw.size(); ++i) {
    result = GetParam().raw[i];
    const bool last = i + 1 == GetParam().raw.size();
    ASSERT_EQ(AccountCompletion(operation, &result),
              last ? IoOutcome::kFinished : IoOutcome::kStartAgain)
        << "result " << i;
  }
  EXPECT_EQ(result, GetParam().result);
  EXPECT_EQ(request.opcode, GetParam().last);
}

INSTANTIATE_TEST_SUITE_P(
    Writes, ThenSyncTest,
    testing::Values(SyncCase{"in_one_part", {16384, 0}, false, 16384, IoOpcode::kFdatasync},
                    SyncCase{"in_two_parts", {4096, 12288, 0}, false, 16384, IoOpcode::kFdatasync},
                    SyncCase{
                        "interrupted_sync", {16384, -EINTR, 0}, false, 16384, IoOpcode::kFdatasync},
                    SyncCase{"failed_write", {4096, -EIO}, false, -EIO, kWrite},
                    SyncCase{"failed_sync", {16384, -EIO}, false, -EIO, IoOpcode::kFdatasync},
                    SyncCase{"cancelled_before_the_sync", {16384}, true, -ECANCELED, kWrite}),
    [](const auto& parameter) { return parameter.param.name; });

// Such a write whose fdatasync the kernel had from the beginning: both raw results at once.
struct PairCase {
  std::string name;
  int32_t write;
  int32_t sync;
  bool cancelled;
  IoOutcome outcome;
  int32_t result;  // when finished
  IoOpcode next;   // what is still to be done, or what the error is to be named after
};

class LinkedPairTest : public testing::TestWithParam<PairCase> {};

TEST_P(LinkedPairTest, TheFirstThatWasNotDoneDecides) {
  const PairCase& expected = GetParam();
  std::vector<std::byte> data(kSize);
  IoOperation operation;
  IoRequest& request = operation.command.request;
  request.opcode = kWrite;
  request.flags = kIoWhole | kIoThenSync;
  request.data = data.data();
  request.size_bytes = kSize;
  operation.cancel_requested = expected.cancelled;
  int32_t result = expected.sync;
  EXPECT_EQ(AccountLinkedPair(operation, expected.write, &result), expected.outcome);
  if (expected.outcome == IoOutcome::kFinished) {
    EXPECT_EQ(result, expected.result);
  }
  EXPECT_EQ(request.opcode, expected.next);
}

constexpr IoOpcode kSync = IoOpcode::kFdatasync;
constexpr IoOutcome kDone = IoOutcome::kFinished;
constexpr IoOutcome kAgain = IoOutcome::kStartAgain;

INSTANTIATE_TEST_SUITE_P(
    Writes, LinkedPairTest,
    testing::Values(PairCase{"both", 16384, 0, false, kDone, 16384, kSync},
                    PairCase{"short_write", 4096, -ECANCELED, false, kAgain, 0, kWrite},
                    PairCase{"interrupted_write", -EINTR, -ECANCELED, false, kAgain, 0, kWrite},
                    PairCase{"failed_write", -EIO, -ECANCELED, false, kDone, -EIO, kWrite},
                    PairCase{"failed_sync", 16384, -EIO, false, kDone, -EIO, kSync},
                    PairCase{"interrupted_sync", 16384, -EINTR, false, kAgain, 0, kSync},
                    PairCase{"sync_not_run", 16384, -ECANCELED, false, kAgain, 0, kSync},
                    PairCase{"short_and_cancelled", 4096, -ECANCELED, true, kDone, -ECANCELED,
                             kWrite},
                    PairCase{"cancelled_sync", 16384, -ECANCELED, true, kDone, -ECANCELED, kSync},
                    PairCase{"cancelled_too_late", 16384, 0, true, kDone, 16384, kSync}),
    [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace ioengine
