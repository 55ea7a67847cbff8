// ShardChannel: ends that outlive their shards, and the mesh.

#include <latch>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/shard_channel.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/tests/sched/mesh_shards.h"
#include "ioengine/tests/sched/task_helpers.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone
using testing::ElementsAre;
using testing::IsEmpty;

using Log = std::vector<std::string>;

// What a host may keep for longer than its shards.
template <typename T>
struct Kept {
  std::optional<ShardSender<T>> sender;
  std::optional<ShardReceiver<T>> receiver;

  void Make(MeshPort& port, ShardId to, size_t capacity) {
    auto [made_sender, made_receiver] = MakeShardChannel<T>(port, to, capacity);
    sender.emplace(std::move(made_sender));
    receiver.emplace(std::move(made_receiver));
  }
};

// One that stays in a channel says so when it ends.
void SendProbe(ShardSender<Probe>& sender, Log* log, std::string name) {
  Probe value(log, std::move(name));
  EXPECT_TRUE(sender.TrySend(value));
}

// Awaits both ends, on whatever shard that is.
Task<> AwaitBoth(Kept<Probe>* kept, Log* log) {
  const absl::Status status = co_await kept->sender->Send(Probe(log, "~refused"));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  while (const std::optional<Probe> value = co_await kept->receiver->Receive()) {
    log->push_back("received");
  }
  log->push_back("end");
}

// The order in which the ends go.
class ShardChannelLifetimeTest : public testing::TestWithParam<bool> {
 protected:
  void DestroyEnds() {
    const bool sender_first = GetParam();
    if (sender_first) kept_.sender.reset();
    kept_.receiver.reset();
    if (!sender_first) kept_.sender.reset();
  }

  Log log_;
  Kept<Probe> kept_;
};

TEST_P(ShardChannelLifetimeTest, EndsMayOutliveTheMesh) {
  {
    SimulatedShards shards(2);
    shards.On(0, [&] {
      kept_.Make(shards.port(0), 1, 4);
      SendProbe(*kept_.sender, &log_, "~value");
    });
    shards.RunUntilIdle();
  }
  EXPECT_THAT(log_, IsEmpty());
  DestroyEnds();
  EXPECT_THAT(log_, ElementsAre("~value"));
}

TEST_P(ShardChannelLifetimeTest, EndsThatOutliveTheMeshAreClosed) {
  {
    SimulatedShards shards(2);
    shards.On(0, [&] {
      kept_.Make(shards.port(0), 1, 4);
      SendProbe(*kept_.sender, &log_, "~first");
      SendProbe(*kept_.sender, &log_, "~second");
    });
    shards.RunUntilIdle();
  }
  {
    Probe value(&log_, "~kept");
    EXPECT_FALSE(kept_.sender->TrySend(value));
    EXPECT_THAT(log_, IsEmpty()) << "it is left with the caller";
  }
  EXPECT_THAT(log_, ElementsAre("~kept"));
  EXPECT_TRUE(kept_.receiver->TryReceive().has_value()) << "what had been sent";
  EXPECT_THAT(log_, ElementsAre("~kept", "~first"));
  kept_.sender->Close();
  kept_.receiver->Close();
  EXPECT_TRUE(kept_.receiver->TryReceive().has_value());
  EXPECT_FALSE(kept_.receiver->TryReceive().has_value());
  DestroyEnds();
  EXPECT_THAT(log_, ElementsAre("~kept", "~first", "~second"));
}

// Its executors may have the addresses of those that are gone.
TEST_P(ShardChannelLifetimeTest, AnotherMeshDoesNotTakeThemForItsOwn) {
  {
    SimulatedShards shards(2);
    shards.On(0, [&] {
      kept_.Make(shards.port(0), 0, 4);
      SendProbe(*kept_.sender, &log_, "~value");
    });
    shards.RunUntilIdle();
  }
  SimulatedShards others(2);
  others.On(0, [&] { others.executor(0).Spawn(AwaitBoth(&kept_, &log_)); });
  others.RunUntilIdle();
  EXPECT_THAT(log_, ElementsAre("~refused", "received", "~value", "end"));
  others.On(1, [&] { DestroyEnds(); });
  others.RunUntilIdle();
}

// Both ends wait for each other's shard, are noted, and have something to show, when that ends.
TEST_P(ShardChannelLifetimeTest, NothingOfTheMeshRefersToThemWhenItHasStopped) {
  auto shards = std::make_unique<SimulatedShards>(2, MeshOptions{.ring_capacity = 1});
  shards->On(0, [&] { kept_.Make(shards->port(0), 1, 1); });
  shards->RunUntilIdle();
  // The receiver has waited, so it watches the sender's shard; a note to it is on its way.
  shards->On(1, [&] {
    shards->executor(1).Spawn([](Kept<Probe>* kept, Log* log) -> Task<> {
      const Probe ends(log, "~receiving");
      static_cast<void>(co_await kept->receiver->Receive());
      log->push_back("not reached");
    }(&kept_, &log_));
  });
  shards->RunUntilIdle();
  shards->On(0, [&] { SendProbe(*kept_.sender, &log_, "~value"); });
  shards->Pump(0);
  shards->Stop(1);
  EXPECT_THAT(log_, ElementsAre("~receiving"));
  // On the other shard, which still runs.
  shards->On(0, [&] { kept_.receiver.reset(); });
  shards->Pump(0);
  shards->On(0, [&] {
    Probe value(nullptr, "");
    EXPECT_FALSE(kept_.sender->TrySend(value));
  });
  shards->Pump(0);
  shards.reset();
  DestroyEnds();
  EXPECT_THAT(log_, ElementsAre("~receiving", "~value"));
}

INSTANTIATE_TEST_SUITE_P(SenderFirst, ShardChannelLifetimeTest, testing::Bool());

// A note keeps the channel until the mesh gives it back, whoever is last.
TEST(ShardChannelMeshEndTest, AChannelMayEndWithTheMesh) {
  Log log;
  {
    SimulatedShards shards(2);
    Kept<Probe> kept;
    shards.On(0, [&] { kept.Make(shards.port(0), 1, 4); });
    shards.RunUntilIdle();
    shards.On(1, [&] {
      shards.executor(1).Spawn([](ShardReceiver<Probe> own) -> Task<> {
        static_cast<void>(co_await own.Receive());
      }(*std::exchange(kept.receiver, std::nullopt)));
    });
    shards.RunUntilIdle();
    shards.On(0, [&] { SendProbe(*kept.sender, &log, "~value"); });
    shards.Pump(0);  // the note is in the ring
    // Its receiver ends first, so nobody takes it.
    shards.Stop(1);
    shards.Stop(0);
    kept.sender.reset();
    EXPECT_THAT(log, ElementsAre("~value"));
  }
  EXPECT_THAT(log, ElementsAre("~value"));
}

// The host destroys what it kept while the mesh goes, on another thread.
TEST(ShardChannelThreadsTest, EndsAndMeshMayGoAtTheSameTime) {
  for (int round = 0; round < 50; ++round) {
    Kept<std::unique_ptr<int>> kept;
    auto shards = std::make_unique<ThreadShards>(2);
    std::latch made(1);
    shards->On(0, [&] {
      kept.Make(shards->port(0), 1, 2);
      auto value = std::make_unique<int>(round);
      EXPECT_TRUE(kept.sender->TrySend(value));
      made.count_down();
    });
    made.wait();
    std::latch waits(1);
    shards->On(1, [&] {
      shards->executor(1).Spawn([](Kept<std::unique_ptr<int>>* of, std::latch* begun) -> Task<> {
        begun->count_down();
        while (co_await of->receiver->Receive()) {
        }
      }(&kept, &waits));
    });
    waits.wait();
    shards->Stop();
    std::thread host([&kept, round] {
      if (round % 2 == 0) kept.sender.reset();
      kept.receiver.reset();
      kept.sender.reset();
    });
    shards.reset();
    host.join();
  }
}

TEST(ShardChannelDeathTest, AnEndOnAnotherShard) {
  SimulatedShards shards(2);
  Kept<int> kept;
  shards.On(0, [&] {
    kept.Make(shards.port(0), 1, 2);
    int value = 1;
    EXPECT_TRUE(kept.sender->TrySend(value));
  });
  shards.RunUntilIdle();
  const auto receive = [&] {
    shards.On(0, [&] { static_cast<void>(kept.receiver->TryReceive()); });
    shards.RunUntilIdle();
  };
  EXPECT_DEATH(receive(), "is used on another shard than its own");
}

}  // namespace
}  // namespace ioengine
