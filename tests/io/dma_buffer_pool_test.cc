// DmaBufferPool and DmaBuffer: against a model, at the bounds, and what their contracts forbid.

#include "ioengine/io/dma_buffer_pool.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/io/dma_buffer.h"
#include "ioengine/io/poison.h"
#include "ioengine/tests/io/test_arena.h"

namespace ioengine {
namespace {

using testing::HasSubstr;

constexpr size_t kPage = DmaBufferPool::kPageBytes;

DmaBuffer MustAllocate(DmaBufferPool& pool, size_t size_bytes) {
  absl::StatusOr<DmaBuffer> buffer = pool.Allocate(size_bytes);
  EXPECT_TRUE(buffer.ok()) << buffer.status();
  return buffer.ok() ? *std::move(buffer) : DmaBuffer();
}

TEST(DmaBufferPoolTest, GivesWhatIsAskedForInBlocksOfPowersOfTwo) {
  const TestArena arena(kPage * 64);
  DmaBufferPool pool(arena.bytes());
  for (const auto& [size_bytes, block_bytes] : std::map<size_t, size_t>{{1, kPage},
                                                                        {kPage - 1, kPage},
                                                                        {kPage, kPage},
                                                                        {kPage + 1, 2 * kPage},
                                                                        {3 * kPage, 4 * kPage},
                                                                        {33 * kPage, 64 * kPage}}) {
    const DmaBuffer buffer = MustAllocate(pool, size_bytes);
    EXPECT_EQ(buffer.size_bytes(), size_bytes);
    EXPECT_EQ(buffer.bytes().size(), size_bytes);
    EXPECT_EQ(buffer.bytes().data(), buffer.data());
    EXPECT_EQ(pool.used_bytes(), block_bytes);
    EXPECT_EQ(buffer.registered_index(), kNotRegistered);
    std::memset(buffer.data(), 0xab, size_bytes);
  }
  EXPECT_EQ(pool.used_bytes(), 0u);
  EXPECT_EQ(pool.capacity_bytes(), kPage * 64);
}

TEST(DmaBufferPoolTest, RefusesSizesThatNoPoolHas) {
  const TestArena arena(kPage);
  DmaBufferPool pool(arena.bytes());
  for (const size_t size_bytes : {size_t{0}, DmaBufferPool::kMaxBufferBytes + 1, SIZE_MAX}) {
    const absl::Status status = pool.Allocate(size_bytes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::to_string(size_bytes)));
  }
  EXPECT_EQ(pool.times_full(), 0u);
}

TEST(DmaBufferPoolTest, TellsWhenNothingIsFree) {
  const TestArena arena(kPage * 4);
  DmaBufferPool pool(arena.bytes());
  DmaBuffer one = MustAllocate(pool, 1);
  DmaBuffer two = MustAllocate(pool, 2 * kPage);
  const absl::Status status = pool.Allocate(2 * kPage).status();  // one page is free
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no DMA buffer of 8192 bytes is free"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("12288 of 16384 bytes"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("larger pool"));
  EXPECT_EQ(pool.times_full(), 1u);
  EXPECT_TRUE(pool.Allocate(kPage).ok());
  EXPECT_EQ(pool.times_full(), 1u);
}

TEST(DmaBufferPoolTest, AnEmptyArenaHasNothing) {
  DmaBufferPool pool(std::span<std::byte>{});
  EXPECT_EQ(pool.Allocate(1).status().code(), absl::StatusCode::kResourceExhausted);
  pool.SetRegistered({});
  EXPECT_EQ(pool.Allocate(1).status().code(), absl::StatusCode::kResourceExhausted);
}

// All sizes of arena up to 70 pages: everything can be had in pages, no two overlap, and what is
// freed merges back to the largest blocks that the arena has.
TEST(DmaBufferPoolTest, UsesEveryPageOfArenasOfOddSizes) {
  for (size_t pages = 1; pages <= 70; ++pages) {
    const TestArena arena(kPage * pages);
    DmaBufferPool pool(arena.bytes());
    std::vector<DmaBuffer> buffers;
    std::vector<bool> seen(pages);
    for (size_t i = 0; i < pages; ++i) {
      buffers.push_back(MustAllocate(pool, kPage));
      const auto page = static_cast<size_t>(buffers.back().data() - arena.bytes().data()) / kPage;
      ASSERT_LT(page, pages);
      ASSERT_FALSE(seen[page]);
      seen[page] = true;
    }
    EXPECT_FALSE(pool.Allocate(1).ok());
    std::shuffle(buffers.begin(), buffers.end(), std::mt19937(static_cast<unsigned>(pages)));
    buffers.clear();
    EXPECT_EQ(pool.used_bytes(), 0u);
    for (size_t left = pages; left > 0; left -= std::bit_floor(left)) {
      buffers.push_back(MustAllocate(pool, kPage * std::bit_floor(left)));
    }
    EXPECT_EQ(pool.used_bytes(), kPage * pages);
  }
}

// Random requests against a model of which pages are in use. A request must be met whenever an
// aligned free block of its size exists.
class PoolModel {
 public:
  PoolModel(std::span<std::byte> arena, BufferRegistration registration, unsigned seed)
      : arena_(arena),
        registration_(registration),
        pool_(arena),
        owner_(arena.size() / kPage),
        random_(seed) {
    pool_.SetRegistered(registration);
  }

  void Step() {
    if (random_() % 2 == 0) {
      Allocate();
    } else if (!held_.empty()) {
      FreeOne();
    }
    size_t used = 0;
    for (const auto& [number, held] : held_) used += held.block_bytes;
    ASSERT_EQ(pool_.used_bytes(), used);
  }

  void FreeAll() {
    while (!held_.empty()) FreeOne();
    EXPECT_EQ(pool_.used_bytes(), 0u);
    EXPECT_TRUE(pool_.Allocate(std::bit_floor(arena_.size())).ok());
  }

 private:
  struct Held {
    DmaBuffer buffer;
    size_t first_page;
    size_t block_bytes;
  };

  // Among those that begin within the first `arena_bytes`.
  bool HasFreeBlock(size_t pages, size_t arena_bytes) const {
    for (size_t at = 0; at + pages <= owner_.size() && at * kPage < arena_bytes; at += pages) {
      const auto first = owner_.begin() + static_cast<ptrdiff_t>(at);
      if (std::all_of(first, first + static_cast<ptrdiff_t>(pages),
                      [](int owner) { return owner == 0; })) {
        return true;
      }
    }
    return false;
  }

  void Allocate() {
    const size_t size_bytes = 1 + random_() % (kPage << (random_() % 7));
    const size_t block_bytes = std::bit_ceil(std::max(size_bytes, kPage));
    const bool registered = block_bytes <= registration_.region_bytes &&
                            HasFreeBlock(block_bytes / kPage, registration_.registered_bytes);
    absl::StatusOr<DmaBuffer> buffer = pool_.Allocate(size_bytes);
    ASSERT_EQ(buffer.ok(), HasFreeBlock(block_bytes / kPage, arena_.size())) << buffer.status();
    if (!buffer.ok()) return;
    const auto offset = static_cast<size_t>(buffer->data() - arena_.data());
    ASSERT_EQ(offset % block_bytes, 0u);
    ASSERT_EQ(buffer->registered_index(),
              registered ? offset / registration_.region_bytes : kNotRegistered);
    ASSERT_LE(offset + block_bytes, arena_.size());
    const int number = ++last_number_;
    for (size_t page = offset / kPage; page < (offset + block_bytes) / kPage; ++page) {
      ASSERT_EQ(owner_[page], 0);
      owner_[page] = number;
    }
    std::memset(buffer->data(), number & 0xff, size_bytes);
    held_.emplace(number, Held{*std::move(buffer), offset / kPage, block_bytes});
  }

  void FreeOne() {
    auto at = held_.begin();
    std::advance(at, static_cast<ptrdiff_t>(random_() % held_.size()));
    const auto& [number, held] = *at;
    for (const std::byte value : held.buffer.bytes()) {
      ASSERT_EQ(value, static_cast<std::byte>(number & 0xff));
    }
    for (size_t page = 0; page < held.block_bytes / kPage; ++page) {
      owner_[held.first_page + page] = 0;
    }
    held_.erase(at);
  }

  std::span<std::byte> arena_;
  const BufferRegistration registration_;
  DmaBufferPool pool_;
  std::map<int, Held> held_;
  std::vector<int> owner_;  // by page; 0: free
  int last_number_ = 0;
  std::mt19937 random_;
};

TEST(DmaBufferPoolTest, AgreesWithAModel) {
  for (const unsigned seed : {1u, 2u, 3u, 4u, 5u, 6u}) {
    const TestArena arena(kPage * (100 + 31 * seed));
    // Nothing is registered, or some regions.
    const size_t region_bytes = kPage << (seed % 5);
    const BufferRegistration some = {.registered_bytes = region_bytes * (3 + seed),
                                     .region_bytes = region_bytes};
    PoolModel model(arena.bytes(), seed % 2 == 0 ? some : BufferRegistration(), seed);
    for (int step = 0; step < 2000; ++step) {
      model.Step();
      if (testing::Test::HasFatalFailure()) return;
    }
    model.FreeAll();
  }
}

// A little more than the largest buffer: two regions, and no buffer in both.
TEST(DmaBufferPoolTest, ArenasBeyondAGibibyteHaveSeveralRegions) {
  constexpr size_t kGibibyte = DmaBufferPool::kMaxBufferBytes;
  const TestArena arena(kGibibyte + 3 * kPage);
  DmaBufferPool pool(arena.bytes());
  pool.SetRegistered({.registered_bytes = arena.bytes().size(), .region_bytes = kGibibyte});
  const DmaBuffer largest = MustAllocate(pool, kGibibyte);
  EXPECT_EQ(largest.data(), arena.bytes().data());
  EXPECT_EQ(largest.registered_index(), 0);
  const DmaBuffer beyond = MustAllocate(pool, 2 * kPage);
  EXPECT_EQ(beyond.registered_index(), 1);
  EXPECT_FALSE(pool.Allocate(2 * kPage).ok());
  EXPECT_TRUE(pool.Allocate(kPage).ok());
}

// Three regions of eight pages are registered, of 64 pages.
TEST(DmaBufferPoolTest, RegisteredMemoryIsGivenOutFirst) {
  constexpr size_t kRegistered = 24;
  const TestArena arena(64 * kPage);
  DmaBufferPool pool(arena.bytes());
  pool.SetRegistered({.registered_bytes = kRegistered * kPage, .region_bytes = 8 * kPage});
  std::vector<DmaBuffer> buffers;
  for (size_t i = 0; i < 64; ++i) {
    buffers.push_back(MustAllocate(pool, kPage));
    const auto offset = static_cast<size_t>(buffers[i].data() - arena.bytes().data());
    EXPECT_EQ(offset < kRegistered * kPage, i < kRegistered) << i;
    EXPECT_EQ(buffers[i].registered_index(),
              i < kRegistered ? offset / (8 * kPage) : kNotRegistered);
  }
  EXPECT_FALSE(pool.Allocate(1).ok());
  // What is free again is preferred again.
  const size_t again = 5;
  const uint16_t index = buffers[again].registered_index();
  buffers[63] = DmaBuffer();
  buffers[again] = DmaBuffer();
  EXPECT_EQ(MustAllocate(pool, kPage).registered_index(), index);
}

TEST(DmaBufferPoolTest, BuffersLargerThanARegionArePlainAndLeaveTheRegionsAlone) {
  const TestArena arena(64 * kPage);
  DmaBufferPool pool(arena.bytes());
  pool.SetRegistered({.registered_bytes = 24 * kPage, .region_bytes = 8 * kPage});
  const DmaBuffer large = MustAllocate(pool, 16 * kPage);
  EXPECT_EQ(large.registered_index(), kNotRegistered);
  EXPECT_GE(large.data(), arena.bytes().data() + 24 * kPage);
  std::vector<DmaBuffer> regions;
  for (int i = 0; i < 3; ++i) regions.push_back(MustAllocate(pool, 8 * kPage));
  std::set<uint16_t> indices;
  for (const DmaBuffer& buffer : regions) indices.insert(buffer.registered_index());
  EXPECT_EQ(indices, (std::set<uint16_t>{0, 1, 2}));
  regions.clear();
  // Where nothing else is left they take what is registered, and it stays plain for them.
  const DmaBuffer rest = MustAllocate(pool, 16 * kPage);
  const DmaBuffer last = MustAllocate(pool, 16 * kPage);
  EXPECT_EQ(last.registered_index(), kNotRegistered);
}

TEST(DmaBufferTest, TheLastHandleFrees) {
  const TestArena arena(kPage * 4);
  DmaBufferPool pool(arena.bytes());
  DmaBuffer buffer = MustAllocate(pool, 100);
  DmaBuffer second = buffer.Share();
  EXPECT_EQ(second.data(), buffer.data());
  EXPECT_EQ(second.size_bytes(), 100u);
  DmaBuffer third = second.Share();
  buffer = DmaBuffer();
  third = std::move(second);
  EXPECT_EQ(pool.used_bytes(), kPage);
  EXPECT_FALSE(second.valid());  // NOLINT(bugprone-use-after-move)
  DmaBuffer& same = third;
  third = std::move(same);
  EXPECT_TRUE(third.valid());
  EXPECT_EQ(pool.used_bytes(), kPage);
  third = MustAllocate(pool, 2 * kPage);
  EXPECT_EQ(pool.used_bytes(), 2 * kPage);
}

TEST(DmaBufferTest, IsEmptyByDefault) {
  const DmaBuffer buffer;
  EXPECT_FALSE(buffer.valid());
  EXPECT_EQ(buffer.size_bytes(), 0u);
  EXPECT_FALSE(buffer.Share().valid());
}

#ifdef IOENGINE_ASAN
TEST(DmaBufferTest, MemoryIsPoisonedUnlessItIsInUse) {
  const TestArena arena(kPage * 4);
  {
    DmaBufferPool pool(arena.bytes());
    const std::byte* data = arena.bytes().data();
    EXPECT_TRUE(IsPoisoned(data, 1));
    {
      const DmaBuffer buffer = MustAllocate(pool, 100);
      data = buffer.data();
      EXPECT_FALSE(IsPoisoned(data, 100));
      EXPECT_TRUE(IsPoisoned(data, 101));
    }
    EXPECT_TRUE(IsPoisoned(data, 1));
  }
  EXPECT_FALSE(IsPoisoned(arena.bytes().data(), arena.bytes().size()));
}
#endif

TEST(DmaBufferPoolDeathTest, ABufferOutlivesItsPool) {
  const TestArena arena(kPage);
  EXPECT_DEATH(
      {
        auto pool = std::make_unique<DmaBufferPool>(arena.bytes());
        const DmaBuffer buffer = MustAllocate(*pool, 1);
        pool.reset();
      },
      "a DmaBuffer outlives its pool");
}

TEST(DmaBufferPoolDeathTest, AnArenaThatIsNotAligned) {
  const TestArena arena(kPage * 4);
  EXPECT_DEATH(DmaBufferPool(arena.bytes().subspan(kPage)), "must be aligned to 2 MiB");
  EXPECT_DEATH(DmaBufferPool(arena.bytes().first(kPage + 512)), "must be a multiple of 4 KiB");
}

TEST(DmaBufferPoolDeathTest, RegistrationAfterAnAllocation) {
  const TestArena arena(kPage);
  DmaBufferPool pool(arena.bytes());
  const DmaBuffer buffer = MustAllocate(pool, 1);
  EXPECT_DEATH(pool.SetRegistered({}), "SetRegistered comes before the first Allocate");
}

}  // namespace
}  // namespace ioengine
