// Compaction and pacing in a store: few runs, little space, nothing lost, and no sudden stop.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/engine/store_fixture.h"

namespace ioengine {
namespace {

StoreOptions Small() {
  StoreOptions options = SmallStore();
  options.memtable_bytes = size_t{64} << 10;
  options.compaction.target_file_bytes = uint64_t{64} << 10;
  options.compaction_reads.buffer_bytes = size_t{16} << 10;
  return options;
}

using Contents = std::map<std::string, std::string>;

// Of the test that runs, for programs, which are plain functions.
Simulation* test_simulation = nullptr;
Contents* test_contents = nullptr;

// Files of tables.
std::vector<std::string> Tables() {
  std::vector<std::string> found;
  for (const std::string& name : test_simulation->disk().Names("/db")) {
    if (std::string_view(name).ends_with(".sst")) found.push_back("/db/" + name);
  }
  return found;
}

class StoreCompactionTest : public testing::Test {
 protected:
  StoreCompactionTest() {
    simulation_.disk().MakeDirectories("/db");
    test_simulation = &simulation_;
    test_contents = &contents_;
  }

  absl::Status Run(StoreProgram program, StoreOptions options = Small()) {
    const SimulationResult result =
        simulation_.Run(RunOnStore, std::string("/db"), options, program);
    EXPECT_EQ(result.end, SimulationEnd::kFinished) << result.message;
    return result.status;
  }
  Simulation simulation_{{.seed = 1, .buffer_pool_bytes = size_t{4} << 20, .max_open_files = 1024}};
  Contents contents_;
};

Task<absl::StatusOr<WriteResult>> PutOrDelete(ShardStore& store, const std::string* key,
                                              const std::string* value) {
  for (;;) {
    absl::StatusOr<WriteResult> written;
    if (value == nullptr) {
      written = co_await store.Delete(*key, Durability::kMemory);
    } else {
      written = co_await store.Put(*key, *value, Durability::kMemory);
    }
    // A flush has failed, and is tried again.
    if (!absl::IsResourceExhausted(written.status())) co_return written;
    co_await Sleep(std::chrono::milliseconds(50));
  }
}

// Puts and deletes keys by chance, in the store and in the model.
Task<absl::Status> Change(ShardStore& store, uint64_t seed, uint64_t changes, uint64_t keys) {
  Random random(seed);
  for (uint64_t i = 0; i < changes; ++i) {
    const std::string key = absl::StrCat("key", 100'000 + random.Below(keys));
    absl::StatusOr<WriteResult> written;
    if (random.OneIn(5)) {
      test_contents->erase(key);
      written = co_await PutOrDelete(store, &key, nullptr);
    } else {
      std::string value = absl::StrCat("value ", seed, " ", i);
      value.append(random.Below(200), static_cast<char>('a' + i % 26));
      (*test_contents)[key] = value;
      written = co_await PutOrDelete(store, &key, &value);
    }
    if (!written.ok()) co_return written.status();
    if (i % 64 == 0) co_await Yield();
  }
  co_return absl::OkStatus();
}

// That a scan gives what is there, and so do look-ups.
Task<absl::Status> Compare(ShardStore& store, const Contents& contents,
                           std::optional<Snapshot> snapshot = std::nullopt) {
  ScanOptions options;
  options.snapshot = snapshot;
  auto scan = co_await store.Scan(options);
  if (!scan.ok()) co_return scan.status();
  absl::Status status = co_await (*scan)->SeekToFirst();
  uint64_t steps = 0;
  for (const auto& [key, value] : contents) {
    if (!status.ok()) co_return status;
    if (!(*scan)->Valid() || (*scan)->key() != key || (*scan)->value() != value) {
      co_return absl::InternalError(absl::StrCat(
          "at ", key, " the scan is ",
          (*scan)->Valid() ? absl::StrCat("at ", std::string((*scan)->key())) : "at its end"));
    }
    if (++steps % 7 == 0) {
      const absl::StatusOr<Value> found = co_await store.Get(key, snapshot);
      if (!found.ok()) co_return found.status();
      if (*found != value) co_return absl::InternalError(absl::StrCat(key, " is not found"));
    }
    if (steps % 64 == 0) co_await Yield();
    status = co_await (*scan)->Next();
  }
  if (status.ok() && (*scan)->Valid()) {
    co_return absl::InternalError(
        absl::StrCat("more than there is: ", std::string((*scan)->key())));
  }
  co_return status;
}

TEST_F(StoreCompactionTest, FlushesBecomeFewRunsAndOldValuesGo) {
  ASSERT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              for (uint64_t round = 0; round < 20; ++round) {
                absl::Status status = co_await Change(store, round, 1000, 2000);
                if (status.ok()) status = co_await Compare(store, *test_contents);
                if (!status.ok()) co_return status;
              }
              absl::Status status = co_await store.Compact();
              if (!status.ok()) co_return status;
              const StoreStats& stats = store.stats();
              EXPECT_GT(stats.flushes, 30u);
              EXPECT_GT(stats.compaction.jobs, 5u);
              EXPECT_GT(stats.compaction.dropped_records, 5000u);
              EXPECT_LT(store.read_view()->version->runs().size(), 8u);
              uint64_t live_bytes = 0;
              for (const auto& [key, value] : *test_contents) {
                live_bytes += key.size() + value.size();
              }
              // Of tables so small a third is not data, and a table above the bottom is not too
              // much.
              EXPECT_LT(stats.table_bytes, 6 * live_bytes);
              co_return co_await Compare(store, *test_contents);
            }),
            absl::OkStatus());
  EXPECT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              EXPECT_EQ(store.stats().tables, 0u + store.read_view()->version->table_count());
              co_return co_await Compare(store, *test_contents);
            }),
            absl::OkStatus());
}

TEST_F(StoreCompactionTest, FilesThatNobodyReadsGo) {
  ASSERT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await Change(store, 1, 10'000, 1000);
              if (status.ok()) status = co_await store.Compact();
              if (!status.ok()) co_return status;
              // One job's files go when the next one has ended, at the latest.
              EXPECT_LE(Tables().size(), store.stats().tables + 5);
              co_return status;
            }),
            absl::OkStatus());
  EXPECT_EQ(Run([](ShardStore& store) { return Compare(store, *test_contents); }),
            absl::OkStatus());
}

TEST_F(StoreCompactionTest, ASnapshotKeepsWhatItSees) {
  EXPECT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await Change(store, 1, 3000, 500);
              if (!status.ok()) co_return status;
              const Contents before = *test_contents;
              std::optional<Snapshot> snapshot;
              if (auto taken = co_await store.TakeSnapshot(); taken.ok()) snapshot = *taken;
              for (uint64_t round = 2; round < 6 && status.ok(); ++round) {
                status = co_await Change(store, round, 3000, 500);
                if (status.ok()) status = co_await store.Compact();
                if (status.ok()) status = co_await Compare(store, before, snapshot);
                if (status.ok()) status = co_await Compare(store, *test_contents);
              }
              if (!status.ok()) co_return status;
              snapshot.reset();
              const uint64_t with_snapshot = store.stats().table_bytes;
              status = co_await Change(store, 7, 20'000, 500);
              if (status.ok()) status = co_await store.Compact();
              EXPECT_LT(store.stats().table_bytes, with_snapshot + (100 << 10));
              if (status.ok()) status = co_await Compare(store, *test_contents);
              co_return status;
            }),
            absl::OkStatus());
}

// An iterator that nobody moves keeps no files.
TEST_F(StoreCompactionTest, AForgottenIteratorHoldsNoFiles) {
  EXPECT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await Change(store, 1, 3000, 500);
              if (status.ok()) status = co_await store.Compact();
              if (!status.ok()) co_return status;
              const Contents before = *test_contents;
              auto scan = co_await store.Scan();
              if (!scan.ok()) co_return scan.status();
              status = co_await (*scan)->SeekToFirst();
              const std::string first((*scan)->key());
              const std::string_view value = (*scan)->value();
              for (uint64_t round = 2; round < 6 && status.ok(); ++round) {
                status = co_await Change(store, round, 3000, 500);
                if (status.ok()) status = co_await store.Compact();
              }
              EXPECT_LE(Tables().size(), store.stats().tables + 5);
              EXPECT_EQ(value, before.at(first)) << "what it gave is there until it moves";
              uint64_t seen = 1;
              for (; status.ok() && (*scan)->Valid(); status = co_await (*scan)->Next()) {
                EXPECT_EQ((*scan)->value(), before.at(std::string((*scan)->key())));
                if (++seen % 64 == 0) co_await Yield();
              }
              EXPECT_EQ(seen, before.size() + 1);
              co_return status;
            }),
            absl::OkStatus());
}

TEST_F(StoreCompactionTest, DamageIsFoundAndLeftWhereItIs) {
  ASSERT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await Change(store, 1, 2000, 2000);
              if (status.ok()) status = co_await store.Compact();
              co_return status;
            }),
            absl::OkStatus());
  // A block of data, in its middle.
  ASSERT_FALSE(Tables().empty());
  ASSERT_TRUE(simulation_.disk().FlipBit(Tables().front(), 2000, 1));
  EXPECT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              for (uint64_t round = 2; round < 12; ++round) {
                absl::Status status = co_await Change(store, round, 1000, 2000);
                if (!status.ok()) co_return status;
              }
              // What is read of it is damaged, all else is as it should be.
              (co_await store.Compact()).IgnoreError();
              uint64_t lost = 0;
              uint64_t reads = 0;
              for (const auto& [key, value] : *test_contents) {
                const absl::StatusOr<Value> found = co_await store.Get(key);
                if (!found.ok()) {
                  EXPECT_TRUE(absl::IsDataLoss(found.status())) << found.status();
                  ++lost;
                } else {
                  EXPECT_EQ(*found, value);
                }
                if (++reads % 64 == 0) co_await Yield();
              }
              EXPECT_LT(lost, 100u);
              EXPECT_EQ(store.write_status(), absl::OkStatus());
              co_return absl::OkStatus();
            }),
            absl::OkStatus());
}

TEST_F(StoreCompactionTest, AJobThatFailsChangesNothingAndIsTriedAgain) {
  EXPECT_EQ(
      Run([](ShardStore& store) -> Task<absl::Status> {
        absl::Status status = absl::OkStatus();
        for (uint64_t round = 0; round < 10 && status.ok(); ++round) {
          test_simulation->disk().faults().Add(
              {.opcode = IoOpcode::kWrite, .path_part = ".sst", .skip = 5 + round, .times = 2});
          status = co_await Change(store, round, 2000, 1000);
        }
        test_simulation->disk().faults().Clear();
        co_await Sleep(std::chrono::seconds(1));
        EXPECT_GT(store.stats().compaction.failed_jobs, 0u);
        if (status.ok()) status = co_await store.Compact();
        if (status.ok()) status = co_await Compare(store, *test_contents);
        co_return status;
      }),
      absl::OkStatus());
}

// The longest that a write waited, and the most runs that a read had to look into.
struct Pace {
  uint64_t longest_wait_ns = 0;
  size_t most_runs = 0;
};

Task<absl::Status> WriteFast(ShardStore* store, uint64_t writer, Pace* pace) {
  const std::string value(200, 'v');
  for (uint64_t i = 0; i < 3000; ++i) {
    const std::string key = absl::StrCat("key", (i * 7919 + writer * 13) % 100'000);
    const uint64_t start_ns = test_simulation->clock().NowNs();
    const auto put = co_await store->Put(key, value, Durability::kMemory);
    if (!put.ok()) co_return put.status();
    pace->longest_wait_ns =
        std::max(pace->longest_wait_ns, test_simulation->clock().NowNs() - start_ns);
    pace->most_runs = std::max(pace->most_runs, store->read_view()->version->runs().size());
    if (i % 64 == 0) co_await Yield();
  }
  co_return absl::OkStatus();
}

TEST_F(StoreCompactionTest, WritesSlowDownAndDoNotStop) {
  EXPECT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              Pace pace;
              absl::Status status;
              {
                TaskScope scope(*Executor::Current());
                for (uint64_t writer = 0; writer < 8; ++writer) {
                  scope.Spawn(WriteFast(&store, writer, &pace));
                }
                status = co_await scope.Join();
              }
              EXPECT_GT(store.stats().paced_writes, 100u);
              // Of a run of some seconds.
              EXPECT_LT(pace.longest_wait_ns, 100'000'000u);
              EXPECT_LT(pace.most_runs, 25u);
              co_return status;
            }),
            absl::OkStatus());
}

}  // namespace
}  // namespace ioengine
