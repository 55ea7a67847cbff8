// ShardStore::Open under a deadline: it bounds the opening, and not what was opened.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/timeout.h"
#include "ioengine/tests/engine/store_fixture.h"

namespace ioengine {
namespace {

class StoreOpenTest : public testing::Test {
 protected:
  StoreOpenTest() { simulation_.disk().MakeDirectories("/db"); }

  Simulation simulation_{{.buffer_pool_bytes = size_t{4} << 20}};
};

Task<absl::Status> OpenUnderATimeout(Shard& shard) {
  const StoreOptions options = SmallStore();
  using std::chrono::seconds;
  auto store = co_await Timeout(seconds(10), ShardStore::Open(shard, "/db", options));
  if (!store.ok()) co_return store.status();
  co_await Sleep(seconds(20));
  // More than a segment: the log's tasks make another one.
  const std::string value(20'000, 'v');
  for (int i = 0; i < 20; ++i) {
    auto put = co_await (*store)->Put(absl::StrCat("key", i), value);
    if (!put.ok()) co_return put.status();
  }
  co_return co_await (*store)->Close();
}

TEST_F(StoreOpenTest, OutlivesTheDeadlineOfTheTaskThatOpensIt) {
  EXPECT_EQ(simulation_.Run(OpenUnderATimeout).status, absl::OkStatus());
}

Task<absl::Status> GiveUpOpens(Shard& shard) {
  const StoreOptions options = SmallStore();
  using std::chrono::microseconds;
  int given_up = 0;
  for (int most_us = 1;; most_us += most_us / 4 + 1) {
    auto store = co_await Timeout(microseconds(most_us), ShardStore::Open(shard, "/db", options));
    if (store.ok()) {
      EXPECT_GT(given_up, 5);
      co_return co_await (*store)->Close();
    }
    if (!absl::IsDeadlineExceeded(store.status())) co_return store.status();
    ++given_up;
  }
}

TEST_F(StoreOpenTest, AnOpenThatIsGivenUpCanBeTriedAgain) {
  EXPECT_EQ(simulation_.Run(GiveUpOpens).status, absl::OkStatus());
}

Task<absl::Status> OpenWithALargeCache(Shard& shard) {
  StoreOptions options = SmallStore();
  options.cache.capacity_bytes = size_t{3} << 20;
  auto store = co_await ShardStore::Open(shard, "/db", options);
  co_return store.status();
}

TEST_F(StoreOpenTest, NeedsAsManyBuffersAsItsOptionsSay) {
  const absl::Status status = simulation_.Run(OpenWithALargeCache).status;
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_NE(status.message().find("buffer_pool_bytes"), std::string::npos) << status;
}

Task<absl::Status> PutInANewDirectory(Shard& shard) {
  const StoreOptions options = SmallStore();
  auto store = co_await ShardStore::Open(shard, "/new/db", options);
  if (!store.ok()) co_return store.status();
  co_return (co_await (*store)->Put("key", "value")).status();
}

Task<absl::Status> FindWhatWasPut(Shard& shard) {
  StoreOptions options = SmallStore();
  options.create_if_missing = false;
  auto store = co_await ShardStore::Open(shard, "/new/db", options);
  if (!store.ok()) co_return store.status();
  const auto value = co_await (*store)->Get("key");
  if (!value.ok()) co_return value.status();
  EXPECT_EQ(*value, "value");
  co_return co_await (*store)->Close();
}

// Its name is in a directory that is not its own.
TEST_F(StoreOpenTest, ADirectoryThatItMadeIsThereAfterAPowerCut) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Simulation simulation({.seed = seed, .buffer_pool_bytes = size_t{4} << 20});
    simulation.disk().MakeDirectories("/new");
    EXPECT_EQ(simulation.Run(PutInANewDirectory).status, absl::OkStatus());
    simulation.CutPower();
    EXPECT_EQ(simulation.Run(FindWhatWasPut).status, absl::OkStatus()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace ioengine
