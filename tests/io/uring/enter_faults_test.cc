// UringBackend when io_uring_enter fails: nothing is lost, and no sleep lasts for ever.

#include "ioengine/tests/io/uring/enter_faults.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/io/uring/uring_backend.h"
#include "ioengine/tests/io/backend_driver.h"
#include "ioengine/tests/io/backend_factory.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using Driver = BackendDriver;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr size_t kPage = 4096;
constexpr UringBackendOptions kSmallRing = {.capacity = 32,
                                            .ring = {.entries = 4, .completion_entries = 8}};

class EnterFaultsTest : public testing::Test {
 protected:
  EnterFaultsTest() {
    WriteWholeFile(path_, std::string(32 * kPage, 'x'));
    fd_ = driver_->Run(Driver::Open(path_, O_RDONLY));
  }
  ~EnterFaultsTest() override {
    EXPECT_EQ(driver_->Run(Driver::OnFd(IoOpcode::kClose, fd_)), 0);
    EXPECT_EQ(driver_->forbidden_completions, 0);
  }

  Backend& backend() { return driver_->backend(); }

  uintptr_t StartRead(size_t page) {
    return driver_->Start(
        Driver::Transfer(IoOpcode::kRead, fd_, page * kPage, data_.data() + page * kPage, kPage));
  }

  // More reads than the ring has entries, of which the kernel takes none: the rest is in the
  // backlog.
  std::vector<uintptr_t> FillTheBacklog() {
    faults_.FailAfter(0, UINT64_MAX, EAGAIN);
    std::vector<uintptr_t> numbers;
    for (size_t i = 0; i < 12; ++i) numbers.push_back(StartRead(i));
    EXPECT_GE(backend().stats().times_submission_full, 8u);
    return numbers;
  }

  void Recover() { faults_.FailAfter(0, 0, 0); }

  const TestDirectory directory_;
  const std::string path_ = directory_.File("x");
  std::vector<char> data_ = std::vector<char>(32 * kPage);
  EnterFaults faults_;
  std::unique_ptr<Driver> driver_ = std::make_unique<Driver>(MakeUring(kSmallRing));
  int fd_ = -1;
};

TEST_F(EnterFaultsTest, TheBacklogIsSubmittedInItsOrderWhenTheKernelRecovers) {
  std::vector<uintptr_t> order;
  driver_->on_complete = [&](uintptr_t number, IoCommand&, int32_t) { order.push_back(number); };
  const std::vector<uintptr_t> numbers = FillTheBacklog();
  backend().Poll();
  EXPECT_TRUE(order.empty());
  Recover();
  for (const uintptr_t number : numbers) EXPECT_EQ(driver_->Await(number), 4096);
  driver_->on_complete = nullptr;
}

TEST_F(EnterFaultsTest, WaitDoesNotSleepOnABacklog) {
  FillTheBacklog();
  faults_.FailAfter(0, 2, EAGAIN);
  const auto start = steady_clock::now();
  while (backend().in_flight() > 0) {
    backend().Wait(uint64_t{20'000'000'000});
    ASSERT_LT(steady_clock::now() - start, seconds(10));
  }
}

TEST_F(EnterFaultsTest, OperationsCancelledInTheBacklogCompleteAndDoNotLetWaitSleep) {
  const std::vector<uintptr_t> numbers = FillTheBacklog();
  for (size_t i = 4; i < numbers.size(); ++i) driver_->Cancel(numbers[i]);
  EXPECT_EQ(driver_->completions(), 1u) << "only the open of the file: Cancel completes nothing";
  Recover();
  const auto start = steady_clock::now();
  EXPECT_GE(backend().Wait(uint64_t{20'000'000'000}), 8u);
  EXPECT_LT(steady_clock::now() - start, seconds(10));
  for (size_t i = 4; i < numbers.size(); ++i) {
    EXPECT_EQ(driver_->result(numbers[i]), -ECANCELED);
  }
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(driver_->Await(numbers[i]), 4096);
}

TEST_F(EnterFaultsTest, DrainEndsWithEverythingInTheBacklog) {
  FillTheBacklog();
  Recover();
  backend().Drain();
  EXPECT_EQ(backend().in_flight(), 0u);
}

TEST_F(EnterFaultsTest, DrainEndsWhenTheKernelRecoversDuringIt) {
  FillTheBacklog();
  faults_.FailAfter(0, 20, EAGAIN);
  backend().Drain();
  EXPECT_EQ(backend().in_flight(), 0u);
}

TEST_F(EnterFaultsTest, ACloseInTheBacklogIsNotCancelledByDrain) {
  const int before = CountOpenFds();
  const int fd = driver_->Run(Driver::Open(path_, O_RDONLY));
  FillTheBacklog();
  const uintptr_t close = driver_->Start(Driver::OnFd(IoOpcode::kClose, fd));
  driver_->Cancel(close);
  Recover();
  backend().Drain();
  EXPECT_EQ(driver_->result(close), 0);
  EXPECT_EQ(CountOpenFds(), before);
}

// The read of the eventfd must be armed again before the next sleep, also when there was no room
// for it at first.
TEST_F(EnterFaultsTest, AWakeIsSeenWhenItsReadFoundNoRoom) {
  backend().Wake();
  // The wake-up completes while the queue is full of entries that the kernel does not take.
  backend().Wait(1'000'000'000);
  const std::vector<uintptr_t> numbers = FillTheBacklog();
  backend().Poll();
  Recover();
  for (const uintptr_t number : numbers) driver_->Await(number);
  backend().Wake();
  const auto start = steady_clock::now();
  backend().Wait(uint64_t{20'000'000'000});
  EXPECT_LT(steady_clock::now() - start, seconds(10));
}

TEST(EnterFaultsDeathTest, AnErrorThatDoesNotPassEndsTheProcess) {
  const auto wait_on_a_broken_ring = [] {
    const auto backend = MakeUring(kSmallRing);  // in the child: it does not inherit rings
    EnterFaults faults;
    faults.FailAfter(0, 1, EBADF);
    backend->Wait(0);
  };
  EXPECT_DEATH(wait_on_a_broken_ring(), "io_uring_enter failed: the ring is broken");
}

// A small piece of work, with the k-th call failing in turn, once and several times over.
class FailingCallTest
    : public testing::TestWithParam<std::tuple<BackendFactory, std::pair<std::string, int>>> {};

void ReadEverything(Driver& driver, const std::string& path, int* wakes) {
  const int fd = driver.Run(Driver::Open(path, O_RDONLY));
  ASSERT_GE(fd, 0);
  std::vector<char> data(8 * kPage);
  std::vector<uintptr_t> numbers;
  for (size_t i = 0; i < 8; ++i) {
    numbers.push_back(driver.Start(
        Driver::Transfer(IoOpcode::kRead, fd, i * kPage, data.data() + i * kPage, kPage)));
    if (i == 3) driver.backend().Poll();
  }
  for (const uintptr_t number : numbers) ASSERT_EQ(driver.Await(number), 4096);
  ASSERT_TRUE(std::all_of(data.begin(), data.end(), [](char c) { return c == 'x'; }));
  // A wake-up ends a sleep; which may end early as well.
  driver.backend().Wake();
  const auto start = steady_clock::now();
  driver.backend().Wait(uint64_t{30'000'000'000});
  if (steady_clock::now() - start < seconds(20)) ++*wakes;
  const uintptr_t cancelled =
      driver.Start(Driver::Transfer(IoOpcode::kRead, fd, 0, data.data(), kPage));
  driver.Cancel(cancelled);
  driver.backend().Drain();
  ASSERT_EQ(driver.Run(Driver::OnFd(IoOpcode::kClose, fd)), 0);
}

TEST_P(FailingCallTest, LosesNothing) {
  const auto& [factory, error] = GetParam();
  const TestDirectory directory;
  const std::string path = directory.File("x");
  WriteWholeFile(path, std::string(8 * kPage, 'x'));
  const int fds_before = CountOpenFds();
  for (const uint64_t times : {1, 3}) {
    uint64_t calls = 1;
    for (uint64_t failing = 0; failing < calls; ++failing) {
      SCOPED_TRACE(testing::Message() << "call " << failing << ", " << times << " times");
      Driver driver(factory.make(16));
      EnterFaults faults;
      faults.FailAfter(failing, times, error.second);
      int wakes = 0;
      ReadEverything(driver, path, &wakes);
      ASSERT_FALSE(HasFatalFailure());
      EXPECT_EQ(wakes, 1);
      EXPECT_EQ(driver.backend().in_flight(), 0u);
      calls = faults.calls();
      ASSERT_LT(calls, 200u);
    }
  }
  EXPECT_EQ(CountOpenFds(), fds_before);
}

TEST_P(FailingCallTest, LosesNothingWhenTheKernelTakesOneEntryAtATime) {
  const auto& [factory, error] = GetParam();
  const TestDirectory directory;
  const std::string path = directory.File("x");
  WriteWholeFile(path, std::string(8 * kPage, 'x'));
  Driver driver(factory.make(16));
  EnterFaults faults;
  faults.LimitSubmission(1);
  faults.FailAfter(3, 1, error.second);
  int wakes = 0;
  ReadEverything(driver, path, &wakes);
  EXPECT_EQ(wakes, 1);
}

INSTANTIATE_TEST_SUITE_P(
    Errors, FailingCallTest,
    testing::Combine(testing::ValuesIn(RingBackends()),
                     testing::Values(std::pair<std::string, int>{"eintr", EINTR},
                                     std::pair<std::string, int>{"eagain", EAGAIN},
                                     std::pair<std::string, int>{"ebusy", EBUSY},
                                     std::pair<std::string, int>{"enomem", ENOMEM})),
    [](const auto& parameter) {
      return std::get<0>(parameter.param).name + "_" + std::get<1>(parameter.param).first;
    });

}  // namespace
}  // namespace ioengine
