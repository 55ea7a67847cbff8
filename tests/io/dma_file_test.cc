// DmaFile over every backend; files that a test starts from are made, and looked at, through it
// too.

#include "ioengine/io/dma_file.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/tests/io/backend_factory.h"
#include "ioengine/tests/io/io_shard.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using testing::HasSubstr;

using Access = DmaFileOptions::Access;
using Create = DmaFileOptions::Create;

constexpr DmaFileOptions kCreate = {.access = Access::kReadWrite, .create = Create::kMustBeNew};
constexpr DmaFileOptions kReadWrite = {.access = Access::kReadWrite};

constexpr DmaFileOptions kText = {.access = Access::kReadWrite,
                                  .create = Create::kIfMissing,
                                  .direct = DmaFileOptions::Direct::kNever};

Task<> PutText(ShardIo* io, std::string path, std::string text) {
  auto file = co_await DmaFile::Open(*io, path, kText);
  IOENGINE_CO_ASSERT_OK(file);
  if (text.empty()) co_return;
  auto buffer = io->AllocateBuffer(text.size());
  IOENGINE_CO_ASSERT_OK(buffer);
  std::memcpy(buffer->data(), text.data(), text.size());
  IOENGINE_CO_ASSERT_OK(co_await file->Write(0, *buffer, text.size()));
}

Task<> GetText(ShardIo* io, std::string path, std::string* text) {
  auto file = co_await DmaFile::Open(*io, path, {.direct = DmaFileOptions::Direct::kNever});
  IOENGINE_CO_ASSERT_OK(file);
  auto buffer = io->AllocateBuffer(1 << 16);
  IOENGINE_CO_ASSERT_OK(buffer);
  const auto read = co_await file->Read(0, *buffer, 1 << 16);
  IOENGINE_CO_ASSERT_OK(read);
  text->resize(*read);
  std::memcpy(text->data(), buffer->data(), *read);
}

Task<> ExpectMissing(ShardIo* io, std::string path) {
  const auto file = co_await DmaFile::Open(*io, path, {});
  EXPECT_EQ(file.status().code(), absl::StatusCode::kNotFound) << file.status();
}

class DmaFileTest : public testing::TestWithParam<BackendFactory> {
 protected:
  void MakeFile(const std::string& path, const std::string& text) {
    shard_.Run(PutText(&shard_.io(), path, text));
  }

  void TearDown() override {
    shard_.ExpectNothingIsLeft();
    EXPECT_EQ(shard_.backend().stats().stray_completions, 0u);
  }

  const TestDirectory directory_;
  IoShard shard_{GetParam().make(64), {.queue_depth = 64, .max_open_files = 8}};
};

// Bytes that tell where they belong.
void Stamp(std::span<std::byte> bytes, uint64_t offset_bytes, uint64_t seed) {
  for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    const uint64_t stamp = (offset_bytes + i) * 0x9e3779b97f4a7c15 + seed;
    std::memcpy(bytes.data() + i, &stamp, 8);
  }
}

bool HasStamp(std::span<const std::byte> bytes, uint64_t offset_bytes, uint64_t seed) {
  for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    const uint64_t stamp = (offset_bytes + i) * 0x9e3779b97f4a7c15 + seed;
    if (std::memcmp(bytes.data() + i, &stamp, 8) != 0) return false;
  }
  return true;
}

Task<> WriteAndVerify(ShardIo* io, std::string path, size_t size_bytes, bool durable) {
  auto file = co_await DmaFile::Open(*io, path, kCreate);
  IOENGINE_CO_ASSERT_OK(file);
  auto buffer = io->AllocateBuffer(size_bytes);
  IOENGINE_CO_ASSERT_OK(buffer);
  for (uint64_t i = 0; i < 3; ++i) {
    Stamp(buffer->bytes(), i * size_bytes, 1);
    IOENGINE_CO_ASSERT_OK(
        co_await file->Write(i * size_bytes, *buffer, size_bytes, {.durable = durable}));
  }
  IOENGINE_CO_ASSERT_OK(co_await file->Fdatasync());
  // An overwrite in the middle.
  Stamp(buffer->bytes(), size_bytes, 2);
  IOENGINE_CO_ASSERT_OK(co_await file->Write(size_bytes, *buffer, size_bytes));
  for (uint64_t i = 0; i < 3; ++i) {
    std::memset(buffer->data(), 0xee, size_bytes);
    const auto read = co_await file->Read(i * size_bytes, *buffer, size_bytes);
    IOENGINE_CO_ASSERT_OK(read);
    EXPECT_EQ(*read, size_bytes);
    EXPECT_TRUE(HasStamp(buffer->bytes(), i * size_bytes, i == 1 ? 2 : 1)) << i;
  }
  const auto stat = co_await file->Stat();
  IOENGINE_CO_ASSERT_OK(stat);
  EXPECT_EQ(stat->size_bytes, 3 * size_bytes);
  EXPECT_TRUE(stat->is_regular());
  EXPECT_EQ(co_await file->Close(), absl::OkStatus());
  EXPECT_EQ(co_await RemoveFile(*io, path), absl::OkStatus());
}

TEST_P(DmaFileTest, WritesAndReadsAtSeveralSizes) {
  for (const size_t size_bytes : {size_t{4096}, size_t{12288}, size_t{1} << 17, size_t{1} << 20}) {
    for (const bool durable : {false, true}) {
      const std::string path = directory_.File("x");
      shard_.Run(WriteAndVerify(&shard_.io(), path, size_bytes, durable));
      shard_.Run(ExpectMissing(&shard_.io(), path));
    }
  }
}

// A write ends in the part of the buffer that it was told, and a read does not touch the rest.
Task<> PartOfABuffer(ShardIo* io, std::string path) {
  auto file = co_await DmaFile::Open(*io, path, kCreate);
  IOENGINE_CO_ASSERT_OK(file);
  auto buffer = io->AllocateBuffer(3 * 4096);
  IOENGINE_CO_ASSERT_OK(buffer);
  std::memset(buffer->data(), 'w', buffer->size_bytes());
  IOENGINE_CO_ASSERT_OK(co_await file->Write(0, *buffer, 4096));
  std::memset(buffer->data(), '-', buffer->size_bytes());
  const auto read = co_await file->Read(0, *buffer, 2 * 4096);
  EXPECT_EQ(read.value_or(0), 4096u) << "the file ends there";
  EXPECT_EQ(buffer->data()[4095], std::byte{'w'});
  EXPECT_EQ(buffer->data()[2 * 4096], std::byte{'-'});
  EXPECT_EQ((co_await file->Read(4096, *buffer, 4096)).value_or(1), 0u);
  EXPECT_EQ((co_await file->Read(1 << 30, *buffer, 4096)).value_or(1), 0u);
}

TEST_P(DmaFileTest, TransfersPartsOfBuffers) {
  shard_.Run(PartOfABuffer(&shard_.io(), directory_.File("x")));
}

Task<> ReadOddFile(ShardIo* io, std::string path, size_t expected_bytes) {
  auto file = co_await DmaFile::Open(*io, path, {});
  IOENGINE_CO_ASSERT_OK(file);
  auto buffer = io->AllocateBuffer(16384);
  IOENGINE_CO_ASSERT_OK(buffer);
  EXPECT_EQ((co_await file->Read(0, *buffer, 16384)).value_or(0), expected_bytes);
  EXPECT_TRUE(std::all_of(buffer->data(), buffer->data() + expected_bytes,
                          [](std::byte byte) { return byte == std::byte{'o'}; }));
}

TEST_P(DmaFileTest, AFileMayEndAnywhere) {
  for (const size_t size_bytes : {1, 511, 512, 4095, 4096, 4608, 5000, 12288}) {
    MakeFile(directory_.File("odd"), std::string(size_bytes, 'o'));
    shard_.Run(ReadOddFile(&shard_.io(), directory_.File("odd"), size_bytes));
  }
}

Task<> Misalign(ShardIo* io, std::string path) {
  auto file = co_await DmaFile::Open(*io, path, kCreate);
  IOENGINE_CO_ASSERT_OK(file);
  const uint32_t alignment = file->offset_alignment_bytes();
  EXPECT_GE(alignment, 512u);
  EXPECT_LE(alignment, 4096u);
  auto buffer = io->AllocateBuffer(2 * 4096);
  IOENGINE_CO_ASSERT_OK(buffer);
  EXPECT_EQ((co_await file->Write(1, *buffer, 4096)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ((co_await file->Write(0, *buffer, 100)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ((co_await file->Read(alignment / 2, *buffer, 4096)).status().code(),
            absl::StatusCode::kInvalidArgument);
  // What is a multiple of the alignment that the file asks for, works.
  EXPECT_EQ(co_await file->Write(alignment, *buffer, alignment), absl::OkStatus());
  EXPECT_EQ((co_await file->Stat())->size_bytes, 2 * alignment);
}

TEST_P(DmaFileTest, Alignment) { shard_.Run(Misalign(&shard_.io(), directory_.File("x"))); }

Task<> PreallocateFile(ShardIo* io, std::string path) {
  auto file = co_await DmaFile::Open(*io, path, kCreate);
  IOENGINE_CO_ASSERT_OK(file);
  IOENGINE_CO_ASSERT_OK(co_await file->Preallocate(0, 1 << 20));
  EXPECT_EQ((co_await file->Stat())->size_bytes, uint64_t{1} << 20);
  auto buffer = io->AllocateBuffer(4096);
  IOENGINE_CO_ASSERT_OK(buffer);
  std::memset(buffer->data(), 0xee, 4096);
  EXPECT_EQ((co_await file->Read(65536, *buffer, 4096)).value_or(0), 4096u);
  EXPECT_TRUE(std::all_of(buffer->data(), buffer->data() + 4096,
                          [](std::byte byte) { return byte == std::byte{0}; }));
  const absl::Status status = co_await file->Preallocate(0, 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("fallocate " + path));
}

TEST_P(DmaFileTest, Preallocate) {
  shard_.Run(PreallocateFile(&shard_.io(), directory_.File("x")));
}

Task<> OpenModes(ShardIo* io, std::string path) {
  const auto code = [](const absl::StatusOr<DmaFile>& file) { return file.status().code(); };
  EXPECT_EQ(code(co_await DmaFile::Open(*io, path, kReadWrite)), absl::StatusCode::kNotFound);
  constexpr DmaFileOptions kIfMissing = {.access = Access::kReadWrite,
                                         .create = Create::kIfMissing};
  auto file = co_await DmaFile::Open(*io, path, kIfMissing);
  IOENGINE_CO_ASSERT_OK(file);
  auto buffer = io->AllocateBuffer(4096);
  IOENGINE_CO_ASSERT_OK(buffer);
  IOENGINE_CO_ASSERT_OK(co_await file->Write(0, *buffer, 4096));
  IOENGINE_CO_ASSERT_OK(co_await file->Close());
  file = co_await DmaFile::Open(*io, path, kIfMissing);
  IOENGINE_CO_ASSERT_OK(file);
  EXPECT_EQ((co_await file->Stat())->size_bytes, 4096u) << "it was not truncated";
  EXPECT_EQ(code(co_await DmaFile::Open(*io, path, kCreate)), absl::StatusCode::kAlreadyExists);
  auto reader = co_await DmaFile::Open(*io, path, {});
  IOENGINE_CO_ASSERT_OK(reader);
  EXPECT_EQ((co_await reader->Read(0, *buffer, 4096)).value_or(0), 4096u);
  EXPECT_FALSE((co_await reader->Write(0, *buffer, 4096)).ok());
}

TEST_P(DmaFileTest, OpenAndCreate) { shard_.Run(OpenModes(&shard_.io(), directory_.File("x"))); }

Task<> OpenFails(ShardIo* io, std::string path, DmaFileOptions options, absl::StatusCode code,
                 std::string text) {
  const auto file = co_await DmaFile::Open(*io, path, options);
  EXPECT_EQ(file.status().code(), code) << file.status();
  EXPECT_THAT(std::string(file.status().message()), HasSubstr("open " + path));
  EXPECT_THAT(std::string(file.status().message()), HasSubstr(text));
}

TEST_P(DmaFileTest, OpensThatFail) {
  ShardIo* const io = &shard_.io();
  shard_.Run(OpenFails(io, directory_.path(), kReadWrite, absl::StatusCode::kFailedPrecondition,
                       "Is a directory"));
  shard_.Run(OpenFails(io, directory_.path(), {}, absl::StatusCode::kFailedPrecondition,
                       "it is a directory"));
  shard_.Run(OpenFails(io, directory_.path(), {.direct = DmaFileOptions::Direct::kRequired},
                       absl::StatusCode::kFailedPrecondition, "refuses O_DIRECT, as directories"));
  if (GetParam().real_files) {
    shard_.Run(OpenFails(io, "/proc/self/status", {.direct = DmaFileOptions::Direct::kRequired},
                         absl::StatusCode::kFailedPrecondition, "Direct::kIfPossible"));
  }
  MakeFile(directory_.File("file"), "");
  shard_.Run(OpenFails(io, directory_.File("file/below"), {}, absl::StatusCode::kFailedPrecondition,
                       "Not a directory"));
  shard_.Run(OpenFails(io, directory_.File(std::string(300, 'n')), {},
                       absl::StatusCode::kInvalidArgument, "name too long"));
  shard_.Run(OpenFails(io, "", {}, absl::StatusCode::kNotFound, "No such file"));
}

Task<> RemoveFails(ShardIo* io, std::string path, absl::StatusCode code) {
  const absl::Status status = co_await RemoveFile(*io, path);
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("unlink " + path));
}

TEST_P(DmaFileTest, RemovesThatFail) {
  shard_.Run(RemoveFails(&shard_.io(), directory_.File("none"), absl::StatusCode::kNotFound));
  shard_.Run(RemoveFails(&shard_.io(), directory_.path(), absl::StatusCode::kFailedPrecondition));
}

Task<> WithoutDirectIo(ShardIo* io, std::string path) {
  auto file = co_await DmaFile::Open(
      *io, path, {.access = Access::kReadWrite, .direct = DmaFileOptions::Direct::kNever});
  IOENGINE_CO_ASSERT_OK(file);
  EXPECT_EQ(file->offset_alignment_bytes(), 1u);
  auto buffer = io->AllocateBuffer(10);
  IOENGINE_CO_ASSERT_OK(buffer);
  std::memcpy(buffer->data(), "HELLO", 5);
  IOENGINE_CO_ASSERT_OK(co_await file->Write(3, *buffer, 5));
  EXPECT_EQ((co_await file->Read(1, *buffer, 10)).value_or(0), 9u);
  EXPECT_EQ(std::memcmp(buffer->data(), "12HELLO89", 9), 0);
}

TEST_P(DmaFileTest, WithoutDirectIoAnyOffsetWorks) {
  MakeFile(directory_.File("x"), "0123456789");
  shard_.Run(WithoutDirectIo(&shard_.io(), directory_.File("x")));
  std::string text;
  shard_.Run(GetText(&shard_.io(), directory_.File("x"), &text));
  EXPECT_EQ(text, "012HELLO89");
}

Task<> ReadsAFileThatRefusesDirectIo(ShardIo* io) {
  auto file = co_await DmaFile::Open(*io, "/proc/self/status", {});
  IOENGINE_CO_ASSERT_OK(file);
  EXPECT_FALSE(file->is_direct());
  auto buffer = io->AllocateBuffer(100);
  IOENGINE_CO_ASSERT_OK(buffer);
  EXPECT_EQ((co_await file->Read(0, *buffer, 5)).value_or(0), 5u);
  EXPECT_EQ(std::memcmp(buffer->data(), "Name:", 5), 0);
}

TEST_P(DmaFileTest, AFileThatRefusesDirectIoIsReadThroughThePageCache) {
  if (!GetParam().real_files) return;  // they all take it
  shard_.Run(ReadsAFileThatRefusesDirectIo(&shard_.io()));
}

// More operations than the queue, the backend and the ring hold.
Task<> ReadPage(const DmaFile* file, ShardIo* io, uint64_t page, int* verified) {
  auto buffer = io->AllocateBuffer(4096);
  IOENGINE_CO_ASSERT_OK(buffer);
  EXPECT_EQ((co_await file->Read(page * 4096, *buffer, 4096)).value_or(0), 4096u);
  if (HasStamp(buffer->bytes(), page * 4096, 5)) ++*verified;
}

Task<> ManyReads(ShardIo* io, std::string path, int* verified) {
  constexpr size_t kBytes = size_t{1} << 20;
  auto file = co_await DmaFile::Open(*io, path, kCreate);
  IOENGINE_CO_ASSERT_OK(file);
  {
    auto buffer = io->AllocateBuffer(kBytes);
    IOENGINE_CO_ASSERT_OK(buffer);
    Stamp(buffer->bytes(), 0, 5);
    IOENGINE_CO_ASSERT_OK(co_await file->Write(0, *buffer, kBytes));
  }
  TaskScope scope(io->executor());
  for (int i = 0; i < 1000; ++i) {
    scope.Spawn(ReadPage(&*file, io, static_cast<uint64_t>(i * 37 % 256), verified));
  }
  co_await scope.Join();
}

TEST_P(DmaFileTest, ManyMoreOperationsThanTheQueueHolds) {
  // So few that a slice starts more, however slow the machine is.
  IoShard shard(GetParam().make(16));
  int verified = 0;
  shard.Run(ManyReads(&shard.io(), directory_.File("x"), &verified));
  EXPECT_EQ(verified, 1000);
  EXPECT_GT(shard.io().queue().stats().times_full, 0u);
}

TEST(DmaFileQueueTest, AQueueOfOne) {
  const TestDirectory directory;
  IoShard shard(MakeAuto(1), {.queue_depth = 1, .max_open_files = 1});
  int verified = 0;
  shard.Run(ManyReads(&shard.io(), directory.File("x"), &verified));
  EXPECT_EQ(verified, 1000);
  shard.ExpectNothingIsLeft();
}

INSTANTIATE_TEST_SUITE_P(Backends, DmaFileTest, testing::ValuesIn(ConformingBackends()),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace ioengine
