// Everything that tasks wait with, one inside the other, cancelled at every await. The sweeps of
// each alone are in the tests of each.

#include <chrono>
#include <utility>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/timeout.h"
#include "ioengine/sched/when_all.h"
#include "ioengine/sched/when_any.h"
#include "ioengine/sched/with_stop.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/cancel_sweep.h"

namespace ioengine {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): of literals alone
using std::chrono::nanoseconds;

using CancelEveryAwaitTest = TimedTest;

Task<> Work(Counted, nanoseconds duration) {
  co_await Yield();
  co_await Sleep(duration);
  co_await MaybeYield();
}

Task<absl::Status> JoinTwo(Executor* executor, Counted held) {
  TaskScope scope(*executor, {.cancel_on_failure = true});
  scope.Spawn(Work(held, 30us));
  scope.Spawn([](Counted own) -> Task<absl::Status> {
    co_await Work(own, 10us);
    co_return absl::AbortedError("one child fails");
  }(held));
  co_return co_await scope.Join();
}

// A group in a group in a scope, in all the forms of a wait that something else may end.
Task<> Everything(Executor* executor, Counted held, StopToken stop) {
  co_await WhenAll(Work(held, 10us), Work(held, 0ns));
  const absl::Status joined = co_await Timeout(1h, JoinTwo(executor, held));
  EXPECT_EQ(joined.code(), absl::StatusCode::kAborted);
  const auto race = [](Executor* on, Counted own) -> Task<> {
    const auto first = co_await WhenAny(JoinTwo(on, own), Work(own, 1h));
    EXPECT_EQ(first.index(), 0u);
    co_await Work(own, 1h);
  };
  // Each of these leaves the whole of `race` behind, wherever that is by then.
  EXPECT_EQ((co_await Timeout(20us, race(executor, held))).code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ((co_await WithStop(stop, race(executor, held))).code(), absl::StatusCode::kCancelled);
  TaskScope late(*executor, {.deadline_ns = DeadlineAfter(*executor, 20us)});
  late.Spawn(race(executor, held));
  EXPECT_EQ((co_await late.Join()).code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_P(CancelEveryAwaitTest, AllTogether) {
  int live = 0;
  int bystanders = 0;
  CancelSweep::Run(
      GetParam(),
      [&](TestShard& shard, TaskScope& victims) {
        bystanders = 0;
        StopSource stop;
        Executor* const executor = &shard.executor();
        for (int i = 0; i < 2; ++i) {
          victims.Spawn(Everything(executor, Counted(&live), stop.token()));
        }
        executor->Spawn([](Executor* on, Counted held, StopSource source, int* ended) -> Task<> {
          co_await Everything(on, held, [](StopSource requested) {
            requested.RequestStop();
            return requested.token();
          }(StopSource()));
          co_await Sleep(200us);
          source.RequestStop();
          ++*ended;
        }(executor, Counted(&live), stop, &bystanders));
      },
      [&](bool) {
        EXPECT_EQ(bystanders, 1);
        EXPECT_EQ(live, 0) << "something that a victim held was not released";
      });
}

// Requests a stop when the last copy goes.
class StopAtEnd {
 public:
  explicit StopAtEnd(StopSource source) : source_(std::move(source)) {}
  StopAtEnd(StopAtEnd&&) = default;
  StopAtEnd(const StopAtEnd&) = delete;
  StopAtEnd& operator=(const StopAtEnd&) = delete;
  ~StopAtEnd() {
    if (source_.token().stop_possible()) source_.RequestStop();
  }

 private:
  StopSource source_;
};

// Wherever the victim is cut, also before its first turn, its end wakes the other.
TEST_P(CancelEveryAwaitTest, TheEndOfAVictimStopsABystander) {
  int ended = 0;
  CancelSweep::Run(
      GetParam(),
      [&](TestShard& shard, TaskScope& victims) {
        ended = 0;
        StopSource stop;
        shard.executor().Spawn([](StopToken token, int* count) -> Task<> {
          const auto sleep = [](StopToken own) -> Task<> {
            (co_await Sleep(1h, own)).IgnoreError();
            co_await Sleep(1h);
          };
          EXPECT_EQ((co_await WithStop(token, sleep(token))).code(), absl::StatusCode::kCancelled);
          ++*count;
        }(stop.token(), &ended));
        victims.Spawn([](StopAtEnd) -> Task<> {
          co_await Yield();
          co_await Sleep(30us);
          co_await Yield();
        }(StopAtEnd(stop)));
      },
      [&](bool) { EXPECT_EQ(ended, 1); });
}

INSTANTIATE_TEST_SUITE_P(Time, CancelEveryAwaitTest, kBothTimes, TimeKindName);

}  // namespace
}  // namespace ioengine
