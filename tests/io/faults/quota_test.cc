// Limits that no test can set for real: a quota that is used up (EDQUOT), and a file that is as
// large as its file system allows (EFBIG).

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/sequential_writer.h"

namespace ioengine {
namespace {

using testing::HasSubstr;

constexpr size_t kPage = 4096;
constexpr DmaFileOptions kCreate = {.access = DmaFileOptions::Access::kReadWrite,
                                    .create = DmaFileOptions::Create::kIfMissing};

// What each way to take space gives, and whether it goes on afterwards.
struct Outcome {
  absl::Status written;
  absl::Status reserved;
  absl::Status appended;
  absl::Status made;
  absl::Status synced;
};

Task<absl::Status> TakeSpace(Shard& shard, SimFaults* faults, Outcome* outcome) {
  ShardIo& io = shard.io();
  absl::StatusOr<FileSystem> files = co_await FileSystem::Open(io, "/");
  if (!files.ok()) co_return files.status();
  absl::StatusOr<DmaFile> file = co_await files->OpenFile("x", kCreate);
  if (!file.ok()) co_return file.status();
  absl::StatusOr<DmaBuffer> buffer = io.AllocateBuffer(kPage);
  if (!buffer.ok()) co_return buffer.status();
  outcome->written = co_await file->Write(0, *buffer, kPage);
  outcome->reserved = co_await file->Preallocate(0, kPage);
  {
    SequentialWriter writer(io, *file, {.buffer_bytes = kPage});
    const std::vector<std::byte> bytes(kPage, std::byte{'q'});
    outcome->appended = co_await writer.Append(bytes);
    outcome->appended.Update(co_await writer.Finish(SequentialWriter::Sync::kNo));
  }
  outcome->made = co_await files->MakeDirectory("d");
  outcome->synced = co_await file->Fdatasync();
  // Then somebody raises the limit.
  faults->Clear();
  if (absl::Status s = co_await file->Write(0, *buffer, kPage); !s.ok()) co_return s;
  if (absl::Status s = co_await file->Preallocate(0, 2 * kPage); !s.ok()) co_return s;
  if (absl::Status s = co_await files->MakeDirectory("d"); !s.ok()) co_return s;
  if (absl::Status s = co_await file->Fdatasync(); !s.ok()) co_return s;
  co_return co_await file->Close();
}

Outcome WithLimit(int error) {
  Simulation simulation({.seed = 3});
  SimFaults& faults = simulation.disk().faults();
  for (const IoOpcode opcode :
       {IoOpcode::kWrite, IoOpcode::kAllocate, IoOpcode::kMakeDirectory, IoOpcode::kFdatasync}) {
    faults.Add({.fault = SimFault::kError,
                .opcode = opcode,
                .times = UINT64_MAX,
                .argument = static_cast<uint64_t>(error)});
  }
  Outcome outcome;
  const SimulationResult result = simulation.Run(TakeSpace, &faults, &outcome);
  EXPECT_TRUE(result.ok()) << result.message;
  return outcome;
}

TEST(QuotaTest, IsLikeAFullDiskAndSaysWhichFile) {
  const Outcome outcome = WithLimit(EDQUOT);
  for (const absl::Status* status :
       {&outcome.written, &outcome.reserved, &outcome.appended, &outcome.made, &outcome.synced}) {
    EXPECT_EQ(status->code(), absl::StatusCode::kResourceExhausted) << *status;
    EXPECT_THAT(std::string(status->message()), HasSubstr("quota"));
  }
  EXPECT_THAT(std::string(outcome.written.message()), HasSubstr("write //x"));
  EXPECT_THAT(std::string(outcome.appended.message()), HasSubstr("write //x"));
  EXPECT_THAT(std::string(outcome.reserved.message()), HasSubstr("fallocate //x"));
  EXPECT_THAT(std::string(outcome.made.message()), HasSubstr("mkdir //d"));
  EXPECT_THAT(std::string(outcome.synced.message()), HasSubstr("fdatasync //x"));
}

TEST(QuotaTest, AFileThatIsTooLargeIsOutOfRange) {
  const Outcome outcome = WithLimit(EFBIG);
  for (const absl::Status* status : {&outcome.written, &outcome.reserved, &outcome.appended}) {
    EXPECT_EQ(status->code(), absl::StatusCode::kOutOfRange) << *status;
    EXPECT_THAT(std::string(status->message()), HasSubstr("//x"));
  }
}

Task<absl::Status> WriteFarOut(Shard& shard) {
  absl::StatusOr<DmaFile> file = co_await DmaFile::Open(shard.io(), "/x", kCreate);
  if (!file.ok()) co_return file.status();
  absl::StatusOr<DmaBuffer> buffer = shard.io().AllocateBuffer(kPage);
  if (!buffer.ok()) co_return buffer.status();
  co_return co_await file->Write(uint64_t{1} << 50, *buffer, kPage);
}

// By the simulated file system's own limit.
TEST(QuotaTest, AWriteBehindTheLargestOffset) {
  Simulation simulation({});
  const absl::Status status = simulation.Run(WriteFarOut).status;
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("write /x (4096 bytes at offset 1125899"));
}

}  // namespace
}  // namespace ioengine
