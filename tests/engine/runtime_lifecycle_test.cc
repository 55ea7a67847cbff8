// Runtime: what is left after many lives, and what a child process is told.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/sched/shard_channel.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/tests/engine/runtime_fixture.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

Task<int> GiveShard(Shard& shard) {
  co_await Sleep(std::chrono::microseconds(10));
  co_return static_cast<int>(shard.id());
}

void LiveOnce(const std::function<void(Runtime&)>& function = [](Runtime&) {}) {
  const auto runtime = StartRuntime({.shard_count = 2, .buffer_pool_bytes = kSmallPoolBytes});
  ASSERT_NE(runtime, nullptr);
  EXPECT_EQ(runtime->Submit(1, GiveShard).Wait().value(), 1);
  function(*runtime);
}

size_t Mappings() {
  std::ifstream maps("/proc/self/maps");
  return static_cast<size_t>(
      std::count(std::istreambuf_iterator<char>(maps), std::istreambuf_iterator<char>(), '\n'));
}

TEST(RuntimeLifecycleTest, AThousandLivesLeaveNothing) {
  const int threads = CountThreads();
  for (int i = 0; i < 20; ++i) LiveOnce();
  ASSERT_TRUE(ThreadsFallTo(threads));
  const int fds = CountOpenFds();
  const size_t mappings = Mappings();
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  for (int i = 0; i < 1000 && std::chrono::steady_clock::now() < end; ++i) LiveOnce();
  EXPECT_TRUE(ThreadsFallTo(threads));
  EXPECT_EQ(CountOpenFds(), fds);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they keep mappings
  EXPECT_LE(Mappings(), mappings + 2) << "the allocator may have one or two arenas more";
#else
  static_cast<void>(mappings);
#endif
}

// What a host may keep for longer than a runtime.
struct KeptEnds {
  std::optional<ShardSender<std::unique_ptr<int>>> sender;
  std::optional<ShardReceiver<std::unique_ptr<int>>> receiver;
};

void MakeChannel(Shard& shard, KeptEnds* kept) {
  auto [sender, receiver] = MakeShardChannel<std::unique_ptr<int>>(shard.mesh(), 1, 4);
  for (int i = 0; i < 3; ++i) {
    auto value = std::make_unique<int>(i);
    EXPECT_TRUE(sender.TrySend(value));
  }
  kept->sender.emplace(std::move(sender));
  kept->receiver.emplace(std::move(receiver));
}

Task<absl::Status> ReceiveAndSend(Shard& /*shard*/, KeptEnds* kept) {
  const std::optional<std::unique_ptr<int>> received = co_await kept->receiver->Receive();
  EXPECT_EQ(**received, 1);
  auto value = std::make_unique<int>(9);
  co_return co_await kept->sender->Send(std::move(value));
}

TEST(RuntimeLifecycleTest, EndsOfAChannelMayOutliveIt) {
  KeptEnds kept;
  LiveOnce([&kept](Runtime& runtime) {
    EXPECT_TRUE(runtime.Submit(0, MakeChannel, &kept).Wait().ok());
  });
  EXPECT_EQ(**kept.receiver->TryReceive(), 0);
  auto value = std::make_unique<int>(9);
  EXPECT_FALSE(kept.sender->TrySend(value));
  EXPECT_NE(value, nullptr);
  // The shards of another one do not take them for theirs.
  LiveOnce([&kept](Runtime& runtime) {
    EXPECT_TRUE(absl::IsUnavailable(runtime.Submit(0, ReceiveAndSend, &kept).Wait()));
  });
}

TEST(RuntimeLifecycleTest, AChildThatStopsItsParentsRuntimeDoesNoHarm) {
  const auto runtime = StartRuntime({.shard_count = 2, .buffer_pool_bytes = kSmallPoolBytes});
  ASSERT_NE(runtime, nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(30);  // it must not wait for threads that a child does not have
    runtime->Stop();
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(runtime->Submit(1, GiveShard).Wait().value(), 1) << "the parent's goes on";
}

TEST(RuntimeLifecycleTest, AChildThatDestroysItsParentsRuntimeDoesNoHarm) {
  auto runtime = StartRuntime({.shard_count = 2, .buffer_pool_bytes = kSmallPoolBytes});
  ASSERT_NE(runtime, nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(30);
    const absl::Status refused = runtime->Submit(0, GiveShard).Wait().status();
    runtime.reset();
    _exit(refused.code() == absl::StatusCode::kFailedPrecondition ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(runtime->Submit(1, GiveShard).Wait().value(), 1) << "the parent's goes on";
}

#if !defined(__SANITIZE_THREAD__)  // it lets no child of several threads start one
TEST(RuntimeLifecycleTest, AChildMayStartARuntimeOfItsOwn) {
  const auto runtime = StartRuntime({.shard_count = 2, .buffer_pool_bytes = kSmallPoolBytes});
  ASSERT_NE(runtime, nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    LiveOnce();
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(runtime->Submit(0, GiveShard).Wait().value(), 0);
}
#endif

TEST(RuntimeLifecycleTest, AChildProcessIsToldWhatToDo) {
  const auto runtime = StartRuntime({.shard_count = 1, .buffer_pool_bytes = kSmallPoolBytes});
  const pid_t pid = fork();
  if (pid == 0) {
    const absl::Status status = runtime->Submit(0, GiveShard).Wait().status();
    const bool said = status.code() == absl::StatusCode::kFailedPrecondition &&
                      status.message().find("exec") != absl::string_view::npos;
    _exit(said ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(runtime->Submit(0, GiveShard).Wait().value(), 0) << "the parent's goes on";
}

}  // namespace
}  // namespace ioengine
