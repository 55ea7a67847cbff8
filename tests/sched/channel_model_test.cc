// Channel beside a simple model of it: random senders, receivers, ends of tasks and closes.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/channel.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {
namespace {

using Results = std::map<int, std::string>;  // of tasks that went on

constexpr const char* kSent = "sent";
constexpr const char* kClosed = "closed";
constexpr const char* kNothing = "nothing";

Task<> SendOne(Channel<int>* channel, int id, Results* results) {
  const absl::Status status = co_await channel->Send(id);
  (*results)[id] = status.ok() ? kSent : kClosed;
}

Task<> ReceiveOne(Channel<int>* channel, int id, Results* results) {
  const std::optional<int> value = co_await channel->Receive();
  (*results)[id] = value.has_value() ? std::to_string(*value) : kNothing;
}

// What the header of Channel says, in queues of numbers. The number of a task that sends is its
// value.
class Model {
 public:
  explicit Model(size_t capacity) : capacity_(capacity) {}

  void Send(int id) {
    if (closed_) {
      results_[id] = kClosed;
    } else if (TrySend(id)) {
      results_[id] = kSent;
    } else {
      senders_.push_back(id);
    }
  }

  bool TrySend(int value) {
    if (closed_ || full()) return false;
    Push(value);
    return true;
  }

  void Receive(int id) {
    if (const std::optional<int> value = TryReceive()) {
      results_[id] = std::to_string(*value);
    } else if (closed_ && values_.empty()) {
      results_[id] = kNothing;
    } else {
      receivers_.push_back(id);
    }
  }

  std::optional<int> TryReceive() {
    if (values_.size() == claimants_.size()) return std::nullopt;
    return Pop();
  }

  void Close() {
    closed_ = true;
    for (const int id : senders_) woken_[id] = kClosed;
    senders_.clear();
    TellThatItIsDrained();
  }

  void Destroy(int id) {
    std::erase(senders_, id);
    std::erase(receivers_, id);
    woken_.erase(id);
    if (std::erase(claimants_, id) > 0) GiveClaims();
  }

  // All tasks that were woken have their turn.
  void Settle() {
    while (!claimants_.empty()) {
      const int id = claimants_.front();
      claimants_.pop_front();
      results_[id] = std::to_string(Pop());
    }
    results_.merge(woken_);
  }

  bool full() const { return values_.size() == capacity_; }
  size_t size() const { return values_.size(); }
  const Results& results() const { return results_; }

 private:
  void Push(int value) {
    values_.push_back(value);
    GiveClaims();
  }

  int Pop() {
    const int value = values_.front();
    values_.pop_front();
    if (!senders_.empty()) {
      const int sender = senders_.front();
      senders_.pop_front();
      woken_[sender] = kSent;
      Push(sender);
    }
    TellThatItIsDrained();
    return value;
  }

  void GiveClaims() {
    while (values_.size() > claimants_.size() && !receivers_.empty()) {
      claimants_.push_back(receivers_.front());
      receivers_.pop_front();
    }
  }

  void TellThatItIsDrained() {
    if (!closed_ || !values_.empty()) return;
    for (const int id : receivers_) woken_[id] = kNothing;
    receivers_.clear();
  }

  const size_t capacity_;
  bool closed_ = false;
  std::deque<int> values_;
  std::deque<int> senders_;
  std::deque<int> receivers_;
  std::deque<int> claimants_;  // woken, with a claim
  Results woken_;              // what the others that are woken will find
  Results results_;
};

// One channel and one model, through the same steps.
class SideBySide {
 public:
  SideBySide(Executor& executor, uint64_t seed)
      : executor_(executor),
        random_(seed),
        channel_(1 + Below(3)),
        model_(channel_.capacity()),
        weight_of_sends_(1 + Below(4)),
        weight_of_receives_(1 + Below(4)) {}

  Task<> Run(int steps) {
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
      if (step == steps * 3 / 4) {
        channel_.Close();
        model_.Close();
      }
      const bool sends = Below(weight_of_sends_ + weight_of_receives_) < weight_of_sends_;
      switch (Below(8)) {
        case 0:
        case 1:
          co_await Settle(step);  // or those that are woken would come first, or second
          sends ? StartSender(step) : StartReceiver(step);
          co_await Settle(step);
          break;
        case 2:
        case 3:
          DestroyOne();
          break;
        case 4:
          co_await Settle(step);
          break;
        default:
          sends ? TrySend(step) : TryReceive(step);
      }
      EXPECT_EQ(channel_.size(), model_.size()) << "step " << step;
      EXPECT_EQ(channel_.full(), model_.full()) << "step " << step;
    }
    steps_done_ = steps;
  }

  int steps_done() const { return steps_done_; }

 private:
  // Lets those that are woken go on: only before that they can be destroyed with their claims.
  Task<> Settle(int step) {
    for (int i = 0; i < 16; ++i) co_await Yield();
    model_.Settle();
    EXPECT_EQ(results_, model_.results()) << "step " << step;
  }

  void StartSender(int step) {
    Start(SendOne(&channel_, step, &results_), step);
    model_.Send(step);
  }

  void StartReceiver(int step) {
    Start(ReceiveOne(&channel_, step, &results_), step);
    model_.Receive(step);
  }

  void TrySend(int step) {
    int value = step;
    EXPECT_EQ(channel_.TrySend(value), model_.TrySend(step)) << "step " << step;
  }

  void TryReceive(int step) {
    EXPECT_EQ(channel_.TryReceive(), model_.TryReceive()) << "step " << step;
  }

  void Start(Task<> task, int id) {
    std::unique_ptr<TaskScope>& scope = scopes_[id];
    scope = std::make_unique<TaskScope>(executor_);
    scope->Spawn(std::move(task));
  }

  // One that waits or is woken, or has finished.
  void DestroyOne() {
    if (scopes_.empty()) return;
    const auto victim = std::next(scopes_.begin(), static_cast<int>(Below(scopes_.size())));
    model_.Destroy(victim->first);
    scopes_.erase(victim);
  }

  uint64_t Below(uint64_t limit) { return random_.Next() % limit; }

  Executor& executor_;
  Random random_;
  Channel<int> channel_;
  Model model_;
  const uint64_t weight_of_sends_;
  const uint64_t weight_of_receives_;
  Results results_;
  std::map<int, std::unique_ptr<TaskScope>> scopes_;
  int steps_done_ = 0;
};

TEST(ChannelModelTest, AgreesWithItsModelWhateverTasksAndClosesDo) {
  constexpr int kSteps = 400;
  for (uint64_t seed = 1; seed <= 60 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    TestShard shard;
    int steps_done = 0;
    shard.Run([&] {
      shard.executor().Spawn([](Executor* executor, uint64_t from, int* done) -> Task<> {
        SideBySide both(*executor, from);
        co_await both.Run(kSteps);
        *done = both.steps_done();
      }(&shard.executor(), seed, &steps_done));
    });
    EXPECT_EQ(steps_done, kSteps);
    EXPECT_EQ(shard.executor().frames().live(), 0u);
  }
}

}  // namespace
}  // namespace ioengine
