// BlockCache: one read for each block, what is pinned stays, and what is used again too.

#include "ioengine/engine/table/block_cache.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/engine/table/block_format.h"
#include "ioengine/engine/table/ghost_queue.h"
#include "ioengine/engine/table/table_file.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/when_all.h"
#include "ioengine/sched/yield.h"

namespace ioengine {
namespace {

constexpr uint64_t kSeed = 77;
constexpr uint64_t kBlocks = 64;
constexpr size_t kPage = kBlockPageBytes;

// A file of blocks of one page, each of which has its number in it.
Task<absl::StatusOr<std::shared_ptr<const TableFile>>> MakeFile(ShardIo& io, BlockCache* cache) {
  const DmaFileOptions options = {.access = DmaFileOptions::Access::kReadWrite,
                                  .create = DmaFileOptions::Create::kIfMissing};
  absl::StatusOr<DmaFile> opened = co_await DmaFile::Open(io, "/blocks", options);
  if (!opened.ok()) co_return opened.status();
  auto file = std::make_shared<TableFile>();
  file->file = *std::move(opened);
  file->name = "blocks";
  file->seed = kSeed;
  file->id = cache->NewFileId();
  absl::StatusOr<DmaBuffer> buffer = io.AllocateBuffer(kPage);
  if (!buffer.ok()) co_return buffer.status();
  for (uint64_t block = 0; block < kBlocks; ++block) {
    buffer->data()[kPage - 1] = static_cast<std::byte>(block);
    FillBlockHeader(buffer->bytes(), {.kind = BlockKind::kFilter, .used_bytes = kPage});
    SealBlock(buffer->bytes(), kSeed, block * kPage);
    absl::Status status = co_await file->file.Write(block * kPage, *buffer, kPage);
    if (!status.ok()) co_return status;
  }
  std::shared_ptr<const TableFile> result = std::move(file);
  co_return result;
}

struct Fixture {
  explicit Fixture(Shard& shard, BlockCacheOptions options = {.capacity_bytes = 16 * kPage,
                                                              .max_pinned_bytes = 12 * kPage})
      : cache(shard.io(), options) {}

  Task<absl::StatusOr<BlockCache::Pin>> Read(uint64_t block) {
    return cache.Read(file, {block * kPage, 1}, BlockKind::kFilter);
  }
  uint64_t device_reads() const { return file->file.stats().bytes_read / kPage; }

  BlockCache cache;
  std::shared_ptr<const TableFile> file;
};

// Reads one block, and looks at it.
Task<absl::Status> ReadOne(Fixture* fixture, uint64_t block) {
  const absl::StatusOr<BlockCache::Pin> pin = co_await fixture->Read(block);
  if (!pin.ok()) co_return pin.status();
  if (pin->bytes()[kPage - 1] != static_cast<std::byte>(block)) {
    co_return absl::UnknownError("WRONG block");
  }
  co_return absl::OkStatus();
}

Task<absl::Status> ReadTogether(Shard& shard) {
  Fixture fixture(shard);
  auto file = co_await MakeFile(shard.io(), &fixture.cache);
  if (!file.ok()) co_return file.status();
  fixture.file = *file;
  TaskScope scope(shard.executor());
  for (int i = 0; i < 20; ++i) scope.Spawn(ReadOne(&fixture, 3));
  if (absl::Status status = co_await scope.Join(); !status.ok()) co_return status;
  EXPECT_EQ(fixture.device_reads(), 1u);
  EXPECT_EQ(fixture.cache.stats().misses, 1u);
  EXPECT_EQ(fixture.cache.stats().hits, 19u);
  EXPECT_EQ(fixture.cache.pinned_bytes(), 0u);
  co_return absl::OkStatus();
}

TEST(BlockCacheTest, ThoseWhoWantABlockTogetherWaitForOneRead) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Simulation simulation({.seed = seed});
    const SimulationResult result = simulation.Run(ReadTogether);
    ASSERT_TRUE(result.ok()) << result.message;
  }
}

Task<absl::Status> CancelTheFirst(Shard& shard) {
  Fixture fixture(shard);
  auto file = co_await MakeFile(shard.io(), &fixture.cache);
  if (!file.ok()) co_return file.status();
  fixture.file = *file;
  TaskScope first(shard.executor());
  TaskScope second(shard.executor());
  first.Spawn(ReadOne(&fixture, 3));
  co_await Yield();
  second.Spawn(ReadOne(&fixture, 3));
  co_await Yield();
  first.Cancel();
  absl::Status status = co_await second.Join();
  EXPECT_EQ(fixture.device_reads(), 1u);
  EXPECT_EQ(fixture.cache.pinned_bytes(), 0u);
  co_return status;
}

TEST(BlockCacheTest, AReadGoesOnWithoutTheTaskThatBeganIt) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Simulation simulation({.seed = seed});
    const SimulationResult result = simulation.Run(CancelTheFirst);
    ASSERT_TRUE(result.ok()) << result.message;
  }
}

Task<absl::Status> PinMany(Shard& shard) {
  Fixture fixture(shard);
  auto file = co_await MakeFile(shard.io(), &fixture.cache);
  if (!file.ok()) co_return file.status();
  fixture.file = *file;
  std::vector<BlockCache::Pin> pins;
  for (uint64_t block = 0; block < 12; ++block) {
    absl::StatusOr<BlockCache::Pin> pin = co_await fixture.Read(block);
    if (!pin.ok()) co_return pin.status();
    pins.push_back(*std::move(pin));
  }
  EXPECT_EQ(fixture.cache.pinned_bytes(), 12 * kPage);
  EXPECT_TRUE(absl::IsResourceExhausted(co_await ReadOne(&fixture, 20)));
  EXPECT_EQ(fixture.cache.stats().full, 1u);
  EXPECT_EQ(fixture.cache.stats().misses, 12u) << "what is refused is not begun";
  EXPECT_TRUE((co_await ReadOne(&fixture, 3)).ok()) << "what is pinned already costs nothing";
  pins.pop_back();
  // Others come and go; the pinned ones stay as they are.
  for (uint64_t block = 20; block < kBlocks; ++block) {
    if (absl::Status status = co_await ReadOne(&fixture, block); !status.ok()) co_return status;
    EXPECT_LE(fixture.cache.used_bytes(), 16 * kPage);
  }
  EXPECT_GE(fixture.cache.stats().evictions, 40u);
  for (size_t i = 0; i < pins.size(); ++i) {
    EXPECT_EQ(pins[i].bytes()[kPage - 1], static_cast<std::byte>(i));
  }
  co_return absl::OkStatus();
}

TEST(BlockCacheTest, WhatIsPinnedStaysAndIsBounded) {
  Simulation simulation({.seed = 1});
  const SimulationResult result = simulation.Run(PinMany);
  ASSERT_TRUE(result.ok()) << result.message;
}

Task<absl::StatusOr<BlockCache::Pin>> ReadShort(Fixture* fixture, uint64_t block) {
  const BlockHandle handle = {block * kPage, 1};
  return fixture->cache.Read(fixture->file, handle, BlockKind::kFilter, PinUse::kShort);
}

Task<> ReadShortInto(Fixture* fixture, uint64_t block, absl::Status* result) {
  *result = (co_await ReadShort(fixture, block)).status();
}

Task<absl::Status> HoldWhatWasShort(Shard& shard) {
  Fixture fixture(shard);
  auto file = co_await MakeFile(shard.io(), &fixture.cache);
  if (!file.ok()) co_return file.status();
  fixture.file = *file;
  std::vector<BlockCache::Pin> pins;
  for (uint64_t block = 0; block < 13; ++block) {
    absl::StatusOr<BlockCache::Pin> pin = co_await ReadShort(&fixture, block);
    if (!pin.ok()) co_return pin.status();
    EXPECT_EQ(pin->TryHold(), block < 12);
    EXPECT_EQ(pin->bytes()[kPage - 1], static_cast<std::byte>(block));
    pins.push_back(*std::move(pin));
  }
  pins.front().Release();
  EXPECT_TRUE(pins.back().TryHold());
  EXPECT_TRUE(pins.back().TryHold()) << "it is already";
  EXPECT_FALSE((co_await ReadShort(&fixture, 0)).value().TryHold());
  pins.clear();
  EXPECT_EQ(fixture.cache.pinned_bytes(), 0u);
  EXPECT_TRUE((co_await fixture.Read(0)).ok());
  co_return absl::OkStatus();
}

TEST(BlockCacheTest, AShortPinCanBecomeAHeldOne) {
  Simulation simulation({.seed = 1});
  const SimulationResult result = simulation.Run(HoldWhatWasShort);
  ASSERT_TRUE(result.ok()) << result.message;
}

// When no short pin is left that could make room, whoever waits for that is told.
Task<absl::Status> WaitForTheLastShortPin(Shard& shard, bool is_held_then) {
  BlockCacheOptions options;
  options.capacity_bytes = options.max_pinned_bytes = 16 * kPage;
  Fixture fixture(shard, options);
  auto file = co_await MakeFile(shard.io(), &fixture.cache);
  if (!file.ok()) co_return file.status();
  fixture.file = *file;
  std::vector<BlockCache::Pin> pins;
  for (uint64_t block = 0; block < 16; ++block) {
    absl::StatusOr<BlockCache::Pin> pin = co_await fixture.Read(block);
    if (!pin.ok()) co_return pin.status();
    pins.push_back(*std::move(pin));
  }
  absl::StatusOr<BlockCache::Pin> last = co_await ReadShort(&fixture, 7);
  if (!last.ok()) co_return last.status();
  TaskScope scope(shard.executor());
  absl::Status waited;
  scope.Spawn(ReadShortInto(&fixture, 40, &waited));
  while (fixture.cache.stats().waits == 0) co_await Yield();
  if (is_held_then) {
    EXPECT_TRUE(last->TryHold());
  } else {
    last->Release();
  }
  const absl::Status joined = co_await scope.Join();
  EXPECT_TRUE(absl::IsResourceExhausted(waited)) << waited.ToString();
  co_return joined;
}

TEST(BlockCacheTest, NobodyWaitsForAShortPinThatIsNotThere) {
  for (const bool is_held_then : {false, true}) {
    Simulation simulation({.seed = 1});
    const SimulationResult result = simulation.Run(WaitForTheLastShortPin, is_held_then);
    ASSERT_TRUE(result.ok()) << result.message;
  }
}

// All of the cache is being read for tasks that are gone.
Task<absl::Status> ReadBesideWhatNobodyWants(Shard& shard) {
  Fixture fixture(shard);
  auto file = co_await MakeFile(shard.io(), &fixture.cache);
  if (!file.ok()) co_return file.status();
  fixture.file = *file;
  absl::Status statuses[16];
  TaskScope scope(shard.executor());
  for (uint64_t block = 0; block < 16; ++block) {
    scope.Spawn(ReadShortInto(&fixture, block, &statuses[block]));
  }
  while (fixture.cache.stats().misses < 16) co_await Yield();
  scope.Cancel();
  EXPECT_EQ(fixture.cache.pinned_bytes(), 0u);
  const absl::StatusOr<BlockCache::Pin> pin = co_await ReadShort(&fixture, 40);
  co_return pin.status();
}

TEST(BlockCacheTest, WhoeverReadsWaitsForReadsThatNobodyWants) {
  Simulation simulation({.seed = 1});
  const SimulationResult result = simulation.Run(ReadBesideWhatNobodyWants);
  ASSERT_TRUE(result.ok()) << result.message;
}

// Of blocks that are used often, while others are used once.
Task<absl::Status> ScanBesideHot(Shard& shard, uint64_t* hot_reads) {
  Fixture fixture(shard);
  auto file = co_await MakeFile(shard.io(), &fixture.cache);
  if (!file.ok()) co_return file.status();
  fixture.file = *file;
  for (uint64_t round = 0; round < 50; ++round) {
    for (uint64_t i = 0; i < 8; ++i) {
      const uint64_t before = fixture.cache.stats().misses;
      if (absl::Status status = co_await ReadOne(&fixture, i); !status.ok()) co_return status;
      *hot_reads += fixture.cache.stats().misses - before;
      const uint64_t cold = 8 + (round * 16 + i * 2) % (kBlocks - 8);
      if (absl::Status status = co_await ReadOne(&fixture, cold); !status.ok()) co_return status;
      if (absl::Status status = co_await ReadOne(&fixture, cold + 1 - cold % 2); !status.ok()) {
        co_return status;
      }
    }
  }
  co_return absl::OkStatus();
}

TEST(BlockCacheTest, AScanDoesNotPushOutWhatIsUsedAgain) {
  Simulation simulation({.seed = 1});
  uint64_t hot_reads = 0;
  const SimulationResult result = simulation.Run(ScanBesideHot, &hot_reads);
  ASSERT_TRUE(result.ok()) << result.message;
  // 24 others between two uses of each: last in, first out would read all 400 anew.
  EXPECT_LT(hot_reads, 40u);
}

// A block that comes again soon after it went stays, though others come and go.
Task<absl::Status> ComeAgain(Shard& shard) {
  Fixture fixture(shard);
  auto file = co_await MakeFile(shard.io(), &fixture.cache);
  if (!file.ok()) co_return file.status();
  fixture.file = *file;
  for (uint64_t use = 0; use < 3; ++use) {
    const uint64_t before = fixture.cache.stats().misses;
    if (absl::Status status = co_await ReadOne(&fixture, 0); !status.ok()) co_return status;
    EXPECT_EQ(fixture.cache.stats().misses - before, use < 2 ? 1u : 0u) << use;
    for (uint64_t other = 1; other <= 18; ++other) {
      const uint64_t block = use * 18 + other;
      if (absl::Status status = co_await ReadOne(&fixture, block); !status.ok()) co_return status;
    }
  }
  co_return absl::OkStatus();
}

// The same for a block that is used again before it went.
Task<absl::Status> UseTwice(Shard& shard) {
  Fixture fixture(shard);
  auto file = co_await MakeFile(shard.io(), &fixture.cache);
  if (!file.ok()) co_return file.status();
  fixture.file = *file;
  for (const uint64_t block : {0, 0}) {
    if (absl::Status status = co_await ReadOne(&fixture, block); !status.ok()) co_return status;
  }
  for (uint64_t block = 1; block <= 40; ++block) {
    if (absl::Status status = co_await ReadOne(&fixture, block); !status.ok()) co_return status;
  }
  const uint64_t before = fixture.cache.stats().misses;
  const absl::Status status = co_await ReadOne(&fixture, 0);
  EXPECT_EQ(fixture.cache.stats().misses, before);
  co_return status;
}

TEST(BlockCacheTest, WhatIsUsedAgainStays) {
  Simulation simulation({.seed = 1});
  const SimulationResult result = simulation.Run(UseTwice);
  ASSERT_TRUE(result.ok()) << result.message;
}

TEST(BlockCacheTest, WhatComesAgainSoonStays) {
  Simulation simulation({.seed = 1});
  const SimulationResult result = simulation.Run(ComeAgain);
  ASSERT_TRUE(result.ok()) << result.message;
}

Task<absl::Status> ReadTwiceWithError(Shard& shard, Simulation* simulation) {
  Fixture fixture(shard);
  auto file = co_await MakeFile(shard.io(), &fixture.cache);
  if (!file.ok()) co_return file.status();
  fixture.file = *file;
  SimFaultRule rule;
  rule.path_part = "blocks";
  rule.opcode = IoOpcode::kRead;
  simulation->disk().faults().Add(rule);
  auto [first, second] = co_await WhenAll(ReadOne(&fixture, 3), ReadOne(&fixture, 3));
  EXPECT_FALSE(first.ok());
  EXPECT_FALSE(second.ok()) << "those who wait get the error too";
  EXPECT_TRUE(first.message().find("blocks") != absl::string_view::npos) << first;
  EXPECT_EQ(fixture.cache.used_bytes(), 0u);
  co_return co_await ReadOne(&fixture, 3);
}

TEST(BlockCacheTest, AReadThatFailedIsTriedAgain) {
  Simulation simulation({.seed = 1});
  const SimulationResult result = simulation.Run(ReadTwiceWithError, &simulation);
  ASSERT_TRUE(result.ok()) << result.message;
}

Task<absl::Status> ReadAsAnother(Shard& shard) {
  Fixture fixture(shard);
  auto file = co_await MakeFile(shard.io(), &fixture.cache);
  if (!file.ok()) co_return file.status();
  fixture.file = *file;
  if (absl::Status status = co_await ReadOne(&fixture, 3); !status.ok()) co_return status;
  const BlockHandle handle = {3 * kPage, 1};
  const BlockHandle longer = {3 * kPage, 2};
  EXPECT_TRUE(fixture.cache.TryRead(**file, handle, BlockKind::kFilter).valid());
  EXPECT_FALSE(fixture.cache.TryRead(**file, handle, BlockKind::kData).valid());
  const auto as_data = co_await fixture.cache.Read(fixture.file, handle, BlockKind::kData);
  EXPECT_TRUE(absl::IsDataLoss(as_data.status())) << as_data.status();
  const auto as_longer = co_await fixture.cache.Read(fixture.file, longer, BlockKind::kFilter);
  EXPECT_TRUE(absl::IsDataLoss(as_longer.status())) << as_longer.status();
  co_return absl::OkStatus();
}

TEST(BlockCacheTest, ABlockIsNoOtherThanItWasReadAs) {
  Simulation simulation({.seed = 1});
  const SimulationResult result = simulation.Run(ReadAsAnother);
  ASSERT_TRUE(result.ok()) << result.message;
}

Task<> ReadAtRandom(Fixture* fixture, Random* random, int reads, int* wrong) {
  for (int i = 0; i < reads; ++i) {
    const uint64_t block = random->Below(random->OneIn(2) ? 8 : kBlocks);
    absl::StatusOr<BlockCache::Pin> pin = co_await fixture->Read(block);
    if (!pin.ok()) {
      if (!absl::IsResourceExhausted(pin.status())) ++*wrong;
      continue;
    }
    for (uint64_t turns = random->Below(3); turns > 0; --turns) co_await Yield();
    if (pin->bytes()[kPage - 1] != static_cast<std::byte>(block)) ++*wrong;
    if (fixture->cache.used_bytes() > 16 * kPage) ++*wrong;
    if (fixture->cache.pinned_bytes() > 12 * kPage) ++*wrong;
  }
}

Task<absl::Status> ReadFromMany(Shard& shard, Random* random) {
  Fixture fixture(shard);
  auto file = co_await MakeFile(shard.io(), &fixture.cache);
  if (!file.ok()) co_return file.status();
  fixture.file = *file;
  int wrong = 0;
  for (int round = 0; round < 5; ++round) {
    TaskScope scope(shard.executor());
    for (int i = 0; i < 20; ++i) scope.Spawn(ReadAtRandom(&fixture, random, 40, &wrong));
    for (uint64_t turns = random->Below(200); turns > 0; --turns) co_await Yield();
    // Some are cut off, wherever they are.
    if (round % 2 == 0) scope.Cancel();
    if (absl::Status status = co_await scope.Join(); round % 2 == 1 && !status.ok()) {
      co_return status;
    }
    EXPECT_EQ(fixture.cache.pinned_bytes(), 0u);
  }
  EXPECT_EQ(wrong, 0);
  co_return absl::OkStatus();
}

TEST(BlockCacheTest, ManyReadersAtOnce) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Simulation simulation({.seed = seed});
    const SimulationResult result = simulation.Run(ReadFromMany, &simulation.random());
    ASSERT_TRUE(result.ok()) << result.message;
  }
}

TEST(GhostQueueTest, RemembersTheLastOnes) {
  GhostQueue ghosts(3);
  for (const uint64_t hash : {1, 2, 3, 1}) ghosts.Push(hash);
  EXPECT_TRUE(ghosts.Contains(1)) << "pushed again";
  EXPECT_TRUE(ghosts.Contains(2));
  ghosts.Push(4);
  EXPECT_FALSE(ghosts.Contains(2));
  EXPECT_EQ(ghosts.size(), 3u);
}

}  // namespace
}  // namespace ioengine
