#include "ioengine/sched/check.h"

#include <cstdint>

#include "gtest/gtest.h"
#include "ioengine/sched/clock.h"

namespace ioengine {
namespace {

TEST(CheckTest, EvaluatesItsConditionOnceAndTheMessageNever) {
  int conditions = 0;
  int messages = 0;
  const auto message = [&] {
    ++messages;
    return "unused";
  };
  IOENGINE_CHECK(++conditions == 1, message());
  EXPECT_EQ(conditions, 1);
  EXPECT_EQ(messages, 0);
}

TEST(CheckTest, IsOneStatement) {
  bool reached = false;
  if (!reached)
    IOENGINE_CHECK(true, "");
  else
    FAIL();
  reached = true;
  EXPECT_TRUE(reached);
}

TEST(CheckDeathTest, NamesPlaceConditionAndMessage) {
  const int two = 2;
  EXPECT_DEATH(IOENGINE_CHECK(two == 3, "count with care"),
               "check_test\\.cc:[0-9]+: check failed: two == 3: count with care");
}

TEST(MonotonicClockTest, NeverGoesBack) {
  const MonotonicClock& clock = MonotonicClock::Get();
  uint64_t last = clock.NowNs();
  const uint64_t first = last;
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t now = clock.NowNs();
    ASSERT_GE(now, last);
    last = now;
  }
  EXPECT_GT(last, first);
}

}  // namespace
}  // namespace ioengine
