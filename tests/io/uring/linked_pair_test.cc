// UringBackend: a write and the sync after it, which go to the kernel as a linked pair.

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/io/uring/uring_backend.h"
#include "ioengine/tests/io/backend_driver.h"
#include "ioengine/tests/io/backend_factory.h"
#include "ioengine/tests/io/test_directory.h"
#include "ioengine/tests/io/uring/enter_faults.h"

namespace ioengine {
namespace {

using Driver = BackendDriver;

constexpr size_t kPage = 4096;

class UringPairTest : public testing::Test {
 protected:
  UringPairTest() {
    WriteWholeFile(directory_.File("x"), "");
    fd_ = driver_.Run(Driver::Open(directory_.File("x"), O_RDWR));
    EXPECT_EQ(pipe2(pipe_.data(), O_CLOEXEC), 0);
  }
  ~UringPairTest() override {
    driver_.backend().Drain();
    EXPECT_EQ(driver_.Run(Driver::OnFd(IoOpcode::kClose, fd_)), 0);
    EXPECT_EQ(driver_.backend().stats().stray_completions, 0u);
    EXPECT_EQ(driver_.forbidden_completions, 0);
    for (const int fd : pipe_) ::close(fd);
  }

  IoCommand WriteThenSync(int fd, size_t pages) {
    bytes_.assign(pages * kPage, 'w');
    IoCommand command = Driver::Transfer(IoOpcode::kWrite, fd, 0, bytes_.data(), bytes_.size());
    command.request.flags |= kIoThenSync;
    return command;
  }

  void FillPipe() {
    ASSERT_EQ(fcntl(pipe_[1], F_SETFL, O_NONBLOCK), 0);
    while (::write(pipe_[1], "0123456789abcdef", 16) > 0) {
    }
    ASSERT_EQ(fcntl(pipe_[1], F_SETFL, 0), 0);
  }

  const BackendStats& stats() { return driver_.backend().stats(); }

  const TestDirectory directory_;
  Driver driver_{MakeUring({.capacity = 16})};
  std::string bytes_;
  int fd_ = -1;
  std::array<int, 2> pipe_{-1, -1};
};

TEST_F(UringPairTest, NothingIsStartedBetweenTheTwo) {
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(driver_.Run(WriteThenSync(fd_, 3)), static_cast<int32_t>(3 * kPage));
  }
  EXPECT_EQ(stats().started_again, 0u);
}

TEST_F(UringPairTest, AFailedWriteIsNotSynced) {
  EXPECT_EQ(driver_.Run(WriteThenSync(987654, 1)), -EBADF);
  EXPECT_EQ(stats().started_again, 0u);
}

TEST_F(UringPairTest, AFailedSyncFailsThePair) {
  EXPECT_EQ(driver_.Run(WriteThenSync(pipe_[1], 1)), -EINVAL) << "pipes have no sync";
  std::array<char, kPage> read;
  EXPECT_EQ(::read(pipe_[0], read.data(), kPage), static_cast<ssize_t>(kPage));
}

// Two pages are written and the third is refused: so the first completion was short.
TEST_F(UringPairTest, AShortWriteGoesOn) {
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit two_pages = {2 * kPage, before.rlim_max};
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &two_pages), 0);
  EXPECT_EQ(driver_.Run(WriteThenSync(fd_, 3)), -EFBIG);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, handler);
  EXPECT_EQ(stats().started_again, 1u);
}

TEST_F(UringPairTest, ManyShareASmallRing) {
  driver_.Use(MakeUring({.capacity = 64, .ring = {.entries = 2, .completion_entries = 4}}));
  std::vector<uintptr_t> numbers;
  for (int i = 0; i < 64; ++i) numbers.push_back(driver_.Start(WriteThenSync(fd_, 1)));
  for (const uintptr_t number : numbers) {
    EXPECT_EQ(driver_.Await(number), static_cast<int32_t>(kPage));
  }
  EXPECT_EQ(stats().started_again, 0u);
}

// A chain ends where a submission ends.
TEST_F(UringPairTest, APairThatTheKernelTakesInTwoPartsIsUndone) {
  EnterFaults faults;
  faults.LimitSubmission(1);
  std::vector<uintptr_t> numbers;
  for (int i = 0; i < 4; ++i) numbers.push_back(driver_.Start(WriteThenSync(fd_, 1)));
  for (const uintptr_t number : numbers) {
    EXPECT_EQ(driver_.Await(number), static_cast<int32_t>(kPage));
  }
  EXPECT_EQ(stats().started_again, 4u) << "each is synced after its write";
}

TEST_F(UringPairTest, APairThatTheKernelDoesNotTakeWaits) {
  EnterFaults faults;
  faults.FailAfter(0, 3, EAGAIN);
  EXPECT_EQ(driver_.Run(WriteThenSync(fd_, 1)), static_cast<int32_t>(kPage));
  EXPECT_EQ(stats().started_again, 0u);
}

TEST_F(UringPairTest, CancellationEndsAWriteThatWaits) {
  FillPipe();
  const uintptr_t number = driver_.Start(WriteThenSync(pipe_[1], 1));
  for (int i = 0; i < 3; ++i) driver_.backend().Poll();
  EXPECT_FALSE(driver_.completed(number));
  driver_.Cancel(number);
  EXPECT_EQ(driver_.Await(number), -ECANCELED);
}

TEST_F(UringPairTest, CancellationMayComeAtAnyTime) {
  for (int polls = 0; polls < 200; ++polls) {
    const uintptr_t number = driver_.Start(WriteThenSync(fd_, 1));
    for (int i = 0; i < polls && !driver_.completed(number); ++i) driver_.backend().Poll();
    if (!driver_.completed(number)) driver_.Cancel(number);
    const int32_t result = driver_.Await(number);
    EXPECT_TRUE(result == -ECANCELED || result == static_cast<int32_t>(kPage)) << result;
  }
}

}  // namespace
}  // namespace ioengine
