#include "ioengine/sched/inbox.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace ioengine {
namespace {

// Carries who sent it, and as what number.
class Message final : public ForeignCall {
 public:
  Message(int sender, int number) : sender_(sender), number_(number) { live_.fetch_add(1); }
  ~Message() override { live_.fetch_sub(1); }
  void Run() override {}

  int sender() const { return sender_; }
  int number() const { return number_; }
  static int live() { return live_.load(); }

 private:
  static inline std::atomic<int> live_{0};
  const int sender_;
  const int number_;
};

std::unique_ptr<ForeignCall> Make(int number, int sender = 0) {
  return std::make_unique<Message>(sender, number);
}

bool Push(Inbox& inbox, int number) {
  std::unique_ptr<ForeignCall> call = Make(number);
  const bool pushed = inbox.TryPush(call);
  EXPECT_EQ(call == nullptr, pushed);
  return pushed;
}

// -1 when empty.
int PopNumber(Inbox& inbox) {
  const std::unique_ptr<ForeignCall> call = inbox.Pop();
  return call == nullptr ? -1 : static_cast<const Message&>(*call).number();
}

TEST(InboxTest, RoundsItsCapacityUpToAPowerOfTwo) {
  EXPECT_EQ(std::make_unique<Inbox>(0)->capacity(), 2u);
  EXPECT_EQ(std::make_unique<Inbox>(1)->capacity(), 2u);
  EXPECT_EQ(std::make_unique<Inbox>(2)->capacity(), 2u);
  EXPECT_EQ(std::make_unique<Inbox>(3)->capacity(), 4u);
  EXPECT_EQ(std::make_unique<Inbox>(1000)->capacity(), 1024u);
}

TEST(InboxTest, RefusesAtItsBoundAndCountsThat) {
  const auto owner =
      std::make_unique<Inbox>(4);  // on the heap, as in an executor: it is aligned to 64
  Inbox& inbox = *owner;
  EXPECT_TRUE(inbox.empty());
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(Push(inbox, i));
  EXPECT_EQ(inbox.times_full(), 0u);
  EXPECT_FALSE(Push(inbox, 4));
  EXPECT_FALSE(Push(inbox, 5));
  EXPECT_EQ(inbox.times_full(), 2u);
  EXPECT_FALSE(inbox.empty());
  EXPECT_EQ(PopNumber(inbox), 0);
  EXPECT_TRUE(Push(inbox, 6));
  EXPECT_FALSE(Push(inbox, 7));
  for (const int expected : {1, 2, 3, 6, -1}) EXPECT_EQ(PopNumber(inbox), expected);
  EXPECT_TRUE(inbox.empty());
}

TEST(InboxTest, KeepsItsOrderAndBoundOverManyRounds) {
  const auto owner = std::make_unique<Inbox>(4);
  Inbox& inbox = *owner;
  int pushed = 0;
  int popped = 0;
  for (int round = 0; round < 1000; ++round) {
    for (int i = 0; i < 1 + round % 4; ++i) EXPECT_TRUE(Push(inbox, pushed++));
    if (pushed - popped == 4) {
      EXPECT_FALSE(Push(inbox, -7));
    }
    while (popped < pushed) EXPECT_EQ(PopNumber(inbox), popped++);
    EXPECT_EQ(PopNumber(inbox), -1);
  }
}

TEST(InboxTest, ReleasesACellWhenItsCallIsTaken) {
  const auto owner = std::make_unique<Inbox>(2);
  Inbox& inbox = *owner;
  const int before = Message::live();
  ASSERT_TRUE(Push(inbox, 0));
  EXPECT_EQ(Message::live(), before + 1);
  PopNumber(inbox);
  EXPECT_EQ(Message::live(), before);
}

TEST(InboxTest, DestroysWhatIsLeft) {
  const int before = Message::live();
  {
    const auto owner = std::make_unique<Inbox>(8);
    Inbox& inbox = *owner;
    for (int i = 0; i < 5; ++i) Push(inbox, i);
    PopNumber(inbox);
  }
  EXPECT_EQ(Message::live(), before);
}

// Many producers at the bound: nothing is lost, doubled, or out of its producer's order.
TEST(InboxTest, ManyProducers) {
  constexpr int kProducers = 6;
  constexpr int kMessages = 10'000;
  for (const size_t capacity : {size_t{2}, size_t{64}}) {
    const auto owner = std::make_unique<Inbox>(capacity);
    Inbox& inbox = *owner;
    std::atomic<uint64_t> refused{0};
    std::vector<std::thread> producers;
    for (int producer = 0; producer < kProducers; ++producer) {
      producers.emplace_back([&, producer] {
        for (int i = 0; i < kMessages; ++i) {
          std::unique_ptr<ForeignCall> call = Make(i, producer);
          while (!inbox.TryPush(call)) {
            refused.fetch_add(1);
            std::this_thread::yield();
          }
        }
      });
    }
    std::vector<int> next(kProducers);
    for (int taken = 0; taken < kProducers * kMessages;) {
      const std::unique_ptr<ForeignCall> call = inbox.Pop();
      if (call == nullptr) {
        std::this_thread::yield();
        continue;
      }
      const auto& message = static_cast<const Message&>(*call);
      ASSERT_EQ(message.number(), next[static_cast<size_t>(message.sender())]++);
      ++taken;
    }
    for (std::thread& producer : producers) producer.join();
    EXPECT_TRUE(inbox.empty());
    EXPECT_EQ(inbox.Pop(), nullptr);
    EXPECT_EQ(inbox.times_full(), refused.load());
  }
}

}  // namespace
}  // namespace ioengine
