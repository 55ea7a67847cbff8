// What is told, and that it works, where the buffers cannot be registered: see limited_memlock.cc.

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/tests/io/backend_factory.h"
#include "ioengine/tests/io/io_shard.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr size_t kArenaBytes = size_t{64} << 20;

TEST(DegradedTest, ARefusedRegistrationIsToldWithWhatToDo) {
  const auto backend = MakeUring({});
  const TestArena arena(kArenaBytes);
  const std::span<std::byte> region[] = {arena.bytes()};
  const absl::Status status = backend->RegisterBuffers(region);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(backend->info().features, Not(Contains("registered buffers")));
  ASSERT_EQ(backend->info().degraded.size(), 1u);
  const Degradation& told = backend->info().degraded[0];
  EXPECT_EQ(told.feature, "registered buffers");
  EXPECT_THAT(told.reason, HasSubstr("Cannot allocate memory"));
  EXPECT_THAT(told.consequence, HasSubstr("ulimit -l"));
}

Task<> WriteAndRead(ShardIo* io, std::string path) {
  auto file = co_await DmaFile::Open(
      *io, path,
      {.access = DmaFileOptions::Access::kReadWrite, .create = DmaFileOptions::Create::kMustBeNew});
  IOENGINE_CO_ASSERT_OK(file);
  auto buffer = io->AllocateBuffer(1 << 20);
  IOENGINE_CO_ASSERT_OK(buffer);
  EXPECT_EQ(buffer->registered_index(), kNotRegistered);
  IOENGINE_CO_ASSERT_OK(co_await file->Write(0, *buffer, 1 << 20));
  EXPECT_EQ((co_await file->Read(0, *buffer, 1 << 20)).value_or(0), size_t{1} << 20);
}

TEST(DegradedTest, PlainMemoryWorks) {
  const TestDirectory directory;
  IoShard shard(MakeUring({}), {}, kArenaBytes);
  shard.Run(WriteAndRead(&shard.io(), directory.File("x")));
  shard.ExpectNothingIsLeft();
}

}  // namespace
}  // namespace ioengine
