// SequentialReader and SequentialWriter, over every backend.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/sequential_reader.h"
#include "ioengine/io/sequential_writer.h"
#include "ioengine/tests/io/backend_factory.h"
#include "ioengine/tests/io/io_shard.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using testing::HasSubstr;
using Sync = SequentialWriter::Sync;

constexpr size_t kPage = 4096;
constexpr DmaFileOptions kCreate = {.access = DmaFileOptions::Access::kReadWrite,
                                    .create = DmaFileOptions::Create::kMustBeNew};

class SequentialTest : public testing::TestWithParam<BackendFactory> {
 protected:
  void TearDown() override { shard_.ExpectNothingIsLeft(); }

  const TestDirectory directory_;
  IoShard shard_{GetParam().make(64), {.queue_depth = 64, .max_open_files = 8}};
};

std::string RandomText(std::mt19937& random, size_t size_bytes) {
  std::string text(size_bytes, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

std::span<const std::byte> BytesOf(const std::string& text) {
  return std::as_bytes(std::span(text));
}

Task<> WriteText(ShardIo* io, const DmaFile* file, std::string text,
                 SequentialWriterOptions options, uint32_t seed) {
  std::mt19937 random(seed);
  SequentialWriter writer(*io, *file, options);
  std::span<const std::byte> left = BytesOf(text);
  while (!left.empty()) {
    const size_t size_bytes = std::min<size_t>(left.size(), random() % 20'000);
    if (random() % 2 == 0) {
      IOENGINE_CO_ASSERT_OK(co_await writer.Append(left.first(size_bytes)));
      left = left.subspan(size_bytes);
    } else {
      auto room = co_await writer.Room();
      IOENGINE_CO_ASSERT_OK(room);
      EXPECT_FALSE(room->empty());
      const size_t part_bytes = std::min(room->size(), size_bytes);
      std::memcpy(room->data(), left.data(), part_bytes);
      writer.Commit(part_bytes);
      left = left.subspan(part_bytes);
    }
  }
  EXPECT_EQ(writer.size_bytes(), text.size());
  IOENGINE_CO_ASSERT_OK(co_await writer.Finish(seed % 2 == 0 ? Sync::kYes : Sync::kNo));
}

Task<> ReadText(ShardIo* io, const DmaFile* file, SequentialReaderOptions options,
                std::string* text) {
  SequentialReader reader(*io, *file, options);
  for (;;) {
    const auto bytes = co_await reader.Next();
    IOENGINE_CO_ASSERT_OK(bytes);
    if (bytes->empty()) break;
    text->append(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  }
  const auto again = co_await reader.Next();
  IOENGINE_CO_ASSERT_OK(again);
  EXPECT_TRUE(again->empty()) << "the end stays the end";
}

Task<> WriteAndRead(ShardIo* io, std::string path, uint32_t seed) {
  std::mt19937 random(seed);
  const std::string text = RandomText(random, random() % 300'000);
  auto file = co_await DmaFile::Open(*io, path, kCreate);
  IOENGINE_CO_ASSERT_OK(file);
  co_await WriteText(io, &*file, text,
                     {.buffer_bytes = 1 + random() % 40'000, .write_behind = random() % 5}, seed);
  const auto stat = co_await file->Stat();
  IOENGINE_CO_ASSERT_OK(stat);
  EXPECT_EQ(stat->size_bytes, text.size());
  for (int i = 0; i < 4; ++i) {
    const uint64_t begin_bytes = i == 0 ? 0 : random() % (text.size() + 5000);
    const uint64_t end_bytes = i == 0 ? UINT64_MAX : begin_bytes + random() % 200'000;
    std::string read;
    co_await ReadText(io, &*file,
                      {.begin_bytes = begin_bytes,
                       .end_bytes = end_bytes,
                       .buffer_bytes = 1 + random() % 40'000,
                       .read_ahead = random() % 5},
                      &read);
    const size_t first = std::min<size_t>(begin_bytes, text.size());
    EXPECT_EQ(read, text.substr(first, std::min<size_t>(end_bytes, text.size()) - first))
        << "from " << begin_bytes << " to " << end_bytes << " of " << text.size();
  }
}

TEST_P(SequentialTest, WhatIsWrittenIsRead) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    shard_.Run(WriteAndRead(&shard_.io(), directory_.File("x" + std::to_string(seed)), seed));
  }
}

Task<> Exactly(ShardIo* io, std::string path) {
  std::mt19937 random(7);
  const std::string text = RandomText(random, 100'000);
  auto file = co_await DmaFile::Open(*io, path, kCreate);
  IOENGINE_CO_ASSERT_OK(file);
  co_await WriteText(io, &*file, text, {}, 1);
  SequentialReader reader(*io, *file, {.buffer_bytes = 2 * kPage});
  std::string read;
  while (read.size() + 777 <= text.size()) {
    std::byte piece[777];
    const uint64_t copied_before = io->bytes_copied();
    IOENGINE_CO_ASSERT_OK(co_await reader.ReadExactly(piece));
    EXPECT_EQ(io->bytes_copied() - copied_before, 777u);
    read.append(reinterpret_cast<const char*>(piece), 777);
    EXPECT_EQ(reader.offset_bytes(), read.size());
  }
  EXPECT_EQ(read, text.substr(0, read.size()));
  std::byte rest[777];
  const absl::Status status = co_await reader.ReadExactly(rest);
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the end is at 100000"));
}

TEST_P(SequentialTest, ReadsExactly) { shard_.Run(Exactly(&shard_.io(), directory_.File("x"))); }

// What follows the last block stays, and so does the file's size.
Task<> InTheMiddle(ShardIo* io, std::string path) {
  auto file = co_await DmaFile::Open(*io, path, kCreate);
  IOENGINE_CO_ASSERT_OK(file);
  co_await WriteText(io, &*file, std::string(10 * kPage, 'a'), {}, 0);
  co_await WriteText(io, &*file, std::string(kPage + 5, 'b'), {.begin_bytes = 2 * kPage}, 0);
  std::string read;
  co_await ReadText(io, &*file, {}, &read);
  EXPECT_EQ(read.size(), 10 * kPage);
  EXPECT_EQ(read.substr(0, 3 * kPage + 5),
            std::string(2 * kPage, 'a') + std::string(kPage + 5, 'b'));
  EXPECT_EQ(read.substr(4 * kPage), std::string(6 * kPage, 'a'));
  SequentialWriter odd(*io, *file, {.begin_bytes = 1});
  const absl::Status refused = co_await odd.Append(BytesOf("x"));
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("begin_bytes is 1"));
}

TEST_P(SequentialTest, WritesInTheMiddleOfAFile) {
  shard_.Run(InTheMiddle(&shard_.io(), directory_.File("x")));
}

Task<> LittleMemory(ShardIo* io, std::string path) {
  auto file = co_await DmaFile::Open(*io, path, kCreate);
  IOENGINE_CO_ASSERT_OK(file);
  // All memory but two buffers of 4 MiB.
  co_await WriteText(io, &*file, std::string(100'000, 'm'), {}, 0);
  std::string read;
  co_await ReadText(io, &*file, {.buffer_bytes = size_t{4} << 20, .read_ahead = 100}, &read);
  EXPECT_EQ(read.size(), 100'000u);
  std::vector<DmaBuffer> all;
  for (auto buffer = io->AllocateBuffer(kPage); buffer.ok(); buffer = io->AllocateBuffer(kPage)) {
    all.push_back(*std::move(buffer));
  }
  SequentialReader reader(*io, *file, {});
  const auto none = co_await reader.Next();
  EXPECT_EQ(none.status().code(), absl::StatusCode::kResourceExhausted);
  SequentialWriter writer(*io, *file, {});
  EXPECT_EQ((co_await writer.Append(BytesOf("x"))).code(), absl::StatusCode::kResourceExhausted);
}

TEST_P(SequentialTest, ReadsLessFarAheadWhereMemoryIsShort) {
  shard_.Run(LittleMemory(&shard_.io(), directory_.File("x")));
}

Task<> Abandoned(ShardIo* io, std::string path) {
  auto file = co_await DmaFile::Open(*io, path, kCreate);
  IOENGINE_CO_ASSERT_OK(file);
  co_await WriteText(io, &*file, std::string(1'000'000, 'x'), {}, 0);
  for (int i = 0; i < 20; ++i) {
    SequentialReader reader(*io, *file, {.buffer_bytes = 4 * kPage, .read_ahead = 8});
    for (int k = 0; k < i % 4; ++k) IOENGINE_CO_ASSERT_OK(co_await reader.Next());
    SequentialWriter writer(*io, *file, {.buffer_bytes = 4 * kPage, .write_behind = 8});
    const std::string text(static_cast<size_t>(i) * 3000, 'y');
    IOENGINE_CO_ASSERT_OK(co_await writer.Append(BytesOf(text)));
  }
}

TEST_P(SequentialTest, BothMayGoWithOperationsUnderWay) {
  shard_.Run(Abandoned(&shard_.io(), directory_.File("x")));
}

Task<> FailsToWrite(ShardIo* io, std::string path) {
  const absl::Status made = (co_await DmaFile::Open(*io, path, kCreate)).status();
  IOENGINE_CO_ASSERT_OK(made);
  auto file = co_await DmaFile::Open(*io, path, {});  // read-only
  IOENGINE_CO_ASSERT_OK(file);
  SequentialWriter writer(*io, *file, {.buffer_bytes = kPage, .write_behind = 2});
  absl::Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) {
    const std::string text(kPage, 'z');
    status = co_await writer.Append(BytesOf(text));
  }
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("write " + path));
  EXPECT_EQ(co_await writer.Finish(Sync::kYes), status) << "an error is not forgotten";
}

TEST_P(SequentialTest, AWriteThatFailsFailsWhatFollows) {
  shard_.Run(FailsToWrite(&shard_.io(), directory_.File("x")));
}

INSTANTIATE_TEST_SUITE_P(Backends, SequentialTest, testing::ValuesIn(ConformingBackends()),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace ioengine
