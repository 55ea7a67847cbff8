// Tasks that wait for other shards, in calls and channels, cancelled at any time, on threads.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <latch>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/sched/clock.h"
#include "ioengine/sched/mesh.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/shard_channel.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/timeout.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/mesh_shards.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone

constexpr size_t kShards = 3;
constexpr uint64_t kRounds = 2000;
// A machine that is slow does fewer rounds.
constexpr uint64_t kMostNs = 2'000'000'000;

// Until `rounds` or the time is over.
class Rounds {
 public:
  bool Next() { return ++round_ <= kRounds && MonotonicClock::Get().NowNs() < end_ns_; }

 private:
  const uint64_t end_ns_ = MonotonicClock::Get().NowNs() + kMostNs;
  uint64_t round_ = 0;
};

// None, a turn, or some microseconds.
Task<> Pause(Random* random) {
  const uint64_t choice = random->Below(80);
  if (choice == 0) co_return;
  if (choice < 20) {
    for (uint64_t i = 0; i < choice; ++i) co_await Yield();
  } else {
    co_await Sleep(std::chrono::microseconds(choice - 19));
  }
}

// ---- Calls ----

Token Echo(Token token) { return token; }
Task<absl::StatusOr<Token>> EchoElsewhere(ThreadShards* shards, ShardId here, uint64_t sleep_us,
                                          Token token) {
  if (sleep_us > 0) co_await Sleep(std::chrono::microseconds(sleep_us));
  const auto to = static_cast<ShardId>((here + 1) % kShards);
  co_return co_await shards->port(here).SubmitTo(to, Echo, std::move(token));
}

Task<absl::StatusOr<Token>> CallOnce(ThreadShards* shards, ShardId from, uint64_t choice) {
  const auto to = static_cast<ShardId>(choice % kShards);
  if (choice % 2 == 0) co_return co_await shards->port(from).SubmitTo(to, Echo, Token());
  co_return co_await shards->port(from).SubmitTo(to, EchoElsewhere, shards, to, choice % 5 * 10,
                                                 Token());
}

// Ends in time only if the call is ended.
Task<absl::StatusOr<Token>> SleepForHours(Token token) {
  co_await Sleep(2h);
  co_return std::move(token);
}
Task<absl::StatusOr<Token>> CallAndSleep(ThreadShards* shards, ShardId from, uint64_t choice) {
  co_return co_await shards->port(from).SubmitTo(static_cast<ShardId>(choice % kShards),
                                                 SleepForHours, Token());
}

Task<> CallWithoutEnd(ThreadShards* shards, ShardId from, uint64_t seed) {
  Random random(seed);
  for (;;) {
    const uint64_t choice = random.Below(1000);
    absl::Status status;
    if (random.OneIn(2)) {
      const auto limit = std::chrono::microseconds(random.Below(40));
      Task<absl::StatusOr<Token>> task =
          random.OneIn(4) ? CallAndSleep(shards, from, choice) : CallOnce(shards, from, choice);
      status = (co_await Timeout(limit, std::move(task))).status();
    } else {
      status = (co_await CallOnce(shards, from, choice)).status();
    }
    EXPECT_TRUE(status.ok() || absl::IsDeadlineExceeded(status)) << status;
  }
}

Task<> CancelCalls(ThreadShards* shards, ShardId here, std::latch* done) {
  Random random(here);
  for (Rounds rounds; rounds.Next();) {
    TaskScope victims(shards->executor(here));
    for (int i = 0; i < 3; ++i) victims.Spawn(CallWithoutEnd(shards, here, random.Next()));
    co_await Pause(&random);
    victims.Cancel();
  }
  done->count_down();
}

// Until all that was let go of is back; then calls each shard.
Task<> ExpectThatAllIsBack(MeshPort* port, std::latch* done) {
  while (port->call_bytes() > 0) co_await Sleep(100us);
  EXPECT_EQ(port->calls_on_their_way(), 0u);
  for (ShardId to = 0; to < kShards; ++to) {
    EXPECT_TRUE((co_await port->SubmitTo(to, [] { return 1; })).ok());
  }
  EXPECT_EQ(port->calls_on_their_way(), 0u);
  done->count_down();
}

void ExpectThatAllIsBack(ThreadShards& shards) {
  std::latch done(kShards);
  for (ShardId id = 0; id < kShards; ++id) {
    shards.On(id, [&shards, &done, id] {
      shards.executor(id).Spawn(ExpectThatAllIsBack(&shards.port(id), &done));
    });
  }
  done.wait();
  EXPECT_EQ(Token::live(), 0);
}

TEST(MeshCancelThreadsTest, CallsThatAreCancelledAtAnyTimeLeaveNothing) {
  ThreadShards shards(kShards, {.ring_capacity = 2}, {.timer_batch_ns = 0});
  std::latch done(kShards);
  for (ShardId id = 0; id < kShards; ++id) {
    shards.On(id,
              [&shards, &done, id] { shards.executor(id).Spawn(CancelCalls(&shards, id, &done)); });
  }
  done.wait();
  ExpectThatAllIsBack(shards);
}

// ---- Channels ----

struct Message {
  // g++ 12 destroys an aggregate twice that is made within a co_await.
  explicit Message(uint64_t message_number) : number(message_number) {}

  uint64_t number;
  Token token;
};

Task<> SendFrom(ShardSender<Message>* sender, uint64_t* next) {
  for (;;) {
    const absl::Status status = co_await sender->Send(Message(*next));
    EXPECT_TRUE(status.ok()) << status;
    ++*next;
    if (*next % 50 == 0) co_await MaybeYield();
  }
}

Task<> ReceiveInto(ShardReceiver<Message>* receiver, uint64_t* next, bool* open) {
  while (const std::optional<Message> message = co_await receiver->Receive()) {
    EXPECT_EQ(message->number, *next);
    ++*next;
    if (*next % 50 == 0) co_await MaybeYield();
  }
  *open = false;
}

// How many came, each once and in their order.
Task<uint64_t> CancelReceive(Executor* executor, ShardReceiver<Message> receiver) {
  Random random(1);
  uint64_t next = 0;
  for (bool open = true; open;) {
    TaskScope victims(*executor);
    victims.Spawn(ReceiveInto(&receiver, &next, &open));
    co_await Pause(&random);
    victims.Cancel();
  }
  co_return next;
}

Task<> CancelSendAndReceive(ThreadShards* shards, ShardId here, size_t capacity, std::latch* done) {
  const auto to = static_cast<ShardId>((here + 1) % kShards);
  MeshPort& port = shards->port(here);
  auto [sender, receiver] = MakeShardChannel<Message>(port, to, capacity);
  auto received = port.SubmitTo(to, CancelReceive, &shards->executor(to), std::move(receiver));
  Random random(here + 10);
  uint64_t next = 0;
  for (Rounds rounds; rounds.Next();) {
    TaskScope victims(shards->executor(here));
    victims.Spawn(SendFrom(&sender, &next));
    co_await Pause(&random);
    victims.Cancel();
  }
  sender.Close();
  EXPECT_EQ((co_await received).value(), next);
  EXPECT_GT(next, 0u);
  done->count_down();
}

class ShardChannelCancelThreadsTest : public testing::TestWithParam<size_t> {};

// Sender and receiver both, and calls through the same rings.
TEST_P(ShardChannelCancelThreadsTest, EachMessageComesOnce) {
  ThreadShards shards(kShards, {.ring_capacity = 1}, {.timer_batch_ns = 0});
  std::latch done(2 * kShards);
  for (ShardId id = 0; id < kShards; ++id) {
    shards.On(id, [&shards, &done, id] {
      shards.executor(id).Spawn(CancelSendAndReceive(&shards, id, GetParam(), &done));
      shards.executor(id).Spawn(CancelCalls(&shards, id, &done));
    });
  }
  done.wait();
  ExpectThatAllIsBack(shards);
}

INSTANTIATE_TEST_SUITE_P(Capacities, ShardChannelCancelThreadsTest, testing::Values(1, 16));

// Each round a channel of its own, of which one end goes with its task, anywhere.
Task<> DropEnds(ThreadShards* shards, ShardId here, std::latch* done) {
  Random random(here + 20);
  const auto to = static_cast<ShardId>((here + 1) % kShards);
  for (Rounds rounds; rounds.Next();) {
    MeshPort& port = shards->port(here);
    auto [sender, receiver] = MakeShardChannel<Message>(port, to, 1 + random.Below(3));
    uint64_t sent = 0;
    const bool cut_receiver = random.OneIn(2);
    const uint64_t most = cut_receiver ? random.Below(20) : UINT64_MAX;
    auto received = port.SubmitTo(
        to,
        [](ShardReceiver<Message> from, uint64_t limit) -> Task<uint64_t> {
          uint64_t count = 0;
          while (count < limit && (co_await from.Receive()).has_value()) ++count;
          co_return count;
        },
        std::move(receiver), most);
    {
      TaskScope victims(shards->executor(here));
      victims.Spawn([](ShardSender<Message> own, uint64_t* count) -> Task<> {
        while ((co_await own.Send(Message(*count))).ok()) ++*count;
      }(std::move(sender), &sent));
      co_await Pause(&random);
      victims.Cancel();
    }
    const uint64_t count = (co_await received).value();
    if (cut_receiver) {
      EXPECT_LE(count, sent);
    } else {
      EXPECT_EQ(count, sent);
    }
  }
  done->count_down();
}

TEST(ShardChannelDropThreadsTest, EndsThatGoAtAnyTimeLeaveNothing) {
  ThreadShards shards(kShards, {.ring_capacity = 2}, {.timer_batch_ns = 0});
  std::latch done(kShards);
  for (ShardId id = 0; id < kShards; ++id) {
    shards.On(id,
              [&shards, &done, id] { shards.executor(id).Spawn(DropEnds(&shards, id, &done)); });
  }
  done.wait();
  ExpectThatAllIsBack(shards);
}

}  // namespace
}  // namespace ioengine
