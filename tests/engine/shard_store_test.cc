// ShardStore: what each call does, and what bad input gets.

#include "ioengine/engine/shard_store.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/format/batch_record.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/engine/store_fixture.h"

namespace ioengine {
namespace {

SimulationOptions World(uint64_t seed = 1) {
  SimulationOptions options = {.seed = seed};
  options.buffer_pool_bytes = size_t{4} << 20;
  options.max_open_files = 256;
  return options;
}

class ShardStoreTest : public testing::Test {
 protected:
  ShardStoreTest() { simulation_.disk().MakeDirectories("/db"); }

  absl::Status Run(StoreProgram program, StoreOptions options = SmallStore(),
                   const std::string& directory = "/db") {
    const SimulationResult result = simulation_.Run(RunOnStore, directory, options, program);
    EXPECT_EQ(result.end, SimulationEnd::kFinished) << result.message;
    return result.status;
  }

  Simulation simulation_{World()};
};

absl::Status Expect(const absl::StatusOr<Value>& value, const Value& expected) {
  if (!value.ok()) return value.status();
  EXPECT_EQ(*value, expected);
  return absl::OkStatus();
}

TEST_F(ShardStoreTest, PutsDeletesAndReads) {
  const absl::Status status = Run([](ShardStore& store) -> Task<absl::Status> {
    for (const Durability level :
         {Durability::kMemory, Durability::kWritten, Durability::kDurable}) {
      const std::string key = absl::StrCat("key of ", DurabilityName(level));
      auto written = co_await store.Put(key, "one", level);
      if (!written.ok()) co_return written.status();
      EXPECT_EQ(written->reached, level);
      absl::Status read = Expect(co_await store.Get(key), "one");
      if (!read.ok()) co_return read;
      auto second = co_await store.Put(key, "", level);
      if (!second.ok()) co_return second.status();
      EXPECT_GT(second->sequence, written->sequence);
      read = Expect(co_await store.Get(key), "");
      if (!read.ok()) co_return read;
      auto deleted = co_await store.Delete(key, level);
      if (!deleted.ok()) co_return deleted.status();
      read = Expect(co_await store.Get(key), std::nullopt);
      if (!read.ok()) co_return read;
    }
    co_return Expect(co_await store.Get("never"), std::nullopt);
  });
  EXPECT_EQ(status, absl::OkStatus());
}

TEST_F(ShardStoreTest, KeepsEverythingOverACleanEnd) {
  const absl::Status written = Run([](ShardStore& store) -> Task<absl::Status> {
    for (int i = 0; i < 100; ++i) {
      const std::string value(static_cast<size_t>(i) * 500, 'v');
      auto put = co_await store.Put(absl::StrCat("key", i), value, Durability::kMemory);
      if (!put.ok()) co_return put.status();
    }
    auto deleted = co_await store.Delete("key7", Durability::kMemory);
    co_return deleted.status();
  });
  ASSERT_EQ(written, absl::OkStatus());
  simulation_.CutPower();
  const absl::Status read = Run([](ShardStore& store) -> Task<absl::Status> {
    EXPECT_EQ(store.stats().recovered_records, 101u);
    for (int i = 0; i < 100; ++i) {
      Value expected;
      if (i != 7) expected.emplace(static_cast<size_t>(i) * 500, 'v');
      absl::Status found = Expect(co_await store.Get(absl::StrCat("key", i)), expected);
      if (!found.ok()) co_return found;
    }
    co_return absl::OkStatus();
  });
  EXPECT_EQ(read, absl::OkStatus());
}

TEST_F(ShardStoreTest, SequencesGoOnOverOpens) {
  static Sequence last;
  last = {};
  for (int open = 0; open < 5; ++open) {
    const absl::Status status = Run([](ShardStore& store) -> Task<absl::Status> {
      auto written = co_await store.Put("k", "v");
      if (!written.ok()) co_return written.status();
      EXPECT_GT(written->sequence, last);
      EXPECT_GT(written->sequence.epoch, last.epoch);
      last = written->sequence;
      co_return absl::OkStatus();
    });
    EXPECT_EQ(status, absl::OkStatus());
  }
}

TEST_F(ShardStoreTest, OfTwoChangesToOneKeyInABatchTheLaterCounts) {
  const auto check = [](ShardStore& store) -> Task<absl::Status> {
    absl::Status found = Expect(co_await store.Get("a"), "2");
    found.Update(Expect(co_await store.Get("b"), std::nullopt));
    found.Update(Expect(co_await store.Get("c"), "3"));
    co_return found;
  };
  const absl::Status status = Run([](ShardStore& store) -> Task<absl::Status> {
    WriteBatch batch;
    batch.Put("a", "1");
    batch.Put("b", "1");
    batch.Delete("c");
    batch.Put("a", "2");
    batch.Delete("b");
    batch.Put("c", "3");
    auto written = co_await store.Write(batch);
    co_return written.status();
  });
  ASSERT_EQ(status, absl::OkStatus());
  EXPECT_EQ(Run(check), absl::OkStatus());
}

TEST_F(ShardStoreTest, ReadsASnapshotAgainAndAgain) {
  const absl::Status status = Run([](ShardStore& store) -> Task<absl::Status> {
    auto put = co_await store.Put("a", "old");
    if (!put.ok()) co_return put.status();
    const absl::StatusOr<Snapshot> snapshot = co_await store.TakeSnapshot();
    if (!snapshot.ok()) co_return snapshot.status();
    put = co_await store.Put("a", "new");
    if (!put.ok()) co_return put.status();
    put = co_await store.Put("b", "new");
    if (!put.ok()) co_return put.status();
    absl::Status read = Expect(co_await store.Get("a", *snapshot), "old");
    read.Update(Expect(co_await store.Get("b", *snapshot), std::nullopt));
    read.Update(Expect(co_await store.Get("a"), "new"));
    std::vector<std::string_view> keys = {"a", "b", "c"};
    auto values = co_await store.MultiGet(keys, *snapshot);
    if (!values.ok()) co_return values.status();
    EXPECT_EQ(*values, (std::vector<Value>{"old", std::nullopt, std::nullopt}));
    co_return read;
  });
  EXPECT_EQ(status, absl::OkStatus());
}

// What a scan gives, forward and backward.
Task<absl::StatusOr<std::string>> Keys(ShardStore& store, ScanOptions options, bool forward) {
  auto scan = co_await store.Scan(options);
  if (!scan.ok()) co_return scan.status();
  std::string keys;
  absl::Status status;
  if (forward) {
    status = co_await (*scan)->SeekToFirst();
  } else {
    status = co_await (*scan)->SeekToLast();
  }
  while (status.ok() && (*scan)->Valid()) {
    absl::StrAppend(&keys, keys.empty() ? "" : " ", std::string((*scan)->key()));
    if (forward) {
      status = co_await (*scan)->Next();
    } else {
      status = co_await (*scan)->Prev();
    }
  }
  if (!status.ok()) co_return status;
  co_return keys;
}

TEST_F(ShardStoreTest, ScansBothWaysWithinBounds) {
  const absl::Status status = Run([](ShardStore& store) -> Task<absl::Status> {
    for (const std::string_view key : {"b", "a", "d", "c", "aa", "ab"}) {
      for (int version = 0; version < 3; ++version) {
        auto put = co_await store.Put(key, absl::StrCat(version), Durability::kMemory);
        if (!put.ok()) co_return put.status();
      }
    }
    auto deleted = co_await store.Delete("c", Durability::kMemory);
    if (!deleted.ok()) co_return deleted.status();
    ScanOptions all;
    EXPECT_EQ((co_await Keys(store, all, true)).value(), "a aa ab b d");
    EXPECT_EQ((co_await Keys(store, all, false)).value(), "d b ab aa a");
    ScanOptions some;
    some.lower = "aa";
    some.upper = "d";
    EXPECT_EQ((co_await Keys(store, some, true)).value(), "aa ab b");
    EXPECT_EQ((co_await Keys(store, some, false)).value(), "b ab aa");
    const ScanOptions prefix = ScanOptions::Prefix("a");
    EXPECT_EQ((co_await Keys(store, prefix, true)).value(), "a aa ab");
    EXPECT_EQ((co_await Keys(store, prefix, false)).value(), "ab aa a");
    auto scan = co_await store.Scan(some);
    if (!scan.ok()) co_return scan.status();
    absl::Status moved = co_await (*scan)->Seek("0");
    EXPECT_EQ((*scan)->key(), "aa") << "the lower bound holds";
    moved.Update(co_await (*scan)->SeekForPrev("z"));
    EXPECT_EQ((*scan)->key(), "b") << "the upper bound holds";
    EXPECT_EQ((*scan)->value(), "2");
    moved.Update(co_await (*scan)->SeekForPrev("a"));
    EXPECT_FALSE((*scan)->Valid());
    moved.Update(co_await (*scan)->Seek("b0"));
    EXPECT_FALSE((*scan)->Valid()) << "c is deleted, d is beyond the bound";
    co_return moved;
  });
  EXPECT_EQ(status, absl::OkStatus());
  EXPECT_EQ(ScanOptions::Prefix("\xff\xff").upper, std::nullopt);
  EXPECT_EQ(ScanOptions::Prefix("a\xff").upper, "b");
}

TEST_F(ShardStoreTest, RefusesWhatCannotBeWritten) {
  const absl::Status status = Run([](ShardStore& store) -> Task<absl::Status> {
    const std::string long_key(kMaxKeyBytes + 1, 'k');
    auto put = co_await store.Put(long_key, "v");
    EXPECT_TRUE(absl::IsInvalidArgument(put.status())) << put.status();
    const std::string longest_key(kMaxKeyBytes, 'k');
    put = co_await store.Put(longest_key, "v");
    EXPECT_TRUE(put.ok()) << put.status();
    co_return Expect(co_await store.Get(longest_key), "v");
  });
  EXPECT_EQ(status, absl::OkStatus());
}

TEST_F(ShardStoreTest, ABatchHasTheSizeOfARecordAtMost) {
  const absl::Status status = Run([](ShardStore& store) -> Task<absl::Status> {
    const size_t most_bytes = SmallStore().wal.max_pending_bytes - sizeof(uint32_t);
    WriteBatch batch;
    batch.Put("k", "");
    // Three bytes for the value's size, where there is one now.
    const size_t most_value = most_bytes - kBatchHeadBytes - batch.operations().size() - 2;
    const std::string largest(most_value, 'v');
    batch.Clear();
    batch.Put("k", largest);
    EXPECT_EQ(kBatchHeadBytes + batch.operations().size(), most_bytes);
    auto written = co_await store.Write(batch);
    EXPECT_TRUE(written.ok()) << written.status();
    batch.Delete("");
    written = co_await store.Write(batch);
    EXPECT_TRUE(absl::IsInvalidArgument(written.status())) << written.status();
    for (const std::string& named :
         {absl::StrCat(most_bytes + 2), absl::StrCat(most_bytes),
          absl::StrCat("WalOptions::max_pending_bytes is ", SmallStore().wal.max_pending_bytes)}) {
      EXPECT_NE(written.status().message().find(named), std::string::npos) << written.status();
    }
    co_return Expect(co_await store.Get("k"), largest);
  });
  EXPECT_EQ(status, absl::OkStatus());
}

TEST_F(ShardStoreTest, ABatchThatIsTooLargeIsRefusedBeforeItWaitsForMemory) {
  StoreOptions options = SmallStore();
  options.memtable_bytes = size_t{256} << 10;
  const absl::Status status = Run(
      [](ShardStore& store) -> Task<absl::Status> {
        const std::string value(50'000, 'v');
        auto written = co_await store.Put("small", value);
        if (!written.ok()) co_return written.status();
        const std::string large(SmallStore().wal.max_pending_bytes, 'v');
        written = co_await store.Put("large", large);
        EXPECT_TRUE(absl::IsInvalidArgument(written.status())) << written.status();
        EXPECT_EQ(store.stats().flushes, 0u);
        EXPECT_EQ(store.stats().failed_writes, 1u);
        co_return Expect(co_await store.Get("small"), value);
      },
      options);
  EXPECT_EQ(status, absl::OkStatus());
}

Task<absl::Status> OpenTwice(Shard& shard) {
  auto first = co_await ShardStore::Open(shard, "/db", SmallStore());
  if (!first.ok()) co_return first.status();
  auto second = co_await ShardStore::Open(shard, "/db", SmallStore());
  EXPECT_TRUE(absl::IsUnavailable(second.status())) << second.status();
  EXPECT_NE(second.status().message().find("/db"), std::string::npos) << second.status();
  if (absl::Status closed = co_await (*first)->Close(); !closed.ok()) co_return closed;
  const auto get = co_await (*first)->Get("k");
  EXPECT_TRUE(absl::IsUnavailable(get.status())) << get.status();
  const auto put = co_await (*first)->Put("k", "v");
  EXPECT_TRUE(absl::IsUnavailable(put.status())) << put.status();
  const auto twice = co_await (*first)->Close();
  EXPECT_TRUE(absl::IsUnavailable(twice)) << twice;
  first->reset();
  second = co_await ShardStore::Open(shard, "/db", SmallStore());
  if (!second.ok()) co_return second.status();
  co_return co_await (*second)->Close();
}

TEST_F(ShardStoreTest, HasOneOpener) {
  EXPECT_EQ(simulation_.Run(OpenTwice).status, absl::OkStatus());
}

TEST_F(ShardStoreTest, SaysWhatIsWrongWithADirectory) {
  const StoreProgram nothing = [](ShardStore&) -> Task<absl::Status> {
    co_return absl::OkStatus();
  };
  StoreOptions options = SmallStore();
  options.create_if_missing = false;
  EXPECT_TRUE(absl::IsNotFound(Run(nothing, options)));
  EXPECT_TRUE(absl::IsInvalidArgument(Run(nothing, SmallStore(), "")));
  EXPECT_TRUE(absl::IsNotFound(Run(nothing, SmallStore(), "/nowhere/db")));
  simulation_.disk().PutFile("/db/W-1-0", std::string(4096, 'x'));
  const absl::Status status = Run(nothing);
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_NE(status.message().find("no ROOT"), std::string::npos) << status;
}

TEST_F(ShardStoreTest, LeavesFilesAloneThatAreNotItsOwn) {
  const StoreProgram nothing = [](ShardStore&) -> Task<absl::Status> {
    co_return absl::OkStatus();
  };
  simulation_.disk().PutFile("/db/ROOT", "somebody's notes");
  EXPECT_TRUE(absl::IsDataLoss(Run(nothing)));
  EXPECT_EQ(simulation_.disk().Contents("/db/ROOT"), "somebody's notes");
  // One that was begun and never made whole.
  simulation_.disk().PutFile("/db/ROOT", std::string(1000, '\0'));
  StoreOptions options = SmallStore();
  options.create_if_missing = false;
  EXPECT_TRUE(absl::IsNotFound(Run(nothing, options)));
  simulation_.disk().PutFile("/db/W-notes.txt", "more notes");
  simulation_.disk().MakeDirectories("/db/W-9-9");
  EXPECT_EQ(Run(nothing), absl::OkStatus());
  EXPECT_EQ(Run(nothing), absl::OkStatus());
  EXPECT_EQ(simulation_.disk().Contents("/db/W-notes.txt"), "more notes");
}

TEST_F(ShardStoreTest, KeepsNoSegmentThatNobodyNeeds) {
  const StoreProgram put = [](ShardStore& store) -> Task<absl::Status> {
    auto written = co_await store.Put("k", "v");
    co_return written.status();
  };
  for (int i = 0; i < 5; ++i) ASSERT_EQ(Run(put), absl::OkStatus());
  for (const std::string_view old : {"1", "2", "3", "4"}) {
    EXPECT_TRUE(simulation_.disk().Contents(absl::StrCat("/db/W-", std::string(old), "-0")));
    EXPECT_FALSE(simulation_.disk().Contents(absl::StrCat("/db/W-", std::string(old), "-1")));
  }
}

Task<> PutLarge(ShardStore* store, uint64_t key, uint64_t* accepted) {
  const std::string name = absl::StrCat("key", key);
  const std::string value(10'000, 'v');
  auto written = co_await store->Put(name, value);
  EXPECT_EQ(written.status(), absl::OkStatus());
  *accepted += written.ok() ? 1 : 0;
}

Task<absl::Status> PutManyAtOnce(Shard& shard, uint64_t* accepted) {
  StoreOptions options = SmallStore();
  options.memtable_bytes = size_t{1} << 20;
  auto store = co_await ShardStore::Open(shard, "/db", options);
  if (!store.ok()) co_return store.status();
  {
    TaskScope scope(shard.executor());
    for (uint64_t i = 0; i < 1000; ++i) scope.Spawn(PutLarge(store->get(), i, accepted));
    if (absl::Status joined = co_await scope.Join(); !joined.ok()) co_return joined;
  }
  EXPECT_LE((*store)->stats().memtable_bytes, size_t{5} << 18);
  co_return co_await (*store)->Close();
}

TEST_F(ShardStoreTest, MemoryIsBoundedForManyWritersToo) {
  uint64_t accepted = 0;
  EXPECT_EQ(simulation_.Run(PutManyAtOnce, &accepted).status, absl::OkStatus());
  EXPECT_EQ(accepted, 1000u) << "who finds memory full waits until a table has it";
}

TEST_F(ShardStoreTest, WaitsForEverForALockIfAsked) {
  StoreOptions options = SmallStore();
  options.lock_wait_ns = UINT64_MAX;
  const StoreProgram nothing = [](ShardStore&) -> Task<absl::Status> {
    co_return absl::OkStatus();
  };
  EXPECT_EQ(Run(nothing, options), absl::OkStatus());
}

TEST_F(ShardStoreTest, AnOlderRootIsNoticed) {
  const StoreProgram put = [](ShardStore& store) -> Task<absl::Status> {
    auto written = co_await store.Put("k", "v");
    co_return written.status();
  };
  ASSERT_EQ(Run(put), absl::OkStatus());
  const std::string older = simulation_.disk().Contents("/db/ROOT").value();
  ASSERT_EQ(Run(put), absl::OkStatus());
  const std::string newer = simulation_.disk().Contents("/db/ROOT").value();
  simulation_.disk().PutFile("/db/ROOT", older);
  const absl::Status status = Run(put);
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_NE(status.message().find("older ROOT"), std::string::npos) << status;
  simulation_.disk().PutFile("/db/ROOT", newer);
  EXPECT_EQ(Run(put), absl::OkStatus()) << "nothing was removed";
}

Task<absl::Status> FailALog(Shard& shard, Simulation* simulation) {
  auto store = co_await ShardStore::Open(shard, "/db", SmallStore());
  if (!store.ok()) co_return store.status();
  auto put = co_await (*store)->Put("a", "before");
  if (!put.ok()) co_return put.status();
  SimFaultRule rule = {.fault = SimFault::kError};
  rule.opcode = IoOpcode::kWrite;
  rule.path_part = "W-";
  simulation->disk().faults().Add(rule);
  put = co_await (*store)->Put("a", "failed");
  EXPECT_FALSE(put.ok());
  const absl::Status first = put.status();
  put = co_await (*store)->Put("b", "after");
  EXPECT_EQ(put.status(), first) << "no write is taken any more";
  EXPECT_EQ((*store)->write_status(), first);
  absl::Status read = Expect(co_await (*store)->Get("a"), "before");
  read.Update(Expect(co_await (*store)->Get("b"), std::nullopt));
  const absl::StatusOr<Snapshot> snapshot = co_await (*store)->TakeSnapshot();
  EXPECT_TRUE(snapshot.ok()) << "no read waits for a write that failed";
  const absl::Status closed = co_await (*store)->Close();
  EXPECT_FALSE(closed.ok()) << "it cannot make all durable";
  co_return read;
}

TEST_F(ShardStoreTest, TakesNoWritesAfterAFailedOneAndGoesOnReading) {
  EXPECT_EQ(simulation_.Run(FailALog, &simulation_).status, absl::OkStatus());
  const absl::Status reopened = Run([](ShardStore& store) -> Task<absl::Status> {
    auto put = co_await store.Put("b", "again");
    co_return put.status();
  });
  EXPECT_EQ(reopened, absl::OkStatus());
}

Task<absl::Status> PutAndStop(ShardStore* store) {
  auto put = co_await store->Put("k", "of a task that was destroyed");
  co_return put.status();
}

Task<absl::Status> DestroyAWriter(Shard& shard) {
  auto store = co_await ShardStore::Open(shard, "/db", SmallStore());
  if (!store.ok()) co_return store.status();
  {
    TaskScope scope(shard.executor());
    scope.Spawn(PutAndStop(store->get()));
    co_await Yield();
    scope.Cancel();
    const absl::Status cancelled = co_await scope.Join();
    EXPECT_FALSE(cancelled.ok());
  }
  if (absl::Status synced = co_await (*store)->Sync(); !synced.ok()) co_return synced;
  const auto value = co_await (*store)->Get("k");
  if (!value.ok()) co_return value.status();
  EXPECT_TRUE(!value->has_value() || **value == "of a task that was destroyed");
  co_return co_await (*store)->Close();
}

TEST_F(ShardStoreTest, AWriterThatIsDestroyedLeavesItsWriteToGoOn) {
  EXPECT_EQ(simulation_.Run(DestroyAWriter).status, absl::OkStatus());
}

}  // namespace
}  // namespace ioengine
