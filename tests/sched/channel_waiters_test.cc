// Channel: what becomes of senders and receivers that are destroyed, and of those that are left
// when the channel is closed or destroyed.

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/channel.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/cancel_sweep.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Log = std::vector<std::string>;
using IntChannel = Channel<int>;

// Each notes what came of it, as "sender: sent" or "receiver: 5".
Task<> SendOne(IntChannel* channel, int value, Log* log, std::string name) {
  const absl::Status status = co_await channel->Send(value);
  log->push_back(name + (status.ok() ? ": sent" : ": closed"));
}

Task<> ReceiveOne(IntChannel* channel, Log* log, std::string name) {
  const std::optional<int> value = co_await channel->Receive();
  log->push_back(name + ": " + (value.has_value() ? std::to_string(*value) : "nothing"));
}

// What a test's task works with.
struct Scene {
  std::unique_ptr<IntChannel> channel = std::make_unique<IntChannel>(1);
  Log log;
  TaskScope victims;
  TaskScope others;

  explicit Scene(Executor& executor) : victims(executor), others(executor) {}

  void TrySend(int value) { EXPECT_TRUE(channel->TrySend(value)); }
  void SpawnSender(TaskScope& scope, int value, std::string name) {
    scope.Spawn(SendOne(channel.get(), value, &log, std::move(name)));
  }
  void SpawnReceiver(TaskScope& scope, std::string name) {
    scope.Spawn(ReceiveOne(channel.get(), &log, std::move(name)));
  }
};

// Runs `body` as a task, and then no frame may be left. Gives what the others noted.
Log RunScene(Task<> (*body)(Scene*)) {
  TestShard shard;
  Log log = {"the test's task waits for ever"};
  shard.Run([&] {
    shard.executor().Spawn([](Executor* executor, Task<> (*run)(Scene*), Log* result) -> Task<> {
      Scene scene(*executor);
      co_await run(&scene);
      *result = scene.log;
    }(&shard.executor(), body, &log));
  });
  EXPECT_EQ(shard.executor().frames().live(), 0u);
  return log;
}

TEST(ChannelWaitersTest, ASenderThatIsDestroyedTakesItsValueWithItAndTheNextOneMovesUp) {
  const Log log = RunScene([](Scene* scene) -> Task<> {
    scene->TrySend(1);
    scene->SpawnSender(scene->victims, 2, "victim");
    scene->SpawnSender(scene->others, 3, "other");
    co_await Yield();
    EXPECT_EQ(scene->channel->times_full(), 2u);
    scene->victims.Cancel();
    EXPECT_EQ(scene->channel->TryReceive(), 1);
    EXPECT_EQ(scene->channel->TryReceive(), 3);
    EXPECT_EQ(scene->channel->TryReceive(), std::nullopt);
    EXPECT_TRUE((co_await scene->others.Join()).ok());
  });
  EXPECT_THAT(log, ElementsAre("other: sent"));
}

TEST(ChannelWaitersTest, AValueThatMovedUpIsSentAlsoWhenItsSenderIsDestroyedBeforeItGoesOn) {
  const Log log = RunScene([](Scene* scene) -> Task<> {
    scene->TrySend(1);
    scene->SpawnSender(scene->victims, 2, "victim");
    co_await Yield();
    EXPECT_EQ(scene->channel->TryReceive(), 1);
    scene->victims.Cancel();
    EXPECT_EQ(scene->channel->size(), 1u);
    EXPECT_EQ(scene->channel->TryReceive(), 2);
  });
  EXPECT_THAT(log, IsEmpty());
}

TEST(ChannelWaitersTest, ASenderKeepsItsTurnBeforeOneThatTries) {
  const Log log = RunScene([](Scene* scene) -> Task<> {
    scene->TrySend(1);
    scene->SpawnSender(scene->others, 2, "first");
    co_await Yield();
    EXPECT_EQ(scene->channel->TryReceive(), 1);
    int late = 3;
    EXPECT_FALSE(scene->channel->TrySend(late)) << "the room is that of the one who waited";
    EXPECT_EQ(scene->channel->TryReceive(), 2);
    EXPECT_TRUE((co_await scene->others.Join()).ok());
  });
  EXPECT_THAT(log, ElementsAre("first: sent"));
}

TEST(ChannelWaitersTest, ReceiversAreServedInTheirOrderWithoutThoseThatWereDestroyed) {
  const Log log = RunScene([](Scene* scene) -> Task<> {
    scene->SpawnReceiver(scene->others, "a");
    scene->SpawnReceiver(scene->victims, "victim");
    scene->SpawnReceiver(scene->others, "b");
    co_await Yield();
    scene->victims.Cancel();
    for (const int value : {1, 2}) EXPECT_TRUE((co_await scene->channel->Send(value)).ok());
    EXPECT_TRUE((co_await scene->others.Join()).ok());
  });
  EXPECT_THAT(log, ElementsAre("a: 1", "b: 2"));
}

TEST(ChannelWaitersTest, AClaimThatNobodyInheritsLeavesTheValueToWhoeverComes) {
  const Log log = RunScene([](Scene* scene) -> Task<> {
    scene->SpawnReceiver(scene->victims, "victim");
    co_await Yield();
    scene->TrySend(1);
    EXPECT_EQ(scene->channel->TryReceive(), std::nullopt);
    scene->victims.Cancel();
    EXPECT_EQ(scene->channel->TryReceive(), 1);
  });
  EXPECT_THAT(log, IsEmpty());
}

TEST(ChannelWaitersTest, AReceiverThatWaitsAtTheCloseInheritsTheClaimOfOneThatIsDestroyed) {
  const Log log = RunScene([](Scene* scene) -> Task<> {
    scene->SpawnReceiver(scene->victims, "victim");
    scene->SpawnReceiver(scene->others, "other");
    co_await Yield();
    scene->TrySend(1);
    scene->channel->Close();
    scene->victims.Cancel();
    EXPECT_TRUE((co_await scene->others.Join()).ok());
  });
  EXPECT_THAT(log, ElementsAre("other: 1"));
}

// A value on which somebody has a claim is not received yet: its receiver may still be destroyed.
TEST(ChannelWaitersTest, AReceiverThatComesAfterTheCloseWaitsForTheClaimsOfOthers) {
  const Log log = RunScene([](Scene* scene) -> Task<> {
    scene->SpawnReceiver(scene->others, "first");
    co_await Yield();
    scene->TrySend(1);
    scene->channel->Close();
    co_await ReceiveOne(scene->channel.get(), &scene->log, "second");
    EXPECT_EQ(scene->channel->size(), 0u) << "it got nothing, so the channel is drained";
  });
  EXPECT_THAT(log, ElementsAre("first: 1", "second: nothing"));
}

TEST(ChannelWaitersTest, NobodyIsToldThatNothingIsLeftWhileAnotherMayStillLeaveItsValue) {
  const Log log = RunScene([](Scene* scene) -> Task<> {
    // In a class of its own the victim has its turn after the other one, which was woken later.
    Executor& executor = *Executor::Current();
    const ClassId later = executor.CreateClass({.name = "later"}).value();
    scene->victims.Spawn(ReceiveOne(scene->channel.get(), &scene->log, "victim"), later);
    co_await Sleep(std::chrono::milliseconds(1));
    scene->others.Spawn([](Scene* in) -> Task<> {
      co_await ReceiveOne(in->channel.get(), &in->log, "other");
      in->victims.Cancel();
    }(scene));
    co_await Yield();
    scene->TrySend(1);
    scene->channel->Close();
    EXPECT_TRUE((co_await scene->others.Join()).ok());
    EXPECT_EQ(scene->channel->size(), 0u) << "the value is lost";
  });
  EXPECT_THAT(log, ElementsAre("victim: 1", "other: nothing"));
}

TEST(ChannelWaitersTest, SendersThatTheCloseWakesMayOutliveTheChannel) {
  const Log log = RunScene([](Scene* scene) -> Task<> {
    scene->TrySend(1);
    scene->SpawnSender(scene->others, 2, "sender");
    co_await Yield();
    scene->channel->Close();
    scene->channel.reset();
    EXPECT_TRUE((co_await scene->others.Join()).ok());
  });
  EXPECT_THAT(log, ElementsAre("sender: closed"));
}

TEST(ChannelWaitersTest, ReceiversThatTheCloseWakesMayOutliveTheChannel) {
  const Log log = RunScene([](Scene* scene) -> Task<> {
    scene->SpawnReceiver(scene->others, "receiver");
    co_await Yield();
    scene->channel->Close();
    scene->channel.reset();
    EXPECT_TRUE((co_await scene->others.Join()).ok());
  });
  EXPECT_THAT(log, ElementsAre("receiver: nothing"));
}

TEST(ChannelWaitersTest, AReceiverWhoseValueEndsWithTheChannelGetsNothing) {
  const Log log = RunScene([](Scene* scene) -> Task<> {
    scene->SpawnReceiver(scene->others, "receiver");
    co_await Yield();
    scene->TrySend(1);
    scene->channel.reset();
    EXPECT_TRUE((co_await scene->others.Join()).ok());
  });
  EXPECT_THAT(log, ElementsAre("receiver: nothing"));
}

TEST(ChannelWaitersTest, ItsEndLeavesSendersToTheirOwner) {
  const Log log = RunScene([](Scene* scene) -> Task<> {
    scene->TrySend(1);
    scene->SpawnSender(scene->victims, 2, "never");
    co_await Yield();
    scene->channel.reset();
    co_await Yield();
    EXPECT_EQ(scene->victims.size(), 1u);
    scene->victims.Cancel();
  });
  EXPECT_THAT(log, IsEmpty());
}

class ChannelCloseCancelTest : public testing::TestWithParam<TimeKind> {};

Task<> SendNumbers(IntChannel* channel, int from, std::vector<int>* sent) {
  for (int value = from; value < from + 4; ++value) {
    if (!(co_await channel->Send(value)).ok()) co_return;
    sent->push_back(value);
  }
}

Task<> ReceiveAll(IntChannel* channel, std::vector<int>* received, int* finished) {
  while (const std::optional<int> value = co_await channel->Receive()) received->push_back(*value);
  ++*finished;
}

// The channel is closed while tasks of two classes wait on both sides, some of which are destroyed.
TEST_P(ChannelCloseCancelTest, AtEveryAwaitWhatWasSentBeforeTheCloseIsReceivedOnce) {
  std::optional<IntChannel> channel;
  std::vector<int> sent;
  std::vector<int> received;
  int finished = 0;
  int finished_victims = 0;
  CancelSweep::Run(
      GetParam(),
      [&](TestShard& shard, TaskScope& victims) {
        sent.clear();
        received.clear();
        finished = finished_victims = 0;
        channel.emplace(1);
        const ClassId batch = shard.executor().CreateClass({.name = "batch"}).value();
        for (const ClassId id : {ClassId{0}, batch}) {
          victims.Spawn(ReceiveAll(&*channel, &received, &finished_victims), id);
          victims.Spawn(SendNumbers(&*channel, 10 * (id + 1), &sent), id);
          shard.executor().Spawn(ReceiveAll(&*channel, &received, &finished), id);
          shard.executor().Spawn(SendNumbers(&*channel, 100 * (id + 1), &sent), id);
        }
        shard.executor().Spawn([](IntChannel* closed) -> Task<> {
          for (int i = 0; i < 5; ++i) co_await Yield();
          closed->Close();
        }(&*channel));
      },
      [&](bool ended) {
        EXPECT_EQ(finished, 2);
        if (ended) {
          EXPECT_EQ(finished_victims, 2);
        }
        EXPECT_EQ(channel->size(), 0u);
        std::sort(sent.begin(), sent.end());
        std::sort(received.begin(), received.end());
        EXPECT_EQ(std::adjacent_find(received.begin(), received.end()), received.end());
        // A sender that is destroyed may have sent one more than it noted.
        EXPECT_TRUE(std::includes(received.begin(), received.end(), sent.begin(), sent.end()));
        EXPECT_LE(received.size(), sent.size() + (ended ? 0 : 2));
      });
}

INSTANTIATE_TEST_SUITE_P(Time, ChannelCloseCancelTest,
                         testing::Values(TimeKind::kSimulated, TimeKind::kReal), TimeKindName);

}  // namespace
}  // namespace ioengine
