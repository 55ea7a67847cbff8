// Values in files of their own: they come back from everywhere, are durable before the log has
// them, and their files go when nobody needs them.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/engine/store_fixture.h"

namespace ioengine {
namespace {

constexpr size_t kLeastBytes = 1000;

StoreOptions Small() {
  StoreOptions options = SmallStore();
  options.memtable_bytes = size_t{64} << 10;
  options.blobs.least_bytes = kLeastBytes;
  options.blobs.file_bytes = uint64_t{64} << 10;
  options.compaction.target_file_bytes = uint64_t{64} << 10;
  options.cache = {.capacity_bytes = size_t{256} << 10, .max_pinned_bytes = size_t{128} << 10};
  return options;
}

std::string KeyOf(uint64_t i) { return absl::StrCat("key", 1000 + i); }
// Every third one is small.
std::string ValueOf(uint64_t i, std::string_view what) {
  const size_t bytes = i % 3 == 0 ? i % 50 : kLeastBytes + i * 37 % 9000;
  return absl::StrCat(std::string(what), " ", i,
                      std::string(bytes, static_cast<char>('a' + i % 26)));
}

using Contents = std::map<std::string, std::string>;

// Of the test that runs, for programs, which are plain functions.
Simulation* test_simulation = nullptr;
Contents* test_contents = nullptr;

std::vector<std::string> BlobFilesOnDisk() {
  std::vector<std::string> found;
  for (const std::string& name : test_simulation->disk().Names("/db")) {
    if (std::string_view(name).ends_with(".blob")) found.push_back("/db/" + name);
  }
  return found;
}

class StoreBlobTest : public testing::Test {
 protected:
  StoreBlobTest() {
    simulation_.disk().MakeDirectories("/db");
    test_simulation = &simulation_;
    test_contents = &contents_;
  }

  SimulationResult RunResult(StoreProgram program, StoreOptions options = Small()) {
    return simulation_.Run(RunOnStore, std::string("/db"), options, program);
  }
  absl::Status Run(StoreProgram program, StoreOptions options = Small()) {
    const SimulationResult result = RunResult(program, options);
    EXPECT_EQ(result.end, SimulationEnd::kFinished) << result.message;
    return result.status;
  }
  Simulation simulation_{{.seed = 1, .buffer_pool_bytes = size_t{4} << 20, .max_open_files = 1024}};
  Contents contents_;
};

Task<absl::Status> PutSome(ShardStore& store, uint64_t begin, uint64_t end, std::string_view what,
                           Durability durability = Durability::kWritten) {
  for (uint64_t i = begin; i < end; ++i) {
    const std::string key = KeyOf(i);
    const std::string value = ValueOf(i, what);
    const auto put = co_await store.Put(key, value, durability);
    if (!put.ok()) co_return put.status();
    (*test_contents)[key] = value;
    if (i % 64 == 0) co_await Yield();
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Remove(Shard& shard, std::string file) {
  const absl::StatusOr<FileSystem> files = co_await FileSystem::Open(shard.io(), "/");
  if (!files.ok()) co_return files.status();
  co_return co_await files->Remove(file.substr(1));
}

absl::Status Differs(std::string_view key, std::string_view got) {
  return absl::InternalError(
      absl::StrCat(std::string(key), " is ", std::string(got.substr(0, 20))));
}

// By Get, GetPinned, MultiGet, and scans both ways.
Task<absl::Status> Compare(ShardStore& store, const Contents& contents,
                           std::optional<Snapshot> snapshot = std::nullopt) {
  std::vector<std::string_view> keys;
  for (const auto& [key, value] : contents) {
    keys.push_back(key);
    const absl::StatusOr<Value> got = co_await store.Get(key, snapshot);
    if (!got.ok()) co_return got.status();
    if (*got != value) co_return Differs(key, got->value_or("nothing"));
    const absl::StatusOr<PinnedValue> pinned = co_await store.GetPinned(key, snapshot);
    if (!pinned.ok()) co_return pinned.status();
    if (!pinned->has_value() || pinned->view() != value) co_return Differs(key, "pinned wrongly");
    if (keys.size() % 16 == 0) co_await Yield();
  }
  const absl::StatusOr<std::vector<Value>> many = co_await store.MultiGet(keys, snapshot);
  if (!many.ok()) co_return many.status();
  for (size_t i = 0; i < keys.size(); ++i) {
    if ((*many)[i] != contents.at(std::string(keys[i]))) co_return Differs(keys[i], "another");
  }
  ScanOptions options;
  options.snapshot = snapshot;
  auto scan = co_await store.Scan(options);
  if (!scan.ok()) co_return scan.status();
  absl::Status status = co_await (*scan)->SeekToFirst();
  for (auto at = contents.begin(); status.ok() && at != contents.end(); ++at) {
    if (!(*scan)->Valid() || (*scan)->key() != at->first) co_return Differs(at->first, "not there");
    if ((*scan)->value() != at->second) co_return Differs(at->first, (*scan)->value());
    status = co_await (*scan)->Next();
    co_await Yield();
  }
  if (status.ok()) status = co_await (*scan)->SeekToLast();
  for (auto at = contents.rbegin(); status.ok() && at != contents.rend(); ++at) {
    if (!(*scan)->Valid() || (*scan)->key() != at->first) co_return Differs(at->first, "not there");
    if ((*scan)->value() != at->second) co_return Differs(at->first, (*scan)->value());
    status = co_await (*scan)->Prev();
    co_await Yield();
  }
  co_return status;
}

Task<absl::Status> CompareAll(ShardStore& store) {
  co_return co_await Compare(store, *test_contents);
}

TEST_F(StoreBlobTest, ValuesComeFromMemoryFromTablesAndAfterReopening) {
  ASSERT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await PutSome(store, 0, 60, "first");
              if (status.ok()) status = co_await CompareAll(store);
              if (status.ok()) status = co_await store.Flush();
              if (status.ok()) status = co_await CompareAll(store);
              // From the log, the next time.
              if (status.ok()) status = co_await PutSome(store, 30, 90, "second");
              EXPECT_GT(store.stats().blob_files, 2u);
              co_return status;
            }),
            absl::OkStatus());
  ASSERT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await CompareAll(store);
              if (status.ok()) status = co_await store.Compact();
              if (status.ok()) status = co_await CompareAll(store);
              co_return status;
            }),
            absl::OkStatus());
  EXPECT_EQ(Run(CompareAll), absl::OkStatus());
}

TEST_F(StoreBlobTest, LargeValuesAreInNeitherLogNorTables) {
  EXPECT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              for (uint64_t i = 0; i < 40; ++i) {
                const std::string key = KeyOf(i);
                const std::string value(50'000, 'v');
                const auto put = co_await store.Put(key, value);
                if (!put.ok()) co_return put.status();
                (*test_contents)[key] = value;
              }
              absl::Status status = co_await store.Flush();
              EXPECT_LT(store.stats().log.frame_bytes, 400'000u);
              EXPECT_LT(store.stats().table_bytes, 40'000u);
              EXPECT_LT(store.stats().written_blob_bytes, 40 * (50'000 + 8192u));
              if (status.ok()) status = co_await CompareAll(store);
              co_return status;
            }),
            absl::OkStatus());
}

TEST_F(StoreBlobTest, AValueMayBeLargerThanALogRecordAndThanAllBuffers) {
  EXPECT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              std::string value;
              Random random(7);
              while (value.size() < (size_t{5} << 20)) value += absl::StrCat(random.Next());
              const auto put = co_await store.Put("large", value);
              if (!put.ok()) co_return put.status();
              (*test_contents)["large"] = value;
              const auto again = co_await store.Put("small", "");
              if (!again.ok()) co_return again.status();
              (*test_contents)["small"] = "";
              co_return co_await CompareAll(store);
            }),
            absl::OkStatus());
  EXPECT_EQ(Run(CompareAll), absl::OkStatus());
}

TEST_F(StoreBlobTest, ManyReadsAtOnceWaitForBuffers) {
  StoreOptions options = Small();
  options.cache = {.capacity_bytes = size_t{1} << 20, .max_pinned_bytes = size_t{512} << 10};
  EXPECT_EQ(Run(
                [](ShardStore& store) -> Task<absl::Status> {
                  absl::Status status;
                  for (uint64_t i = 0; i < 100 && status.ok(); ++i) {
                    const std::string key = KeyOf(i);
                    const std::string value(60'000, static_cast<char>(i));
                    status = (co_await store.Put(key, value, Durability::kWritten)).status();
                  }
                  if (status.ok()) status = co_await store.Flush();
                  const auto get = [](ShardStore* from, uint64_t i) -> Task<absl::Status> {
                    const std::string key = KeyOf(i);
                    const absl::StatusOr<Value> value = co_await from->Get(key);
                    if (!value.ok()) co_return value.status();
                    const bool is_right = *value == std::string(60'000, static_cast<char>(i));
                    co_return is_right ? absl::OkStatus() : Differs(key, "another");
                  };
                  TaskScope scope(*Executor::Current());
                  for (uint64_t i = 0; i < 100; ++i) scope.Spawn(get(&store, i));
                  absl::Status joined = co_await scope.Join();
                  co_return status.ok() ? joined : status;
                },
                options),
            absl::OkStatus());
}

TEST_F(StoreBlobTest, OneThatIsTooLargeIsRefused) {
  EXPECT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              const std::string value(kMaxBlobBytes + 1, 'v');
              const auto put = co_await store.Put("key", value);
              EXPECT_TRUE(absl::IsInvalidArgument(put.status())) << put.status();
              const absl::StatusOr<Value> got = co_await store.Get("key");
              EXPECT_TRUE(got.ok() && !got->has_value());
              co_return co_await PutSome(store, 0, 3, "later");
            }),
            absl::OkStatus());
}

TEST_F(StoreBlobTest, WithoutBlobFilesValuesAreInTables) {
  StoreOptions options = Small();
  ASSERT_EQ(Run([](ShardStore& store) { return PutSome(store, 0, 40, "blobs"); }, options),
            absl::OkStatus());
  options.blobs.least_bytes = 0;
  EXPECT_EQ(Run(
                [](ShardStore& store) -> Task<absl::Status> {
                  absl::Status status = co_await CompareAll(store);
                  if (status.ok()) status = co_await PutSome(store, 0, 40, "tables");
                  if (status.ok()) status = co_await store.Compact();
                  if (status.ok()) status = co_await CompareAll(store);
                  EXPECT_EQ(store.stats().written_blob_bytes, 0u);
                  co_return status;
                },
                options),
            absl::OkStatus());
}

TEST_F(StoreBlobTest, WritersThatComeTogetherShareSyncs) {
  EXPECT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              const auto put = [](ShardStore* to, uint64_t i) -> Task<absl::Status> {
                const std::string key = KeyOf(i);
                const std::string value = ValueOf(i, "together");
                const auto written = co_await to->Put(key, value);
                if (written.ok()) (*test_contents)[key] = value;
                co_return written.status();
              };
              TaskScope scope(*Executor::Current());
              for (uint64_t i = 0; i < 100; ++i) scope.Spawn(put(&store, i));
              absl::Status status = co_await scope.Join();
              if (status.ok()) status = co_await CompareAll(store);
              co_return status;
            }),
            absl::OkStatus());
  EXPECT_EQ(test_contents->size(), 100u);
  EXPECT_EQ(Run(CompareAll), absl::OkStatus());
}

TEST_F(StoreBlobTest, FilesGoWithTheirLastValue) {
  ASSERT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status;
              for (int round = 0; round < 10 && status.ok(); ++round) {
                status = co_await PutSome(store, 0, 60, absl::StrCat("round ", round));
                if (status.ok()) status = co_await store.Compact();
              }
              if (status.ok()) status = co_await CompareAll(store);
              EXPECT_LE(BlobFilesOnDisk().size(), 12u);
              co_return status;
            }),
            absl::OkStatus());
  // What the last writer of the first life had begun counts now.
  EXPECT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await store.Compact();
              if (status.ok()) status = co_await CompareAll(store);
              const StoreStats& stats = store.stats();
              EXPECT_LE(stats.blob_bytes, stats.live_blob_bytes * 2);
              co_return status;
            }),
            absl::OkStatus());
}

TEST_F(StoreBlobTest, GoodValuesAreMovedOutOfGarbage) {
  ASSERT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await PutSome(store, 0, 200, "all");
              if (status.ok()) status = co_await store.Compact();
              // Most of each file becomes garbage.
              for (uint64_t i = 0; i < 200 && status.ok(); ++i) {
                if (i % 5 == 0) continue;
                const std::string key = KeyOf(i);
                status = (co_await store.Delete(key, Durability::kWritten)).status();
                test_contents->erase(key);
              }
              const Contents kept = *test_contents;
              if (status.ok()) status = co_await store.Compact();
              if (status.ok()) status = co_await CompareAll(store);
              const StoreStats& stats = store.stats();
              EXPECT_GT(stats.compaction.moved_values, 10u);
              EXPECT_LT(stats.blob_bytes, 3 * stats.live_blob_bytes + (128 << 10));
              co_return status;
            }),
            absl::OkStatus());
  EXPECT_EQ(Run(CompareAll), absl::OkStatus());
}

TEST_F(StoreBlobTest, ASnapshotKeepsItsValues) {
  EXPECT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await PutSome(store, 0, 60, "before");
              const Contents before = *test_contents;
              const absl::StatusOr<Snapshot> snapshot = co_await store.TakeSnapshot();
              if (!snapshot.ok()) co_return snapshot.status();
              for (int round = 0; round < 5 && status.ok(); ++round) {
                status = co_await PutSome(store, 0, 60, absl::StrCat("after ", round));
                if (status.ok()) status = co_await store.Compact();
                if (status.ok()) status = co_await Compare(store, before, *snapshot);
                if (status.ok()) status = co_await CompareAll(store);
              }
              co_return status;
            }),
            absl::OkStatus());
}

TEST_F(StoreBlobTest, ADamagedValueIsTheLossOfItsKeyAlone) {
  ASSERT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await PutSome(store, 0, 60, "good");
              if (status.ok()) status = co_await store.Flush();
              co_return status;
            }),
            absl::OkStatus());
  ASSERT_FALSE(BlobFilesOnDisk().empty());
  ASSERT_TRUE(simulation_.disk().FlipBit(BlobFilesOnDisk().front(), 4500, 3));
  EXPECT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              int lost = 0;
              for (const auto& [key, value] : *test_contents) {
                const absl::StatusOr<Value> got = co_await store.Get(key);
                if (absl::IsDataLoss(got.status())) {
                  EXPECT_TRUE(absl::StrContains(got.status().message(), ".blob, value of"))
                      << got.status();
                  ++lost;
                } else {
                  EXPECT_TRUE(got.ok() && *got == value) << key;
                }
              }
              EXPECT_EQ(lost, 1);
              // What else is in the file is moved, and the key can be written again.
              absl::Status status = co_await PutSome(store, 0, 60, "new");
              if (status.ok()) status = co_await store.Compact();
              if (status.ok()) status = co_await CompareAll(store);
              co_return status;
            }),
            absl::OkStatus());
}

TEST_F(StoreBlobTest, DamageInTheWayOfMovingStaysWhereItIs) {
  ASSERT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await PutSome(store, 0, 200, "all");
              if (status.ok()) status = co_await store.Compact();
              co_return status;
            }),
            absl::OkStatus());
  for (const std::string& file : BlobFilesOnDisk()) {
    ASSERT_TRUE(simulation_.disk().FlipBit(file, 20'000, 1));
  }
  EXPECT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              for (uint64_t i = 0; i < 200; ++i) {
                if (i % 4 == 0) continue;
                const std::string key = KeyOf(i);
                const auto deleted = co_await store.Delete(key, Durability::kWritten);
                if (!deleted.ok()) co_return deleted.status();
                test_contents->erase(key);
              }
              absl::Status status = co_await store.Compact();
              if (!status.ok()) co_return status;
              size_t lost = 0;
              for (const auto& [key, value] : *test_contents) {
                const absl::StatusOr<Value> got = co_await store.Get(key);
                if (absl::IsDataLoss(got.status())) {
                  ++lost;
                } else {
                  EXPECT_TRUE(got.ok() && *got == value) << key;
                }
              }
              EXPECT_LE(lost, BlobFilesOnDisk().size());
              co_return absl::OkStatus();
            }),
            absl::OkStatus());
}

TEST_F(StoreBlobTest, AMissingFileIsNamed) {
  ASSERT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await PutSome(store, 0, 20, "tables");
              if (status.ok()) status = co_await store.Flush();
              if (status.ok()) status = co_await PutSome(store, 20, 40, "log");
              co_return status;
            }),
            absl::OkStatus());
  for (const std::string& file : BlobFilesOnDisk()) {
    const std::string contents = *simulation_.disk().Contents(file);
    ASSERT_TRUE(simulation_.Run(Remove, file).ok());
    const absl::Status status = RunResult(CompareAll).status;
    EXPECT_TRUE(absl::IsDataLoss(status) && absl::StrContains(status.message(), file)) << status;
    simulation_.disk().PutFile(file, contents);
  }
  EXPECT_EQ(Run(CompareAll), absl::OkStatus());
}

TEST_F(StoreBlobTest, FilesOfNobodyAreRemovedAtTheOpening) {
  ASSERT_EQ(Run([](ShardStore& store) { return PutSome(store, 0, 20, "values"); }),
            absl::OkStatus());
  const std::string orphan = "/db/" + BlobFileName(MakeUuid(77, 78));
  simulation_.disk().PutFile(orphan, std::string(8192, 'x'));
  EXPECT_EQ(Run(CompareAll), absl::OkStatus());
  EXPECT_FALSE(simulation_.disk().Contents(orphan).has_value());
}

TEST_F(StoreBlobTest, AFileThatCannotBeWrittenFailsItsWritesAlone) {
  EXPECT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await PutSome(store, 0, 20, "before");
              if (!status.ok()) co_return status;
              // The next write of a value.
              SimFaultRule rule = {.fault = SimFault::kError};
              rule.opcode = IoOpcode::kWrite;
              rule.times = 1;
              test_simulation->disk().faults().Add(rule);
              const std::string value(5000, 'v');
              const auto failed = co_await store.Put("failed", value);
              EXPECT_FALSE(failed.ok());
              test_simulation->disk().faults().Clear();
              EXPECT_EQ(store.write_status(), absl::OkStatus());
              const absl::StatusOr<Value> got = co_await store.Get("failed");
              EXPECT_TRUE(got.ok() && !got->has_value());
              status = co_await PutSome(store, 20, 40, "after");
              if (status.ok()) status = co_await CompareAll(store);
              co_return status;
            }),
            absl::OkStatus());
  EXPECT_EQ(Run(CompareAll), absl::OkStatus());
}

TEST_F(StoreBlobTest, AFullDiskRefusesLargeValuesAndGoesOn) {
  EXPECT_EQ(Run([](ShardStore& store) -> Task<absl::Status> {
              absl::Status status = co_await PutSome(store, 0, 20, "before");
              if (!status.ok()) co_return status;
              SimDisk& disk = test_simulation->disk();
              disk.SetCapacity(disk.used_bytes() + 20'000);
              const std::string value(100'000, 'v');
              bool refused = false;
              for (int i = 0; i < 20 && !refused; ++i) {
                const std::string key = absl::StrCat("large", i);
                const auto put = co_await store.Put(key, value);
                refused = absl::IsResourceExhausted(put.status());
                if (put.ok()) (*test_contents)[key] = value;
                if (!put.ok() && !refused) co_return put.status();
              }
              EXPECT_TRUE(refused);
              status = co_await CompareAll(store);
              disk.SetCapacity(SimDiskOptions().capacity_bytes);
              for (int i = 0; i < 100; ++i) {
                const auto put = co_await store.Put("large", value);
                if (put.ok()) break;
                EXPECT_TRUE(absl::IsResourceExhausted(put.status())) << put.status();
                co_await Sleep(std::chrono::milliseconds(100));
              }
              (*test_contents)["large"] = value;
              if (status.ok()) status = co_await CompareAll(store);
              co_return status;
            }),
            absl::OkStatus());
  EXPECT_EQ(Run(CompareAll), absl::OkStatus());
}

}  // namespace
}  // namespace ioengine
