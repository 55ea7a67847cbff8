// Broadcast and MapReduce.

#include "ioengine/sched/map_reduce.h"

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/tests/sched/mesh_shards.h"

namespace ioengine {
namespace {

using testing::ElementsAre;

// The shard that runs this.
ShardId Here(SimulatedShards* shards) {
  ShardId id = 0;
  while (Executor::Current() != &shards->executor(id)) ++id;
  return id;
}

class MapReduceTest : public testing::Test {
 protected:
  // Runs `task` on shard 1 of three.
  template <typename Function>
  void Run(Function task) {
    shards_.On(1, [&] { shards_.executor(1).Spawn(task(&shards_, &log_)); });
    shards_.RunUntilIdle();
  }

  SimulatedShards shards_{3};
  std::vector<std::string> log_;
};

TEST_F(MapReduceTest, BroadcastCallsEachShardOnce) {
  Run([](SimulatedShards* on, std::vector<std::string>* log) -> Task<> {
    const absl::Status status = co_await Broadcast(
        on->port(1),
        [](SimulatedShards* of, std::vector<std::string>* seen, std::string text) {
          seen->push_back(text + std::to_string(Here(of)));
        },
        on, log, std::string("at "));
    EXPECT_TRUE(status.ok());
  });
  EXPECT_THAT(log_, testing::UnorderedElementsAre("at 0", "at 1", "at 2"));
}

TEST_F(MapReduceTest, BroadcastGivesTheFirstErrorWhenAllHaveEnded) {
  Run([](SimulatedShards* on, std::vector<std::string>* log) -> Task<> {
    const absl::Status status = co_await Broadcast(
        on->port(1),
        [](SimulatedShards* of, std::vector<std::string>* seen) -> Task<absl::Status> {
          const ShardId here = Here(of);
          co_await Sleep(std::chrono::milliseconds(10 - here));
          seen->push_back(std::to_string(here));
          if (here == 0) co_return absl::OkStatus();
          co_return absl::InternalError("of " + std::to_string(here));
        },
        on, log);
    EXPECT_EQ(status.message(), "of 1");
  });
  EXPECT_THAT(log_, ElementsAre("2", "1", "0"));
}

TEST_F(MapReduceTest, MapReduceReducesInTheOrderOfTheShards) {
  Run([](SimulatedShards* on, std::vector<std::string>* log) -> Task<> {
    const absl::StatusOr<std::string> all = co_await MapReduce(
        on->port(1), std::string(":"),
        [](std::string so_far, int value) { return so_far + std::to_string(value); },
        [](SimulatedShards* of) { return static_cast<int>(Here(of)) * 10; }, on);
    log->push_back(all.value());
  });
  EXPECT_THAT(log_, ElementsAre(":01020"));
}

TEST_F(MapReduceTest, MapReduceGivesAnError) {
  Run([](SimulatedShards* on, std::vector<std::string>* log) -> Task<> {
    const absl::StatusOr<int> all = co_await MapReduce(
        on->port(1), 0, [](int so_far, int value) { return so_far + value; },
        [](SimulatedShards* of) -> absl::StatusOr<int> {
          if (Here(of) == 2) return absl::NotFoundError("of 2");
          return 1;
        },
        on);
    log->push_back(std::string(all.status().message()));
  });
  EXPECT_THAT(log_, ElementsAre("of 2"));
}

}  // namespace
}  // namespace ioengine
