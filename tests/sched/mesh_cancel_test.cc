// Tasks that wait for other shards, in calls and channels, cancelled at every await.

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/mesh.h"
#include "ioengine/sched/shard_channel.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/timeout.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/mesh_cancel_sweep.h"
#include "ioengine/tests/sched/mesh_shards.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone

// ---- Calls ----

Token Echo(Token token) { return token; }

// Waits in all the ways that a remote coroutine may be found in. The last shard is called back
// from there, if it is another one.
Task<absl::StatusOr<Token>> EchoLater(SimulatedShards* shards, ShardId here, Token token) {
  co_await Yield();
  co_await Sleep(3us);
  const auto last = static_cast<ShardId>(shards->count() - 1);
  if (last == here) co_return std::move(token);
  co_return co_await shards->port(here).SubmitTo(last, Echo, std::move(token));
}

// Ends in time only if the call is ended.
Task<absl::StatusOr<Token>> SleepForHours(Token token) {
  co_await Sleep(2h);
  co_return std::move(token);
}

void ExpectEnded(const absl::Status& status, bool has_deadline) {
  EXPECT_TRUE(status.ok() || (has_deadline && absl::IsDeadlineExceeded(status))) << status;
}

Task<absl::StatusOr<Token>> CallOnce(SimulatedShards* shards, ShardId from, ShardId to,
                                     bool coroutine) {
  MeshPort& port = shards->port(from);
  if (coroutine) co_return co_await port.SubmitTo(to, EchoLater, shards, to, Token());
  co_return co_await port.SubmitTo(to, Echo, Token());
}

// One after the other, at once, and one that is let go of.
Task<> CallOften(SimulatedShards* shards, ShardId from, ShardId to, bool coroutine,
                 bool has_deadline) {
  MeshPort& port = shards->port(from);
  ExpectEnded((co_await CallOnce(shards, from, to, coroutine)).status(), has_deadline);
  auto first = port.SubmitTo(to, Echo, Token());
  auto second = port.SubmitTo(to, EchoLater, shards, to, Token());
  { auto dropped = port.SubmitTo(to, SleepForHours, Token()); }
  co_await Yield();
  ExpectEnded((co_await second).status(), has_deadline);
  ExpectEnded((co_await first).status(), has_deadline);
  ExpectEnded((co_await CallOnce(shards, from, to, coroutine)).status(), has_deadline);
}

// Deadlines at which a run is at different places.
Task<> CallUntilDeadlines(SimulatedShards* shards, ShardId from, ShardId to, bool coroutine) {
  for (const auto limit : {2us, 5us, 9us, 20us}) {
    ExpectEnded(co_await Timeout(limit, CallOften(shards, from, to, coroutine, true)), true);
    const auto sleep = [](MeshPort* port, ShardId on) -> Task<absl::StatusOr<Token>> {
      co_return co_await port->SubmitTo(on, SleepForHours, Token());
    };
    EXPECT_TRUE(absl::IsDeadlineExceeded(
        (co_await Timeout(limit, sleep(&shards->port(from), to))).status()));
  }
}

Task<> Call(SimulatedShards* shards, ShardId from, ShardId to, bool coroutine, bool has_deadline,
            int* ended) {
  if (has_deadline) {
    co_await CallUntilDeadlines(shards, from, to, coroutine);
  } else {
    co_await CallOften(shards, from, to, coroutine, false);
  }
  ++*ended;
}

class MeshCallCancelTest : public testing::TestWithParam<std::tuple<size_t, bool, bool>> {};

TEST_P(MeshCallCancelTest, AtEveryAwaitCallsLeaveNothing) {
  const auto [shards, coroutine, has_deadline] = GetParam();
  int victims_ended = 0;
  int bystanders_ended = 0;
  MeshCancelSweep::Run(
      {.shards = shards},
      [&, coroutine = coroutine, has_deadline = has_deadline](SimulatedShards& on,
                                                              TaskScope& victims) {
        victims_ended = bystanders_ended = 0;
        on.On(0, [&, coroutine, has_deadline, of = &on, cut = &victims] {
          for (int i = 0; i < 2; ++i) {
            cut->Spawn(Call(of, 0, 1, coroutine, has_deadline, &victims_ended));
          }
          of->executor(0).Spawn(Call(of, 0, 1, coroutine, has_deadline, &bystanders_ended));
        });
        on.On(1, [&, coroutine, has_deadline, of = &on] {
          of->executor(1).Spawn(Call(of, 1, 0, coroutine, has_deadline, &bystanders_ended));
        });
      },
      [&](SimulatedShards& on, bool ended) {
        EXPECT_LT(on.clock().NowNs(), 3'600'000'000'000u) << "a call went on";
        if (ended) {
          EXPECT_EQ(victims_ended, 2);
        }
        EXPECT_EQ(bystanders_ended, 2);
      });
}

INSTANTIATE_TEST_SUITE_P(Calls, MeshCallCancelTest,
                         testing::Combine(testing::Values(2, 3), testing::Bool(), testing::Bool()),
                         [](const auto& of) {
                           return std::to_string(std::get<0>(of.param)) + "Shards" +
                                  (std::get<1>(of.param) ? "Coroutine" : "Function") +
                                  (std::get<2>(of.param) ? "WithDeadline" : "");
                         });

// ---- Channels ----

struct Message {
  // g++ 12 destroys an aggregate twice that is made within a co_await.
  explicit Message(int message_number) : number(message_number) {}

  int number;
  Token token;
};

// From shard 0 to shard 1.
struct Traffic {
  static constexpr int kMessages = 8;

  std::optional<ShardSender<Message>> sender;
  std::optional<ShardReceiver<Message>> receiver;
  std::vector<int> sent;  // that Send said it had taken
  std::vector<int> received;
  bool refused = false;
  bool seen_end = false;

  void Begin(SimulatedShards& shards, size_t capacity) {
    shards.On(0, [this, &shards, capacity] {
      auto [made_sender, made_receiver] = MakeShardChannel<Message>(shards.port(0), 1, capacity);
      sender.emplace(std::move(made_sender));
      receiver.emplace(std::move(made_receiver));
    });
    shards.Pump(0);
  }

  void End(SimulatedShards& shards) {
    shards.On(0, [this] { sender.reset(); });
    shards.On(1, [this] { receiver.reset(); });
    shards.RunUntilIdle();
  }
};

// Goes on where the task before it was cut.
Task<> SendRest(Traffic* traffic, ShardSender<Message>* sender) {
  while (traffic->sent.size() < Traffic::kMessages) {
    const auto number = static_cast<int>(traffic->sent.size());
    const absl::Status status = co_await sender->Send(Message(number));
    if (!status.ok()) {
      EXPECT_TRUE(absl::IsUnavailable(status)) << status;
      traffic->refused = true;
      co_return;
    }
    traffic->sent.push_back(number);
    if (number % 3 == 2) co_await Sleep(2us);
  }
}

Task<> ReceiveRest(Traffic* traffic, ShardReceiver<Message>* receiver) {
  while (const std::optional<Message> message = co_await receiver->Receive()) {
    traffic->received.push_back(message->number);
    if (message->number % 4 == 1) co_await Sleep(3us);
  }
  traffic->seen_end = true;
}

Task<> SendRestAndClose(Traffic* traffic) {
  co_await SendRest(traffic, &*traffic->sender);
  traffic->sender->Close();
}
Task<> ReceiveRestOfAll(Traffic* traffic) { co_await ReceiveRest(traffic, &*traffic->receiver); }

// When the victims are gone.
Task<> AfterThem(TaskScope* victims, Task<> task) {
  while (victims->size() > 0) co_await Sleep(1us);
  co_await std::move(task);
}

// With the end in their frames.
Task<> OwnAndSend(Traffic* traffic, ShardSender<Message> sender) {
  co_await SendRest(traffic, &sender);
}
Task<> OwnAndReceive(Traffic* traffic, ShardReceiver<Message> receiver) {
  co_await ReceiveRest(traffic, &receiver);
}

template <typename End>
End TakeFrom(std::optional<End>& from) {
  End end = std::move(*from);
  from.reset();
  return end;
}

bool IsBeginning(const std::vector<int>& part, const std::vector<int>& whole) {
  return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

class ShardChannelCancelTest : public testing::TestWithParam<size_t> {
 protected:
  std::optional<Traffic> traffic_;
};

TEST_P(ShardChannelCancelTest, SendAtEveryAwaitEachMessageComesOnce) {
  MeshCancelSweep::Run(
      {.home = 0},
      [&](SimulatedShards& shards, TaskScope& victims) {
        traffic_.emplace().Begin(shards, GetParam());
        shards.On(0, [&, on = &shards, cut = &victims] {
          cut->Spawn(SendRest(&*traffic_, &*traffic_->sender));
          on->executor(0).Spawn(AfterThem(cut, SendRestAndClose(&*traffic_)));
        });
        shards.On(1, [&, on = &shards] { on->executor(1).Spawn(ReceiveRestOfAll(&*traffic_)); });
      },
      [&](SimulatedShards& shards, bool /*ended*/) {
        EXPECT_EQ(traffic_->sent.size(), size_t{Traffic::kMessages});
        EXPECT_EQ(traffic_->received, traffic_->sent);
        EXPECT_TRUE(traffic_->seen_end);
        traffic_->End(shards);
      });
}

TEST_P(ShardChannelCancelTest, ReceiveAtEveryAwaitEachMessageComesOnce) {
  MeshCancelSweep::Run(
      {.home = 1},
      [&](SimulatedShards& shards, TaskScope& victims) {
        traffic_.emplace().Begin(shards, GetParam());
        shards.On(0, [&, on = &shards] { on->executor(0).Spawn(SendRestAndClose(&*traffic_)); });
        shards.On(1, [&, on = &shards, cut = &victims] {
          cut->Spawn(ReceiveRestOfAll(&*traffic_));
          on->executor(1).Spawn(AfterThem(cut, ReceiveRestOfAll(&*traffic_)));
        });
      },
      [&](SimulatedShards& shards, bool /*ended*/) {
        EXPECT_EQ(traffic_->sent.size(), size_t{Traffic::kMessages});
        EXPECT_EQ(traffic_->received, traffic_->sent);
        EXPECT_TRUE(traffic_->seen_end);
        traffic_->End(shards);
      });
}

// The end goes with the task: what was sent comes, and then the end of the channel.
TEST_P(ShardChannelCancelTest, ASenderThatGoesAtEveryAwaitEndsTheReceiver) {
  MeshCancelSweep::Run(
      {.home = 0},
      [&](SimulatedShards& shards, TaskScope& victims) {
        traffic_.emplace().Begin(shards, GetParam());
        shards.On(0, [&, cut = &victims] {
          cut->Spawn(OwnAndSend(&*traffic_, TakeFrom(traffic_->sender)));
        });
        shards.On(1, [&, on = &shards] {
          on->executor(1).Spawn(OwnAndReceive(&*traffic_, TakeFrom(traffic_->receiver)));
        });
      },
      [&](SimulatedShards& shards, bool ended) {
        EXPECT_EQ(traffic_->received, traffic_->sent);
        EXPECT_TRUE(traffic_->seen_end);
        if (ended) {
          EXPECT_EQ(traffic_->sent.size(), size_t{Traffic::kMessages});
        }
        traffic_->End(shards);
      });
}

// What it had not received by then is gone with the channel; what comes after that is refused.
TEST_P(ShardChannelCancelTest, AReceiverThatGoesAtEveryAwaitEndsTheSender) {
  MeshCancelSweep::Run(
      {.home = 1},
      [&](SimulatedShards& shards, TaskScope& victims) {
        traffic_.emplace().Begin(shards, GetParam());
        shards.On(0, [&, on = &shards] {
          on->executor(0).Spawn(OwnAndSend(&*traffic_, TakeFrom(traffic_->sender)));
        });
        shards.On(1, [&, cut = &victims] {
          cut->Spawn(OwnAndReceive(&*traffic_, TakeFrom(traffic_->receiver)));
        });
      },
      [&](SimulatedShards& shards, bool ended) {
        EXPECT_TRUE(IsBeginning(traffic_->received, traffic_->sent));
        EXPECT_LE(traffic_->sent.size() - traffic_->received.size(), GetParam());
        if (!traffic_->refused) {
          EXPECT_EQ(traffic_->sent.size(), size_t{Traffic::kMessages});
        }
        if (ended) {
          EXPECT_EQ(traffic_->received, traffic_->sent);
        }
        traffic_->End(shards);
      });
}

INSTANTIATE_TEST_SUITE_P(Capacities, ShardChannelCancelTest, testing::Values(1, 2, 4));

}  // namespace
}  // namespace ioengine
