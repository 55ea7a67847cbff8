// What is told, and that it works, where not all buffers can be registered: see limited_memlock.cc.

#include <algorithm>
#include <cstddef>
#include <cstring>
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

constexpr size_t kArenaBytes = size_t{64} << 20;

TEST(DegradedTest, MemoryIsRegisteredAsFarAsItIsGranted) {
  const auto backend = MakeUring({});
  const TestArena arena(kArenaBytes);
  const BufferRegistration registration = backend->RegisterBuffers(arena.bytes());
  // 6 MiB may be locked, by this ring and those of tests that run at the same time.
  EXPECT_GE(registration.registered_bytes, size_t{1} << 20);
  EXPECT_LE(registration.registered_bytes, size_t{6} << 20);
  EXPECT_EQ(registration.region_bytes, size_t{1} << 20);
  EXPECT_THAT(backend->info().features, Contains("registered buffers"));
  ASSERT_EQ(backend->info().degraded.size(), 1u);
  const Degradation& told = backend->info().degraded[0];
  EXPECT_EQ(told.feature, "registered buffers for all of the 64 MiB");
  EXPECT_THAT(told.reason, HasSubstr("Cannot allocate memory"));
  EXPECT_THAT(told.consequence, HasSubstr("MiB are; of the rest "));
  EXPECT_THAT(told.consequence, HasSubstr("ulimit -l"));
}

Task<> WriteAndRead(ShardIo* io, std::string path) {
  auto file = co_await DmaFile::Open(
      *io, path,
      {.access = DmaFileOptions::Access::kReadWrite, .create = DmaFileOptions::Create::kMustBeNew});
  IOENGINE_CO_ASSERT_OK(file);
  // In a registered region; larger than one; and a whole that is in part registered, in part not.
  for (const size_t size_bytes : {size_t{1} << 20, size_t{2} << 20, kArenaBytes}) {
    auto buffer = io->AllocateBuffer(size_bytes);
    IOENGINE_CO_ASSERT_OK(buffer);
    EXPECT_EQ(buffer->registered_index() == kNotRegistered, size_bytes > (size_t{1} << 20));
    std::memset(buffer->data(), 'w', size_bytes);
    IOENGINE_CO_ASSERT_OK(co_await file->Write(0, *buffer, size_bytes));
    std::memset(buffer->data(), 'r', size_bytes);
    EXPECT_EQ((co_await file->Read(0, *buffer, size_bytes)).value_or(0), size_bytes);
    EXPECT_EQ(std::count(buffer->bytes().begin(), buffer->bytes().end(), std::byte{'w'}),
              static_cast<ptrdiff_t>(size_bytes));
  }
}

TEST(DegradedTest, RegisteredAndPlainMemoryWorkBesideEachOther) {
  const TestDirectory directory;
  IoShard shard(MakeUring({}), {}, kArenaBytes);
  shard.Run(WriteAndRead(&shard.io(), directory.File("x")));
  shard.ExpectNothingIsLeft();
}

}  // namespace
}  // namespace ioengine
