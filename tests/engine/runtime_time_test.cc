// Runtime: what it does about time on its shards' threads.

#include <sys/prctl.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/stall.h"
#include "ioengine/tests/engine/runtime_fixture.h"

namespace ioengine {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::SizeIs;

Task<int> TimerSlackNs(Shard& /*shard*/) { co_return prctl(PR_GET_TIMERSLACK, 0UL, 0UL, 0UL, 0UL); }

TEST_F(RuntimeFixture, ItsThreadsWakeUpAtTheTimeThatTheyAskedFor) {
  EXPECT_EQ(runtime_->Submit(0, TimerSlackNs).Wait().value(), 1);
  EXPECT_GT(prctl(PR_GET_TIMERSLACK, 0UL, 0UL, 0UL, 0UL), 1) << "the caller's thread is its own";
}

Task<uint64_t> LatenessOfASleepNs(Shard& shard) {
  const uint64_t deadline_ns = shard.executor().clock().NowNs() + 2'000'000;
  co_await SleepUntil(deadline_ns);
  co_return shard.executor().clock().NowNs() - deadline_ns;
}

TEST_F(RuntimeFixture, ASleepEndsAfterItsTimeAndNotBefore) {
  for (int i = 0; i < 20; ++i) {
    const uint64_t late_ns = runtime_->Submit(0, LatenessOfASleepNs).Wait().value();
    EXPECT_LT(late_ns, 10'000'000'000u);  // wraps around when it is early
  }
}

Task<> KeepTheShardBusy(Shard& shard, milliseconds duration) {
  const auto end_ns = shard.executor().clock().NowNs() +
                      static_cast<uint64_t>(std::chrono::nanoseconds(duration).count());
  while (shard.executor().clock().NowNs() < end_ns) {
  }
  co_return;
}

TEST(RuntimeTimeTest, StallsAreReportedOnTheShard) {
  std::mutex mutex;
  std::vector<StallReport> reports;
  RuntimeOptions options{.buffer_pool_bytes = kSmallPoolBytes};
  options.stall.threshold_ns = 20'000'000;
  options.stall.report = [&](const StallReport& report) {
    EXPECT_NE(Executor::Current(), nullptr);
    const std::lock_guard<std::mutex> lock(mutex);
    reports.push_back(report);
  };
  {
    const auto runtime = StartRuntime(options);
    EXPECT_TRUE(runtime->Submit(0, KeepTheShardBusy, milliseconds(1)).Wait().ok());
    EXPECT_TRUE(runtime->Submit(0, KeepTheShardBusy, milliseconds(60)).Wait().ok());
  }
  const std::lock_guard<std::mutex> lock(mutex);
  ASSERT_THAT(reports, SizeIs(1));
  EXPECT_EQ(reports[0].class_name, "default");
  EXPECT_GE(reports[0].duration_ns, 60'000'000u);
  EXPECT_NE(reports[0].stack.empty(), reports[0].no_stack.empty());
}

}  // namespace
}  // namespace ioengine
