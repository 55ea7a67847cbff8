// Tasks destroyed at random points of their I/O: nothing leaks, nothing is written into memory that
// was given back, and what was acknowledged is in the file.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/tests/io/backend_factory.h"
#include "ioengine/tests/io/io_shard.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using Access = DmaFileOptions::Access;
using Create = DmaFileOptions::Create;

constexpr size_t kPage = 4096;
constexpr size_t kPages = 16;

// What each page of the file may hold.
struct PageState {
  uint8_t acknowledged = 0;
  uint8_t attempted = 0;
};

struct World {
  ShardIo* io;
  std::string path;
  std::mt19937 random;
  std::vector<PageState> pages = std::vector<PageState>(kPages);
  int finished = 0;
};

constexpr DmaFileOptions kOptions = {.access = Access::kReadWrite, .create = Create::kIfMissing};

// Opens the file anew, so that opens and closes are cut too.
Task<> WriteOnePage(World* world, size_t page, uint8_t value) {
  auto file = co_await DmaFile::Open(*world->io, world->path, kOptions);
  IOENGINE_CO_ASSERT_OK(file);
  auto buffer = world->io->AllocateBuffer(kPage);
  IOENGINE_CO_ASSERT_OK(buffer);
  std::memset(buffer->data(), value, kPage);
  PageState& state = world->pages[page];
  state.attempted = value;
  IOENGINE_CO_ASSERT_OK(co_await file->Write(page * kPage, *buffer, kPage));
  state.acknowledged = value;
  if (value % 2 == 0) IOENGINE_CO_ASSERT_OK(co_await file->Fdatasync());
  if (value % 3 == 0) IOENGINE_CO_ASSERT_OK(co_await file->Close());
  ++world->finished;
}

Task<> VerifyPage(World* world, size_t page) {
  auto file = co_await DmaFile::Open(*world->io, world->path, kOptions);
  IOENGINE_CO_ASSERT_OK(file);
  auto buffer = world->io->AllocateBuffer(kPage);
  IOENGINE_CO_ASSERT_OK(buffer);
  const auto read = co_await file->Read(page * kPage, *buffer, kPage);
  IOENGINE_CO_ASSERT_OK(read);
  const PageState& state = world->pages[page];
  const auto found = static_cast<uint8_t>(*read > 0 ? buffer->data()[0] : std::byte{0});
  EXPECT_TRUE(found == state.acknowledged || found == state.attempted) << int{found};
  EXPECT_TRUE(std::all_of(buffer->data(), buffer->data() + *read,
                          [&](std::byte byte) { return byte == std::byte{found}; }));
  ++world->finished;
}

class DmaFileCutTest : public testing::TestWithParam<BackendFactory> {
 protected:
  // One run that is cut at a random turn.
  void Cut(IoShard& shard, World& world) {
    int turns_left = static_cast<int>(world.random() % 24);
    shard.RunUntilStopped(
        [&] {
          std::vector<size_t> pages(kPages);
          for (size_t i = 0; i < kPages; ++i) pages[i] = i;
          std::shuffle(pages.begin(), pages.end(), world.random);
          for (size_t i = 0; i < 1 + world.random() % 10; ++i) {
            const auto value = static_cast<uint8_t>(1 + world.random() % 255);
            shard.executor().Spawn(world.random() % 4 == 0 ? VerifyPage(&world, pages[i])
                                                           : WriteOnePage(&world, pages[i], value));
          }
        },
        [&] {
          if (turns_left-- <= 0) shard.executor().RequestStop();
        });
    // All tasks are gone; what they left in flight must not touch memory that is free now.
    std::vector<DmaBuffer> free_memory;
    for (;;) {
      absl::StatusOr<DmaBuffer> buffer = shard.io().AllocateBuffer(kPage);
      if (!buffer.ok()) break;
      std::memset(buffer->data(), 0xa5, kPage);
      free_memory.push_back(*std::move(buffer));
    }
    shard.io().queue().Drain();
    for (const DmaBuffer& buffer : free_memory) {
      ASSERT_TRUE(std::all_of(buffer.data(), buffer.data() + kPage,
                              [](std::byte byte) { return byte == std::byte{0xa5}; }));
    }
    free_memory.clear();
    shard.ExpectNothingIsLeft();
    // What was cut may have been written or not.
    shard.RunUntilStopped([&] { shard.executor().Spawn(Settle(&shard, &world)); });
  }

  // Reads which value each page holds now.
  static Task<> Settle(IoShard* shard, World* world) {
    auto file = co_await DmaFile::Open(*world->io, world->path, kOptions);
    IOENGINE_CO_ASSERT_OK(file);
    auto buffer = world->io->AllocateBuffer(kPages * kPage);
    IOENGINE_CO_ASSERT_OK(buffer);
    const auto read = co_await file->Read(0, *buffer, kPages * kPage);
    IOENGINE_CO_ASSERT_OK(read);
    for (size_t page = 0; page < kPages; ++page) {
      PageState& state = world->pages[page];
      const std::byte* const data = buffer->data() + page * kPage;
      const uint8_t found = page * kPage < *read ? static_cast<uint8_t>(*data) : 0;
      EXPECT_TRUE(found == state.acknowledged || found == state.attempted)
          << "page " << page << " holds " << int{found} << ", not " << int{state.acknowledged};
      EXPECT_TRUE(page * kPage >= *read ||
                  std::all_of(data, data + kPage, [=](std::byte byte) { return byte == *data; }))
          << "page " << page << " is torn";
      state = {found, found};
    }
    IOENGINE_CO_ASSERT_OK(co_await file->Close());
    shard->executor().RequestStop();
  }
};

TEST_P(DmaFileCutTest, AtManyRandomPoints) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr int kCuts = 100;
#else
  constexpr int kCuts = 300;
#endif
  const TestDirectory directory;
  const int fds_before = CountOpenFds();
  {
    IoShard shard(GetParam().make(64), {.queue_depth = 6, .max_open_files = 16}, size_t{1} << 18);
    World world{&shard.io(), directory.File("x"), std::mt19937(20261122), {}, 0};
    world.pages.resize(kPages);
    for (int cut = 0; cut < kCuts; ++cut) {
      SCOPED_TRACE(cut);
      Cut(shard, world);
      if (HasFailure()) return;
    }
    EXPECT_GT(world.finished, 0) << "the cuts come too early to mean anything";
    EXPECT_GT(shard.backend().stats().operations_completed, 0u);
    EXPECT_EQ(shard.backend().stats().stray_completions, 0u);
  }
  EXPECT_EQ(CountOpenFds(), fds_before);
}

// The test takes a page for written or not.
std::vector<BackendFactory> BackendsThatKeepPagesWhole() {
  std::vector<BackendFactory> backends = ConformingBackends();
  std::erase_if(backends, [](const BackendFactory& backend) { return backend.splits_pages; });
  return backends;
}

INSTANTIATE_TEST_SUITE_P(Backends, DmaFileCutTest, testing::ValuesIn(BackendsThatKeepPagesWhole()),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace ioengine
