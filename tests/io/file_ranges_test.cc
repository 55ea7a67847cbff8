// DmaFile: parts of buffers, ranges of any alignment, sizes and holes; over every backend.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/tests/io/backend_factory.h"
#include "ioengine/tests/io/io_shard.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using testing::HasSubstr;

constexpr size_t kPage = 4096;
constexpr DmaFileOptions kCreate = {.access = DmaFileOptions::Access::kReadWrite,
                                    .create = DmaFileOptions::Create::kMustBeNew};

class FileRangesTest : public testing::TestWithParam<BackendFactory> {
 protected:
  void TearDown() override {
    shard_.ExpectNothingIsLeft();
    EXPECT_EQ(shard_.io().bytes_copied(), 0u);
  }

  const TestDirectory directory_;
  IoShard shard_{GetParam().make(64), {.queue_depth = 64, .max_open_files = 8}};
};

std::byte ByteAt(uint64_t offset_bytes) {
  return static_cast<std::byte>((offset_bytes * 0x9e3779b97f4a7c15) >> 56);
}

// A file of whole pages, each byte of which tells where it belongs.
Task<absl::StatusOr<DmaFile>> NewFile(ShardIo* io, std::string path, size_t size_bytes) {
  absl::StatusOr<DmaFile> file = co_await DmaFile::Open(*io, std::move(path), kCreate);
  if (!file.ok()) co_return file;
  absl::StatusOr<DmaBuffer> buffer = io->AllocateBuffer(size_bytes);
  if (!buffer.ok()) co_return buffer.status();
  for (size_t i = 0; i < size_bytes; ++i) buffer->data()[i] = ByteAt(i);
  absl::Status written = co_await file->Write(0, *buffer, size_bytes);
  if (!written.ok()) co_return written;
  co_return file;
}

void ExpectBytes(std::span<const std::byte> bytes, uint64_t offset_bytes, size_t size_bytes) {
  ASSERT_EQ(bytes.size(), size_bytes) << "at " << offset_bytes;
  for (size_t i = 0; i < bytes.size(); ++i) {
    ASSERT_EQ(bytes[i], ByteAt(offset_bytes + i)) << "byte " << i << " of " << offset_bytes;
  }
}

Task<> PartsOfBuffers(ShardIo* io, std::string path) {
  auto file = co_await NewFile(io, path, 4 * kPage);
  IOENGINE_CO_ASSERT_OK(file);
  auto buffer = io->AllocateBuffer(4 * kPage);
  IOENGINE_CO_ASSERT_OK(buffer);
  std::memset(buffer->data(), 0x77, 4 * kPage);
  EXPECT_EQ((co_await file->Read(3 * kPage, *buffer, kPage, 2 * kPage)).value_or(0), kPage);
  ExpectBytes(buffer->bytes().subspan(2 * kPage, kPage), 3 * kPage, kPage);
  EXPECT_EQ(buffer->data()[2 * kPage - 1], std::byte{0x77});
  EXPECT_EQ(buffer->data()[3 * kPage], std::byte{0x77});
  IOENGINE_CO_ASSERT_OK(
      co_await file->Write(0, *buffer, kPage, {.then_sync = true, .from_bytes = 2 * kPage}));
  EXPECT_EQ((co_await file->Read(0, *buffer, kPage)).value_or(0), kPage);
  ExpectBytes(buffer->bytes().first(kPage), 3 * kPage, kPage);

  const absl::StatusOr<size_t> beyond = co_await file->Read(0, *buffer, 2 * kPage, 3 * kPage);
  EXPECT_EQ(beyond.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(beyond.status().message()), HasSubstr("12288 of it are skipped"));
  const absl::StatusOr<size_t> far = co_await file->Read(0, *buffer, kPage, SIZE_MAX);
  EXPECT_EQ(far.status().code(), absl::StatusCode::kInvalidArgument);
  if (file->memory_alignment_bytes() > 1) {
    const absl::StatusOr<size_t> odd = co_await file->Read(0, *buffer, kPage, 1);
    EXPECT_EQ(odd.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(odd.status().message()), HasSubstr("the place in the buffer is 1"));
  }
}

TEST_P(FileRangesTest, PartsOfBuffers) {
  shard_.Run(PartsOfBuffers(&shard_.io(), directory_.File("x")));
}

Task<> OddRanges(ShardIo* io, std::string path) {
  constexpr size_t kSize = 10 * kPage;
  auto file = co_await NewFile(io, path, kSize);
  IOENGINE_CO_ASSERT_OK(file);
  IOENGINE_CO_ASSERT_OK(co_await file->Truncate(kSize - 100));
  for (const FileRange range :
       {FileRange{0, 1}, FileRange{1, 1}, FileRange{4095, 2}, FileRange{4096, 4096},
        FileRange{100, 20'000}, FileRange{kSize - 200, 50}, FileRange{5, 0}}) {
    auto bytes = co_await file->ReadRange(range);
    IOENGINE_CO_ASSERT_OK(bytes);
    ExpectBytes(bytes->bytes, range.offset_bytes, range.size_bytes);
  }
  auto over_the_end = co_await file->ReadRange({kSize - 150, 200});
  IOENGINE_CO_ASSERT_OK(over_the_end);
  ExpectBytes(over_the_end->bytes, kSize - 150, 50);
  auto behind = co_await file->ReadRange({kSize + 5 * kPage, 200});
  IOENGINE_CO_ASSERT_OK(behind);
  EXPECT_TRUE(behind->bytes.empty());
  const auto huge = co_await file->ReadRange({0, SIZE_MAX});
  EXPECT_EQ(huge.status().code(), absl::StatusCode::kInvalidArgument);
  const auto far = co_await file->ReadRange({UINT64_MAX - 10, 5});
  EXPECT_EQ(far.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(FileRangesTest, RangesOfAnyAlignment) {
  shard_.Run(OddRanges(&shard_.io(), directory_.File("x")));
}

Task<> ManyRanges(ShardIo* io, std::string path) {
  constexpr size_t kSize = 256 * kPage;
  auto file = co_await NewFile(io, path, kSize);
  IOENGINE_CO_ASSERT_OK(file);
  std::mt19937 random(20261126);
  for (int round = 0; round < 30; ++round) {
    std::vector<FileRange> ranges;
    for (size_t i = random() % 60; i > 0; --i) {
      ranges.push_back({random() % kSize, random() % (3 * kPage)});
    }
    ReadManyOptions options = {.max_gap_bytes = random() % 3 * kPage,
                               .max_merged_bytes = (1 + random() % 8) * 4 * kPage};
    auto results = co_await file->ReadMany(ranges, options);
    IOENGINE_CO_ASSERT_OK(results);
    EXPECT_EQ(results->size(), ranges.size());
    for (size_t i = 0; i < ranges.size(); ++i) {
      const size_t left_bytes = kSize - ranges[i].offset_bytes;
      ExpectBytes((*results)[i].bytes, ranges[i].offset_bytes,
                  std::min(ranges[i].size_bytes, left_bytes));
    }
  }
}

TEST_P(FileRangesTest, ManyRangesInAnyOrder) {
  shard_.Run(ManyRanges(&shard_.io(), directory_.File("x")));
}

Task<> Neighbours(ShardIo* io, std::string path) {
  auto file = co_await NewFile(io, path, 64 * kPage);
  IOENGINE_CO_ASSERT_OK(file);
  const auto operations = [io] { return io->queue().stats().submitted; };
  // Eight that touch, and one far off.
  std::vector<FileRange> ranges;
  for (uint64_t i = 0; i < 8; ++i) ranges.push_back({i * kPage + 10, 500});
  ranges.push_back({60 * kPage, 10});
  uint64_t before = operations();
  {
    auto merged = co_await file->ReadMany(ranges);
    IOENGINE_CO_ASSERT_OK(merged);
    EXPECT_EQ(operations() - before, 2u);
    EXPECT_EQ((*merged)[0].bytes.data() + kPage, (*merged)[1].bytes.data()) << "one buffer";
  }
  before = operations();
  auto limited = co_await file->ReadMany(ranges, {.max_merged_bytes = 2 * kPage});
  IOENGINE_CO_ASSERT_OK(limited);
  EXPECT_EQ(operations() - before, 5u);
}

TEST_P(FileRangesTest, NeighboursAreReadTogetherUpToALimit) {
  shard_.Run(Neighbours(&shard_.io(), directory_.File("x")));
}

Task<> MoreThanTheBuffersHold(ShardIo* io, std::string path) {
  auto file = co_await NewFile(io, path, kPage);
  IOENGINE_CO_ASSERT_OK(file);
  std::vector<FileRange> ranges;
  for (uint64_t i = 0; i < 3000; ++i) ranges.push_back({i * 10 * kPage, 10});
  const auto results = co_await file->ReadMany(ranges);
  EXPECT_EQ(results.status().code(), absl::StatusCode::kResourceExhausted) << results.status();
  ranges.resize(65537);
  const auto too_many = co_await file->ReadMany(ranges);
  EXPECT_EQ(too_many.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(FileRangesTest, WhatFindsNoBufferIsAnErrorOnceNothingIsInFlight) {
  shard_.Run(MoreThanTheBuffersHold(&shard_.io(), directory_.File("x")));
}

Task<> Sizes(ShardIo* io, std::string path) {
  auto file = co_await NewFile(io, path, 64 * kPage);
  IOENGINE_CO_ASSERT_OK(file);
  IOENGINE_CO_ASSERT_OK(co_await file->Fdatasync());
  const auto full = co_await file->Stat();
  IOENGINE_CO_ASSERT_OK(full);
  IOENGINE_CO_ASSERT_OK(co_await file->Punch(kPage, 50 * kPage));
  IOENGINE_CO_ASSERT_OK(co_await file->Advise(0, 64 * kPage, IoAdvice::kDontNeed));
  const auto punched = co_await file->Stat();
  IOENGINE_CO_ASSERT_OK(punched);
  EXPECT_EQ(punched->size_bytes, 64 * kPage);
  EXPECT_LE(punched->allocated_bytes + 50 * kPage, full->allocated_bytes);
  auto hole = co_await file->ReadRange({kPage - 1, 2});
  IOENGINE_CO_ASSERT_OK(hole);
  EXPECT_EQ(hole->bytes[0], ByteAt(kPage - 1));
  EXPECT_EQ(hole->bytes[1], std::byte{0});
  IOENGINE_CO_ASSERT_OK(co_await file->Truncate(100));
  const auto cut = co_await file->Stat();
  IOENGINE_CO_ASSERT_OK(cut);
  EXPECT_EQ(cut->size_bytes, 100u);
  EXPECT_EQ((co_await file->Truncate(UINT64_MAX)).code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(FileRangesTest, SizesAndHoles) { shard_.Run(Sizes(&shard_.io(), directory_.File("x"))); }

INSTANTIATE_TEST_SUITE_P(Backends, FileRangesTest, testing::ValuesIn(ConformingBackends()),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace ioengine
