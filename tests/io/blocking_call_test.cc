// RunBlockingCall: what the conformance tests of the backends do not see of it.

#include "ioengine/io/blocking_call.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/io/kernel_values.h"
#include "ioengine/tests/io/backend_driver.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using Driver = BackendDriver;

class BlockingCallTest : public testing::Test {
 protected:
  int32_t Run(IoCommand command) { return RunBlockingCall(command, cancelled_); }
  int32_t Read(int fd) { return Run(Driver::Transfer(IoOpcode::kRead, fd, 0, data_, 64)); }
  int32_t Write(int fd, size_t size_bytes = 64) {
    return Run(Driver::Transfer(IoOpcode::kWrite, fd, 0, data_, size_bytes));
  }
  int Open(const std::string& name, int flags) {
    return Run(Driver::Open(directory_.File(name), flags));
  }

  const TestDirectory directory_;
  std::atomic<bool> cancelled_{false};
  char data_[4096] = {};
};

// Pipes with and without a name take different ways: not for all can the kernel say EAGAIN.
TEST_F(BlockingCallTest, WhatHasNoOffsetsDoesNotWait) {
  std::array<int, 2> pipe_ends;
  ASSERT_EQ(pipe2(pipe_ends.data(), O_CLOEXEC), 0);
  std::array<int, 2> sockets;
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()), 0);
  ASSERT_EQ(mkfifo(directory_.File("fifo").c_str(), 0600), 0);
  const int fifo = Open("fifo", O_RDWR);
  const std::array<std::pair<int, int>, 3> streams = {
      {{pipe_ends[0], pipe_ends[1]}, {sockets[0], sockets[1]}, {fifo, fifo}}};
  for (const auto& [in, out] : streams) {
    EXPECT_EQ(Read(in), kWouldWait);
    EXPECT_EQ(Write(out), 64);
    EXPECT_EQ(Read(in), 64);
    EXPECT_EQ(Read(in), kWouldWait);
    for (int i = 0; i < 10'000 && Write(out, 4096) != kWouldWait; ++i) {
    }
    EXPECT_EQ(Write(out), kWouldWait);
    EXPECT_EQ(fcntl(in, F_GETFL) & O_NONBLOCK, 0) << "others see no change of the descriptor";
    close(in);
    if (out != in) close(out);
  }
}

TEST_F(BlockingCallTest, TheOtherEndIsGone) {
  std::thread worker([this] {
    // As a worker does: the signal comes to the thread, and ends the process where it is not
    // blocked.
    sigset_t all;
    sigfillset(&all);
    ASSERT_EQ(pthread_sigmask(SIG_SETMASK, &all, nullptr), 0);
    std::array<int, 2> ends;
    ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    close(ends[0]);
    EXPECT_EQ(Write(ends[1]), -EPIPE);
    close(ends[1]);
    ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    close(ends[1]);
    EXPECT_EQ(Read(ends[0]), 0);
    close(ends[0]);
  });
  worker.join();
}

TEST_F(BlockingCallTest, WaitEventsAreThoseOfTheTransfer) {
  EXPECT_EQ(WaitEvents(Driver::Transfer(IoOpcode::kRead, 0, 0, data_, 1).request), POLLIN);
  EXPECT_EQ(WaitEvents(Driver::Transfer(IoOpcode::kWrite, 0, 0, data_, 1).request), POLLOUT);
}

TEST_F(BlockingCallTest, TheOpenOfAPipeDoesNotWaitForItsOtherEnd) {
  ASSERT_EQ(mkfifo(directory_.File("fifo").c_str(), 0600), 0);
  EXPECT_EQ(Open("fifo", O_WRONLY), -ENXIO);
  const int reader = Open("fifo", O_RDONLY);
  ASSERT_GE(reader, 0);
  const int writer = Open("fifo", O_WRONLY);
  ASSERT_GE(writer, 0);
  close(writer);
  close(reader);
}

TEST_F(BlockingCallTest, AnOpenFileHasTheFlagsThatWereAskedFor) {
  constexpr int kFlags = O_NONBLOCK | O_APPEND | O_DIRECT | O_NOATIME | O_DSYNC | O_ACCMODE;
  for (const int flags : {O_RDWR | O_CREAT, O_WRONLY | O_APPEND, O_RDWR | O_NONBLOCK,
                          O_RDONLY | O_DIRECT | O_NOATIME, O_RDWR | O_DSYNC}) {
    const int fd = Open("x", flags);
    ASSERT_GE(fd, 0) << flags;
    EXPECT_EQ(fcntl(fd, F_GETFL) & kFlags, flags & kFlags);
    close(fd);
  }
  const int fd = Open("x", O_PATH);
  ASSERT_GE(fd, 0);
  close(fd);
}

// A lease is taken from its holder by an open, which has to wait for it to be given back.
TEST_F(BlockingCallTest, AnOpenOfALeasedFileIsToBeTriedAgain) {
  const int fd = Open("x", O_RDWR | O_CREAT);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  struct sigaction before {};
  ASSERT_EQ(sigaction(SIGIO, &ignore, &before), 0);
  ASSERT_EQ(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
  EXPECT_EQ(Open("x", O_RDONLY), -EAGAIN);
  ASSERT_EQ(fcntl(fd, F_SETLEASE, F_UNLCK), 0);
  const int second = Open("x", O_RDONLY);
  EXPECT_GE(second, 0);
  close(second);
  close(fd);
  ASSERT_EQ(sigaction(SIGIO, &before, nullptr), 0);
}

TEST_F(BlockingCallTest, AListThatIsCancelledLeavesNothing) {
  const int fds = CountOpenFds();
  const int root = Run(Driver::Open(directory_.path(), O_RDONLY | O_DIRECTORY));
  IoCommand list = Driver::OnFd(IoOpcode::kList, root);
  list.path = std::make_unique<PathArguments>();
  cancelled_.store(true);
  EXPECT_EQ(RunBlockingCall(list, cancelled_), -ECANCELED);
  close(root);
  EXPECT_EQ(CountOpenFds(), fds);
}

}  // namespace
}  // namespace ioengine
