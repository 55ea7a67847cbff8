// Tables that compactions move: they are not written again, and are read as before.

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/engine/store_fixture.h"

namespace ioengine {
namespace {

constexpr uint64_t kKeys = 4000;

StoreOptions Small() {
  StoreOptions options = SmallStore();
  options.memtable_bytes = size_t{256} << 10;
  options.compaction.max_runs = 3;
  options.compaction.target_file_bytes = uint64_t{64} << 10;
  return options;
}

std::string KeyOf(uint64_t i) { return absl::StrCat("key", 100000 + i); }
std::string ValueOf(uint64_t i) { return absl::StrCat(i, std::string(300, 'v')); }

Task<absl::Status> PutAll(ShardStore& store) {
  for (uint64_t i = 0; i < kKeys; ++i) {
    const std::string key = KeyOf(i);
    const std::string value = ValueOf(i);
    const auto put = co_await store.Put(key, value, Durability::kWritten);
    if (!put.ok()) co_return put.status();
    if (i % 64 == 0) co_await Yield();
  }
  co_return co_await store.Compact();
}

// All from the cursor's place on.
Task<absl::Status> ExpectRest(StoreIterator* at, uint64_t begin) {
  for (uint64_t i = begin; i < kKeys; ++i) {
    if (!at->Valid() || at->key() != KeyOf(i) || at->value() != ValueOf(i)) {
      co_return absl::InternalError(absl::StrCat("key ", i, " is not there"));
    }
    if (i % 64 == 0) co_await Yield();
    if (absl::Status moved = co_await at->Next(); !moved.ok()) co_return moved;
  }
  co_return at->Valid() ? absl::InternalError("there is one more") : absl::OkStatus();
}

Task<absl::Status> ExpectAll(ShardStore& store) {
  auto scan = co_await store.Scan();
  if (!scan.ok()) co_return scan.status();
  if (absl::Status sought = co_await (*scan)->SeekToFirst(); !sought.ok()) co_return sought;
  co_return co_await ExpectRest(scan->get(), 0);
}

TEST(StoreMoveTest, AscendingKeysAreWrittenToTablesOnce) {
  Simulation simulation({.seed = 1, .buffer_pool_bytes = size_t{8} << 20, .max_open_files = 1024});
  simulation.disk().MakeDirectories("/db");
  const auto run = [&simulation](StoreProgram program) {
    const SimulationResult result =
        simulation.Run(RunOnStore, std::string("/db"), Small(), program);
    EXPECT_EQ(result.end, SimulationEnd::kFinished) << result.message;
    return result.status;
  };
  ASSERT_EQ(run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await PutAll(store);
              const StoreStats& stats = store.stats();
              EXPECT_GT(stats.flushes, 5u);
              EXPECT_GT(stats.compaction.moved_tables, 5u);
              // But for what a last small flush is made one with.
              EXPECT_LT(stats.compaction.written_bytes, stats.flushed_bytes / 2);
              if (status.ok()) status = co_await ExpectAll(store);
              co_return status;
            }),
            absl::OkStatus());
  ASSERT_EQ(run([](ShardStore& store) -> Task<absl::Status> {
              EXPECT_EQ(store.stats().recovered_records, 0u);
              co_return co_await ExpectAll(store);
            }),
            absl::OkStatus());
}

// Its reader has the table of before, when a later compaction removes the file.
TEST(StoreMoveTest, ASnapshotReadsOnWhileItsTablesMoveAndGo) {
  Simulation simulation({.seed = 2, .buffer_pool_bytes = size_t{8} << 20, .max_open_files = 1024});
  simulation.disk().MakeDirectories("/db");
  const SimulationResult result = simulation.Run(
      RunOnStore, std::string("/db"), Small(), [](ShardStore& store) -> Task<absl::Status> {
        absl::Status status = co_await PutAll(store);
        if (!status.ok()) co_return status;
        auto scan = co_await store.Scan();
        if (!scan.ok()) co_return scan.status();
        status = co_await (*scan)->SeekToFirst();
        // Deletes of all, and so all tables are written again.
        for (uint64_t i = 0; status.ok() && i < kKeys; ++i) {
          const std::string key = KeyOf(i);
          status = (co_await store.Delete(key, Durability::kWritten)).status();
          if (i % 64 == 0) co_await Yield();
        }
        if (status.ok()) status = co_await store.Compact();
        if (status.ok()) status = co_await ExpectRest(scan->get(), 0);
        co_return status;
      });
  EXPECT_EQ(result.end, SimulationEnd::kFinished) << result.message;
  EXPECT_EQ(result.status, absl::OkStatus());
}

}  // namespace
}  // namespace ioengine
