// Engine on real files and threads: what its users meet.

#include "ioengine/engine/engine.h"

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/tests/engine/store_fixture.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

constexpr size_t kShards = 2;

std::unique_ptr<Runtime> StartShards(int count) {
  auto runtime = Runtime::Start({.shard_count = count, .buffer_pool_bytes = size_t{8} << 20});
  EXPECT_TRUE(runtime.ok()) << runtime.status();
  return runtime.ok() ? *std::move(runtime) : nullptr;
}

EngineOptions SmallEngine() {
  EngineOptions options;
  options.store = SmallStore();
  options.store.database = std::nullopt;
  return options;
}

class EngineTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<Engine>> Open(const EngineOptions& options = SmallEngine()) {
    return Engine::Open(*runtime_, directory(), options);
  }
  std::string directory() const { return directory_.File("db"); }

  // A key of that shard.
  static std::string KeyOf(const Engine& engine, ShardId shard) {
    for (int i = 0;; ++i) {
      std::string key = absl::StrCat("key", i);
      if (engine.ShardOf(key) == shard) return key;
    }
  }

  TestDirectory directory_;
  std::unique_ptr<Runtime> runtime_ = StartShards(kShards);
};

TEST_F(EngineTest, WhatIsPutIsThereAlsoWhenItIsOpenedAgain) {
  std::unique_ptr<Engine> engine = Open().value();
  std::set<ShardId> owners;
  {
    EngineClient client = engine->NewClient();
    for (int i = 0; i < 100; ++i) {
      const std::string key = absl::StrCat("key", i);
      owners.insert(engine->ShardOf(key));
      const auto written = client.Put(key, absl::StrCat("value", i), Durability::kWritten).Wait();
      ASSERT_TRUE(written.ok()) << written.status();
      EXPECT_GE(written->reached, Durability::kWritten);
    }
    EXPECT_TRUE(client.Delete("key7").Wait().ok());
  }
  EXPECT_EQ(owners.size(), kShards);
  EXPECT_EQ(engine->CloseAndWait(), absl::OkStatus());
  const Uuid database = engine->database();
  engine = Open().value();
  EXPECT_EQ(engine->database(), database);
  EngineClient client = engine->NewClient();
  for (int i = 0; i < 100; ++i) {
    const absl::StatusOr<Value> value = client.Get(absl::StrCat("key", i)).Wait();
    ASSERT_TRUE(value.ok()) << value.status();
    EXPECT_EQ(*value, i == 7 ? Value() : Value(absl::StrCat("value", i)));
  }
  EXPECT_EQ(engine->CloseAndWait(), absl::OkStatus());
}

Task<absl::Status> UseFromAShard(Shard&, Engine* engine) {
  // Half of the keys are of the other shard.
  std::vector<std::string> keys;
  for (int i = 0; i < 64; ++i) {
    keys.push_back(absl::StrCat("key", i));
    const auto put = co_await engine->Put(keys.back(), absl::StrCat("value", i));
    if (!put.ok()) co_return put.status();
  }
  const auto gone = co_await engine->Delete("key3");
  if (!gone.ok()) co_return gone.status();
  std::vector<std::string_view> views(keys.begin(), keys.end());
  views.push_back("no such key");
  const auto values = co_await engine->MultiGet(std::move(views));
  if (!values.ok()) co_return values.status();
  EXPECT_EQ(values->size(), 65u);
  for (size_t i = 0; i < values->size(); ++i) {
    const bool has_one = i != 3 && i < 64;
    EXPECT_EQ((*values)[i], has_one ? Value(absl::StrCat("value", i)) : Value()) << i;
  }
  const auto value = co_await engine->Get("key5");
  if (!value.ok()) co_return value.status();
  EXPECT_EQ(*value, "value5");
  if (absl::Status status = co_await engine->Sync(); !status.ok()) co_return status;
  if (absl::Status status = co_await engine->Flush(); !status.ok()) co_return status;
  if (absl::Status status = co_await engine->Compact(); !status.ok()) co_return status;
  const auto stats = co_await engine->Stats();
  if (!stats.ok()) co_return stats.status();
  EXPECT_EQ(stats->size(), kShards);
  for (const StoreStats& one : *stats) EXPECT_GT(one.flushes, 0u);
  co_return absl::OkStatus();
}

TEST_F(EngineTest, ServesAllKeysOnEachShard) {
  const std::unique_ptr<Engine> engine = Open().value();
  for (ShardId id = 0; id < kShards; ++id) {
    EXPECT_EQ(runtime_->Submit(id, UseFromAShard, engine.get()).Wait(), absl::OkStatus());
  }
  EXPECT_EQ(engine->CloseAndWait(), absl::OkStatus());
}

TEST_F(EngineTest, ManyThreadsUseOneClient) {
  const std::unique_ptr<Engine> engine = Open().value();
  EngineClient client = engine->NewClient();
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&client, &good, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string key = absl::StrCat(t, "/", i);
        const bool put = client.Put(key, key, Durability::kMemory).Wait().ok();
        const auto value = client.Get(key).Wait();
        if (put && value.ok() && *value == key) ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 200);
  EXPECT_EQ(engine->CloseAndWait(), absl::OkStatus());
}

TEST_F(EngineTest, ABatchOfCallsGivesEachItsResult) {
  const std::unique_ptr<Engine> engine = Open().value();
  EngineClient client = engine->NewClient();
  EngineBatch batch(client);
  std::vector<Future<absl::StatusOr<WriteResult>>> puts;
  for (int i = 0; i < 20; ++i) puts.push_back(batch.Put(absl::StrCat("key", i), "value"));
  EXPECT_EQ(batch.size(), 20u);
  EXPECT_EQ(batch.Submit(), absl::OkStatus());
  for (auto& put : puts) EXPECT_TRUE(put.Wait().ok());
  auto there = batch.Get("key4");
  auto missing = batch.Get("key99");
  auto deleted = batch.Delete("key5");
  EXPECT_EQ(batch.Submit(), absl::OkStatus());
  EXPECT_EQ(batch.size(), 0u);
  EXPECT_EQ(there.Wait().value(), "value");
  EXPECT_EQ(missing.Wait().value(), std::nullopt);
  EXPECT_TRUE(deleted.Wait().ok());
  EXPECT_EQ(client.Get("key5").Wait().value(), std::nullopt);
  EXPECT_EQ(engine->CloseAndWait(), absl::OkStatus());
}

TEST_F(EngineTest, ThreadsReadManyKeysAndScan) {
  constexpr int kKeys = 3000;
  const std::unique_ptr<Engine> engine = Open().value();
  EngineClient client = engine->NewClient();
  const auto name = [](int i) { return absl::StrCat("key", 10'000 + i); };
  WriteBatch batch;
  for (int i = 0; i < kKeys; ++i) batch.Put(name(i), absl::StrCat(i));
  ASSERT_TRUE(client.Write(std::move(batch)).Wait().ok());
  const EngineSnapshot before = engine->TakeSnapshot().value();
  ASSERT_TRUE(client.Delete(name(7)).Wait().ok());

  const auto values = client.MultiGet({name(5), name(7), name(9), "none"}).Wait();
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_EQ(*values, (std::vector<Engine::Value>{"5", std::nullopt, "9", std::nullopt}));
  EXPECT_EQ(client.MultiGet({name(7)}, before).Wait().value()[0], "7");
  EXPECT_TRUE(client.MultiGet({}).Wait().value().empty());

  for (const bool reverse : {false, true}) {
    EngineScanOptions options;
    options.lower = name(3);
    options.upper = name(kKeys - 2);
    options.reverse = reverse;
    options.snapshot = before;
    absl::StatusOr<EngineClientScan> scan = client.Scan(std::move(options));
    ASSERT_TRUE(scan.ok()) << scan.status();
    int expected = reverse ? kKeys - 3 : 3;
    absl::Status status = scan->Next();
    for (; status.ok() && scan->Valid(); status = scan->Next()) {
      ASSERT_EQ(scan->key(), name(expected));
      ASSERT_EQ(scan->value(), absl::StrCat(expected));
      expected += reverse ? -1 : 1;
    }
    EXPECT_EQ(status, absl::OkStatus());
    EXPECT_EQ(expected, reverse ? 2 : kKeys - 2);
    EXPECT_EQ(scan->Next(), absl::OkStatus()) << "it stays at its end";
    EXPECT_FALSE(scan->Valid());
  }
  EXPECT_EQ(engine->CloseAndWait(), absl::OkStatus());
}

TEST_F(EngineTest, ThreadsUpdateAndCompare) {
  const std::unique_ptr<Engine> engine = Open().value();
  EngineClient client = engine->NewClient();
  const auto increment = [](const Engine::Value& value) -> absl::StatusOr<Engine::Value> {
    return Engine::Value(absl::StrCat(value.has_value() ? std::stoi(*value) + 1 : 1));
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&client, &increment] {
      for (int j = 0; j < 50; ++j) {
        EXPECT_TRUE(client.Update("counter", increment, Durability::kWritten).Wait().ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(client.Get("counter").Wait().value(), "200");
  EXPECT_TRUE(client.CompareAndSet("counter", "200", std::nullopt).Wait().ok());
  EXPECT_TRUE(
      absl::IsFailedPrecondition(client.CompareAndSet("counter", "200", "1").Wait().status()));
  EXPECT_EQ(engine->CloseAndWait(), absl::OkStatus());
}

TEST_F(EngineTest, CallbacksGetTheResults) {
  const std::unique_ptr<Engine> engine = Open().value();
  EngineClient client = engine->NewClient();
  Promise<absl::StatusOr<Value>> got;
  Future<absl::StatusOr<Value>> value = got.future();
  client.PutThen(
      [&](absl::StatusOr<WriteResult> written) {
        EXPECT_TRUE(written.ok()) << written.status();
        client.GetThen([&got](absl::StatusOr<Value> read) { got.Set(std::move(read)); }, "key");
      },
      "key", "value");
  EXPECT_EQ(value.Wait().value(), "value");
  EXPECT_EQ(engine->CloseAndWait(), absl::OkStatus());
}

TEST_F(EngineTest, PlacesKeysByRange) {
  EngineOptions options = SmallEngine();
  options.placement.kind = KeyPlacement::Kind::kRange;
  options.split_keys = {"m"};
  std::unique_ptr<Engine> engine = Open(options).value();
  EXPECT_EQ(engine->ShardOf("a"), 0u);
  EXPECT_EQ(engine->ShardOf("z"), 1u);
  EXPECT_EQ(engine->CloseAndWait(), absl::OkStatus());
  // It keeps its own.
  engine = Open().value();
  EXPECT_EQ(engine->ShardOf("z"), 1u);
  EXPECT_EQ(engine->placement().kind, KeyPlacement::Kind::kRange);
  EXPECT_EQ(engine->CloseAndWait(), absl::OkStatus());
}

TEST_F(EngineTest, OptionsThatCannotBeAreNamed) {
  const auto error_of = [this](const EngineOptions& options) {
    const absl::Status status = Open(options).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  };
  EngineOptions options = SmallEngine();
  options.split_keys = {"m"};
  EXPECT_NE(error_of(options).find("split_keys"), std::string::npos);
  options.placement.kind = KeyPlacement::Kind::kRange;
  options.split_keys = {""};
  EXPECT_NE(error_of(options).find("split_keys[0]"), std::string::npos);
  options.split_keys = {"m"};
  options.placement.prefix_bytes = 3;
  EXPECT_NE(error_of(options).find("prefix_bytes"), std::string::npos);
  options = SmallEngine();
  options.store.flush_shares = 0;
  EXPECT_NE(error_of(options).find("flush_shares"), std::string::npos);
  EXPECT_TRUE(absl::IsInvalidArgument(Engine::Open(*runtime_, "", SmallEngine()).status()));
}

TEST_F(EngineTest, IsNotMadeWhereThatIsNotAskedFor) {
  EngineOptions options = SmallEngine();
  options.create_if_missing = false;
  EXPECT_TRUE(absl::IsNotFound(Open(options).status()));
  std::filesystem::create_directory(directory());
  std::filesystem::permissions(directory(), std::filesystem::perms::owner_all);
  EXPECT_TRUE(absl::IsNotFound(Open(options).status()));
}

TEST_F(EngineTest, ASecondOpenerIsRefusedAndTheFirstGoesOn) {
  const std::unique_ptr<Engine> engine = Open().value();
  EngineOptions options = SmallEngine();
  options.store.lock_wait_ns = 0;
  const absl::Status second = Open(options).status();
  EXPECT_TRUE(absl::IsUnavailable(second)) << second;
  EngineClient client = engine->NewClient();
  EXPECT_TRUE(client.Put("key", "value").Wait().ok());
  EXPECT_EQ(engine->CloseAndWait(), absl::OkStatus());
}

TEST_F(EngineTest, AnotherNumberOfShardsIsNamed) {
  EXPECT_EQ(Open().value()->CloseAndWait(), absl::OkStatus());
  runtime_ = StartShards(3);
  const absl::Status status = Open().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(status.message().find("2 shards"), std::string::npos) << status;
}

TEST_F(EngineTest, ATabletThatIsMissingOrInAnotherOnesPlaceIsDataLoss) {
  EXPECT_EQ(Open().value()->CloseAndWait(), absl::OkStatus());
  const std::string first = absl::StrCat(directory(), "/T-1");
  const std::string second = absl::StrCat(directory(), "/T-2");
  const std::string aside = absl::StrCat(directory(), "/aside");
  std::filesystem::rename(first, aside);
  absl::Status status = Open().status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_NE(status.message().find("T-1"), std::string::npos) << status;
  std::filesystem::rename(second, first);
  std::filesystem::rename(aside, second);
  status = Open().status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  std::filesystem::rename(first, aside);
  std::filesystem::rename(second, first);
  std::filesystem::rename(aside, second);
  EXPECT_EQ(Open().value()->CloseAndWait(), absl::OkStatus());
  std::filesystem::remove(absl::StrCat(directory(), "/ROOT"));
  status = Open().status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
}

Task<absl::Status> OpenStore(Shard& shard, std::string directory) {
  const StoreOptions options = SmallStore();
  auto store = co_await ShardStore::Open(shard, std::move(directory), options);
  if (!store.ok()) co_return store.status();
  co_return co_await (*store)->Close();
}

TEST_F(EngineTest, AnEngineAndAStoreDoNotTakeEachOthersDirectories) {
  EXPECT_EQ(Open().value()->CloseAndWait(), absl::OkStatus());
  absl::Status status = runtime_->Submit(0, OpenStore, directory()).Wait();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(status.message().find("Engine"), std::string::npos) << status;
  const std::string alone = directory_.File("alone");
  EXPECT_EQ(runtime_->Submit(0, OpenStore, alone).Wait(), absl::OkStatus());
  status = Engine::Open(*runtime_, alone, SmallEngine()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(status.message().find("ShardStore"), std::string::npos) << status;
}

TEST_F(EngineTest, CallsWhileItClosesEndOrAreRefused) {
  const std::unique_ptr<Engine> engine = Open().value();
  EngineClient client = engine->NewClient();
  std::vector<Future<absl::StatusOr<WriteResult>>> puts;
  for (int i = 0; i < 200; ++i) puts.push_back(client.Put(absl::StrCat("key", i), "value"));
  EXPECT_EQ(engine->CloseAndWait(), absl::OkStatus());
  size_t written = 0;
  for (auto& put : puts) {
    const auto result = put.Wait();
    written += result.ok();
    EXPECT_TRUE(result.ok() || absl::IsUnavailable(result.status())) << result.status();
  }
  EXPECT_GT(written, 0u);
}

TEST_F(EngineTest, WithoutCloseItIsAsIfKilled) {
  {
    const std::unique_ptr<Engine> engine = Open().value();
    EngineClient client = engine->NewClient();
    EXPECT_TRUE(client.Put("key", "value").Wait().ok());
  }
  runtime_ = nullptr;
  runtime_ = StartShards(kShards);
  const std::unique_ptr<Engine> engine = Open().value();
  EXPECT_EQ(engine->NewClient().Get("key").Wait().value(), "value");
  EXPECT_EQ(engine->CloseAndWait(), absl::OkStatus());
}

}  // namespace
}  // namespace ioengine
