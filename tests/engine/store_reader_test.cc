// Look-ups of many keys, and values where they are: over several memtables and tables, beside
// writes, on disks that fail, and in tasks that are cut off.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/io/io_request.h"
#include "ioengine/io/sim/sim_faults.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/timeout.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/engine/store_fixture.h"

namespace ioengine {
namespace {

constexpr uint64_t kKeys = 300;

std::string KeyOf(uint64_t i) { return absl::StrCat("key", 1000 + i); }

// Short ones and long ones.
std::string ValueOf(uint64_t i, std::string_view what) {
  const size_t bytes = i % 7 == 0 ? 3000 + i : i % 97;
  return absl::StrCat(i, " ", std::string(what), std::string(bytes, 'v'));
}

// Room for so little that most look-ups read.
StoreOptions Small() {
  StoreOptions options = SmallStore();
  options.memtable_bytes = size_t{1} << 20;
  options.cache = {.capacity_bytes = size_t{96} << 10, .max_pinned_bytes = size_t{16} << 10};
  return options;
}

using Model = std::map<std::string, std::string>;

// Some keys get another value, others none.
Task<absl::Status> WriteSome(ShardStore& store, Model& model, Random& random, uint64_t writes,
                             std::string_view what) {
  for (uint64_t write = 0; write < writes; ++write) {
    const uint64_t i = random.Below(kKeys);
    const std::string key = KeyOf(i);
    if (random.OneIn(5)) {
      model.erase(key);
      const auto deleted = co_await store.Delete(key, Durability::kMemory);
      if (!deleted.ok()) co_return deleted.status();
    } else {
      const std::string value = model[key] = ValueOf(i, what);
      const auto put = co_await store.Put(key, value, Durability::kMemory);
      if (!put.ok()) co_return put.status();
    }
    if (write % 32 == 0) co_await Yield();
  }
  co_return absl::OkStatus();
}

// All keys in order, and some that never were.
std::vector<std::string> AllKeys() {
  std::vector<std::string> keys = {"", "key", "key1000x"};
  for (uint64_t i = 0; i < kKeys; ++i) keys.push_back(KeyOf(i));
  keys.push_back("z");
  return keys;
}

std::vector<std::string> RandomKeys(Random& random, uint64_t most) {
  std::vector<std::string> keys;
  for (uint64_t left = random.Below(most + 1); left > 0; --left) {
    keys.push_back(random.OneIn(20) ? "none" : KeyOf(random.Below(kKeys)));
  }
  return keys;
}

std::vector<std::string_view> ViewsOf(const std::vector<std::string>& keys) {
  return {keys.begin(), keys.end()};
}

std::vector<Value> Expected(const Model& model, const std::vector<std::string>& keys) {
  std::vector<Value> values;
  for (const std::string& key : keys) {
    const auto found = model.find(key);
    values.push_back(found == model.end() ? Value() : Value(found->second));
  }
  return values;
}

Task<absl::Status> ExpectModel(ShardStore& store, const Model& model, std::vector<std::string> keys,
                               std::optional<Snapshot> snapshot = std::nullopt) {
  const auto values = co_await store.MultiGet(ViewsOf(keys), snapshot);
  if (!values.ok()) co_return values.status();
  if (*values != Expected(model, keys))
    co_return absl::InternalError("MultiGet gives other values");
  co_return absl::OkStatus();
}

Task<absl::Status> ExpectPinned(ShardStore& store, const Model& model,
                                std::vector<std::string> keys) {
  std::vector<PinnedValue> pinned;
  for (const std::string& key : keys) {
    absl::StatusOr<PinnedValue> value = co_await store.GetPinned(key);
    if (!value.ok()) co_return value.status();
    pinned.push_back(*std::move(value));
    if (pinned.size() % 32 == 0) co_await Yield();
  }
  const std::vector<Value> expected = Expected(model, keys);
  for (size_t i = 0; i < keys.size(); ++i) {
    const Value value = pinned[i].has_value() ? Value(pinned[i].view()) : Value();
    if (value != expected[i]) co_return absl::InternalError("GetPinned gives another value");
  }
  co_return absl::OkStatus();
}

// Of the test that runs, for programs, which are plain functions.
Simulation* test_simulation = nullptr;

class StoreReaderTest : public testing::Test {
 protected:
  StoreReaderTest() { Use(1); }

  void Use(uint64_t seed, bool is_even = false) {
    SimulationOptions options = {
        .seed = seed, .buffer_pool_bytes = size_t{4} << 20, .max_open_files = 1024};
    if (is_even) options.latency.late_one_in = options.stall_one_in = 0;
    simulation_ = std::make_unique<Simulation>(options);
    simulation_->disk().MakeDirectories("/db");
    test_simulation = simulation_.get();
  }

  absl::Status Run(StoreProgram program, StoreOptions options = Small()) {
    const SimulationResult result =
        simulation_->Run(RunOnStore, std::string("/db"), options, program);
    EXPECT_EQ(result.end, SimulationEnd::kFinished) << result.message;
    return result.status;
  }

  std::unique_ptr<Simulation> simulation_;
};

// Three tables, of which each has a third of the keys for the last time.
Task<absl::Status> MakeThreeTables(ShardStore& store) {
  for (uint64_t table = 0; table < 3; ++table) {
    for (uint64_t i = table * kKeys / 3; i < kKeys; ++i) {
      const std::string key = KeyOf(i);
      const std::string value = ValueOf(i, absl::StrCat("table ", table));
      const auto put = co_await store.Put(key, value, Durability::kMemory);
      if (!put.ok()) co_return put.status();
      if (i % 32 == 0) co_await Yield();
    }
    if (absl::Status status = co_await store.Flush(); !status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

Model ThreeTables() {
  Model model;
  for (uint64_t i = 0; i < kKeys; ++i) {
    model[KeyOf(i)] = ValueOf(i, absl::StrCat("table ", i / (kKeys / 3)));
  }
  return model;
}

TEST_F(StoreReaderTest, AgreesWithAModel) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Use(seed);
    const auto program = [](ShardStore& store) -> Task<absl::Status> {
      Random& random = test_simulation->random();
      Model model;
      Model then;
      std::optional<Snapshot> snapshot;
      for (int round = 0; round < 8; ++round) {
        const std::string what = absl::StrCat("round ", round);
        absl::Status status = co_await WriteSome(store, model, random, 200, what);
        if (status.ok() && !random.OneIn(3)) status = co_await store.Flush();
        if (status.ok()) status = co_await ExpectModel(store, model, AllKeys());
        if (status.ok()) status = co_await ExpectModel(store, model, RandomKeys(random, 400));
        if (status.ok()) status = co_await ExpectPinned(store, model, AllKeys());
        if (status.ok() && snapshot.has_value()) {
          status = co_await ExpectModel(store, then, AllKeys(), snapshot);
        }
        if (!status.ok()) co_return status;
        if (!random.OneIn(3)) continue;
        absl::StatusOr<Snapshot> taken = co_await store.TakeSnapshot();
        if (!taken.ok()) co_return taken.status();
        snapshot = *taken;
        then = model;
      }
      co_return absl::OkStatus();
    };
    ASSERT_EQ(Run(program), absl::OkStatus()) << seed;
  }
}

TEST_F(StoreReaderTest, NoKeysAndOneKeyManyTimes) {
  const auto program = [](ShardStore& store) -> Task<absl::Status> {
    if (absl::Status status = co_await MakeThreeTables(store); !status.ok()) co_return status;
    const Model empty;
    std::vector<std::string> keys;
    if (absl::Status none = co_await ExpectModel(store, empty, keys); !none.ok()) co_return none;
    keys.assign(200, KeyOf(7));
    co_return co_await ExpectModel(store, ThreeTables(), keys);
  };
  EXPECT_EQ(Run(program), absl::OkStatus());
}

TEST_F(StoreReaderTest, ReadsAreUnderWayTogether) {
  Use(1, /*is_even=*/true);
  ASSERT_EQ(Run(MakeThreeTables), absl::OkStatus());
  static uint64_t took_ns;
  const auto one_by_one = [](ShardStore& store) -> Task<absl::Status> {
    const uint64_t begin_ns = test_simulation->clock().NowNs();
    for (uint64_t i = 0; i < kKeys; i += 7) {
      const absl::StatusOr<Value> value = co_await store.Get(KeyOf(i));
      if (!value.ok()) co_return value.status();
    }
    took_ns = test_simulation->clock().NowNs() - begin_ns;
    co_return absl::OkStatus();
  };
  const auto together = [](ShardStore& store) -> Task<absl::Status> {
    std::vector<std::string> keys;
    for (uint64_t i = 0; i < kKeys; i += 7) keys.push_back(KeyOf(i));
    const uint64_t begin_ns = test_simulation->clock().NowNs();
    const auto values = co_await store.MultiGet(ViewsOf(keys));
    if (!values.ok()) co_return values.status();
    took_ns = test_simulation->clock().NowNs() - begin_ns;
    co_return absl::OkStatus();
  };
  StoreOptions options = Small();
  options.cache.capacity_bytes = size_t{1} << 20;
  ASSERT_EQ(Run(one_by_one, options), absl::OkStatus());
  const uint64_t one_by_one_ns = took_ns;
  ASSERT_EQ(Run(together, options), absl::OkStatus());
  EXPECT_LT(took_ns, one_by_one_ns / 2) << one_by_one_ns;
}

// Writes all keys at once, again and again.
Task<absl::Status> WriteGenerations(ShardStore* store, const bool* stop) {
  for (int generation = 1; !*stop; ++generation) {
    WriteBatch batch;
    for (uint64_t i = 0; i < 40; ++i) {
      batch.Put(KeyOf(i), absl::StrCat(generation, std::string(1500, 'g')));
    }
    const auto written = co_await store->Write(batch, Durability::kWritten);
    if (!written.ok()) co_return written.status();
    // In tables, so that reads take their time.
    if (absl::Status status = co_await store->Flush(); !status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

TEST_F(StoreReaderTest, ValuesAreOfOneMoment) {
  const auto program = [](ShardStore& store) -> Task<absl::Status> {
    bool stop = false;
    TaskScope scope(*Executor::Current());
    scope.Spawn(WriteGenerations(&store, &stop));
    std::vector<std::string> keys;
    for (uint64_t i = 0; i < 40; ++i) keys.push_back(KeyOf(i));
    int differ = 0;
    std::vector<Value> last;
    for (int round = 0; round < 20'000 && differ < 10; ++round) {
      const auto values = co_await store.MultiGet(ViewsOf(keys));
      if (!values.ok()) co_return values.status();
      for (const Value& value : *values) {
        if (value != values->front()) co_return absl::InternalError("values of two moments");
      }
      differ += *values != last;
      last = *values;
      co_await Yield();
    }
    EXPECT_EQ(differ, 10);
    stop = true;
    co_return co_await scope.Join();
  };
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Use(seed);
    ASSERT_EQ(Run(program), absl::OkStatus()) << seed;
  }
}

TEST_F(StoreReaderTest, DamageFailsWithTheFirstKeyThatNeedsIt) {
  ASSERT_EQ(Run(MakeThreeTables), absl::OkStatus());
  // Of one table, the data's begin.
  std::vector<std::string> tables;
  for (const std::string& name : simulation_->disk().Names("/db")) {
    if (name.ends_with(".sst")) tables.push_back(name);
  }
  ASSERT_EQ(tables.size(), 3u);
  ASSERT_TRUE(simulation_->disk().FlipBit("/db/" + tables[1], 200, 3));
  const auto program = [](ShardStore& store) -> Task<absl::Status> {
    const Model model = ThreeTables();
    const std::vector<std::string> keys = AllKeys();
    std::vector<std::string> good;
    absl::Status first;
    for (const std::string& key : keys) {
      const absl::StatusOr<Value> value = co_await store.Get(key);
      if (value.ok()) {
        good.push_back(key);
      } else {
        EXPECT_TRUE(absl::IsDataLoss(value.status())) << value.status().ToString();
        if (first.ok()) first = value.status();
      }
      if (good.size() % 32 == 0) co_await Yield();
    }
    EXPECT_FALSE(first.ok());
    EXPECT_GT(good.size(), kKeys / 2);
    for (int round = 0; round < 5; ++round) {
      const auto values = co_await store.MultiGet(ViewsOf(keys));
      EXPECT_EQ(values.status(), first);
    }
    co_return co_await ExpectModel(store, model, good);
  };
  EXPECT_EQ(Run(program), absl::OkStatus());
}

TEST_F(StoreReaderTest, AReadThatFailsFailsTheCallAndNotTheNext) {
  ASSERT_EQ(Run(MakeThreeTables), absl::OkStatus());
  const auto program = [](ShardStore& store) -> Task<absl::Status> {
    SimFaults& faults = test_simulation->disk().faults();
    SimFaultRule shorter = {.fault = SimFault::kShortTransfer, .path_part = ".sst"};
    shorter.times = 50;
    for (uint64_t skip = 0; skip < 60; skip += 3) {
      // EIO by a rule: of data, or of an index; a filter's is not missed.
      SimFaultRule error = {.fault = SimFault::kError, .opcode = IoOpcode::kRead};
      error.path_part = ".sst";
      error.skip = skip;
      faults.Add(error);
      faults.Add(shorter);
      const auto values = co_await store.MultiGet(ViewsOf(AllKeys()));
      faults.Clear();
      if (values.ok() && *values != Expected(ThreeTables(), AllKeys())) {
        co_return absl::InternalError("a read that failed gives other values");
      }
      absl::Status status = co_await ExpectModel(store, ThreeTables(), AllKeys());
      if (!status.ok()) co_return status;
    }
    co_return absl::OkStatus();
  };
  EXPECT_EQ(Run(program), absl::OkStatus());
}

Task<absl::Status> ReadAll(ShardStore* store) {
  co_return co_await ExpectModel(*store, ThreeTables(), AllKeys());
}

TEST_F(StoreReaderTest, CanBeCutOffAnywhere) {
  ASSERT_EQ(Run(MakeThreeTables), absl::OkStatus());
  const auto program = [](ShardStore& store) -> Task<absl::Status> {
    Random& random = test_simulation->random();
    int cut_off = 0;
    for (int round = 0; round < 100; ++round) {
      TaskScope scope(*Executor::Current());
      scope.Spawn(ReadAll(&store));
      scope.Spawn(ReadAll(&store));
      for (uint64_t turns = random.Below(300); turns > 0 && scope.size() > 0; --turns) {
        co_await Yield();
      }
      cut_off += scope.size() > 0;
      scope.Cancel();
      const auto limit = std::chrono::microseconds(random.Below(2000));
      const absl::Status timed = co_await Timeout(limit, ReadAll(&store));
      if (!timed.ok() && !absl::IsDeadlineExceeded(timed)) co_return timed;
    }
    EXPECT_GT(cut_off, 20);
    co_return co_await ReadAll(&store);
  };
  EXPECT_EQ(Run(program), absl::OkStatus());
}

TEST_F(StoreReaderTest, PinnedValuesAreNotCopied) {
  const auto program = [](ShardStore& store) -> Task<absl::Status> {
    const auto put = co_await store.Put("long", std::string(5000, 'm'));
    if (!put.ok()) co_return put.status();
    const auto put_short = co_await store.Put("short", "s");
    if (!put_short.ok()) co_return put_short.status();
    absl::StatusOr<PinnedValue> in_memory = co_await store.GetPinned("long");
    if (!in_memory.ok()) co_return in_memory.status();
    EXPECT_FALSE(in_memory->is_copy());
    if (absl::Status status = co_await store.Flush(); !status.ok()) co_return status;
    // The memtable that it keeps is gone from the store.
    EXPECT_EQ(in_memory->view(), std::string(5000, 'm'));

    absl::StatusOr<PinnedValue> one = co_await store.GetPinned("long");
    absl::StatusOr<PinnedValue> other = co_await store.GetPinned("long");
    if (!one.ok()) co_return one.status();
    if (!other.ok()) co_return other.status();
    EXPECT_FALSE(one->is_copy());
    EXPECT_EQ(one->view(), std::string(5000, 'm'));
    EXPECT_EQ(one->view().data(), other->view().data()) << "both are in the cache's block";
    PinnedValue moved = *std::move(one);
    EXPECT_FALSE(one->has_value());
    EXPECT_EQ(moved.view().data(), other->view().data());
    moved = PinnedValue();
    EXPECT_FALSE(moved.has_value());

    absl::StatusOr<PinnedValue> copied = co_await store.GetPinned("short");
    if (!copied.ok()) co_return copied.status();
    EXPECT_TRUE(copied->is_copy());
    moved = *std::move(copied);
    EXPECT_EQ(moved.view(), "s");
    const absl::StatusOr<PinnedValue> none = co_await store.GetPinned("none");
    if (!none.ok()) co_return none.status();
    EXPECT_FALSE(none->has_value());
    co_return absl::OkStatus();
  };
  EXPECT_EQ(Run(program), absl::OkStatus());
}

// More values than may be pinned, while others read through what is left of the cache.
TEST_F(StoreReaderTest, BeyondTheBoundValuesAreCopied) {
  const auto program = [](ShardStore& store) -> Task<absl::Status> {
    if (absl::Status status = co_await MakeThreeTables(store); !status.ok()) co_return status;
    const Model model = ThreeTables();
    std::vector<PinnedValue> values;
    size_t copies = 0;
    for (uint64_t i = 0; i < kKeys; i += 7) {
      absl::StatusOr<PinnedValue> value = co_await store.GetPinned(KeyOf(i));
      if (!value.ok()) co_return value.status();
      copies += value->is_copy();
      values.push_back(*std::move(value));
    }
    EXPECT_GT(copies, 0u);
    EXPECT_LT(copies, values.size());
    if (absl::Status status = co_await ReadAll(&store); !status.ok()) co_return status;
    for (uint64_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(values[i].view(), model.at(KeyOf(i * 7)));
    }
    values.clear();
    const absl::StatusOr<PinnedValue> after = co_await store.GetPinned(KeyOf(0));
    if (!after.ok()) co_return after.status();
    EXPECT_FALSE(after->is_copy()) << "what was held was given back";
    co_return absl::OkStatus();
  };
  EXPECT_EQ(Run(program), absl::OkStatus());
}

}  // namespace
}  // namespace ioengine
