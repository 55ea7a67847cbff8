// ShardChannel: what comes out is what went in, whoever waits, closes, stops or is destroyed.

#include "ioengine/sched/shard_channel.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <latch>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/timeout.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/mesh_shards.h"
#include "ioengine/tests/sched/task_helpers.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone
using testing::ElementsAre;

using Log = std::vector<std::string>;

Task<uint64_t> SumAll(ShardReceiver<uint64_t> receiver) {
  uint64_t sum = 0;
  while (const std::optional<uint64_t> value = co_await receiver.Receive()) sum += *value;
  co_return sum;
}

Task<> SendUpTo(MeshPort* port, size_t capacity, uint64_t count, uint64_t* sum) {
  auto [sender, receiver] = MakeShardChannel<uint64_t>(*port, 1, capacity);
  auto summed = port->SubmitTo(1, SumAll, std::move(receiver));
  for (uint64_t i = 1; i <= count; ++i) {
    EXPECT_TRUE((co_await sender.Send(i)).ok());
    if (i % 1000 == 0) co_await MaybeYield();
  }
  sender.Close();
  *sum = (co_await summed).value();
}

class ShardChannelLengthTest : public testing::TestWithParam<size_t> {};

TEST_P(ShardChannelLengthTest, AllThatGoesInComesOutInSimulatedTime) {
  SimulatedShards shards(2, {.ring_capacity = 1});
  uint64_t sum = 0;
  shards.On(0,
            [&] { shards.executor(0).Spawn(SendUpTo(&shards.port(0), GetParam(), 1000, &sum)); });
  shards.RunUntilIdle();
  EXPECT_EQ(sum, 500'500u);
}

TEST_P(ShardChannelLengthTest, AllThatGoesInComesOutBetweenThreads) {
  for (const uint64_t spin_ns : {0, 20'000}) {
    ThreadShards shards(2, {.ring_capacity = 1}, {.idle_spin_ns = spin_ns});
    uint64_t sum = 0;
    std::latch done(1);
    shards.On(0, [&] {
      shards.executor(0).Spawn(
          [](MeshPort* port, size_t capacity, uint64_t* of, std::latch* end) -> Task<> {
            co_await SendUpTo(port, capacity, 20'000, of);
            end->count_down();
          }(&shards.port(0), GetParam(), &sum, &done));
    });
    done.wait();
    EXPECT_EQ(sum, 200'010'000u);
  }
}

INSTANTIATE_TEST_SUITE_P(Lengths, ShardChannelLengthTest, testing::Values(1, 2, 3, 1024));

TEST(ShardChannelTest, ValuesGatherUntilTheEndOfTheTurn) {
  SimulatedShards shards(2);
  shards.RunUntilIdle();
  Log log;
  shards.On(0, [&] {
    shards.executor(0).Spawn([](MeshPort* port, Log* seen) -> Task<> {
      auto [sender, receiver] = MakeShardChannel<int>(*port, 1, 1024);
      auto logged = port->SubmitTo(
          1,
          [](ShardReceiver<int> from, Log* to) -> Task<> {
            while (const std::optional<int> value = co_await from.Receive()) {
              to->push_back(std::to_string(*value));
            }
            to->push_back("end");
          },
          std::move(receiver), seen);
      co_await Sleep(1ms);
      for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE((co_await sender.Send(i)).ok());
      }
      co_await Sleep(1ms);
      sender.Close();
      EXPECT_TRUE((co_await logged).ok());
    }(&shards.port(0), &log));
  });
  shards.RunUntilIdle();
  EXPECT_THAT(log, ElementsAre("0", "1", "2", "end"));
  // The call, one note for three values, one for the end.
  EXPECT_EQ(shards.port(0).stats().messages_sent, 3u);
}

TEST(ShardChannelTest, WithoutWaiting) {
  SimulatedShards shards(2);
  shards.On(0, [&] {
    auto [sender, receiver] = MakeShardChannel<int>(shards.port(0), 0, 2);
    for (int i = 1; i <= 2; ++i) {
      EXPECT_TRUE(sender.TrySend(i));
    }
    int three = 3;
    EXPECT_FALSE(sender.TrySend(three)) << "full";
    EXPECT_EQ(receiver.TryReceive(), 1);
    EXPECT_EQ(receiver.TryReceive(), 2);
    EXPECT_EQ(receiver.TryReceive(), std::nullopt);
    receiver.Close();
    EXPECT_FALSE(sender.TrySend(three)) << "closed";
  });
  shards.RunUntilIdle();
}

TEST(ShardChannelTest, AReceiverThatGoesEndsTheSender) {
  SimulatedShards shards(2);
  Log log;
  shards.On(0, [&] {
    shards.executor(0).Spawn([](MeshPort* port, Log* seen) -> Task<> {
      auto [sender, receiver] = MakeShardChannel<Probe>(*port, 1, 2);
      auto taken = port->SubmitTo(
          1,
          [](ShardReceiver<Probe> from) -> Task<> {
            std::optional<Probe> one = co_await from.Receive();
            co_await Sleep(1ms);
          },
          std::move(receiver));
      int sent = 0;
      while ((co_await sender.Send(Probe(seen, "~value"))).ok()) ++sent;
      seen->push_back("sent " + std::to_string(sent));
      EXPECT_TRUE((co_await taken).ok());
    }(&shards.port(0), &log));
  });
  shards.RunUntilIdle();
  // The one that was refused goes first, those that were not received with the channel.
  EXPECT_THAT(log, ElementsAre("~value", "~value", "sent 3", "~value", "~value"));
}

TEST(ShardChannelTest, AReceiverOfAShardThatStopsEndsTheSender) {
  SimulatedShards shards(2);
  Log log;
  shards.On(0, [&] {
    shards.executor(0).Spawn([](MeshPort* port, Log* seen) -> Task<> {
      auto [sender, receiver] = MakeShardChannel<int>(*port, 1, 1);
      auto sleeps = port->SubmitTo(
          1, [](ShardReceiver<int> /*from*/) -> Task<> { co_await Sleep(1h); },
          std::move(receiver));
      while ((co_await sender.Send(1)).ok()) {
      }
      seen->push_back("closed");
      EXPECT_EQ((co_await sleeps).code(), absl::StatusCode::kUnavailable);
    }(&shards.port(0), &log));
  });
  for (int i = 0; i < 5; ++i) {
    shards.Pump(0);
    shards.Pump(1);
  }
  EXPECT_TRUE(log.empty());
  shards.Stop(1);
  shards.Pump(0);
  shards.Pump(0);
  EXPECT_THAT(log, ElementsAre("closed"));
}

TEST(ShardChannelTest, ASenderOfAShardThatStopsEndsTheReceiver) {
  SimulatedShards shards(2);
  Log log;
  // It belongs to nobody on shard 0, so only the shard's end tells.
  std::optional<ShardSender<int>> sender;
  shards.On(0, [&] {
    auto [made, receiver] = MakeShardChannel<int>(shards.port(0), 1, 4);
    sender.emplace(std::move(made));
    int one = 1;
    EXPECT_TRUE(sender->TrySend(one));
    auto call = shards.port(0).SubmitTo(
        1,
        [](ShardReceiver<int> from, SimulatedShards* on, Log* seen) {
          on->executor(1).Spawn([](ShardReceiver<int> of, Log* to) -> Task<> {
            while (const std::optional<int> value = co_await of.Receive()) {
              to->push_back(std::to_string(*value));
            }
            to->push_back("end");
          }(std::move(from), seen));
        },
        std::move(receiver), &shards, &log);
    shards.executor(0).Spawn([](MeshResult<void> result) -> Task<> {
      EXPECT_TRUE((co_await result).ok());
    }(std::move(call)));
  });
  for (int i = 0; i < 5; ++i) {
    shards.Pump(0);
    shards.Pump(1);
  }
  EXPECT_THAT(log, ElementsAre("1"));
  shards.Stop(0);
  shards.Pump(1);
  EXPECT_THAT(log, ElementsAre("1", "end"));
}

TEST(ShardChannelTest, AnEndThatIsClosedEndsItsOwnWait) {
  SimulatedShards shards(2);
  Log log;
  shards.On(0, [&] {
    shards.executor(0).Spawn([](SimulatedShards* on, Log* seen) -> Task<> {
      auto [sender, receiver] = MakeShardChannel<int>(on->port(0), 0, 1);
      TaskScope scope(on->executor(0));
      scope.Spawn([](ShardReceiver<int>* from, Log* to) -> Task<> {
        EXPECT_FALSE((co_await from->Receive()).has_value());
        to->push_back("receiver");
      }(&receiver, seen));
      co_await Yield();
      receiver.Close();
      EXPECT_TRUE((co_await scope.Join()).ok());
      EXPECT_FALSE((co_await receiver.Receive()).has_value());
      EXPECT_TRUE(absl::IsUnavailable(co_await sender.Send(1)));
    }(&shards, &log));
  });
  shards.RunUntilIdle();
  EXPECT_THAT(log, ElementsAre("receiver"));
}

TEST(ShardChannelTest, AReceiverThatNeverGetsThereEndsTheSender) {
  SimulatedShards shards(2, {.max_call_bytes = 1});  // all calls are refused
  Log log;
  shards.On(0, [&] {
    shards.executor(0).Spawn([](SimulatedShards* on, Log* seen) -> Task<> {
      auto [sender, receiver] = MakeShardChannel<int>(on->port(0), 1, 1);
      TaskScope scope(on->executor(0));
      scope.Spawn([](ShardSender<int>* into, Log* to) -> Task<> {
        while ((co_await into->Send(1)).ok()) {
        }
        to->push_back("sender");
      }(&sender, seen));
      co_await Yield();
      const absl::Status refused = co_await on->port(0).SubmitTo(
          1, [](ShardReceiver<int>) {}, std::move(receiver));
      EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
      EXPECT_TRUE((co_await scope.Join()).ok());
    }(&shards, &log));
  });
  shards.RunUntilIdle();
  EXPECT_THAT(log, ElementsAre("sender"));
}

// A sender and a receiver whose waits are cut all the time lose nothing.
TEST(ShardChannelTest, TasksThatAreEndedWhileTheyWaitLoseNothing) {
  SimulatedShards shards(2);
  uint64_t received = 0;
  shards.On(0, [&] {
    shards.executor(0).Spawn([](MeshPort* port, uint64_t* count) -> Task<> {
      auto [sender, receiver] = MakeShardChannel<std::unique_ptr<int>>(*port, 1, 2);
      auto counted = port->SubmitTo(
          1,
          [](ShardReceiver<std::unique_ptr<int>> from) -> Task<uint64_t> {
            uint64_t values = 0;
            for (bool open = true; open;) {
              const absl::Status status = co_await Timeout(
                  30us,
                  [](ShardReceiver<std::unique_ptr<int>>* of, uint64_t* got, bool* more) -> Task<> {
                    const std::optional<std::unique_ptr<int>> value = co_await of->Receive();
                    *more = value.has_value();
                    if (*more) ++*got;
                  }(&from, &values, &open));
              EXPECT_TRUE(status.ok() || absl::IsDeadlineExceeded(status)) << status;
              co_await Sleep(7us);
            }
            co_return values;
          },
          std::move(receiver));
      for (int sent = 0; sent < 1000;) {
        const absl::Status status = co_await Timeout(
            20us, [](ShardSender<std::unique_ptr<int>>* into, int value) -> Task<absl::Status> {
              co_return co_await into->Send(std::make_unique<int>(value));
            }(&sender, sent));
        if (status.ok()) ++sent;
        if (sent % 10 == 0) co_await Sleep(100us);
      }
      sender.Close();
      *count = (co_await counted).value();
    }(&shards.port(0), &received));
  });
  shards.RunUntilIdle();
  EXPECT_EQ(received, 1000u);
}

}  // namespace
}  // namespace ioengine
