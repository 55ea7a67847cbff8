#include "ioengine/tools/benchmark/subprocess.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "absl/status/status.h"

namespace ioengine::bench {
namespace {

using Clock = std::chrono::steady_clock;

const std::atomic<bool> kNever = false;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

TEST(RunProcessTest, KeepsBothStreamsAndTheStatus) {
  const auto result = RunProcess({"sh", "-c", "echo out; echo err >&2; exit 7"}, {}, 30, kNever);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output, "out\n");
  EXPECT_EQ(result->errors, "err\n");
  EXPECT_EQ(result->exit_status, 7);
}

TEST(RunProcessTest, ArgumentsAreNotAShellsBusiness) {
  const auto result = RunProcess({"printf", "%s|", "a b", "$HOME", "'"}, {}, 30, kNever);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output, "a b|$HOME|'|");
}

TEST(RunProcessTest, AddsToTheEnvironment) {
  const auto result = RunProcess({"sh", "-c", "echo $IOENGINE_TEST; test -n \"$PATH\""},
                                 {{"IOENGINE_TEST", "yes"}}, 30, kNever);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output, "yes\n");
  EXPECT_EQ(result->exit_status, 0);
}

TEST(RunProcessTest, ReadsMoreThanAPipeHolds) {
  const auto result = RunProcess(
      {"sh", "-c", "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2"}, {}, 30, kNever);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output.size(), 1000000u);
  EXPECT_EQ(result->errors.size(), 1000000u);
}

TEST(RunProcessTest, BoundsWhatItKeeps) {
  const auto result = RunProcess({"head", "-c", "20000000", "/dev/zero"}, {}, 60, kNever);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output.size(), size_t{16} << 20);
  EXPECT_EQ(result->exit_status, 0);
}

TEST(RunProcessTest, StandardInputIsEmpty) {
  const auto result = RunProcess({"cat"}, {}, 30, kNever);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output, "");
}

TEST(RunProcessTest, NoSuchProgram) {
  const auto result = RunProcess({"ioengine-no-such-program"}, {}, 30, kNever);
  EXPECT_TRUE(absl::IsNotFound(result.status())) << result.status();
  EXPECT_NE(result.status().message().find("ioengine-no-such-program"), absl::string_view::npos);
  EXPECT_TRUE(absl::IsInvalidArgument(RunProcess({}, {}, 30, kNever).status()));
}

TEST(RunProcessTest, AKilledProgramHasAShellsStatus) {
  const auto result = RunProcess({"sh", "-c", "kill -9 $$"}, {}, 30, kNever);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_status, 128 + 9);
}

TEST(RunProcessTest, StopsAtItsDeadline) {
  const auto start = Clock::now();
  const auto result = RunProcess({"sleep", "60"}, {}, 0.1, kNever);
  EXPECT_TRUE(absl::IsDeadlineExceeded(result.status())) << result.status();
  EXPECT_LT(SecondsSince(start), 30);
}

TEST(RunProcessTest, StopsWhenCancelled) {
  std::atomic<bool> cancelled = false;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    cancelled = true;
  });
  const auto start = Clock::now();
  const auto result = RunProcess({"sleep", "60"}, {}, 120, cancelled);
  later.join();
  EXPECT_TRUE(absl::IsCancelled(result.status())) << result.status();
  EXPECT_LT(SecondsSince(start), 30);
}

TEST(RunProcessTest, KillsWhatDoesNotListen) {
  const std::atomic<bool> cancelled = true;
  const auto start = Clock::now();
  // A shell that ignores SIGTERM, and waits within itself.
  const auto result = RunProcess(
      {"sh", "-c", "trap '' TERM; while :; do read line || sleep 0.1; done"}, {}, 120, cancelled);
  EXPECT_TRUE(absl::IsCancelled(result.status())) << result.status();
  EXPECT_LT(SecondsSince(start), 30);
}

TEST(RunProcessTest, DoesNotWaitForAGrandchild) {
  const auto start = Clock::now();
  const auto result = RunProcess({"sh", "-c", "sleep 20 & echo done"}, {}, 120, kNever);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output, "done\n");
  EXPECT_LT(SecondsSince(start), 15);
}

}  // namespace
}  // namespace ioengine::bench
