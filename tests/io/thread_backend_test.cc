// ThreadBackend: what is its own, beside what every backend must do.

#include "ioengine/io/thread_backend.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/tests/io/backend_driver.h"
#include "ioengine/tests/io/backend_factory.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using Driver = BackendDriver;
using testing::ElementsAre;

constexpr size_t kPage = 4096;

TEST(ThreadBackendTest, TellsWhatItIs) {
  const auto backend = MakeThreads({.capacity = 8, .threads = 3});
  EXPECT_EQ(backend->info().name, "thread pool");
  EXPECT_THAT(backend->info().features, ElementsAre("up to 3 threads"));
  EXPECT_TRUE(backend->info().degraded.empty());
  EXPECT_EQ(backend->threads(), 1u) << "one, to know that there can be";
}

TEST(ThreadBackendTest, LeavesNoDescriptorAndNoThread) {
  const TestDirectory directory;
  ASSERT_EQ(mkfifo(directory.File("fifo").c_str(), 0600), 0);
  const int fds = CountOpenFds();
  const int threads = CountThreads();
  for (int i = 0; i < 50; ++i) {
    Driver driver(MakeThreads({.capacity = 8, .threads = 4}));
    EXPECT_EQ(driver.Run(Driver::Open("/missing", O_RDONLY)), -ENOENT);
    if (i % 2 == 0) driver.backend().fd();
    const int fifo = driver.Run(Driver::Open(directory.File("fifo"), O_RDWR));
    char data[8];
    driver.Start(Driver::Transfer(IoOpcode::kRead, fifo, 0, data, 8));
    driver.backend().Poll();
    driver.backend().Drain();
    EXPECT_EQ(driver.Run(Driver::OnFd(IoOpcode::kClose, fifo)), 0);
  }
  EXPECT_EQ(CountOpenFds(), fds);
  EXPECT_TRUE(ThreadsFallTo(threads)) << CountThreads() << " threads";
}

TEST(ThreadBackendTest, AnIdleTurnCostsNoSystemCall) {
  Driver driver(MakeThreads({.capacity = 8}));
  EXPECT_EQ(driver.Run(Driver::Open("/missing", O_RDONLY)), -ENOENT);
  const uint64_t idle = driver.backend().stats().system_calls;
  for (int i = 0; i < 100; ++i) driver.backend().Poll();
  EXPECT_EQ(driver.backend().stats().system_calls, idle);
}

TEST(ThreadBackendTest, ManyOperationsAreHandedOverBeforeTheEndOfTheTurn) {
  Driver driver(MakeThreads({.capacity = 64}));
  std::vector<uintptr_t> numbers;
  for (int i = 0; i < 20; ++i) numbers.push_back(driver.Start(Driver::Open("/missing", O_RDONLY)));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!driver.backend().HasCompletions() && std::chrono::steady_clock::now() < end) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(driver.backend().HasCompletions()) << "before any Poll";
  for (const uintptr_t number : numbers) EXPECT_EQ(driver.Await(number), -ENOENT);
}

// Forks while operations are gathered, queued, at work, finished, and waiting for a pipe. The child
// has none of the threads, and whatever they held locked stays so.
TEST(ThreadBackendTest, AChildProcessEndsItsCopyAndTheParentGoesOn) {
  const TestDirectory directory;
  const std::string path = directory.File("x");
  WriteWholeFile(path, std::string(64 * kPage, 'x'));
  ASSERT_EQ(mkfifo(directory.File("fifo").c_str(), 0600), 0);
  for (int round = 0; round < 20; ++round) {
    auto driver = std::make_unique<Driver>(MakeThreads({.capacity = 64, .threads = 4}));
    const int fd = driver->Run(Driver::Open(path, O_RDONLY));
    const int fifo = driver->Run(Driver::Open(directory.File("fifo"), O_RDWR));
    std::vector<char> data(64 * kPage);
    const uintptr_t waiting =
        driver->Start(Driver::Transfer(IoOpcode::kRead, fifo, 0, data.data(), 8));
    driver->backend().Poll();
    std::vector<uintptr_t> reads;
    for (size_t i = 1; i < 50; ++i) {
      reads.push_back(driver->Start(
          Driver::Transfer(IoOpcode::kRead, fd, i * kPage, data.data() + i * kPage, kPage)));
    }
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      alarm(60);
      driver->backend().Wake();
      bool right = !driver->backend().PrepareWait(Poller::kForever);
      const uintptr_t started = driver->Start(Driver::OnFd(IoOpcode::kFdatasync, fd));
      for (int i = 0; i < 3; ++i) driver->backend().Wait(Poller::kForever);
      right = right && driver->result(started) == -ECANCELED &&
              driver->result(waiting) == -ECANCELED && driver->backend().in_flight() == 0;
      driver.reset();
      _exit(right ? 0 : 1);
    }
    for (const uintptr_t read : reads) EXPECT_EQ(driver->Await(read), 4096);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_FALSE(driver->completed(waiting));
    driver->backend().Drain();
    EXPECT_EQ(driver->Run(Driver::OnFd(IoOpcode::kClose, fd)), 0);
    EXPECT_EQ(driver->Run(Driver::OnFd(IoOpcode::kClose, fifo)), 0);
  }
}

}  // namespace
}  // namespace ioengine
