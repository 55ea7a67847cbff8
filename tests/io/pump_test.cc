// Executor::Pump over each backend: everything that a shard waits for wakes its host's epoll.

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
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
  explicit Host(const BackendFactory& factory)
      : epoll_(epoll_create1(EPOLL_CLOEXEC)), backend_(factory.make(8)) {
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
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Executor> executor_ = std::make_unique<Executor>(*backend_, ExecutorOptions());
  const TestArena arena_{size_t{1} << 20};
  std::unique_ptr<ShardIo> io_ = std::make_unique<ShardIo>(*backend_, *executor_, arena_.bytes(),
                                                           ShardIoOptions{.queue_depth = 8});
  int waits_ = 0;
};

class PumpTest : public testing::TestWithParam<BackendFactory> {};

Task<> SleepAndNote(std::chrono::nanoseconds duration, Log* log, std::string name) {
  co_await Sleep(duration);
  log->push_back(name);
}

TEST_P(PumpTest, ATimerWakesTheHostAndALaterOneDoesToo) {
  Host host(GetParam());
  Log log;
  host.Call([&] {
    host.executor().Spawn(SleepAndNote(std::chrono::milliseconds(30), &log, "30"));
    host.executor().Spawn(SleepAndNote(std::chrono::milliseconds(5), &log, "5"));
  });
  host.RunUntil(log, 2);
  EXPECT_THAT(log, ElementsAre("5", "30"));
  EXPECT_GE(host.waits(), 2);
}

TEST_P(PumpTest, AnEarlierTimerThanTheOneThatItWaitsForWakesTheHost) {
  Host host(GetParam());
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

TEST_P(PumpTest, ACallFromAnotherThreadWakesTheHost) {
  Host host(GetParam());
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

TEST_P(PumpTest, CompletionsWakeTheHost) {
  const TestDirectory directory;
  Host host(GetParam());
  Log log;
  host.Call([&] { host.executor().Spawn(WriteAndRead(&host.io(), directory.File("x"), &log)); });
  host.RunUntil(log, 1);
  EXPECT_GE(host.waits(), 1);
}

// Whether `fd` is readable, or becomes so in that time.
bool IsReadable(int fd, int timeout_ms) {
  pollfd descriptor = {.fd = fd, .events = POLLIN, .revents = 0};
  int ready;
  do {
    ready = poll(&descriptor, 1, timeout_ms);
  } while (ready < 0 && errno == EINTR);
  return ready == 1;
}

constexpr int kLostMs = 10'000;

void PumpUntilIdle(Executor& executor) {
  PumpOutcome outcome;
  do {
    outcome = executor.Pump(1'000'000);
  } while (outcome == PumpOutcome::kMore);
  ASSERT_EQ(outcome, PumpOutcome::kIdle);
}

TEST_P(PumpTest, TheDescriptorIsReadableFromTheCallToThePumpAndNoLonger) {
  Host host(GetParam());
  const int fd = host.executor().fd();
  PumpUntilIdle(host.executor());
  Log log;
  for (size_t round = 1; round <= 3; ++round) {
    EXPECT_FALSE(IsReadable(fd, 0)) << "a host would spin";
    std::thread([&] { host.Call([&] { log.emplace_back("called"); }); }).join();
    EXPECT_TRUE(IsReadable(fd, kLostMs));
    EXPECT_TRUE(IsReadable(fd, 0)) << "it is level-triggered";
    PumpUntilIdle(host.executor());
    EXPECT_EQ(log.size(), round);
  }
  EXPECT_FALSE(IsReadable(fd, 0));
}

// As Runtime::ShardFd may be used only after the first PumpShard.
TEST_P(PumpTest, NothingIsLostThatCameBeforeTheDescriptorWasAskedFor) {
  const std::unique_ptr<Backend> backend = GetParam().make(8);
  const auto executor = std::make_unique<Executor>(*backend, ExecutorOptions());
  PumpUntilIdle(*executor);
  Log log;
  std::thread([&] {
    EXPECT_EQ(CallOn(*executor, [&] { log.emplace_back("called"); }), CallOutcome::kAccepted);
  }).join();
  EXPECT_TRUE(IsReadable(executor->fd(), kLostMs));
  while (log.empty()) PumpUntilIdle(*executor);
  EXPECT_FALSE(IsReadable(executor->fd(), 0));
  executor->RequestStop();
  EXPECT_EQ(executor->Pump(1'000'000), PumpOutcome::kStopped);
}

TEST_P(PumpTest, ADescriptorOfAnIdleShardStaysSilentAfterATimer) {
  Host host(GetParam());
  Log log;
  host.Call(
      [&] { host.executor().Spawn(SleepAndNote(std::chrono::milliseconds(2), &log, "slept")); });
  PumpUntilIdle(host.executor());
  EXPECT_TRUE(IsReadable(host.executor().fd(), kLostMs));
  while (log.empty()) PumpUntilIdle(host.executor());
  EXPECT_FALSE(IsReadable(host.executor().fd(), 20));
}

TEST_P(PumpTest, AStopFromAnotherThreadWakesTheHost) {
  Host host(GetParam());
  PumpUntilIdle(host.executor());
  std::thread stopper([&] { host.executor().RequestStop(); });
  EXPECT_TRUE(IsReadable(host.executor().fd(), kLostMs));
  stopper.join();
  EXPECT_EQ(host.executor().Pump(1'000'000), PumpOutcome::kStopped);
}

TEST_P(PumpTest, AHostLendsOneThreadToSeveralShards) {
  std::array<Host, 2> hosts = {Host(GetParam()), Host(GetParam())};
  Log log;
  std::array<pollfd, 2> descriptors{};
  for (size_t i = 0; i < hosts.size(); ++i) {
    hosts[i].Call([&, i] {
      for (int at = 1; at <= 3; ++at) {
        hosts[i].executor().Spawn(
            SleepAndNote(std::chrono::milliseconds(2 * at), &log, std::to_string(i)));
      }
    });
    descriptors[i] = {.fd = hosts[i].executor().fd(), .events = POLLIN, .revents = POLLIN};
  }
  while (log.size() < 6) {
    for (size_t i = 0; i < hosts.size(); ++i) {
      // Only those that ask for it.
      if (descriptors[i].revents != 0) PumpUntilIdle(hosts[i].executor());
    }
    if (log.size() == 6) break;
    const int ready = poll(descriptors.data(), descriptors.size(), kLostMs);
    ASSERT_TRUE(ready > 0 || (ready < 0 && errno == EINTR)) << "nothing woke the host";
  }
  EXPECT_EQ(std::count(log.begin(), log.end(), "0"), 3);
}

// What the process does at each signal.
std::array<std::pair<void (*)(int), int>, 65> Handlers() {
  std::array<std::pair<void (*)(int), int>, 65> handlers{};
  for (int signal = 1; signal <= 64; ++signal) {
    struct sigaction action {};
    if (sigaction(signal, nullptr, &action) == 0) {
      handlers[static_cast<size_t>(signal)] = {action.sa_handler, action.sa_flags};
    }
  }
  return handlers;
}

TEST_P(PumpTest, TakesNoSignalOfItsHostAndLeavesNoThread) {
  const int threads = CountThreads();
  const auto handlers = Handlers();
  {
    Host host(GetParam());
    Log log;
    host.Call(
        [&] { host.executor().Spawn(SleepAndNote(std::chrono::milliseconds(2), &log, "slept")); });
    host.RunUntil(log, 1);
    if (!GetParam().uses_threads) {
      EXPECT_EQ(CountThreads(), threads);
    }
    EXPECT_EQ(Handlers(), handlers);
  }
  EXPECT_TRUE(ThreadsFallTo(threads));
  EXPECT_EQ(Handlers(), handlers);
}

INSTANTIATE_TEST_SUITE_P(Backends, PumpTest, testing::ValuesIn(KernelBackends()),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace ioengine
