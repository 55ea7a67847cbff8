// Channel: order, bounds, its close, and that no value is lost or doubled when tasks are destroyed.

#include "ioengine/sched/channel.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/cancel_sweep.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Values = std::vector<int>;

Task<> SendRange(Channel<int>* channel, int from, int to, Values* sent) {
  for (int i = from; i < to; ++i) {
    if (!(co_await channel->Send(i)).ok()) co_return;
    sent->push_back(i);
  }
}

Task<> ReceiveAll(Channel<int>* channel, Values* received) {
  while (const std::optional<int> value = co_await channel->Receive()) received->push_back(*value);
}

Task<> CloseAfter(Channel<int>* channel, int yields) {
  for (int i = 0; i < yields; ++i) co_await Yield();
  channel->Close();
}

Values Range(int from, int to) {
  Values values;
  for (int i = from; i < to; ++i) values.push_back(i);
  return values;
}

TEST(ChannelTest, ValuesComeOutInTheOrderInWhichTheyWentIn) {
  for (const size_t capacity : {1, 2, 7, 100}) {
    TestShard shard;
    Channel<int> channel(capacity);
    Values sent;
    Values received;
    shard.Run([&] {
      shard.executor().Spawn(SendRange(&channel, 0, 50, &sent));
      shard.executor().Spawn(ReceiveAll(&channel, &received));
    });
    EXPECT_EQ(received, Range(0, 50));
    EXPECT_EQ(channel.size(), 0u);
  }
}

TEST(ChannelTest, HoldsAsManyAsItsCapacityAndThenSendersWait) {
  TestShard shard;
  Channel<int> channel(3);
  Values sent;
  shard.Run([&] { shard.executor().Spawn(SendRange(&channel, 0, 10, &sent)); });
  EXPECT_EQ(sent, Range(0, 3));
  EXPECT_TRUE(channel.full());
  EXPECT_EQ(channel.times_full(), 1u);
  int refused = 99;
  EXPECT_FALSE(channel.TrySend(refused));
  EXPECT_EQ(refused, 99);
}

TEST(ChannelTest, TryReceiveLetsASenderThatWaitsGoOn) {
  TestShard shard;
  Channel<int> channel(1);
  Values sent;
  Values received;
  shard.Run([&] {
    shard.executor().Spawn(SendRange(&channel, 0, 3, &sent));
    shard.executor().Spawn([](Channel<int>* from, Values* taken) -> Task<> {
      for (int i = 0; i < 10; ++i) {
        if (const std::optional<int> value = from->TryReceive()) taken->push_back(*value);
        co_await Yield();
      }
    }(&channel, &received));
  });
  EXPECT_EQ(received, Range(0, 3));
  EXPECT_EQ(sent, Range(0, 3));
}

TEST(ChannelTest, SendersThatWaitAreServedInTheirOrder) {
  TestShard shard;
  Channel<int> channel(1);
  Values sent;
  Values received;
  shard.Run([&] {
    for (int i = 0; i < 4; ++i) {
      shard.executor().Spawn(SendRange(&channel, 10 * i, 10 * i + 2, &sent));
    }
    shard.executor().Spawn(ReceiveAll(&channel, &received));
  });
  EXPECT_THAT(received, ElementsAre(0, 1, 10, 20, 30, 11, 21, 31));
}

TEST(ChannelTest, WhatIsLeftAtTheCloseIsReceivedAndThenNothing) {
  TestShard shard;
  Channel<int> channel(5);
  Values sent;
  Values received;
  bool over = false;
  shard.Run([&] {
    shard.executor().Spawn(SendRange(&channel, 0, 3, &sent));
    shard.executor().Spawn([](Channel<int>* of, Values* taken, bool* ended) -> Task<> {
      co_await Yield();
      of->Close();
      of->Close();
      EXPECT_TRUE(of->closed());
      int late = 7;
      EXPECT_FALSE(of->TrySend(late));
      EXPECT_EQ((co_await of->Send(8)).code(), absl::StatusCode::kUnavailable);
      co_await ReceiveAll(of, taken);
      *ended = true;
    }(&channel, &received, &over));
  });
  EXPECT_EQ(received, Range(0, 3));
  EXPECT_TRUE(over);
}

TEST(ChannelTest, TheCloseEndsThoseThatWaitOnBothSides) {
  TestShard shard;
  Channel<int> full(1);
  Channel<int> empty(1);
  std::vector<absl::StatusCode> codes;
  int ended = 0;
  const auto send = [](Channel<int>* to, std::vector<absl::StatusCode>* seen) -> Task<> {
    seen->push_back((co_await to->Send(1)).code());
  };
  const auto receive = [](Channel<int>* from, int* count) -> Task<> {
    EXPECT_FALSE((co_await from->Receive()).has_value());
    ++*count;
  };
  shard.Run([&] {
    for (int i = 0; i < 3; ++i) {
      shard.executor().Spawn(send(&full, &codes));
      shard.executor().Spawn(receive(&empty, &ended));
    }
    shard.executor().Spawn(CloseAfter(&full, 3));
    shard.executor().Spawn(CloseAfter(&empty, 3));
  });
  EXPECT_THAT(codes, ElementsAre(absl::StatusCode::kOk, absl::StatusCode::kUnavailable,
                                 absl::StatusCode::kUnavailable));
  EXPECT_EQ(ended, 3);
  EXPECT_EQ(full.size(), 1u) << "what was sent stays to be received";
}

TEST(ChannelTest, AReceiverThatIsDestroyedBeforeItGoesOnLeavesItsValueToTheNext) {
  TestShard shard;
  Channel<int> channel(2);
  Values victims;
  Values received;
  shard.Run([&] {
    shard.executor().Spawn(
        [](Executor* executor, Channel<int>* of, Values* lost, Values* taken) -> Task<> {
          TaskScope victim(*executor);
          victim.Spawn(ReceiveAll(of, lost));
          TaskScope next(*executor);
          next.Spawn(ReceiveAll(of, taken));
          co_await Yield();
          int value = 5;
          EXPECT_TRUE(of->TrySend(value));  // the victim has a claim on it now
          EXPECT_FALSE(of->TryReceive().has_value());
          victim.Cancel();
          co_await Yield();
          of->Close();
          EXPECT_TRUE((co_await next.Join()).ok());
        }(&shard.executor(), &channel, &victims, &received));
  });
  EXPECT_THAT(victims, IsEmpty());
  EXPECT_THAT(received, ElementsAre(5));
}

TEST(ChannelTest, ItsEndLeavesReceiversToTheirOwner) {
  for (const bool woken : {false, true}) {
    TestShard shard;
    auto channel = std::make_unique<Channel<int>>(2);
    Values received;
    shard.Run([&] {
      shard.executor().Spawn([](Executor* executor, std::unique_ptr<Channel<int>>* of,
                                Values* taken, bool wake) -> Task<> {
        TaskScope receiver(*executor);
        receiver.Spawn(ReceiveAll(of->get(), taken));
        co_await Yield();
        int value = 1;
        if (wake) {
          EXPECT_TRUE((*of)->TrySend(value));
        }
        of->reset();
      }(&shard.executor(), &channel, &received, woken));
    });
    EXPECT_THAT(received, IsEmpty());
  }
}

TEST(ChannelTest, TakesValuesThatCanOnlyMove) {
  TestShard shard;
  Channel<std::unique_ptr<int>> channel(1);
  int sum = 0;
  shard.Run([&] {
    shard.executor().Spawn([](Channel<std::unique_ptr<int>>* to) -> Task<> {
      for (int i = 1; i <= 4; ++i) EXPECT_TRUE((co_await to->Send(std::make_unique<int>(i))).ok());
      while (to->size() > 0) co_await Yield();
      auto sent = std::make_unique<int>(5);
      EXPECT_TRUE(to->TrySend(sent));
      EXPECT_EQ(sent, nullptr);
      auto kept = std::make_unique<int>(100);
      EXPECT_FALSE(to->TrySend(kept));
      EXPECT_NE(kept, nullptr);
      to->Close();
    }(&channel));
    shard.executor().Spawn([](Channel<std::unique_ptr<int>>* from, int* total) -> Task<> {
      while (const auto value = co_await from->Receive()) *total += **value;
    }(&channel, &sum));
  });
  EXPECT_EQ(sum, 15);
}

TEST(ChannelTest, SendersAndReceiversOfSeveralClasses) {
  TestShard shard;
  const ClassId batch = shard.executor().CreateClass({.name = "batch", .shares = 10}).value();
  Channel<int> channel(2);
  Values sent;
  Values received;
  shard.Run([&] {
    for (int i = 0; i < 6; ++i) {
      shard.executor().Spawn(SendRange(&channel, 100 * i, 100 * i + 20, &sent), i % 2 * batch);
      shard.executor().Spawn(ReceiveAll(&channel, &received), (i + 1) % 2 * batch);
    }
  });
  std::sort(sent.begin(), sent.end());
  std::sort(received.begin(), received.end());
  EXPECT_EQ(received.size(), 120u);
  EXPECT_EQ(received, sent);
}

TEST(ChannelDeathTest, NoRoomForAValue) {
  EXPECT_DEATH(Channel<int> channel(0), "needs room for one value");
}

class ChannelCancelTest : public testing::TestWithParam<TimeKind> {};

// Senders and receivers among the victims and beside them: every value that was sent is received
// once, by a victim or a bystander; and what a sender that was destroyed had not sent is not.
TEST_P(ChannelCancelTest, AtEveryAwaitNoValueIsLostOrDoubled) {
  std::unique_ptr<Channel<int>> channel;
  Values sent;
  Values received;
  CancelSweep::Run(
      GetParam(),
      [&](TestShard& shard, TaskScope& victims) {
        sent.clear();
        received.clear();
        channel = std::make_unique<Channel<int>>(2);
        victims.Spawn(SendRange(channel.get(), 0, 6, &sent));
        for (int i = 0; i < 2; ++i) {
          victims.Spawn([](Channel<int>* from, Values* taken) -> Task<> {
            for (int round = 0; round < 3; ++round) {
              if (const auto value = co_await from->Receive()) taken->push_back(*value);
            }
          }(channel.get(), &received));
        }
        shard.executor().Spawn(SendRange(channel.get(), 10, 16, &sent));
        shard.executor().Spawn(ReceiveAll(channel.get(), &received));
        shard.executor().Spawn(CloseAfter(channel.get(), 60));
      },
      [&](bool) {
        Values in = sent;
        Values out = received;
        std::sort(in.begin(), in.end());
        std::sort(out.begin(), out.end());
        // A victim may have been destroyed when its value was in and it had not noted that.
        Values unnoted;
        std::set_difference(out.begin(), out.end(), in.begin(), in.end(),
                            std::back_inserter(unnoted));
        EXPECT_LE(unnoted.size(), 1u);
        EXPECT_TRUE(unnoted.empty() || unnoted[0] < 6) << unnoted[0];
        EXPECT_TRUE(std::includes(out.begin(), out.end(), in.begin(), in.end()));
        EXPECT_EQ(std::adjacent_find(out.begin(), out.end()), out.end()) << "a value came twice";
        EXPECT_EQ(channel->size(), 0u);
      });
}

INSTANTIATE_TEST_SUITE_P(Time, ChannelCancelTest, kBothTimes, TimeKindName);

// A channel beside a queue, through the calls that do not wait.
TEST(ChannelModelTest, AgreesWithAQueue) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    Channel<int> channel(1 + random() % 4);
    std::deque<int> model;
    TestShard shard;
    shard.Run([&] {
      for (int step = 0; step < 2000; ++step) {
        if (random() % 2 == 0) {
          int value = step;
          const bool fits = model.size() < channel.capacity();
          ASSERT_EQ(channel.TrySend(value), fits);
          if (fits) model.push_back(step);
        } else {
          const std::optional<int> value = channel.TryReceive();
          ASSERT_EQ(value.has_value(), !model.empty());
          if (value.has_value()) {
            ASSERT_EQ(*value, model.front());
            model.pop_front();
          }
        }
        ASSERT_EQ(channel.size(), model.size());
        ASSERT_EQ(channel.full(), model.size() == channel.capacity());
      }
    });
  }
}

}  // namespace
}  // namespace ioengine
