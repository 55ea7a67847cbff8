// Batches over several shards where a log fails, a caller gives up, the engine closes, or what is
// asked for cannot be.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/engine.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/engine/write_batch.h"
#include "ioengine/io/sim/sim_faults.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/timeout.h"
#include "ioengine/tests/engine/store_fixture.h"

namespace ioengine {
namespace {

// Keys by range, so that it is known which shard has one: a…, k…, t….
EngineOptions RangeEngine() {
  EngineOptions options;
  options.store = SmallStore();
  options.store.database = MakeUuid(1, 2);
  options.placement = {.kind = KeyPlacement::Kind::kRange, .prefix_bytes = 0};
  options.split_keys = {"k", "t"};
  return options;
}

Task<absl::StatusOr<std::unique_ptr<Engine>>> Open(Shard& shard) {
  EngineOptions options = RangeEngine();
  return Engine::Open(shard, "/db", std::move(options));
}

// Each letter is a key.
WriteBatch BatchOf(std::string_view value, const std::string& keys) {
  WriteBatch batch;
  for (const char key : keys) batch.Put(std::string(1, key), value);
  return batch;
}

absl::Status Shows(const absl::StatusOr<Engine::Value>& found, const Engine::Value& expected) {
  if (!found.ok()) return found.status();
  if (*found == expected) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(found->value_or("nothing"), " instead of ", expected.value_or("nothing")));
}

Task<absl::Status> ExpectAll(Engine* engine, std::string keys, Engine::Value expected) {
  for (const char letter : keys) {
    const std::string key(1, letter);
    absl::Status shows = Shows(co_await engine->Get(key), expected);
    if (!shows.ok()) co_return shows;
  }
  co_return absl::OkStatus();
}

// The next write to a log but so many fails.
Task<> FailALogAfter(Simulation* simulation, uint64_t writes) {
  // Segments are made, and idle frames written, before.
  co_await Sleep(std::chrono::milliseconds(100));
  SimFaultRule rule = {.fault = SimFault::kError};
  rule.opcode = IoOpcode::kWrite;
  rule.path_part = "W-";
  rule.skip = writes;
  simulation->disk().faults().Add(rule);
}

class EngineBatchFailureTest : public testing::Test {
 protected:
  ~EngineBatchFailureTest() override { SetCanary(""); }

  template <typename Function, typename... Args>
  absl::Status Run(Function function, Args... args) {
    return simulation_.Run(function, args...).status;
  }

  Simulation simulation_{{.seed = 1, .shard_count = 3, .buffer_pool_bytes = size_t{4} << 20}};
};

// The batch is committed by shard 0, and its copy on shard 1 is never written.
Task<absl::Status> FailACopy(Shard& shard, Simulation* simulation) {
  auto engine = co_await Open(shard);
  if (!engine.ok()) co_return engine.status();
  co_await FailALogAfter(simulation, 1);
  WriteBatch batch = BatchOf("1", "ak");
  const auto written = co_await (*engine)->Write(std::move(batch));
  if (!written.ok()) co_return written.status();
  co_await Sleep(std::chrono::milliseconds(50));
  const auto refused = co_await (*engine)->Put("k2", "2");
  EXPECT_FALSE(refused.ok()) << "its log has failed";
  absl::Status shows = co_await ExpectAll(engine->get(), "ak", "1");
  if (!shows.ok()) co_return shows;
  // Nothing that concerns the failed shard happens any more, and all else does.
  WriteBatch with_failed = BatchOf("3", "ak");
  EXPECT_FALSE((co_await (*engine)->Write(std::move(with_failed))).ok());
  shows = co_await ExpectAll(engine->get(), "ak", "1");
  if (!shows.ok()) co_return shows;
  WriteBatch without = BatchOf("4", "bt");
  const auto others = co_await (*engine)->Write(std::move(without));
  if (!others.ok()) co_return others.status();
  // The log of shard 0 lets go of what tables have: but the commit is needed.
  EXPECT_FALSE((co_await (*engine)->Flush()).ok()) << "shard 1 cannot";
  const auto after = co_await (*engine)->Put("c", "5");
  EXPECT_TRUE(after.ok()) << after.status();
  co_return absl::OkStatus();  // and is not closed
}

Task<absl::Status> FindTheBatch(Shard& shard) {
  auto engine = co_await Open(shard);
  if (!engine.ok()) co_return engine.status();
  absl::Status shows = co_await ExpectAll(engine->get(), "ak", "1");
  if (shows.ok()) shows = co_await ExpectAll(engine->get(), "bt", "4");
  if (!shows.ok()) co_return shows;
  WriteBatch batch = BatchOf("6", "akt");
  const auto written = co_await (*engine)->Write(std::move(batch));
  if (!written.ok()) co_return written.status();
  co_return co_await (*engine)->Close();
}

TEST_F(EngineBatchFailureTest, AShardWhoseLogFailsGetsItsPartAtTheNextOpening) {
  ASSERT_EQ(Run(FailACopy, &simulation_), absl::OkStatus());
  EXPECT_EQ(Run(FindTheBatch), absl::OkStatus());
}

TEST_F(EngineBatchFailureTest, ACommitThatIsNotLoggedAgainIsMissed) {
  SetCanary("batch-not-committed-again");
  ASSERT_EQ(Run(FailACopy, &simulation_), absl::OkStatus());
  EXPECT_TRUE(absl::IsDataLoss(Run(FindTheBatch)));
}

// The log of shard 0, the coordinator, fails with the commit on its way.
Task<absl::Status> FailACommit(Shard& shard, Simulation* simulation) {
  auto engine = co_await Open(shard);
  if (!engine.ok()) co_return engine.status();
  WriteBatch first = BatchOf("1", "akt");
  const auto written = co_await (*engine)->Write(std::move(first));
  if (!written.ok()) co_return written.status();
  co_await FailALogAfter(simulation, 0);
  WriteBatch batch = BatchOf("2", "akt");
  EXPECT_FALSE((co_await (*engine)->Write(std::move(batch))).ok());
  const absl::StatusOr<EngineSnapshot> snapshot = (*engine)->TakeSnapshot();
  if (!snapshot.ok()) co_return snapshot.status();
  absl::Status shows = co_await ExpectAll(engine->get(), "akt", "1");
  if (!shows.ok()) co_return shows;
  shows = Shows(co_await (*engine)->Get("k", *snapshot), "1");
  if (!shows.ok()) co_return shows;
  const auto held = co_await (*engine)->Put("k", "3");
  EXPECT_TRUE(absl::IsUnavailable(held.status())) << held.status();
  EXPECT_NE(held.status().message().find("open the database again"), std::string::npos);
  WriteBatch with_held = BatchOf("3", "kt");
  EXPECT_FALSE((co_await (*engine)->Write(std::move(with_held))).ok());
  const auto other = co_await (*engine)->Put("k2", "3");
  EXPECT_TRUE(other.ok()) << other.status();
  EXPECT_FALSE((co_await (*engine)->Close()).ok());
  co_return absl::OkStatus();
}

Task<absl::Status> FindAllOrNothing(Shard& shard) {
  auto engine = co_await Open(shard);
  if (!engine.ok()) co_return engine.status();
  const auto a = co_await (*engine)->Get("a");
  if (!a.ok()) co_return a.status();
  EXPECT_TRUE(*a == "1" || *a == "2") << a->value_or("nothing");
  absl::Status shows = co_await ExpectAll(engine->get(), "akt", *a);
  if (shows.ok()) shows = Shows(co_await (*engine)->Get("k2"), "3");
  if (!shows.ok()) co_return shows;
  const auto put = co_await (*engine)->Put("k", "4");
  if (!put.ok()) co_return put.status();
  co_return co_await (*engine)->Close();
}

TEST_F(EngineBatchFailureTest, AnOutcomeThatIsNotKnownIsDecidedByTheNextOpening) {
  ASSERT_EQ(Run(FailACommit, &simulation_), absl::OkStatus());
  EXPECT_EQ(Run(FindAllOrNothing), absl::OkStatus());
}

Task<absl::Status> AskForWhatCannotBe(Shard& shard) {
  auto engine = co_await Open(shard);
  if (!engine.ok()) co_return engine.status();
  WriteBatch none;
  EXPECT_TRUE(absl::IsInvalidArgument((co_await (*engine)->Write(std::move(none))).status()));
  WriteBatch long_key = BatchOf("1", "ak");
  long_key.Delete(std::string(kMaxKeyBytes + 1, 'x'));
  EXPECT_TRUE(absl::IsInvalidArgument((co_await (*engine)->Write(std::move(long_key))).status()));
  const std::string large(size_t{150} << 10, 'v');
  WriteBatch too_large = BatchOf(large, "ak");
  const auto refused = co_await (*engine)->Write(std::move(too_large));
  EXPECT_TRUE(absl::IsInvalidArgument(refused.status())) << refused.status();
  EXPECT_NE(refused.status().message().find("max_pending_bytes"), std::string::npos);
  WriteBatch fits = BatchOf("1", "ak");
  const auto written = co_await (*engine)->Write(std::move(fits), Durability::kMemory);
  if (!written.ok()) co_return written.status();
  EXPECT_EQ(written->reached, Durability::kDurable) << "whatever was asked for";
  co_return co_await (*engine)->Close();
}

TEST_F(EngineBatchFailureTest, WhatCannotBeWrittenIsRefusedAndHoldsNoKeys) {
  EXPECT_EQ(Run(AskForWhatCannotBe), absl::OkStatus());
}

Task<absl::Status> GiveUp(Shard& shard) {
  auto engine = co_await Open(shard);
  if (!engine.ok()) co_return engine.status();
  int given_up = 0;
  for (int i = 1; i <= 40; ++i) {
    WriteBatch batch = BatchOf(absl::StrCat(i), "akt");
    const auto written =
        co_await Timeout(std::chrono::microseconds(10 * i), (*engine)->Write(std::move(batch)));
    given_up += absl::IsDeadlineExceeded(written.status());
    if (!written.ok() && !absl::IsDeadlineExceeded(written.status())) co_return written.status();
    const absl::StatusOr<EngineSnapshot> snapshot = (*engine)->TakeSnapshot();
    if (!snapshot.ok()) co_return snapshot.status();
    const auto a = co_await (*engine)->Get("a", *snapshot);
    if (!a.ok()) co_return a.status();
    for (const char* const key : {"k", "t"}) {
      absl::Status shows = Shows(co_await (*engine)->Get(key, *snapshot), *a);
      if (!shows.ok()) co_return shows;
    }
  }
  EXPECT_GT(given_up, 3);
  // No key is held any more.
  WriteBatch last = BatchOf("last", "akt");
  const auto written = co_await (*engine)->Write(std::move(last));
  if (!written.ok()) co_return written.status();
  co_return co_await (*engine)->Close();
}

TEST_F(EngineBatchFailureTest, OneWhoseCallerGaveUpIsWholeAllTheSame) {
  EXPECT_EQ(Run(GiveUp), absl::OkStatus());
}

struct Written {
  int acknowledged = 0;
  int refused = 0;
};

Task<> WriteOne(Engine* engine, int number, Written* written) {
  WriteBatch batch = BatchOf(absl::StrCat(number), "akt");
  const auto result = co_await engine->Write(std::move(batch));
  if (result.ok()) ++written->acknowledged;
  if (absl::IsUnavailable(result.status())) ++written->refused;
}

Task<absl::Status> CloseAmongBatches(Shard& shard, Written* written) {
  auto engine = co_await Open(shard);
  if (!engine.ok()) co_return engine.status();
  for (int i = 1; i <= 30; ++i) {
    shard.executor().Spawn(WriteOne(engine->get(), i, written));
    co_await Sleep(std::chrono::microseconds(20));
  }
  absl::Status closed = co_await (*engine)->Close();
  co_await Sleep(std::chrono::milliseconds(10));
  EXPECT_EQ(written->acknowledged + written->refused, 30);
  co_return closed;
}

Task<absl::Status> FindOneValue(Shard& shard) {
  auto engine = co_await Open(shard);
  if (!engine.ok()) co_return engine.status();
  const auto a = co_await (*engine)->Get("a");
  if (!a.ok()) co_return a.status();
  EXPECT_TRUE(a->has_value());
  absl::Status shows = co_await ExpectAll(engine->get(), "akt", *a);
  if (!shows.ok()) co_return shows;
  co_return co_await (*engine)->Close();
}

TEST_F(EngineBatchFailureTest, CloseWaitsForThoseUnderWay) {
  Written written;
  ASSERT_EQ(Run(CloseAmongBatches, &written), absl::OkStatus());
  EXPECT_GT(written.acknowledged, 0);
  EXPECT_EQ(Run(FindOneValue), absl::OkStatus());
}

}  // namespace
}  // namespace ioengine
