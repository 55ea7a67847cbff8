// StallDetector: what it says of a task that keeps its shard.

#include "ioengine/sched/stall.h"

#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/test_shard.h"

namespace ioengine {

// Not in the unnamed namespace, not inlined: its name is looked for in a stack.
[[gnu::noinline]] void SpinInAFunctionThatIsNamed(uint64_t duration_ns);
void SpinInAFunctionThatIsNamed(uint64_t duration_ns) {
  const uint64_t begin_ns = MonotonicClock::Get().NowNs();
  // Mostly here and not in the clock, which has no frame pointer.
  uint64_t spins = 0;
  while (MonotonicClock::Get().NowNs() - begin_ns < duration_ns) {
    for (int i = 0; i < 100'000; ++i) asm volatile("" : "+r"(spins));
  }
}

Task<> KeepTheShard(uint64_t duration_ns);
Task<> KeepTheShard(uint64_t duration_ns) {
  SpinInAFunctionThatIsNamed(duration_ns);
  co_await Yield();
}

namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr uint64_t kThresholdNs = 20'000'000;
constexpr uint64_t kStallNs = 70'000'000;

bool MayOpenPerfEvents() {
  perf_event_attr attributes{};
  attributes.size = sizeof(attributes);
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.config = PERF_COUNT_SW_TASK_CLOCK;
  attributes.sample_period = 1'000'000;
  attributes.exclude_kernel = 1;
  const auto fd = static_cast<int>(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
  if (fd >= 0) close(fd);
  return fd >= 0;
}

class StallTest : public testing::Test {
 protected:
  ExecutorOptions Options(uint32_t most_per_minute = 5) {
    ExecutorOptions options;
    options.stall.threshold_ns = kThresholdNs;
    options.stall.max_reports_per_minute = most_per_minute;
    options.stall.report = [this](const StallReport& report) { reports_.push_back(report); };
    return options;
  }

  std::vector<StallReport> reports_;
};

TEST_F(StallTest, NamesClassTaskAndPlace) {
  TestShard shard(TimeKind::kReal, Options());
  const ClassId batch = shard.executor().CreateClass({.name = "batch"}).value();
  shard.Run([&] { shard.executor().Spawn(KeepTheShard(kStallNs), batch); });
  ASSERT_THAT(reports_, SizeIs(1));
  EXPECT_EQ(shard.executor().stats().stalls, 1u);
  EXPECT_EQ(reports_[0].class_name, "batch");
  EXPECT_THAT(reports_[0].task, HasSubstr("KeepTheShard"));
  EXPECT_GE(reports_[0].duration_ns, kStallNs);
  EXPECT_EQ(reports_[0].stalls_not_shown, 0u);
  if (MayOpenPerfEvents()) {
    EXPECT_THAT(reports_[0].stack, HasSubstr("SpinInAFunctionThatIsNamed"));
    EXPECT_THAT(reports_[0].no_stack, IsEmpty());
  } else {
    EXPECT_THAT(reports_[0].no_stack, HasSubstr("perf_event_open"));
  }
}

TEST_F(StallTest, SaysThatATaskThatBlocksUsedNoCpu) {
  TestShard shard(TimeKind::kReal, Options());
  shard.Run([&] {
    shard.executor().Spawn([]() -> Task<> {
      std::this_thread::sleep_for(std::chrono::nanoseconds(kStallNs));
      co_return;
    }());
  });
  ASSERT_THAT(reports_, SizeIs(1));
  EXPECT_THAT(reports_[0].stack, IsEmpty());
  EXPECT_THAT(reports_[0].no_stack,
              HasSubstr(MayOpenPerfEvents() ? "system call that blocks" : "perf_event_open"));
}

Task<> SpinThenBlock() {
  SpinInAFunctionThatIsNamed(kStallNs);
  co_await Sleep(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::nanoseconds(kStallNs));
}

TEST_F(StallTest, ShowsNoStackOfAnEarlierSlice) {
  TestShard shard(TimeKind::kReal, Options());
  shard.Run([&] { shard.executor().Spawn(SpinThenBlock()); });
  ASSERT_THAT(reports_, SizeIs(2));
  EXPECT_EQ(reports_[0].stack.empty(), !MayOpenPerfEvents());
  EXPECT_THAT(reports_[1].stack, IsEmpty());
  EXPECT_THAT(reports_[1].no_stack, Not(IsEmpty()));
  // Its frame is gone by then.
  EXPECT_THAT(reports_[1].task, HasSubstr("SpinThenBlock"));
}

TEST_F(StallTest, ASliceOfTheThresholdIsNoneYet) {
  TestShard shard(TimeKind::kSimulated, Options());
  shard.Run([&] {
    shard.executor().Spawn([](TestShard* on) -> Task<> {
      on->clock().Advance(kThresholdNs);
      co_await Yield();
      on->clock().Advance(kThresholdNs + 1);
    }(&shard));
  });
  EXPECT_EQ(shard.executor().stats().stalls, 1u);
  ASSERT_THAT(reports_, SizeIs(1));
  EXPECT_EQ(reports_[0].duration_ns, kThresholdNs + 1);
}

TEST_F(StallTest, StallsAreCountedWhereNobodyWantsReports) {
  TestShard shard(TimeKind::kReal, {.stall = {.threshold_ns = kThresholdNs}});
  shard.Run([&] { shard.executor().Spawn(KeepTheShard(kStallNs)); });
  EXPECT_EQ(shard.executor().stats().stalls, 1u);
}

TEST_F(StallTest, ReportsNoMoreThanSoManyAMinuteAndCountsTheOthers) {
  TestShard shard(TimeKind::kSimulated, Options(2));
  shard.Run([&] {
    shard.executor().Spawn([](TestShard* on) -> Task<> {
      for (int i = 0; i < 5; ++i) {
        on->clock().Advance(kStallNs);
        co_await Yield();
      }
      on->clock().Advance(61'000'000'000);
      co_await Yield();
      on->clock().Advance(kStallNs);
      co_await Yield();
    }(&shard));
  });
  EXPECT_EQ(shard.executor().stats().stalls, 7u);
  ASSERT_THAT(reports_, SizeIs(4));
  EXPECT_EQ(reports_[1].stalls_not_shown, 0u);
  EXPECT_EQ(reports_[2].stalls_not_shown, 3u);
  EXPECT_EQ(reports_[3].stalls_not_shown, 0u) << "they were told of already";
  EXPECT_THAT(reports_[2].no_stack, HasSubstr("simulated"));
}

TEST_F(StallTest, WithoutAThresholdNothingIsAStall) {
  ExecutorOptions options = Options();
  options.stall.threshold_ns = 0;
  TestShard shard(TimeKind::kSimulated, options);
  shard.Run([&] {
    shard.executor().Spawn([](TestShard* on) -> Task<> {
      on->clock().Advance(3'600'000'000'000);
      co_return;
    }(&shard));
  });
  EXPECT_EQ(shard.executor().stats().stalls, 0u);
  EXPECT_THAT(reports_, IsEmpty());
}

TEST_F(StallTest, TheReportsOwnTimeIsNoStall) {
  ExecutorOptions options = Options();
  options.stall.report = [this](const StallReport& report) {
    reports_.push_back(report);
    std::this_thread::sleep_for(std::chrono::nanoseconds(2 * kThresholdNs));
  };
  TestShard shard(TimeKind::kReal, options);
  shard.Run([&] { shard.executor().Spawn(KeepTheShard(kStallNs)); });
  EXPECT_THAT(reports_, SizeIs(1));
}

[[noreturn]] void StallWithoutDescriptors() {
  std::string why;
  ExecutorOptions options;
  options.stall.threshold_ns = kThresholdNs;
  options.stall.report = [&](const StallReport& report) { why = report.no_stack; };
  {
    // UBSan's check of an object's type makes a pipe the first time that it meets the type.
    TestShard before(TimeKind::kReal, options);
    before.Run([&] { before.executor().Spawn(KeepTheShard(kStallNs)); });
  }
  TestShard shard(TimeKind::kReal, options);
  const rlimit few = {64, 64};
  if (setrlimit(RLIMIT_NOFILE, &few) != 0) _exit(9);
  while (dup(STDIN_FILENO) >= 0) {
  }
  shard.Run([&] { shard.executor().Spawn(KeepTheShard(kStallNs)); });
  _exit(why.starts_with("perf_event_open: ") ? 0 : 1);
}

TEST(StallDeathTest, SaysWhyThereIsNoStack) {
  EXPECT_EXIT(StallWithoutDescriptors(), testing::ExitedWithCode(0), "");
}

// As a container's filter does.
bool ForbidPerfEvents() {
  std::array<sock_filter, 4> program = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_perf_event_open, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter = {.len = program.size(), .filter = program.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

[[noreturn]] void StallUnderAFilter() {
  if (!ForbidPerfEvents() || MayOpenPerfEvents()) _exit(9);
  std::string why;
  std::string stack;
  ExecutorOptions options;
  options.stall.threshold_ns = kThresholdNs;
  options.stall.report = [&](const StallReport& report) {
    why = report.no_stack;
    stack = report.stack;
  };
  TestShard shard(TimeKind::kReal, options);
  shard.Run([&] { shard.executor().Spawn(KeepTheShard(kStallNs)); });
  if (!stack.empty()) _exit(1);
  const bool names_all = why.starts_with("perf_event_open: ") &&
                         why.find("kernel.perf_event_paranoid") != std::string::npos &&
                         why.find("seccomp") != std::string::npos;
  _exit(names_all ? 0 : 2);
}

TEST(StallDeathTest, SaysHowToAllowWhatTheSystemForbids) {
  EXPECT_EXIT(StallUnderAFilter(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace ioengine
