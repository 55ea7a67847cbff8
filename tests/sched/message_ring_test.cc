// MessageRing: its bounds, what is published when, and that nothing is lost between two threads.

#include "ioengine/sched/message_ring.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/sched/random.h"

namespace ioengine {
namespace {

class Numbered final : public MeshMessage {
 public:
  void Deliver(MeshPort& /*at*/) override {}
  void Return(MeshPort& /*at*/) override {}
};

class MessageRingTest : public testing::TestWithParam<size_t> {
 protected:
  MessageRing ring_{GetParam()};
  std::vector<Numbered> messages_{4096};
};

TEST_P(MessageRingTest, HoldsAsManyAsItSaysIfTheyFillTheirLines) {
  EXPECT_GE(ring_.capacity(), GetParam());
  size_t pushed = 0;
  while (ring_.TryPush(messages_[pushed])) ++pushed;
  EXPECT_EQ(pushed, ring_.capacity());
  EXPECT_FALSE(ring_.HasRoom());
  EXPECT_EQ(ring_.unpublished(), pushed);
}

TEST_P(MessageRingTest, ShowsNothingBeforeItIsPublishedAndThenAll) {
  size_t pushed = 0;
  while (ring_.TryPush(messages_[pushed])) ++pushed;
  EXPECT_FALSE(ring_.HasMessages());
  EXPECT_EQ(ring_.TryPop(), nullptr);
  EXPECT_TRUE(ring_.Publish());
  EXPECT_FALSE(ring_.Publish()) << "it was all";
  for (size_t i = 0; i < pushed; ++i) {
    EXPECT_TRUE(ring_.HasMessages());
    EXPECT_EQ(ring_.TryPop(), &messages_[i]);
  }
  EXPECT_EQ(ring_.TryPop(), nullptr);
}

TEST_P(MessageRingTest, HasRoomAgainWhenThatIsGivenBack) {
  size_t pushed = 0;
  while (ring_.TryPush(messages_[pushed])) ++pushed;
  ring_.Publish();
  while (ring_.TryPop() != nullptr) {
  }
  EXPECT_FALSE(ring_.HasRoom());
  EXPECT_FALSE(ring_.HasRoomFresh());
  EXPECT_TRUE(ring_.Release());
  EXPECT_FALSE(ring_.Release());
  EXPECT_TRUE(ring_.HasRoom());
}

// Against a queue, with everything that either side may do at any time.
TEST_P(MessageRingTest, IsAQueue) {
  Random random(GetParam());
  std::deque<MeshMessage*> pushed;
  std::deque<MeshMessage*> published;
  for (int i = 0; i < 200'000; ++i) {
    switch (random.Below(5)) {
      case 0:
      case 1: {
        Numbered& message = messages_[random.Below(messages_.size())];
        if (ring_.TryPush(message)) pushed.push_back(&message);
        ASSERT_LE(pushed.size() + published.size(), ring_.capacity());
        break;
      }
      case 2:
        ASSERT_EQ(ring_.Publish(), !pushed.empty());
        published.insert(published.end(), pushed.begin(), pushed.end());
        pushed.clear();
        break;
      case 3: {
        ASSERT_EQ(ring_.HasMessages(), !published.empty());
        MeshMessage* const taken = ring_.TryPop();
        ASSERT_EQ(taken, published.empty() ? nullptr : published.front());
        if (taken != nullptr) published.pop_front();
        break;
      }
      default:
        ring_.Release();
    }
    ASSERT_EQ(ring_.unpublished(), pushed.size());
  }
}

TEST_P(MessageRingTest, LosesNothingBetweenThreads) {
  constexpr size_t kCount = 200'000;
  std::thread producer([&] {
    Random random(1);
    for (size_t i = 0; i < kCount;) {
      if (ring_.TryPush(messages_[i % messages_.size()])) {
        ++i;
        if (random.OneIn(4)) ring_.Publish();
      } else {
        ring_.Publish();
        std::this_thread::yield();
      }
    }
    ring_.Publish();
  });
  for (size_t i = 0; i < kCount;) {
    MeshMessage* const message = ring_.TryPop();
    if (message == nullptr) {
      ring_.Release();
      std::this_thread::yield();
      continue;
    }
    ASSERT_EQ(message, &messages_[i % messages_.size()]);
    ++i;
  }
  producer.join();
  EXPECT_EQ(ring_.TryPop(), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Capacities, MessageRingTest, testing::Values(1, 2, 6, 7, 8, 14, 100, 256));

TEST(MessageRingDeathTest, OfNothing) { EXPECT_DEATH(MessageRing(0), "room for one message"); }

}  // namespace
}  // namespace ioengine
