// Mesh between threads: nothing is lost, nothing stays asleep, nothing leaks, at any ring length
// and whenever a shard stops.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/sched/mesh.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/timeout.h"
#include "ioengine/tests/sched/mesh_shards.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone

struct Job {
  ThreadShards* shards;
  uint64_t calls;
  std::atomic<uint64_t> done{0};
  std::latch all_done;
};

uint64_t Double(uint64_t value, Token /*token*/) { return 2 * value; }

// Calls back to a third shard.
Task<absl::StatusOr<uint64_t>> DoubleElsewhere(Job* job, ShardId here, uint64_t value,
                                               Token token) {
  const auto to = static_cast<ShardId>((here + 1 + value % 2) % job->shards->count());
  co_return co_await job->shards->port(here).SubmitTo(to, Double, value, std::move(token));
}

Task<> CallAllOthers(Job* job, ShardId here, uint64_t seed) {
  Random random(seed);
  for (uint64_t i = 0; i < job->calls; ++i) {
    const auto to = static_cast<ShardId>(random.Below(job->shards->count()));
    absl::StatusOr<uint64_t> result;
    if (random.OneIn(3)) {
      result = co_await job->shards->port(here).SubmitTo(to, DoubleElsewhere, job, to, i, Token());
    } else {
      result = co_await job->shards->port(here).SubmitTo(to, Double, i, Token());
    }
    if (result.ok()) {
      EXPECT_EQ(*result, 2 * i);
    } else {
      EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable) << result.status();
    }
    job->done.fetch_add(1, std::memory_order_relaxed);
  }
  job->all_done.count_down();
}

struct AllToAll {
  size_t shards;
  size_t ring_capacity;
  uint64_t idle_spin_ns;
};

std::string NameOf(const testing::TestParamInfo<AllToAll>& param) {
  return std::to_string(param.param.shards) + "ShardsLength" +
         std::to_string(param.param.ring_capacity) + "Spin" +
         std::to_string(param.param.idle_spin_ns);
}

class MeshAllToAllTest : public testing::TestWithParam<AllToAll> {};

TEST_P(MeshAllToAllTest, AllCallsEnd) {
  constexpr int kTasks = 4;
  constexpr uint64_t kCalls = 2000;
  const AllToAll& spec = GetParam();
  ThreadShards shards(spec.shards, {.ring_capacity = spec.ring_capacity},
                      {.idle_spin_ns = spec.idle_spin_ns});
  Job job{.shards = &shards,
          .calls = kCalls,
          .all_done = std::latch(static_cast<ptrdiff_t>(spec.shards * kTasks))};
  for (ShardId id = 0; id < spec.shards; ++id) {
    shards.On(id, [&job, &shards, id] {
      for (uint64_t i = 0; i < kTasks; ++i) {
        shards.executor(id).Spawn(CallAllOthers(&job, id, 100 * id + i));
      }
    });
  }
  job.all_done.wait();
  EXPECT_EQ(job.done.load(), spec.shards * kTasks * kCalls);
  shards.Stop();
  EXPECT_EQ(Token::live(), 0);
  for (ShardId id = 0; id < spec.shards; ++id) {
    EXPECT_EQ(shards.port(id).calls_on_their_way(), 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Lengths, MeshAllToAllTest,
                         testing::Values(AllToAll{2, 1, 0}, AllToAll{2, 1, 50'000},
                                         AllToAll{3, 1, 0}, AllToAll{4, 2, 10'000},
                                         AllToAll{5, 256, 0}),
                         NameOf);

// Two that always sleep when the other's message comes.
TEST(MeshSleepTest, NoWakeUpIsLost) {
  ThreadShards shards(2);
  std::latch done(1);
  shards.On(0, [&] {
    shards.executor(0).Spawn([](ThreadShards* on, std::latch* end) -> Task<> {
      for (int i = 0; i < 5000; ++i) {
        EXPECT_EQ((co_await on->port(0).SubmitTo(
                       1, [](int x) { return x; }, i))
                      .value(),
                  i);
      }
      end->count_down();
    }(&shards, &done));
  });
  done.wait();
  shards.Stop();
  EXPECT_GT(shards.port(0).stats().wake_ups, 1000u);
  EXPECT_GT(shards.port(1).stats().wake_ups, 1000u);
}

// Calls that time out all the time, of a task there that sleeps about as long.
Task<> CallWithTimeouts(Job* job, ShardId here, uint64_t seed) {
  Random random(seed);
  for (uint64_t i = 0; i < job->calls; ++i) {
    const auto to = static_cast<ShardId>(random.Below(job->shards->count()));
    const absl::Status status = co_await Timeout(
        std::chrono::microseconds(random.Below(100)),
        [](Job* of, ShardId from, ShardId at, uint64_t sleep_us) -> Task<absl::Status> {
          co_return co_await of->shards->port(from).SubmitTo(
              at,
              [](uint64_t duration_us, Token /*token*/) -> Task<> {
                co_await Sleep(std::chrono::microseconds(duration_us));
              },
              sleep_us, Token());
        }(job, here, to, random.Below(100)));
    EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kDeadlineExceeded) << status;
  }
  job->all_done.count_down();
}

TEST(MeshCancelTest, CallsThatAreEndedOnTheirWayLeaveNothing) {
  constexpr size_t kShards = 3;
  {
    ThreadShards shards(kShards, {.ring_capacity = 2}, {.timer_batch_ns = 0});
    Job job{.shards = &shards, .calls = 300, .all_done = std::latch(kShards * 4)};
    for (ShardId id = 0; id < kShards; ++id) {
      shards.On(id, [&job, &shards, id] {
        for (uint64_t i = 0; i < 4; ++i) {
          shards.executor(id).Spawn(CallWithTimeouts(&job, id, 100 * id + i));
        }
      });
    }
    job.all_done.wait();
    // All are answered soon.
    for (ShardId id = 0; id < kShards; ++id) {
      std::latch none_left(1);
      shards.On(id, [&] {
        shards.executor(id).Spawn([](MeshPort* port, std::latch* end) -> Task<> {
          while (port->calls_on_their_way() > 0) co_await Sleep(100us);
          end->count_down();
        }(&shards.port(id), &none_left));
      });
      none_left.wait();
    }
    EXPECT_EQ(Token::live(), 0);
  }
  EXPECT_EQ(Token::live(), 0);
}

TEST(MeshStopThreadsTest, ShardsMayStopOneAfterTheOtherAtAnyTime) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    constexpr size_t kShards = 3;
    Random random(seed);
    {
      ThreadShards shards(kShards, {.ring_capacity = 1 + random.Below(4)});
      Job job{.shards = &shards, .calls = UINT64_MAX, .all_done = std::latch(1)};
      for (ShardId id = 0; id < kShards; ++id) {
        shards.On(id, [&job, &shards, id, seed] {
          for (uint64_t i = 0; i < 4; ++i) {
            shards.executor(id).Spawn(CallAllOthers(&job, id, seed + 100 * id + i));
          }
        });
      }
      while (job.done.load(std::memory_order_relaxed) < random.Below(1000)) {
        std::this_thread::yield();
      }
      const auto first = static_cast<ShardId>(random.Below(kShards));
      shards.StopOne(first);
      const uint64_t done = job.done.load();
      while (random.OneIn(2) && job.done.load() < done + 100) std::this_thread::yield();
      shards.Stop();
    }
    // What was left on the way went with the mesh.
    EXPECT_EQ(Token::live(), 0);
  }
}

}  // namespace
}  // namespace ioengine
