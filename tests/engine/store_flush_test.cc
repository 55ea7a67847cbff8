// Flushes: what was written comes from tables, the log is let go, and what goes wrong harms
// nothing.

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/engine/store_fixture.h"

namespace ioengine {
namespace {

StoreOptions Small() {
  StoreOptions options = SmallStore();
  options.memtable_bytes = size_t{256} << 10;
  return options;
}

std::string KeyOf(uint64_t i) { return absl::StrCat("key", 1000 + i); }
std::string ValueOf(uint64_t i, std::string_view what) {
  return absl::StrCat("value ", i, " ", std::string(what), std::string(i % 97 * 10, 'v'));
}

Task<absl::Status> PutSome(ShardStore& store, uint64_t begin, uint64_t end, std::string_view what,
                           Durability durability = Durability::kWritten) {
  for (uint64_t i = begin; i < end; ++i) {
    const std::string key = KeyOf(i);
    const std::string value = ValueOf(i, what);
    const auto put = co_await store.Put(key, value, durability);
    if (!put.ok()) co_return put.status();
    if (i % 64 == 0) co_await Yield();
  }
  co_return absl::OkStatus();
}

Task<absl::Status> ExpectSome(ShardStore& store, uint64_t begin, uint64_t end,
                              std::string_view what,
                              std::optional<Snapshot> snapshot = std::nullopt) {
  for (uint64_t i = begin; i < end; ++i) {
    const std::string key = KeyOf(i);
    const absl::StatusOr<Value> value = co_await store.Get(key, snapshot);
    if (!value.ok()) co_return value.status();
    if (*value != ValueOf(i, what)) {
      co_return absl::InternalError(absl::StrCat(key, " is ", value->value_or("nothing")));
    }
    if (i % 64 == 0) co_await Yield();
  }
  co_return absl::OkStatus();
}

// Of the test that runs, for programs, which are plain functions.
Simulation* test_simulation = nullptr;

class StoreFlushTest : public testing::Test {
 protected:
  StoreFlushTest() {
    simulation_.disk().MakeDirectories("/db");
    test_simulation = &simulation_;
  }

  SimulationResult RunResult(StoreProgram program, StoreOptions options = Small()) {
    return simulation_.Run(RunOnStore, std::string("/db"), options, program);
  }
  absl::Status Run(StoreProgram program, StoreOptions options = Small()) {
    const SimulationResult result = RunResult(program, options);
    EXPECT_EQ(result.end, SimulationEnd::kFinished) << result.message;
    return result.status;
  }
  // Files in the database whose names begin, and end, so.
  std::vector<std::string> Files(std::string_view prefix, std::string_view suffix = "") {
    std::vector<std::string> found;
    for (const std::string& name : simulation_.disk().Names("/db")) {
      const std::string_view view = name;
      if (view.starts_with(prefix) && view.ends_with(suffix)) found.push_back("/db/" + name);
    }
    return found;
  }

  Simulation simulation_{{.seed = 1, .buffer_pool_bytes = size_t{4} << 20, .max_open_files = 1024}};
};

TEST_F(StoreFlushTest, WhatWasFlushedComesFromTables) {
  ASSERT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await PutSome(store, 0, 100, "one");
              if (status.ok()) status = co_await store.Flush();
              if (!status.ok()) co_return status;
              EXPECT_EQ(store.stats().flushes, 1u);
              EXPECT_EQ(store.stats().tables, 1u);
              EXPECT_GT(store.stats().table_bytes, 0u);
              status = co_await ExpectSome(store, 0, 100, "one");
              // Newer than what is in the table, and nothing at all.
              if (status.ok()) status = co_await PutSome(store, 0, 10, "two");
              const auto deleted = co_await store.Delete(KeyOf(10));
              if (!deleted.ok()) co_return deleted.status();
              if (status.ok()) status = co_await ExpectSome(store, 0, 10, "two");
              const absl::StatusOr<Value> nothing = co_await store.Get(KeyOf(10));
              EXPECT_EQ(nothing.value(), std::nullopt);
              if (status.ok()) status = co_await store.Flush();
              if (status.ok()) status = co_await ExpectSome(store, 11, 100, "one");
              if (status.ok()) status = co_await ExpectSome(store, 0, 10, "two");
              co_return status;
            }),
            absl::OkStatus());
  ASSERT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              EXPECT_EQ(store.stats().recovered_records, 0u) << "tables have all";
              EXPECT_EQ(store.stats().tables, 2u);
              absl::Status status = co_await ExpectSome(store, 11, 100, "one");
              if (status.ok()) status = co_await ExpectSome(store, 0, 10, "two");
              const absl::StatusOr<Value> nothing = co_await store.Get(KeyOf(10));
              EXPECT_EQ(nothing.value(), std::nullopt);
              co_return status;
            }),
            absl::OkStatus());
}

TEST_F(StoreFlushTest, MemoryThatIsFullIsFlushedByItself) {
  ASSERT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await PutSome(store, 0, 4000, "one");
              EXPECT_GT(store.stats().flushes, 5u);
              EXPECT_LE(store.stats().memtable_bytes, Small().memtable_bytes + (64 << 10));
              if (status.ok()) status = co_await ExpectSome(store, 0, 4000, "one");
              co_return status;
            }),
            absl::OkStatus());
  EXPECT_LT(Files("W-").size(), 12u) << "the log is let go as tables come";
}

TEST_F(StoreFlushTest, SmallWritesThatPinTheLogAreFlushed) {
  StoreOptions options = Small();
  options.max_log_bytes = 4 * options.wal.segment_bytes;
  ASSERT_EQ(Run(
                [](ShardStore& store) -> Task<absl::Status> {
                  // Each takes a page of the log.
                  absl::Status status = co_await PutSome(store, 0, 300, "", Durability::kDurable);
                  EXPECT_GE(store.stats().flushes, 3u);
                  if (status.ok()) status = co_await ExpectSome(store, 0, 300, "");
                  co_return status;
                },
                options),
            absl::OkStatus());
}

// Opened again and again, with a few writes each time: what keeps the old streams is flushed.
TEST_F(StoreFlushTest, OldStreamsAreForgotten) {
  StoreOptions options = Small();
  options.max_log_bytes = 4 * options.wal.segment_bytes;
  for (int life = 0; life < 20; ++life) {
    ASSERT_EQ(Run(
                  [](ShardStore& store) -> Task<absl::Status> {
                    EXPECT_LE(store.root().streams.size(), 6u);
                    co_return co_await PutSome(store, 0, 5, "");
                  },
                  options),
              absl::OkStatus());
  }
  EXPECT_LE(Files("W-").size(), 12u);
  EXPECT_GE(Files("", ".sst").size(), 2u);
  EXPECT_EQ(Run([](ShardStore& store) { return ExpectSome(store, 0, 5, ""); }), absl::OkStatus());
}

TEST_F(StoreFlushTest, ASnapshotSeesWhatWasThere) {
  ASSERT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await PutSome(store, 0, 50, "one");
              if (!status.ok()) co_return status;
              const absl::StatusOr<Snapshot> before = co_await store.TakeSnapshot();
              if (!before.ok()) co_return before.status();
              status = co_await PutSome(store, 0, 50, "two");
              if (status.ok()) status = co_await store.Flush();
              if (status.ok()) status = co_await PutSome(store, 0, 25, "three");
              if (status.ok()) status = co_await ExpectSome(store, 0, 50, "one", *before);
              if (status.ok()) status = co_await ExpectSome(store, 0, 25, "three");
              if (status.ok()) status = co_await ExpectSome(store, 25, 50, "two");
              co_return status;
            }),
            absl::OkStatus());
}

TEST_F(StoreFlushTest, ALongManifestGivesWayToANewOne) {
  StoreOptions options = Small();
  options.manifest.roll_bytes = 40'000;
  ASSERT_EQ(Run(
                [](ShardStore& store) -> Task<absl::Status> {
                  for (uint64_t i = 0; i < 40; ++i) {
                    absl::Status status = co_await PutSome(store, i, i + 1, "");
                    if (status.ok()) status = co_await store.Flush();
                    if (!status.ok()) co_return status;
                  }
                  EXPECT_GE(store.root().manifests.front().stream, 3u);
                  co_return co_await ExpectSome(store, 0, 40, "");
                },
                options),
            absl::OkStatus());
  EXPECT_LE(Files("M-").size(), 5u) << absl::StrJoin(Files("M-"), " ");
  EXPECT_EQ(Run([](ShardStore& store) { return ExpectSome(store, 0, 40, ""); }, options),
            absl::OkStatus());
}

TEST_F(StoreFlushTest, ATableThatCannotBeWrittenIsWrittenLater) {
  simulation_.disk().faults().Add({.opcode = IoOpcode::kWrite, .path_part = ".sst", .times = 3});
  ASSERT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await PutSome(store, 0, 100, "one");
              if (!status.ok()) co_return status;
              status = co_await store.Flush();
              EXPECT_FALSE(status.ok());
              EXPECT_EQ(store.write_status(), absl::OkStatus()) << "nothing is lost by it";
              status = co_await PutSome(store, 100, 110, "one");
              if (status.ok()) status = co_await ExpectSome(store, 0, 110, "one");
              co_await Sleep(std::chrono::seconds(2));
              EXPECT_EQ(store.stats().flushes, 1u);
              if (status.ok()) status = co_await ExpectSome(store, 0, 110, "one");
              co_return status;
            }),
            absl::OkStatus());
  EXPECT_EQ(Files("", ".sst").size(), 1u) << "what was not finished is removed";
}

TEST_F(StoreFlushTest, AFullDiskRefusesWritesServesReadsAndGoesOn) {
  ASSERT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await PutSome(store, 0, 100, "one");
              test_simulation->disk().faults().Add(
                  {.fault = SimFault::kNoSpace, .path_part = ".sst", .times = UINT64_MAX});
              uint64_t put = 100;
              while (status.ok() && put < 10'000) {
                status = co_await PutSome(store, put, put + 1, "one");
                ++put;
              }
              EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
              status = co_await ExpectSome(store, 0, 100, "one");
              if (!status.ok()) co_return status;
              test_simulation->disk().faults().Clear();
              co_await Sleep(std::chrono::seconds(1));
              status = co_await PutSome(store, put, put + 2000, "two");
              if (status.ok()) status = co_await ExpectSome(store, put, put + 2000, "two");
              if (status.ok()) status = co_await ExpectSome(store, 0, 100, "one");
              EXPECT_GT(store.stats().flushes, 0u);
              co_return status;
            }),
            absl::OkStatus());
}

// Somebody else takes all space but a little.
void FillDisk() {
  SimDisk& disk = test_simulation->disk();
  disk.SetCapacity(disk.used_bytes() + (size_t{8} << 10));
}
void EmptyDisk() { test_simulation->disk().SetCapacity(SimDiskOptions().capacity_bytes); }

TEST_F(StoreFlushTest, TheBallastTakesWhatIsInMemoryToATable) {
  ASSERT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await PutSome(store, 0, 100, "one");
              if (!status.ok()) co_return status;
              FillDisk();
              status = co_await store.Flush();
              if (!status.ok()) co_return status;
              EXPECT_EQ(store.stats().flushes, 1u);
              const auto refused = co_await store.Put("k", "v");
              EXPECT_TRUE(absl::IsResourceExhausted(refused.status())) << refused.status();
              EXPECT_TRUE(absl::StrContains(refused.status().message(), "ballast_bytes"));
              status = co_await ExpectSome(store, 0, 100, "one");
              if (!status.ok()) co_return status;
              EmptyDisk();
              co_await Sleep(std::chrono::seconds(2));
              status = co_await PutSome(store, 100, 200, "two");
              if (status.ok()) status = co_await ExpectSome(store, 100, 200, "two");
              co_return status;
            }),
            absl::OkStatus());
  EXPECT_EQ(Files("BALLAST").size(), 1u);
}

TEST_F(StoreFlushTest, TheBallastIsWrittenWhereSpaceCannotBeReserved) {
  const StoreProgram nothing = [](ShardStore&) -> Task<absl::Status> {
    co_return absl::OkStatus();
  };
  simulation_.disk().faults().Add(
      {.opcode = IoOpcode::kAllocate, .times = UINT64_MAX, .argument = EOPNOTSUPP});
  StoreOptions options = Small();
  options.ballast_bytes = 0;
  ASSERT_EQ(Run(nothing, options), absl::OkStatus());
  const uint64_t without = simulation_.disk().used_bytes();
  ASSERT_EQ(Run(nothing), absl::OkStatus());
  EXPECT_GE(simulation_.disk().used_bytes(), without + Small().ballast_bytes);
  ASSERT_EQ(Run(nothing), absl::OkStatus()) << "it is there already";
}

TEST_F(StoreFlushTest, AFullDiskCanBeOpenedAndRead) {
  ASSERT_EQ(Run([](ShardStore& store) { return PutSome(store, 0, 100, "one"); }), absl::OkStatus());
  FillDisk();
  ASSERT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await ExpectSome(store, 0, 100, "one");
              const auto refused = co_await store.Put("k", "v");
              EXPECT_TRUE(absl::IsResourceExhausted(refused.status())) << refused.status();
              EmptyDisk();
              co_await Sleep(std::chrono::seconds(2));
              if (status.ok()) status = co_await PutSome(store, 0, 10, "two");
              co_return status;
            }),
            absl::OkStatus());
}

TEST_F(StoreFlushTest, AManifestThatCannotBeWrittenEndsWritingAndNotReading) {
  ASSERT_EQ(Run([](ShardStore& store) { return PutSome(store, 0, 100, "one"); }), absl::OkStatus());
  const SimulationResult result = RunResult([](ShardStore& store) -> Task<absl::Status> {
    test_simulation->disk().faults().Add({.opcode = IoOpcode::kWrite, .path_part = "M-"});
    absl::Status status = co_await PutSome(store, 0, 50, "two", Durability::kDurable);
    if (!status.ok()) co_return status;
    EXPECT_FALSE((co_await store.Flush()).ok());
    EXPECT_FALSE(store.write_status().ok());
    const auto put = co_await store.Put("k", "v");
    EXPECT_EQ(put.status(), store.write_status());
    status = co_await ExpectSome(store, 0, 50, "two");
    if (status.ok()) status = co_await ExpectSome(store, 50, 100, "one");
    co_return status;
  });
  EXPECT_EQ(result.end, SimulationEnd::kFinished) << result.message;
  EXPECT_FALSE(result.status.ok()) << "of Close";
  simulation_.disk().faults().Clear();
  EXPECT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await ExpectSome(store, 0, 50, "two");
              if (status.ok()) status = co_await ExpectSome(store, 50, 100, "one");
              co_return status;
            }),
            absl::OkStatus());
}

TEST_F(StoreFlushTest, ADamagedTableLosesItsKeysOnly) {
  ASSERT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await PutSome(store, 0, 100, "one");
              if (status.ok()) status = co_await store.Flush();
              if (status.ok()) status = co_await PutSome(store, 100, 200, "one");
              if (status.ok()) status = co_await store.Flush();
              co_return status;
            }),
            absl::OkStatus());
  const std::vector<std::string> tables = Files("", ".sst");
  ASSERT_EQ(tables.size(), 2u);
  // The footer of one: it is quarantined.
  const size_t size_bytes = simulation_.disk().Contents(tables[0])->size();
  ASSERT_TRUE(simulation_.disk().FlipBit(tables[0], size_bytes - 4000, 3));
  EXPECT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              uint64_t lost = 0;
              for (uint64_t i = 0; i < 200; ++i) {
                const std::string key = KeyOf(i);
                const absl::StatusOr<Value> value = co_await store.Get(key);
                if (value.ok()) {
                  EXPECT_EQ(*value, ValueOf(i, "one"));
                } else {
                  EXPECT_TRUE(absl::IsDataLoss(value.status())) << value.status();
                  EXPECT_TRUE(absl::StrContains(value.status().message(), ".sst"));
                  ++lost;
                }
                co_await Yield();
              }
              EXPECT_EQ(lost, 100u);
              // What is written over it is there.
              absl::Status status = co_await PutSome(store, 0, 200, "two");
              if (status.ok()) status = co_await store.Flush();
              if (status.ok()) status = co_await ExpectSome(store, 0, 200, "two");
              co_return status;
            }),
            absl::OkStatus());
}

}  // namespace
}  // namespace ioengine
