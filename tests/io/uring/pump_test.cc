// Executor::Pump over io_uring: everything that a shard waits for wakes its host's epoll.

#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/tests/io/backend_factory.h"
#include "ioengine/tests/io/test_arena.h"
#include "ioengine/tests/io/test_directory.h"
#include "ioengine/tests/sched/task_helpers.h"

namespace ioengine {
namespace {

using testing::ElementsAre;

using Log = std::vector<std::string>;

// A host with an event loop, which lends its thread to a shard.
class Host {
 public:
  Host() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    epoll_event event{.events = EPOLLIN, .data = {}};
    EXPECT_EQ(epoll_ctl(epoll_, EPOLL_CTL_ADD, executor_->fd(), &event), 0);
  }
  ~Host() {
    executor_->RequestStop();
    EXPECT_EQ(executor_->Pump(1'000'000), PumpOutcome::kStopped);
    close(epoll_);
  }

  Executor& executor() { return *executor_; }
  ShardIo& io() { return *io_; }
  int waits() const { return waits_; }

  void Call(std::function<void()> function) {
    ASSERT_EQ(CallOn(*executor_, std::move(function)), CallOutcome::kAccepted);
  }

  // Until `log` has so many entries. An epoll_wait that takes longer than everything here should
  // ends it: something did not make the descriptor readable.
  void RunUntil(const Log& log, size_t entries) {
    while (log.size() < entries) {
      if (executor_->Pump(1'000'000) != PumpOutcome::kIdle || log.size() >= entries) continue;
      ++waits_;
      epoll_event event;
      const int ready = epoll_wait(epoll_, &event, 1, 10'000);
      // The kernel interrupts the thread for a moment when a ring that it used earlier goes away.
      if (ready < 0 && errno == EINTR) continue;
      ASSERT_EQ(ready, 1) << "nothing woke the host";
    }
  }

 private:
  const int epoll_;
  std::unique_ptr<UringBackend> backend_ = MakeUring({.capacity = 8, .ring = {.entries = 8}});
  std::unique_ptr<Executor> executor_ = std::make_unique<Executor>(*backend_, ExecutorOptions());
  const TestArena arena_{size_t{1} << 20};
  std::unique_ptr<ShardIo> io_ = std::make_unique<ShardIo>(*backend_, *executor_, arena_.bytes(),
                                                           ShardIoOptions{.queue_depth = 8});
  int waits_ = 0;
};

Task<> SleepAndNote(std::chrono::nanoseconds duration, Log* log, std::string name) {
  co_await Sleep(duration);
  log->push_back(name);
}

TEST(UringPumpTest, ATimerWakesTheHostAndALaterOneDoesToo) {
  Host host;
  Log log;
  host.Call([&] {
    host.executor().Spawn(SleepAndNote(std::chrono::milliseconds(30), &log, "30"));
    host.executor().Spawn(SleepAndNote(std::chrono::milliseconds(5), &log, "5"));
  });
  host.RunUntil(log, 2);
  EXPECT_THAT(log, ElementsAre("5", "30"));
  EXPECT_GE(host.waits(), 2);
}

TEST(UringPumpTest, AnEarlierTimerThanTheOneThatItWaitsForWakesTheHost) {
  Host host;
  Log log;
  host.Call([&] {
    host.executor().Spawn(SleepAndNote(std::chrono::hours(1), &log, "never"));
    host.executor().Spawn(SleepAndNote(std::chrono::milliseconds(1), &log, "1"));
  });
  host.RunUntil(log, 1);
  host.Call([&] { host.executor().Spawn(SleepAndNote(std::chrono::milliseconds(5), &log, "5")); });
  host.RunUntil(log, 2);
  EXPECT_THAT(log, ElementsAre("1", "5"));
}

TEST(UringPumpTest, ACallFromAnotherThreadWakesTheHost) {
  Host host;
  Log log;
  for (size_t round = 1; round <= 20; ++round) {
    std::thread caller([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(200 * round));
      EXPECT_EQ(CallOn(host.executor(), [&] { log.emplace_back("called"); }),
                CallOutcome::kAccepted);
    });
    host.RunUntil(log, round);
    caller.join();
  }
}

Task<> WriteAndRead(ShardIo* io, std::string path, Log* log) {
  auto file = co_await DmaFile::Open(
      *io, path,
      {.access = DmaFileOptions::Access::kReadWrite, .create = DmaFileOptions::Create::kMustBeNew});
  auto buffer = io->AllocateBuffer(4096);
  if (!file.ok() || !buffer.ok()) {
    ADD_FAILURE() << file.status() << buffer.status();
    co_return;
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE((co_await file->Write(0, *buffer, 4096)).ok());
    EXPECT_EQ((co_await file->Read(0, *buffer, 4096)).value(), 4096u);
  }
  EXPECT_TRUE((co_await file->Close()).ok());
  log->push_back("done");
}

TEST(UringPumpTest, CompletionsWakeTheHost) {
  const TestDirectory directory;
  Host host;
  Log log;
  host.Call([&] { host.executor().Spawn(WriteAndRead(&host.io(), directory.File("x"), &log)); });
  host.RunUntil(log, 1);
  EXPECT_GE(host.waits(), 1);
}

std::array<void (*)(int), 65> Handlers() {
  std::array<void (*)(int), 65> handlers{};
  for (int signal = 1; signal <= 64; ++signal) {
    struct sigaction action {};
    if (sigaction(signal, nullptr, &action) == 0) {
      handlers[static_cast<size_t>(signal)] = action.sa_handler;
    }
  }
  return handlers;
}

TEST(UringPumpTest, TakesNoThreadAndNoSignalOfItsHost) {
  const int threads = CountThreads();
  const auto handlers = Handlers();
  {
    Host host;
    Log log;
    host.Call(
        [&] { host.executor().Spawn(SleepAndNote(std::chrono::milliseconds(2), &log, "slept")); });
    host.RunUntil(log, 1);
    EXPECT_EQ(CountThreads(), threads);
    EXPECT_EQ(Handlers(), handlers);
  }
  EXPECT_TRUE(ThreadsFallTo(threads));
  EXPECT_EQ(Handlers(), handlers);
}

}  // namespace
}  // namespace ioengine
