// What a store charges to the shard's memory, part by part; what is refused at the bound of each,
// and that all of it is given back.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/sched/block_pool.h"
#include "ioengine/sched/memory_budget.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/engine/store_fixture.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr size_t kKiB = size_t{1} << 10;
constexpr size_t kMiB = size_t{1} << 20;

StoreOptions Small() {
  StoreOptions options = SmallStore();
  options.memtable_bytes = 512 * kKiB;
  options.reader_bytes = 256 * kKiB;
  return options;
}

MemoryBudget& BudgetOf(Shard& shard) { return *shard.executor().memory(); }

std::string KeyOf(uint64_t i) { return absl::StrCat("key", 1000 + i); }

Task<absl::Status> PutSome(ShardStore& store, uint64_t count, size_t value_bytes) {
  const std::string value(value_bytes, 'v');
  for (uint64_t i = 0; i < count; ++i) {
    const std::string key = KeyOf(i);
    const auto put = co_await store.Put(key, value, Durability::kWritten);
    if (!put.ok()) co_return put.status();
    if (i % 16 == 0) co_await Yield();
  }
  co_return absl::OkStatus();
}

#define EXPECT_OR_FAIL(condition) \
  if (!(condition)) co_return absl::InternalError("not so: " #condition)

// A program for the shard itself, which opens the store.
using ShardProgram = Task<absl::Status> (*)(Shard& shard);

class StoreAccountTest : public testing::Test {
 protected:
  StoreAccountTest() { simulation_.disk().MakeDirectories("/db"); }

  absl::Status Run(StoreProgram program, StoreOptions options = Small()) {
    return Check(simulation_.Run(RunOnStore, std::string("/db"), options, program));
  }
  absl::Status Run(ShardProgram program) { return Check(simulation_.Run(program)); }

 private:
  absl::Status Check(const SimulationResult& result) {
    EXPECT_EQ(result.end, SimulationEnd::kFinished) << result.message;
    return result.status;
  }

  Simulation simulation_{{.seed = 1, .buffer_pool_bytes = size_t{4} << 20, .max_open_files = 1024}};
};

TEST_F(StoreAccountTest, WhatWasChargedIsGivenBack) {
  const absl::Status status = Run([](Shard& shard) -> Task<absl::Status> {
    // But for slabs of frames, which the shard keeps.
    for (int round = 0; round < 3; ++round) {
      const size_t before_bytes = BudgetOf(shard).used_bytes();
      size_t open_bytes = 0;
      {
        auto opened = co_await ShardStore::Open(shard, "/db", Small());
        if (!opened.ok()) co_return opened.status();
        ShardStore& store = **opened;
        open_bytes = BudgetOf(shard).used_bytes() - before_bytes;
        if (absl::Status put = co_await PutSome(store, 400, 3000); !put.ok()) co_return put;
        {
          const auto snapshot = co_await store.TakeSnapshot();
          if (!snapshot.ok()) co_return snapshot.status();
          auto scan = co_await store.Scan();
          if (!scan.ok()) co_return scan.status();
          absl::Status moved = co_await (*scan)->SeekToFirst();
          if (!moved.ok()) co_return moved;
          const auto pinned = co_await store.GetPinned(KeyOf(3));
          if (!pinned.ok()) co_return pinned.status();
          if (absl::Status done = co_await store.Compact(); !done.ok()) co_return done;
        }
        if (absl::Status closed = co_await store.Close(); !closed.ok()) co_return closed;
      }
      // What is set aside is there from the start, and the options say how much that is.
      EXPECT_OR_FAIL(open_bytes >= Small().change_bytes() + Small().job_bytes());
      EXPECT_OR_FAIL(open_bytes <= Small().memory_bytes());
      const size_t after_bytes = BudgetOf(shard).used_bytes();
      EXPECT_OR_FAIL(after_bytes >= before_bytes && after_bytes < before_bytes + 8 * kMiB);
      EXPECT_OR_FAIL((after_bytes - before_bytes) % BlockPool::kSlabBytes == 0);
    }
    co_return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

// Each value is larger than the place of the one before it.
TEST_F(StoreAccountTest, AnIteratorOverGrowingValuesGivesBackWhatItTook) {
  const absl::Status status = Run([](ShardStore& store) -> Task<absl::Status> {
    constexpr int kValues = 30;
    size_t value_bytes = 1000;
    for (int i = 0; i < kValues; ++i, value_bytes += value_bytes / 10) {
      const auto put =
          co_await store.Put(KeyOf(i), std::string(value_bytes, 'v'), Durability::kMemory);
      if (!put.ok()) co_return put.status();
    }
    const size_t before_bytes = store.stats().memory.readers;
    for (const bool reverse : {false, true}) {
      auto scan = co_await store.Scan();
      if (!scan.ok()) co_return scan.status();
      Task<absl::Status> first = reverse ? (*scan)->SeekToLast() : (*scan)->SeekToFirst();
      absl::Status moved = co_await std::move(first);
      while (moved.ok() && (*scan)->Valid()) {
        EXPECT_OR_FAIL(store.stats().memory.readers >= before_bytes + (*scan)->value().size());
        Task<absl::Status> next = reverse ? (*scan)->Prev() : (*scan)->Next();
        moved = co_await std::move(next);
      }
      if (!moved.ok()) co_return moved;
    }
    EXPECT_OR_FAIL(store.stats().memory.readers == before_bytes);
    co_return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(StoreAccountTest, PartsAreTold) {
  const absl::Status status = Run([](ShardStore& store) -> Task<absl::Status> {
    if (absl::Status put = co_await PutSome(store, 40, 3000); !put.ok()) co_return put;
    const StoreMemoryStats before = store.stats().memory;
    EXPECT_OR_FAIL(before.changes > 40 * 3000 && before.changes < 80 * 3000);
    EXPECT_OR_FAIL(before.readers == 0 && before.jobs == 0 && before.tables == 0);
    EXPECT_OR_FAIL(before.log == Small().wal.max_pending_bytes && before.directory > 0);
    if (absl::Status flushed = co_await store.Flush(); !flushed.ok()) co_return flushed;
    const StoreMemoryStats after = store.stats().memory;
    EXPECT_OR_FAIL(after.changes < 20'000);
    EXPECT_OR_FAIL(after.tables > 4096 && after.tables < 20'000);
    EXPECT_OR_FAIL(after.jobs == 0);
    co_return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

// Values that are copies, until there is no more.
TEST_F(StoreAccountTest, PinnedValuesAreRefusedAtTheBound) {
  const absl::Status status = Run([](ShardStore& store) -> Task<absl::Status> {
    if (absl::Status put = co_await PutSome(store, 64, 900); !put.ok()) co_return put;
    std::vector<PinnedValue> hoard;
    absl::Status refused;
    while (refused.ok() && hoard.size() < 1000) {
      auto value = co_await store.GetPinned(KeyOf(hoard.size() % 64));
      refused = value.status();
      if (refused.ok()) hoard.push_back(*std::move(value));
      if (hoard.size() % 16 == 0) co_await Yield();
    }
    EXPECT_OR_FAIL(absl::IsResourceExhausted(refused));
    EXPECT_OR_FAIL(refused.message().find("StoreOptions::reader_bytes") != std::string::npos);
    EXPECT_OR_FAIL(hoard.size() * 900 > Small().reader_bytes / 2);
    EXPECT_OR_FAIL(store.stats().memory.readers <= Small().reader_bytes);
    hoard.clear();
    EXPECT_OR_FAIL(store.stats().memory.readers == 0);
    const auto again = co_await store.GetPinned(KeyOf(1));
    co_return again.status();
  });
  EXPECT_TRUE(status.ok()) << status;
}

// Who keeps a value of each memtable does not keep all that was ever written, and writes go on.
TEST_F(StoreAccountTest, OneMemtableIsKeptForValuesAtATime) {
  StoreOptions options = Small();
  options.reader_bytes = kMiB;
  const StoreProgram program = [](ShardStore& store) -> Task<absl::Status> {
    std::vector<PinnedValue> hoard;
    size_t copies = 0;
    for (int round = 0; round < 20; ++round) {
      if (absl::Status put = co_await PutSome(store, 50, 5000); !put.ok()) co_return put;
      auto value = co_await store.GetPinned(KeyOf(49));
      if (!value.ok()) co_return value.status();
      copies += value->is_copy() ? 1 : 0;
      hoard.push_back(*std::move(value));
      if (absl::Status flushed = co_await store.Flush(); !flushed.ok()) co_return flushed;
      EXPECT_OR_FAIL(store.stats().memory.changes <= Small().memtable_bytes + 50'000);
    }
    EXPECT_OR_FAIL(copies == 19);
    for (const PinnedValue& value : hoard) EXPECT_OR_FAIL(value.view() == std::string(5000, 'v'));
    const StoreMemoryStats memory = store.stats().memory;
    EXPECT_OR_FAIL(memory.readers > 0 || memory.changes > 250'000);
    hoard.clear();
    EXPECT_OR_FAIL(store.stats().memory.readers == 0);
    // The next one is kept again.
    if (absl::Status put = co_await PutSome(store, 1, 5000); !put.ok()) co_return put;
    const auto value = co_await store.GetPinned(KeyOf(0));
    if (!value.ok()) co_return value.status();
    EXPECT_OR_FAIL(!value->is_copy());
    co_return absl::OkStatus();
  };
  const absl::Status status = Run(program, options);
  EXPECT_TRUE(status.ok()) << status;
}

// Iterators that are left where they are let go for those that move, and at last there are too
// many.
TEST_F(StoreAccountTest, IteratorsLetGoAndAreRefusedAtTheBound) {
  const absl::Status status = Run([](ShardStore& store) -> Task<absl::Status> {
    for (int run = 0; run < 4; ++run) {
      if (absl::Status put = co_await PutSome(store, 200, 500); !put.ok()) co_return put;
      if (absl::Status flushed = co_await store.Flush(); !flushed.ok()) co_return flushed;
    }
    std::vector<std::unique_ptr<StoreIterator>> hoard;
    absl::Status refused;
    while (refused.ok() && hoard.size() < 2000) {
      auto scan = co_await store.Scan();
      if (!scan.ok()) co_return scan.status();
      refused = co_await (*scan)->Seek(KeyOf(hoard.size() * 7 % 200));
      EXPECT_OR_FAIL((*scan)->Valid() == refused.ok());
      hoard.push_back(*std::move(scan));
      if (hoard.size() % 16 == 0) co_await Yield();
    }
    EXPECT_OR_FAIL(absl::IsResourceExhausted(refused));
    EXPECT_OR_FAIL(hoard.size() > 20);
    EXPECT_OR_FAIL(store.stats().memory.readers <=
                   Small().reader_bytes + 2 * sizeof(StoreIterator));
    // What they give is as it was.
    const std::unique_ptr<StoreIterator> last = std::move(hoard.back());
    hoard.resize(hoard.size() / 2);
    for (size_t i = 0; i < hoard.size(); ++i) {
      EXPECT_OR_FAIL(hoard[i]->Valid() && hoard[i]->key() == KeyOf(i * 7 % 200));
      EXPECT_OR_FAIL(hoard[i]->value() == std::string(500, 'v'));
      if (i % 16 == 0) co_await Yield();
    }
    hoard.clear();
    co_return co_await last->SeekToFirst();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(StoreAccountTest, AMultiGetIsRefusedAtTheBound) {
  const absl::Status status = Run([](ShardStore& store) -> Task<absl::Status> {
    if (absl::Status put = co_await PutSome(store, 64, 5000); !put.ok()) co_return put;
    if (absl::Status flushed = co_await store.Flush(); !flushed.ok()) co_return flushed;
    if (absl::Status put = co_await PutSome(store, 32, 5000); !put.ok()) co_return put;
    std::vector<std::string> keys;
    for (uint64_t i = 0; i < 64; ++i) keys.push_back(KeyOf(i));
    const std::vector<std::string_view> all(keys.begin(), keys.end());
    const std::vector<std::string_view> some(keys.begin(), keys.begin() + 40);
    const auto refused = co_await store.MultiGet(all);
    EXPECT_OR_FAIL(absl::IsResourceExhausted(refused.status()));
    EXPECT_OR_FAIL(store.stats().memory.readers == 0);
    const auto values = co_await store.MultiGet(some);
    if (!values.ok()) co_return values.status();
    EXPECT_OR_FAIL(store.stats().memory.readers == 0);
    // Keys alone may be too many, too.
    const std::vector<std::string_view> many(100'000, "none");
    const auto too_many = co_await store.MultiGet(many);
    EXPECT_OR_FAIL(absl::IsResourceExhausted(too_many.status()));
    co_return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

class StoreBudgetTest : public testing::Test {
 protected:
  absl::Status RunWith(size_t memory_bytes, StoreOptions options, StoreProgram program) {
    auto runtime = Runtime::Start(
        {.shard_count = 1, .memory_per_shard_bytes = memory_bytes, .buffer_pool_bytes = 4 * kMiB});
    if (!runtime.ok()) return runtime.status();
    return (*runtime)->Submit(0, RunOnStore, directory_.File("db"), options, program).Wait();
  }

 private:
  const TestDirectory directory_;
};

Task<absl::Status> Nothing(ShardStore&) { co_return absl::OkStatus(); }

TEST_F(StoreBudgetTest, OptionsThatDoNotFitAreAnErrorThatNamesThem) {
  StoreOptions options = SmallStore();
  options.memtable_bytes = 64 * kMiB;
  const absl::Status status = RunWith(64 * kMiB, options, Nothing);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("memory_per_shard_bytes"), HasSubstr("memtable_bytes"),
                    HasSubstr("reader_bytes"), HasSubstr("max_pending_bytes")));
  options.memtable_bytes = 4 * kMiB;
  options.reader_bytes = 4 * kMiB;
  EXPECT_TRUE(RunWith(64 * kMiB, options, Nothing).ok());
}

TEST(StoreBudgetDefaultsTest, DefaultsFit) {
  const TestDirectory directory;
  auto runtime = Runtime::Start({.shard_count = 1});
  ASSERT_TRUE(runtime.ok()) << runtime.status();
  const absl::Status status =
      (*runtime)->Submit(0, RunOnStore, directory.File("db"), StoreOptions(), &Nothing).Wait();
  EXPECT_TRUE(status.ok()) << status;
}

// A batch whose many small changes take more than the shard has.
TEST_F(StoreBudgetTest, ABatchThatCannotBeAffordedIsRefused) {
  StoreOptions options = SmallStore();
  options.memtable_bytes = 256 * kKiB;
  options.reader_bytes = 64 * kKiB;
  options.wal.max_pending_bytes = 2 * kMiB;
  const absl::Status status = RunWith(
      4 * kMiB + options.memory_bytes() + 3 * kMiB, options,
      [](ShardStore& store) -> Task<absl::Status> {
        WriteBatch batch;
        for (int i = 0; i < 300'000; ++i) batch.Delete(absl::StrCat(i % 10));
        const auto refused = co_await store.Write(batch, Durability::kMemory);
        EXPECT_OR_FAIL(absl::IsResourceExhausted(refused.status()));
        EXPECT_OR_FAIL(refused.status().message().find("memtable_bytes") != std::string::npos);
        batch.Clear();
        for (int i = 0; i < 3'000; ++i) batch.Delete(absl::StrCat(i % 10));
        const auto written = co_await store.Write(batch, Durability::kMemory);
        co_return written.status();
      });
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace ioengine
