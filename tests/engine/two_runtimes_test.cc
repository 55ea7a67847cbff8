// Two runtimes in one process, on threads of their own and on lent ones: calls between them, and
// the end of one while the other works.

#include <poll.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <latch>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/engine/client.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/tests/engine/runtime_fixture.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

constexpr size_t kShards = 2;

// One thread that pumps all shards of several runtimes in turns, until all have ended.
class PumpingHost {
 public:
  explicit PumpingHost(const std::vector<Runtime*>& runtimes)
      : ended_(runtimes.size()), thread_([this, runtimes] { Main(runtimes); }) {}
  ~PumpingHost() { thread_.join(); }
  PumpingHost(const PumpingHost&) = delete;
  PumpingHost& operator=(const PumpingHost&) = delete;

  // From here on the runtime may go.
  void WaitForEndOf(size_t index) {
    while (ended_[index].load() < kShards)
      std::this_thread::sleep_for(std::chrono::microseconds(50));
  }

 private:
  struct Pumped {
    Runtime* runtime;
    size_t index;
    ShardId id;
  };

  // Whether it is to be pumped again.
  bool Pump(const Pumped& shard, bool* idle) {
    const absl::StatusOr<PumpOutcome> outcome = shard.runtime->PumpShard(shard.id, 200'000);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    if (!outcome.ok() || *outcome == PumpOutcome::kStopped) {
      ended_[shard.index].fetch_add(1);  // the runtime may be gone from here on
      return false;
    }
    *idle &= *outcome == PumpOutcome::kIdle;
    return true;
  }

  void Main(const std::vector<Runtime*>& runtimes) {
    std::vector<Pumped> shards;
    for (ShardId id = 0; id < kShards; ++id) {
      for (size_t i = 0; i < runtimes.size(); ++i) shards.push_back({runtimes[i], i, id});
    }
    while (!shards.empty()) {
      bool idle = true;
      std::erase_if(shards, [&](const Pumped& shard) { return !Pump(shard, &idle); });
      if (!idle || shards.empty()) continue;
      std::vector<pollfd> fds;
      for (const Pumped& shard : shards) {
        fds.push_back({.fd = shard.runtime->ShardFd(shard.id), .events = POLLIN, .revents = 0});
      }
      poll(fds.data(), fds.size(), 10'000);
    }
  }

  std::vector<std::atomic<size_t>> ended_;
  std::thread thread_;
};

enum class Threads { kBothOwn, kOneLent, kBothPumped };

class TwoRuntimesTest : public testing::TestWithParam<Threads> {
 protected:
  static void SetUpTestSuite() {
    StartRuntime({.buffer_pool_bytes = kSmallPoolBytes});  // what is made once, is made
  }

  void SetUp() override {
    fds_ = CountOpenFds();
    threads_ = CountThreads();
    const bool pumped = GetParam() == Threads::kBothPumped;
    Start(0, pumped ? ShardThreads::kLent : ShardThreads::kOwn);
    Start(1, GetParam() == Threads::kBothOwn ? ShardThreads::kOwn : ShardThreads::kLent);
    if (pumped) host_.emplace(std::vector<Runtime*>{runtimes_[0].get(), runtimes_[1].get()});
    if (GetParam() == Threads::kOneLent) {
      for (ShardId id = 0; id < kShards; ++id) {
        lent_.emplace_back(
            [lent_to = runtimes_[1].get(), id] { EXPECT_TRUE(lent_to->RunShard(id).ok()); });
      }
    }
    for (const auto& runtime : runtimes_) {
      ASSERT_TRUE(runtime->WaitUntilRunning().ok());
      clients_.push_back(std::make_unique<Client>(
          *runtime, ClientOptions{.when_full = ClientOptions::WhenFull::kRefuse}));
    }
  }

  void TearDown() override {
    for (const size_t index : {0, 1}) End(index);
    host_.reset();
    for (std::thread& thread : lent_) thread.join();
    EXPECT_EQ(CountOpenFds(), fds_);
    EXPECT_TRUE(ThreadsFallTo(threads_));
  }

  void Stop(size_t index) {
    runtimes_[index]->Stop();
    if (host_.has_value()) host_->WaitForEndOf(index);
  }
  void End(size_t index) {
    if (runtimes_[index] == nullptr) return;
    Stop(index);
    runtimes_[index].reset();
  }

  std::unique_ptr<Runtime> runtimes_[2];
  std::vector<std::unique_ptr<Client>> clients_;  // that never wait

 private:
  void Start(size_t index, ShardThreads threads) {
    runtimes_[index] = StartRuntime(
        {.shard_count = kShards, .threads = threads, .buffer_pool_bytes = kSmallPoolBytes});
    ASSERT_NE(runtimes_[index], nullptr);
  }

  int fds_ = 0;
  int threads_ = 0;
  std::optional<PumpingHost> host_;
  std::vector<std::thread> lent_;
};

// A call that goes from one runtime to the other, again and again.
class Ball {
 public:
  // Ends after `most` hops, or when it is refused.
  Ball(Client& first, Client& second, int most, std::latch& done)
      : clients_{&first, &second}, most_(most), done_(done) {}

  void Throw(size_t side) {
    clients_[side]->SubmitThen(
        static_cast<ShardId>(hops_.load() % static_cast<int>(kShards)),
        [this](const absl::Status& status) {
          if (status.ok()) return;
          EXPECT_TRUE(absl::IsUnavailable(status)) << status;
          done_.count_down();
        },
        Catch, this, side);
  }

  int hops() const { return hops_.load(); }

 private:
  // On a shard of the runtime `side`.
  static void Catch(Shard& /*shard*/, Ball* ball, size_t side) {
    if (ball->hops_.fetch_add(1) + 1 == ball->most_) {
      ball->done_.count_down();
    } else {
      ball->Throw(1 - side);
    }
  }

  Client* const clients_[2];
  const int most_;
  std::latch& done_;
  std::atomic<int> hops_{0};
};

TEST_P(TwoRuntimesTest, ShardsCallThoseOfTheOtherWithoutWaiting) {
  constexpr int kHops = 1000;
  std::latch done(4);
  std::vector<std::unique_ptr<Ball>> balls;
  for (size_t i = 0; i < 4; ++i) {
    balls.push_back(std::make_unique<Ball>(*clients_[0], *clients_[1], kHops, done));
    balls.back()->Throw(i % 2);
  }
  done.wait();
  for (const auto& ball : balls) EXPECT_EQ(ball->hops(), kHops);
  for (const size_t index : {0, 1}) End(index);  // the last callbacks have been called
}

// How a task awaits calls to another runtime: callbacks there, whose results are called back.
struct Answers {
  Client* home;
  ShardId home_id;
  int expected;
  int sum = 0;
  Event all_there;
};

void AddAnswer(Shard& shard, Answers* answers, int value) {
  EXPECT_EQ(shard.id(), answers->home_id);
  answers->sum += value;
  if (--answers->expected == 0) answers->all_there.Set();
}

Task<int> Double(Shard& /*shard*/, int value) {
  co_await Sleep(std::chrono::microseconds(value % 7));
  co_return 2 * value;
}

Task<int> SumOfDoubles(Shard& shard, Client* home, Client* other, int count) {
  Answers answers{.home = home, .home_id = shard.id(), .expected = count, .all_there = {}};
  for (int i = 1; i <= count; ++i) {
    other->SubmitThen(
        static_cast<ShardId>(i % static_cast<int>(kShards)),
        [to = &answers](const absl::StatusOr<int>& result) {
          to->home->SubmitThen(
              to->home_id, [](const absl::Status& status) { EXPECT_TRUE(status.ok()) << status; },
              AddAnswer, to, result.value());
        },
        Double, i);
  }
  co_await answers.all_there.Wait();
  co_return answers.sum;
}

TEST_P(TwoRuntimesTest, ATaskAwaitsCallsToTheOther) {
  std::vector<Future<int>> sums;
  for (const size_t side : {0, 1}) {
    for (ShardId id = 0; id < kShards; ++id) {
      sums.push_back(clients_[side]->Submit(id, SumOfDoubles, clients_[side].get(),
                                            clients_[1 - side].get(), 100));
    }
  }
  for (Future<int>& sum : sums) EXPECT_EQ(sum.Wait().value(), 10'100);
}

ShardId GiveId(Shard& shard) { return shard.id(); }
Task<absl::StatusOr<ShardId>> AskOther(Shard& shard) {
  co_return co_await shard.SubmitTo(1 - shard.id(), GiveId);
}
Task<> YieldForEver(Shard& shard) {
  for (;;) co_await shard.executor().Yield();
}

class TwoRuntimesOrderTest : public TwoRuntimesTest {
 protected:
  void StopInTheMiddleOfCalls(size_t first) {
    std::latch broken(4);
    std::vector<std::unique_ptr<Ball>> balls;
    for (size_t i = 0; i < 4; ++i) {
      balls.push_back(std::make_unique<Ball>(*clients_[0], *clients_[1], -1, broken));
      balls.back()->Throw(i % 2);
    }
    for (const auto& ball : balls) {
      while (ball->hops() < 10) std::this_thread::yield();
    }
    Stop(first);
    broken.wait();  // nothing uses it any more
    runtimes_[first].reset();
    EXPECT_EQ(clients_[1 - first]->Submit(0, AskOther).Wait().value(), 1u);
    End(1 - first);  // before the balls
  }
};

TEST_P(TwoRuntimesOrderTest, TheFirstStopsInTheMiddleOfCalls) { StopInTheMiddleOfCalls(0); }
TEST_P(TwoRuntimesOrderTest, TheSecondStopsInTheMiddleOfCalls) { StopInTheMiddleOfCalls(1); }

TEST_P(TwoRuntimesTest, OneIsDestroyedWhileTheOtherWorks) {
  Future<void> busy = clients_[1]->Submit(0, YieldForEver);
  Future<void> ended = clients_[0]->Submit(0, YieldForEver);
  std::atomic<bool> go_on{true};
  std::atomic<int> calls{0};
  std::thread caller([&] {
    while (go_on.load()) {
      EXPECT_EQ(
          clients_[1]->Submit(static_cast<ShardId>(calls.load() % 2), AskOther).Wait().status(),
          absl::OkStatus());
      calls.fetch_add(1);
    }
  });
  while (calls.load() < 10) std::this_thread::yield();
  End(0);
  EXPECT_TRUE(absl::IsUnavailable(ended.Wait()));
  const int calls_before = calls.load();
  while (calls.load() < calls_before + 10) std::this_thread::yield();
  go_on.store(false);
  caller.join();
  End(1);
  EXPECT_TRUE(absl::IsUnavailable(busy.Wait()));
}

std::string NameOf(const testing::TestParamInfo<Threads>& of) {
  switch (of.param) {
    case Threads::kBothOwn:
      return "BothOwn";
    case Threads::kOneLent:
      return "OneLent";
    case Threads::kBothPumped:
      return "BothPumped";
  }
  return "";
}

const auto kAllThreads =
    testing::Values(Threads::kBothOwn, Threads::kOneLent, Threads::kBothPumped);
INSTANTIATE_TEST_SUITE_P(Threads, TwoRuntimesTest, kAllThreads, NameOf);
INSTANTIATE_TEST_SUITE_P(Threads, TwoRuntimesOrderTest, kAllThreads, NameOf);

}  // namespace
}  // namespace ioengine
