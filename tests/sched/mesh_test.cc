// Mesh: calls between shards, in simulated time on one thread.

#include "ioengine/sched/mesh.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
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
using testing::HasSubstr;
using testing::IsEmpty;

using Log = std::vector<std::string>;

// Which shard runs this.
ShardId Here(SimulatedShards* shards) {
  for (ShardId id = 0; id < shards->count(); ++id) {
    if (Executor::Current() == &shards->executor(id)) return id;
  }
  return 999;
}

TEST(MeshTest, CallsAFunctionThereAndGivesItsResultHere) {
  SimulatedShards shards(3);
  Log log;
  shards.On(1, [&] {
    shards.executor(1).Spawn([](SimulatedShards* on, Log* seen) -> Task<> {
      for (const ShardId to : {0u, 1u, 2u}) {
        const absl::StatusOr<ShardId> ran_on = co_await on->port(1).SubmitTo(to, Here, on);
        EXPECT_EQ(ran_on.value(), to);
        EXPECT_EQ(Here(on), 1u);
        seen->push_back(std::to_string(*ran_on));
      }
    }(&shards, &log));
  });
  shards.RunUntilIdle();
  EXPECT_THAT(log, ElementsAre("0", "1", "2"));
}

// Runs `task` on shard 0 of two, until all is idle.
template <typename Function>
void RunOnFirst(SimulatedShards& shards, Function function) {
  shards.On(0, [&shards, function] { shards.executor(0).Spawn(function(&shards)); });
  shards.RunUntilIdle();
}

TEST(MeshTest, GivesStatusAndStatusOrAsTheyAre) {
  SimulatedShards shards(2);
  RunOnFirst(shards, [](SimulatedShards* on) -> Task<> {
    MeshPort& port = on->port(0);
    const absl::Status nothing = co_await port.SubmitTo(1, [] {});
    EXPECT_TRUE(nothing.ok());
    const absl::Status failed = co_await port.SubmitTo(1, [] { return absl::DataLossError("x"); });
    EXPECT_EQ(failed.code(), absl::StatusCode::kDataLoss);
    const absl::StatusOr<int> value = co_await port.SubmitTo(
        1, [](int x) { return absl::StatusOr<int>(x + 1); }, 4);
    EXPECT_EQ(value.value(), 5);
    const absl::StatusOr<std::unique_ptr<int>> moved = co_await port.SubmitTo(
        1, [](std::unique_ptr<int> x) { return x; }, std::make_unique<int>(3));
    EXPECT_EQ(**moved, 3);
  });
}

Task<int> AddAfterSleep(int one, int other) {
  co_await Sleep(1ms);
  co_return one + other;
}

TEST(MeshTest, RunsACoroutineThere) {
  SimulatedShards shards(2);
  RunOnFirst(shards, [](SimulatedShards* on) -> Task<> {
    const absl::StatusOr<int> sum = co_await on->port(0).SubmitTo(1, AddAfterSleep, 2, 3);
    EXPECT_EQ(sum.value(), 5);
    const absl::Status done =
        co_await on->port(0).SubmitTo(1, []() -> Task<> { co_await Yield(); });
    EXPECT_TRUE(done.ok());
  });
  EXPECT_EQ(shards.executor(1).stats().timers_fired, 1u);
}

TEST(MeshTest, SeveralCallsOfATaskAreOnTheirWayAtOnce) {
  SimulatedShards shards(3);
  RunOnFirst(shards, [](SimulatedShards* on) -> Task<> {
    auto first = on->port(0).SubmitTo(1, AddAfterSleep, 1, 2);
    auto second = on->port(0).SubmitTo(2, AddAfterSleep, 3, 4);
    EXPECT_EQ(on->port(0).calls_on_their_way(), 2u);
    EXPECT_EQ((co_await second).value(), 7);
    EXPECT_EQ((co_await first).value(), 3);
    EXPECT_EQ(on->clock().NowNs(), 1'000'000u);
  });
  EXPECT_EQ(shards.port(0).calls_on_their_way(), 0u);
}

TEST(MeshTest, ATurnsMessagesArePublishedOnceAndWakeOnce) {
  SimulatedShards shards(2);
  shards.RunUntilIdle();  // asleep
  RunOnFirst(shards, [](SimulatedShards* on) -> Task<> {
    TaskScope scope(on->executor(0));
    for (int i = 0; i < 10; ++i) {
      scope.Spawn([](MeshPort* port) -> Task<> {
        EXPECT_TRUE((co_await port->SubmitTo(1, [] {})).ok());
      }(&on->port(0)));
    }
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
  EXPECT_EQ(shards.port(0).stats().messages_sent, 10u);
  EXPECT_EQ(shards.port(0).stats().batches_published, 1u);
  EXPECT_EQ(shards.port(0).stats().wake_ups, 1u);
  EXPECT_EQ(shards.port(1).stats().batches_published, 1u);
}

// ---- Ownership ----

TEST(MeshTest, FunctionAndArgumentsEndThereBeforeTheResultIsGiven) {
  SimulatedShards shards(2);
  Log log;
  RunOnFirst(shards, [&log](SimulatedShards* on) {
    return [](SimulatedShards* of, Log* seen) -> Task<> {
      const absl::StatusOr<Probe> result = co_await of->port(0).SubmitTo(
          1, [](Probe) { return Probe(nullptr, ""); }, Probe(seen, "~argument"));
      seen->push_back("result");
    }(on, &log);
  });
  EXPECT_THAT(log, ElementsAre("~argument", "result"));
}

TEST(MeshTest, ACoroutinesLocalsAndArgumentsEndThereBeforeTheResultIsGiven) {
  SimulatedShards shards(2);
  Log log;
  RunOnFirst(shards, [&log](SimulatedShards* on) {
    return [](SimulatedShards* of, Log* seen) -> Task<> {
      EXPECT_TRUE((co_await of->port(0).SubmitTo(
                       1,
                       [](Log* to, Probe) -> Task<> {
                         const Probe local(to, "~local");
                         co_await Sleep(1us);
                       },
                       seen, Probe(seen, "~argument")))
                      .ok());
      seen->push_back("result");
    }(on, &log);
  });
  EXPECT_THAT(log, ElementsAre("~local", "~argument", "result"));
}

// ---- Cancellation, deadline, class ----

Task<> SleepForEver(Log* log) {
  const Probe probe(log, "~remote");
  log->push_back("remote");
  co_await Sleep(1h);
}

TEST(MeshTest, ATimeoutEndsTheCoroutineThere) {
  SimulatedShards shards(2);
  Log log;
  RunOnFirst(shards, [&log](SimulatedShards* on) {
    return [](SimulatedShards* of, Log* seen) -> Task<> {
      const absl::Status status =
          co_await Timeout(1ms, [](MeshPort* port, Log* to) -> Task<absl::Status> {
            co_return co_await port->SubmitTo(1, SleepForEver, to);
          }(&of->port(0), seen));
      EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
      seen->push_back("timeout");
    }(on, &log);
  });
  EXPECT_THAT(log, ElementsAre("remote", "timeout", "~remote"));
  EXPECT_LT(shards.clock().NowNs(), 3'600'000'000'000u);
  EXPECT_EQ(shards.port(0).calls_on_their_way(), 0u);
}

TEST(MeshTest, ACallThatIsNotWaitedForDoesNotRun) {
  SimulatedShards shards(2);
  Log log;
  RunOnFirst(shards, [&log](SimulatedShards* on) {
    return [](SimulatedShards* of, Log* seen) -> Task<> {
      {
        auto call = of->port(0).SubmitTo(
            1, [](Log* to, Probe) { to->push_back("ran"); }, seen, Probe(seen, "~argument"));
      }
      co_return;
    }(on, &log);
  });
  EXPECT_THAT(log, ElementsAre("~argument"));
}

TEST(MeshTest, TheDeadlineGoesAlong) {
  SimulatedShards shards(2);
  RunOnFirst(shards, [](SimulatedShards* on) -> Task<> {
    EXPECT_TRUE((co_await Timeout(5ms,
                                  [](MeshPort* port) -> Task<> {
                                    const absl::StatusOr<uint64_t> deadline_ns =
                                        co_await port->SubmitTo(1, []() -> Task<uint64_t> {
                                          co_return CurrentDeadlineNs();
                                        });
                                    EXPECT_EQ(deadline_ns.value(), CurrentDeadlineNs());
                                    EXPECT_NE(*deadline_ns, TaskContext::kNoDeadline);
                                  }(&on->port(0))))
                    .ok());
  });
}

TEST(MeshTest, AStopIsPassedOn) {
  SimulatedShards shards(2);
  Log log;
  RunOnFirst(shards, [&log](SimulatedShards* on) {
    return [](SimulatedShards* of, Log* seen) -> Task<> {
      TaskScope scope(of->executor(0));
      scope.Spawn([](MeshPort* port, Log* to) -> Task<> {
        const absl::StatusOr<bool> stopped = co_await port->SubmitTo(1, []() -> Task<bool> {
          const StopToken token = CurrentStopToken();
          for (int i = 0; i < 20 && !token.stop_requested(); ++i) co_await Sleep(1ms);
          co_return token.stop_requested();
        });
        to->push_back(stopped.value() ? "stopped" : "not stopped");
      }(&of->port(0), seen));
      co_await Sleep(10ms);
      scope.RequestStop();
      EXPECT_TRUE((co_await scope.Join()).ok());
    }(on, &log);
  });
  EXPECT_THAT(log, ElementsAre("stopped"));
}

TEST(MeshTest, TheClassGoesAlong) {
  SimulatedShards shards(2);
  for (const ShardId id : {0u, 1u}) {
    ASSERT_EQ(shards.executor(id).CreateClass({.name = "batch"}).value(), 1);
  }
  ASSERT_EQ(shards.executor(0).CreateClass({.name = "only on the first"}).value(), 2);
  std::vector<int> classes;
  shards.On(0, [&] {
    for (const ClassId id : {0, 1, 2}) {
      shards.executor(0).Spawn(
          [](SimulatedShards* on, std::vector<int>* seen) -> Task<> {
            const auto current = [](Executor* of) { return of->current_class(); };
            const absl::StatusOr<ClassId> function =
                co_await on->port(0).SubmitTo(1, current, &on->executor(1));
            const absl::StatusOr<ClassId> coroutine = co_await on->port(0).SubmitTo(
                1, []() -> Task<ClassId> { co_return co_await ClassOfTask(); });
            EXPECT_EQ(*function, *coroutine);
            seen->push_back(*function);
          }(&shards, &classes),
          id);
    }
  });
  shards.RunUntilIdle();
  EXPECT_THAT(classes, testing::UnorderedElementsAre(0, 1, 0));
}

// The result outlives the task that waits for it.
Task<int> AwaitThere(MeshResult<int>* result) { co_return (co_await *result).value(); }

TEST(MeshTest, ATaskThatWaitsMayEndBeforeTheAnswerComes) {
  SimulatedShards shards(2);
  RunOnFirst(shards, [](SimulatedShards* on) -> Task<> {
    auto slow = on->port(0).SubmitTo(1, AddAfterSleep, 1, 2);
    const absl::StatusOr<int> first = co_await Timeout(100us, AwaitThere(&slow));
    EXPECT_EQ(first.status().code(), absl::StatusCode::kDeadlineExceeded);
    co_await Sleep(5ms);  // it comes
    EXPECT_TRUE(slow.ready());
    EXPECT_EQ((co_await slow).value(), 3);
  });
}

// Asks for the deadline of the task that it ends in.
class AsksAtEnd {
 public:
  explicit AsksAtEnd(int* asked) : asked_(asked) {}
  AsksAtEnd(AsksAtEnd&& other) noexcept : asked_(std::exchange(other.asked_, nullptr)) {}
  AsksAtEnd& operator=(AsksAtEnd&&) = delete;
  ~AsksAtEnd() {
    if (asked_ == nullptr) return;
    CurrentDeadlineNs();
    ++*asked_;
  }

 private:
  int* asked_;
};

TEST(MeshTest, ArgumentsOfCoroutinesEndBeforeTheirAnswersLeave) {
  SimulatedShards shards(2);
  int asked = 0;
  RunOnFirst(shards, [&asked](SimulatedShards* on) {
    return [](SimulatedShards* of, int* count) -> Task<> {
      std::vector<MeshResult<void>> calls;
      for (int i = 0; i < 100; ++i) {
        calls.push_back(of->port(0).SubmitTo(
            1, [](AsksAtEnd) -> Task<> { co_return; }, AsksAtEnd(count)));
      }
      for (MeshResult<void>& call : calls) EXPECT_TRUE((co_await call).ok());
      EXPECT_EQ(*count, 100);
    }(on, &asked);
  });
}

// ---- The end of a shard ----

TEST(MeshStopTest, CallsToAShardThatStopsGetUnavailable) {
  SimulatedShards shards(2);
  Log log;
  const auto call = [](SimulatedShards* on, Log* seen) -> Task<> {
    const absl::Status status = co_await on->port(0).SubmitTo(1, SleepForEver, seen);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(status.message()), HasSubstr("shard 1 has stopped"));
    seen->push_back("unavailable");
  };
  shards.On(0, [&] { shards.executor(0).Spawn(call(&shards, &log)); });
  for (int i = 0; i < 5; ++i) {
    shards.Pump(0);
    shards.Pump(1);
  }
  EXPECT_THAT(log, ElementsAre("remote"));
  shards.Stop(1);
  EXPECT_THAT(log, ElementsAre("remote", "~remote"));
  shards.Pump(0);
  EXPECT_THAT(log, ElementsAre("remote", "~remote", "unavailable"));
  // Also those that come later.
  shards.On(0, [&] { shards.executor(0).Spawn(call(&shards, &log)); });
  shards.Pump(0);
  EXPECT_EQ(log.size(), 4u);
}

TEST(MeshStopTest, AShardThatStopsEndsItsCalls) {
  SimulatedShards shards(2);
  Log log;
  shards.On(0, [&] {
    shards.executor(0).Spawn([](SimulatedShards* on, Log* seen) -> Task<> {
      EXPECT_TRUE((co_await on->port(0).SubmitTo(1, SleepForEver, seen)).ok());
    }(&shards, &log));
  });
  for (int i = 0; i < 5; ++i) {
    shards.Pump(0);
    shards.Pump(1);
  }
  shards.Stop(0);
  EXPECT_THAT(log, ElementsAre("remote"));
  shards.Pump(1);
  EXPECT_THAT(log, ElementsAre("remote", "~remote"));
}

// ---- A shard that nobody runs ----

TEST(MeshTimeoutTest, CallsToAShardThatTakesNothingGetDeadlineExceeded) {
  SimulatedShards shards(2, {.ring_capacity = 1, .peer_timeout_ns = 1'000'000'000});
  Log log;
  shards.On(0, [&] {
    for (int i = 0; i < 3; ++i) {
      shards.executor(0).Spawn([](SimulatedShards* on, Log* seen) -> Task<> {
        const absl::Status status = co_await on->port(0).SubmitTo(1, [] {});
        seen->emplace_back(status.message());
        EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
      }(&shards, &log));
    }
  });
  for (int i = 0; i < 30; ++i) {
    shards.Pump(0);
    shards.clock().Advance(100'000'000);
  }
  EXPECT_THAT(log, testing::Each(HasSubstr("shard 1 has taken no messages for 1000 ms")));
  EXPECT_EQ(log.size(), 3u);
  EXPECT_EQ(shards.port(0).calls_on_their_way(), 3u);
  // It comes back to life.
  shards.RunUntilIdle();
  EXPECT_EQ(shards.port(0).calls_on_their_way(), 0u);
  RunOnFirst(shards, [](SimulatedShards* on) -> Task<> {
    EXPECT_TRUE((co_await on->port(0).SubmitTo(1, [] {})).ok());
  });
}

TEST(MeshTimeoutTest, ALongCallToAShardThatLivesIsWaitedFor) {
  SimulatedShards shards(2, {.peer_timeout_ns = 1'000'000'000});
  RunOnFirst(shards, [](SimulatedShards* on) -> Task<> {
    EXPECT_TRUE((co_await on->port(0).SubmitTo(1, []() -> Task<> { co_await Sleep(1h); })).ok());
  });
  EXPECT_EQ(shards.port(0).stats().peer_timeouts, 0u);
}

// ---- Bounds ----

TEST(MeshBoundTest, MoreCallsThanThereIsRoomForAreRefused) {
  SimulatedShards shards(2, {.max_call_bytes = 64 * 500});
  std::vector<absl::StatusCode> codes;
  RunOnFirst(shards, [&codes](SimulatedShards* on) {
    return [](SimulatedShards* of, std::vector<absl::StatusCode>* seen) -> Task<> {
      std::vector<MeshResult<void>> calls;
      for (int i = 0; i < 1000; ++i) calls.push_back(of->port(0).SubmitTo(1, [] {}));
      for (MeshResult<void>& call : calls) seen->push_back((co_await call).code());
    }(on, &codes);
  });
  EXPECT_EQ(codes.size(), 1000u);
  EXPECT_EQ(codes.front(), absl::StatusCode::kOk);
  EXPECT_EQ(codes.back(), absl::StatusCode::kResourceExhausted);
  EXPECT_GT(shards.port(0).stats().times_calls_full, 0u);
  EXPECT_GT(shards.port(0).stats().times_ring_full, 0u);
}

}  // namespace
}  // namespace ioengine
