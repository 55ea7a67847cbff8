// DmaFile over a scripted backend: what operations ask for, and what becomes of their results.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/tests/io/scripted_io_fixture.h"

namespace ioengine {
namespace {

using testing::HasSubstr;

class ScriptedTransferTest : public ScriptedIoFixture {
 protected:
  // Lets the pending operation end with each raw result in turn.
  Steps Results(const std::vector<int32_t>& results) {
    Steps steps;
    for (const int32_t result : results) {
      steps.push_back([this, result] {
        ASSERT_EQ(backend_.pending(), 1u);
        backend_.Finish(0, result);
      });
    }
    return steps;
  }

  absl::StatusOr<size_t> ReadWith(size_t size_bytes, const std::vector<int32_t>& results) {
    std::optional<absl::StatusOr<size_t>> result;
    Steps steps = Results(results);
    steps.insert(steps.begin(), [&] {
      executor_->Spawn(Read(&file_, 4096, Buffer(size_bytes), size_bytes, &result), 9);
    });
    Run(steps);
    return result.value_or(absl::UnknownError("did not finish"));
  }

  absl::Status WriteWith(size_t size_bytes, const std::vector<int32_t>& results,
                         WriteOptions options = {}) {
    std::optional<absl::Status> result;
    Steps steps = Results(results);
    steps.insert(steps.begin(), [&] {
      executor_->Spawn(Write(&file_, 8192, Buffer(size_bytes), size_bytes, options, &result));
    });
    Run(steps);
    return result.value_or(absl::UnknownError("did not finish"));
  }
};

TEST_F(ScriptedTransferTest, AReadAsksForWhatItWasTold) {
  OpenFile();
  EXPECT_EQ(*ReadWith(12288, {12288}), 12288u);
  ASSERT_EQ(backend_.requests.size(), 1u);
  const IoRequest& request = backend_.requests[0];
  EXPECT_EQ(request.opcode, IoOpcode::kRead);
  EXPECT_EQ(request.fd, ScriptedBackend::kFirstFd);
  EXPECT_GE(request.registered_file, 0);
  EXPECT_EQ(request.registered_buffer, 0);
  EXPECT_EQ(request.offset_bytes, 4096u);
  EXPECT_EQ(request.size_bytes, 12288u);
  EXPECT_EQ(request.flags, kIoWhole);
  EXPECT_EQ(request.alignment_shift, 9);
  EXPECT_EQ(request.class_id, 9);
  EXPECT_GE(static_cast<std::byte*>(request.data), arena_.bytes().data());
  EXPECT_EQ(used_bytes(), 0u);
}

TEST_F(ScriptedTransferTest, AWriteAsksForWhatItWasTold) {
  OpenFile();
  EXPECT_EQ(WriteWith(512, {512}), absl::OkStatus());
  EXPECT_EQ(WriteWith(512, {512}, {.durable = true}), absl::OkStatus());
  ASSERT_EQ(backend_.requests.size(), 2u);
  EXPECT_EQ(backend_.requests[0].opcode, IoOpcode::kWrite);
  EXPECT_EQ(backend_.requests[0].offset_bytes, 8192u);
  EXPECT_EQ(backend_.requests[0].size_bytes, 512u);
  EXPECT_EQ(backend_.requests[0].flags, kIoWhole);
  EXPECT_EQ(backend_.requests[1].flags, kIoWhole | kIoDsync);
}

TEST_F(ScriptedTransferTest, WithoutRegistrationItUsesDescriptorAndPlainMemory) {
  backend_.grants_buffers = false;
  backend_.grants_files = false;
  MakeIo({});
  OpenFile();
  EXPECT_FALSE(file_.registered());
  EXPECT_TRUE(ReadWith(512, {512}).ok());
  EXPECT_EQ(backend_.requests[0].registered_file, -1);
  EXPECT_EQ(backend_.requests[0].registered_buffer, kNotRegistered);
}

TEST_F(ScriptedTransferTest, WithoutDirectIoNothingIsAligned) {
  OpenFile({.direct = DmaFileOptions::Direct::kNever});
  EXPECT_EQ(file_.offset_alignment_bytes(), 1u);
  std::optional<absl::StatusOr<size_t>> result;
  Run({[&] { executor_->Spawn(Read(&file_, 3, Buffer(7), 7, &result)); },
       [&] { backend_.Finish(0, 5); }, [&] { backend_.Finish(0, 0); }});
  EXPECT_EQ(**result, 5u);
  EXPECT_EQ(backend_.requests[0].alignment_shift, 0);
}

TEST_F(ScriptedTransferTest, AShortReadGoesOn) {
  OpenFile();
  const uint64_t completed_before = backend_.stats().operations_completed;
  EXPECT_EQ(*ReadWith(16384, {4096, -EINTR, 512, 11776}), 16384u);
  ASSERT_EQ(backend_.requests.size(), 4u);
  auto* const data = static_cast<std::byte*>(backend_.requests[0].data);
  EXPECT_EQ(backend_.requests[2].offset_bytes, 4096u + 4096);
  EXPECT_EQ(backend_.requests[2].size_bytes, 12288u);
  EXPECT_EQ(backend_.requests[2].data, data + 4096);
  EXPECT_EQ(backend_.requests[3].offset_bytes, 4096u + 4608);
  EXPECT_EQ(backend_.requests[3].size_bytes, 11776u);
  EXPECT_EQ(backend_.requests[3].data, data + 4608);
  EXPECT_EQ(backend_.stats().started_again, 3u);
  EXPECT_EQ(backend_.stats().operations_completed, completed_before + 1);
}

TEST_F(ScriptedTransferTest, TheEndOfTheFileEndsARead) {
  OpenFile();
  EXPECT_EQ(*ReadWith(16384, {0}), 0u);
  EXPECT_EQ(*ReadWith(16384, {8192, 0}), 8192u);
  EXPECT_EQ(*ReadWith(16384, {8192, 77}), 8269u);
}

TEST_F(ScriptedTransferTest, AReadNeverGoesOnOffTheFilesAlignment) {
  backend_.stat.offset_alignment_bytes = 4096;
  OpenFile();
  EXPECT_EQ(*ReadWith(16384, {4608}), 4608u);
}

TEST_F(ScriptedTransferTest, AShortWriteGoesOn) {
  OpenFile();
  EXPECT_EQ(WriteWith(16384, {4096, 12288}), absl::OkStatus());
  EXPECT_EQ(backend_.requests[1].offset_bytes, 8192u + 4096);
}

TEST_F(ScriptedTransferTest, AWriteIsWholeOrAnError) {
  OpenFile();
  EXPECT_EQ(WriteWith(16384, {0}).code(), absl::StatusCode::kInternal);
  EXPECT_EQ(WriteWith(16384, {100, -EINVAL}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(WriteWith(16384, {4096, -ENOSPC}).code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(ScriptedTransferTest, ErrorsNameTheFileAndThePlace) {
  OpenFile();
  absl::Status status = WriteWith(4096, {-ENOSPC});
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("write /data/x (4096 bytes at offset 8192): No space left"));
  status = ReadWith(8192, {-EIO}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("read /data/x (8192 bytes at offset 4096): Input/output error"));
  // Where it failed, not where it began.
  status = ReadWith(8192, {4096, -EIO}).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("(4096 bytes at offset 8192)"));
}

TEST_F(ScriptedTransferTest, InterruptionsEndAfterABoundedNumberOfAttempts) {
  OpenFile();
  EXPECT_TRUE(ReadWith(512, std::vector<int32_t>(256, -EAGAIN)).status().code() ==
              absl::StatusCode::kUnavailable);
  EXPECT_EQ(backend_.requests.size(), 256u);
  std::vector<int32_t> almost(255, -EAGAIN);
  almost.push_back(512);
  EXPECT_EQ(*ReadWith(512, almost), 512u);
}

TEST_F(ScriptedTransferTest, OtherOperationsAskForWhatTheyWereTold) {
  OpenFile();
  std::optional<absl::Status> synced;
  std::optional<absl::Status> allocated;
  const auto preallocate = [](const DmaFile* file, std::optional<absl::Status>* result) -> Task<> {
    result->emplace(co_await file->Preallocate(1 << 20, 1 << 30));
  };
  Run({[&] {
         executor_->Spawn(Sync(&file_, &synced), 3);
         executor_->Spawn(preallocate(&file_, &allocated));
       },
       [&] {
         backend_.Finish(0, -EIO);
         backend_.Finish(0, 0);
       }});
  EXPECT_EQ(backend_.requests[0].opcode, IoOpcode::kFdatasync);
  EXPECT_EQ(backend_.requests[0].class_id, 3);
  EXPECT_EQ(backend_.requests[1].opcode, IoOpcode::kAllocate);
  EXPECT_EQ(backend_.requests[1].offset_bytes, uint64_t{1} << 20);
  EXPECT_EQ(backend_.requests[1].range_bytes, uint64_t{1} << 30);
  EXPECT_EQ(synced->code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(synced->message()), HasSubstr("fdatasync /data/x: "));
  EXPECT_TRUE(allocated->ok());
}

TEST_F(ScriptedTransferTest, StatGivesTheFactsOfTheFile) {
  OpenFile();
  backend_.stat.size_bytes = 12345;
  std::optional<absl::StatusOr<FileStat>> result;
  const auto stat = [](const DmaFile* file,
                       std::optional<absl::StatusOr<FileStat>>* facts) -> Task<> {
    facts->emplace(co_await file->Stat());
  };
  Run({[&] { executor_->Spawn(stat(&file_, &result)); }});
  EXPECT_EQ((*result)->size_bytes, 12345u);
  EXPECT_TRUE((*result)->is_regular());
}

// Transfers that must not reach the backend.
struct BadTransfer {
  std::string name;
  uint64_t offset_bytes;
  size_t buffer_bytes;
  size_t size_bytes;
  std::string text;
};

class BadTransferTest : public ScriptedIoFixture,
                        public testing::WithParamInterface<BadTransfer> {};

TEST_P(BadTransferTest, IsRefusedAndNamed) {
  OpenFile();
  const BadTransfer& bad = GetParam();
  std::optional<absl::StatusOr<size_t>> read;
  std::optional<absl::Status> written;
  const auto buffer = [&] {
    return bad.buffer_bytes == 0 ? DmaBuffer() : Buffer(bad.buffer_bytes);
  };
  Run({[&] {
    executor_->Spawn(Read(&file_, bad.offset_bytes, buffer(), bad.size_bytes, &read));
    executor_->Spawn(Write(&file_, bad.offset_bytes, buffer(), bad.size_bytes, {}, &written));
  }});
  EXPECT_TRUE(backend_.requests.empty());
  EXPECT_EQ(read->status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(read->status().message()), HasSubstr("read /data/x ("));
  EXPECT_THAT(std::string(read->status().message()), HasSubstr(bad.text));
  EXPECT_EQ(written->code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(written->message()), HasSubstr("write /data/x ("));
  EXPECT_THAT(std::string(written->message()), HasSubstr(bad.text));
}

INSTANTIATE_TEST_SUITE_P(
    Transfers, BadTransferTest,
    testing::Values(BadTransfer{"offset", 100, 512, 512, "multiples of 512 bytes"},
                    BadTransfer{"size", 0, 512, 100, "multiples of 512 bytes"},
                    BadTransfer{"small_buffer", 0, 512, 1024, "the buffer has only 512 bytes"},
                    BadTransfer{"no_buffer", 0, 0, 512, "the buffer has only 0 bytes"},
                    BadTransfer{"empty", 0, 512, 0, "the size must be 1 to"},
                    BadTransfer{"huge_size", 0, 512, SIZE_MAX - 511, "the buffer has only 512"},
                    BadTransfer{"huge_offset", uint64_t{1} << 63, 512, 512, "offset is too large"},
                    BadTransfer{"last_offset", UINT64_MAX - 511, 512, 512, "offset is too large"}),
    [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace ioengine
