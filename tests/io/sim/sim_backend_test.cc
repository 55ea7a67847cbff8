// SimBackend: time, cancellation and the end of the power. What it has in common with others is in
// backend_conformance_test.cc.

#include "ioengine/io/sim/sim_backend.h"

#include <fcntl.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/tests/io/backend_driver.h"

namespace ioengine {
namespace {

using Driver = BackendDriver;

class SimBackendTest : public testing::Test {
 protected:
  std::unique_ptr<SimBackend> MakeBackend(uint64_t seed) {
    auto backend = std::make_unique<SimBackend>(
        disk_, clock_, SimBackendOptions{.capacity = 16, .seed = seed, .look_ns = 0}, &trace_);
    backend_ = backend.get();
    return backend;
  }

  int NewFile(const std::string& path, const std::string& content) {
    disk_.PutFile(path, content);
    return driver_.Run(Driver::Open(path, O_RDWR));
  }

  SimDisk disk_{{}};
  SimulatedClock clock_;
  SimTrace trace_{16};
  SimBackend* backend_ = nullptr;
  Driver driver_{MakeBackend(1)};
};

TEST_F(SimBackendTest, AReadFillsItsBufferWhenItCompletes) {
  const int fd = NewFile("/f", "content");
  std::string data(7, '#');
  const uintptr_t read = driver_.Start(Driver::Transfer(IoOpcode::kRead, fd, 0, data.data(), 7));
  backend_->Poll();
  EXPECT_EQ(data, "#######") << "no time has gone by";
  clock_.Advance(1'000'000'000);
  EXPECT_EQ(data, "#######") << "nobody has looked";
  EXPECT_TRUE(backend_->HasCompletions());
  EXPECT_EQ(backend_->Poll(), 1u);
  EXPECT_EQ(data, "content");
  EXPECT_EQ(driver_.result(read), 7);
}

TEST_F(SimBackendTest, TheSeedDecidesTheOrderOfCompletions) {
  const int fd = NewFile("/f", "content");
  std::vector<char> data(16);
  std::set<std::vector<uintptr_t>> orders;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    std::vector<uintptr_t> orders_of_seed[2];
    for (auto& order : orders_of_seed) {
      driver_.Use(MakeBackend(seed));
      driver_.on_complete = [&](uintptr_t number, IoCommand&, int32_t) { order.push_back(number); };
      uintptr_t first = 0;
      for (size_t i = 0; i < 8; ++i) {
        const uintptr_t number =
            driver_.Start(Driver::Transfer(IoOpcode::kRead, fd, 0, &data[i], 1));
        if (i == 0) first = number;
      }
      while (backend_->in_flight() > 0) backend_->Wait(Poller::kForever);
      for (uintptr_t& number : order) number -= first;
      driver_.on_complete = nullptr;
    }
    EXPECT_EQ(orders_of_seed[0], orders_of_seed[1]);
    orders.insert(orders_of_seed[0]);
  }
  EXPECT_GT(orders.size(), 15u);
}

TEST_F(SimBackendTest, AWriteIsSeenByOtherShardsWhenItHasCompleted) {
  const int fd = NewFile("/f", "old");
  SimBackend other(disk_, clock_, {.capacity = 4, .seed = 9});
  std::string text = "new";
  const uintptr_t write = driver_.Start(Driver::Transfer(IoOpcode::kWrite, fd, 0, text.data(), 3));
  EXPECT_EQ(disk_.Contents("/f"), "old");
  driver_.Await(write);
  EXPECT_EQ(disk_.Contents("/f"), "new");
}

TEST_F(SimBackendTest, StuckUntilItIsCancelled) {
  const int fd = NewFile("/f", "content");
  disk_.faults().Add({.fault = SimFault::kStuck, .opcode = IoOpcode::kRead});
  char byte = '#';
  const uintptr_t read = driver_.Start(Driver::Transfer(IoOpcode::kRead, fd, 0, &byte, 1));
  backend_->Wait(3'600'000'000'000);
  EXPECT_FALSE(driver_.completed(read));
  EXPECT_EQ(backend_->DescribeStuck(), "read of /f");
  driver_.Cancel(read);
  EXPECT_EQ(driver_.Await(read), -ECANCELED);
  EXPECT_EQ(byte, '#');
}

TEST_F(SimBackendTest, CancelledOrTooLate) {
  const int fd = NewFile("/f", "content");
  std::set<int32_t> results;
  for (int i = 0; i < 50; ++i) {
    disk_.PutFile("/f", "content");
    char byte = 'x';
    const uintptr_t write = driver_.Start(Driver::Transfer(IoOpcode::kWrite, fd, 0, &byte, 1));
    driver_.Cancel(write);
    const int32_t result = driver_.Await(write);
    results.insert(result);
    EXPECT_EQ(disk_.Contents("/f"), result == 1 ? "xontent" : "content");
  }
  EXPECT_EQ(results, (std::set<int32_t>{1, -ECANCELED}));
  disk_.faults().Add({.fault = SimFault::kIgnoresCancel, .times = UINT64_MAX});
  for (int i = 0; i < 50; ++i) {
    char byte = 'x';
    const uintptr_t write = driver_.Start(Driver::Transfer(IoOpcode::kWrite, fd, 0, &byte, 1));
    driver_.Cancel(write);
    EXPECT_EQ(driver_.Await(write), 1);
  }
}

TEST_F(SimBackendTest, SlowOperations) {
  const int fd = NewFile("/f", "content");
  disk_.faults().Add({.fault = SimFault::kSlow, .opcode = IoOpcode::kRead});
  char byte;
  const uint64_t start_ns = clock_.NowNs();
  driver_.Run(Driver::Transfer(IoOpcode::kRead, fd, 0, &byte, 1));
  EXPECT_GE(clock_.NowNs() - start_ns, 2'000'000u);
}

TEST_F(SimBackendTest, WhatIsInFlightWhenThePowerGoesMayHaveHappened) {
  std::set<std::string> outcomes;
  Random random(4);
  for (int i = 0; i < 50; ++i) {
    driver_.Use(MakeBackend(1));
    const int fd = NewFile("/f", "o");
    char bytes[2] = {'a', '#'};
    const uintptr_t write = driver_.Start(Driver::Transfer(IoOpcode::kWrite, fd, 0, &bytes[0], 1));
    const uintptr_t read = driver_.Start(Driver::Transfer(IoOpcode::kRead, fd, 0, &bytes[1], 1));
    const uintptr_t close = driver_.Start(Driver::OnFd(IoOpcode::kClose, fd));
    backend_->PowerOff(random);
    outcomes.insert(disk_.Contents("/f").value());
    const uintptr_t late = driver_.Start(Driver::Transfer(IoOpcode::kWrite, fd, 0, &bytes[0], 1));
    backend_->Drain();
    EXPECT_EQ(driver_.result(write), -EIO);
    EXPECT_EQ(driver_.result(read), -EIO);
    EXPECT_EQ(driver_.result(late), -EIO);
    EXPECT_EQ(driver_.result(close), 0);
    EXPECT_EQ(bytes[1], '#');
  }
  EXPECT_EQ(outcomes, (std::set<std::string>{"o", "a"}));
}

TEST_F(SimBackendTest, TheTraceTellsWhatHappened) {
  const int fd = NewFile("/f", "content");
  disk_.faults().Add({.opcode = IoOpcode::kWrite});
  char byte = 'x';
  driver_.Run(Driver::Transfer(IoOpcode::kWrite, fd, 5, &byte, 1));
  EXPECT_NE(trace_.ToString().find("complete write fd 3, 1 bytes at 5 = -5 (error)"),
            std::string::npos)
      << trace_.ToString();
}

using SimBackendDeathTest = SimBackendTest;

TEST_F(SimBackendDeathTest, ABufferThatChangesWhileItIsWritten) {
  const int fd = NewFile("/f", "content");
  const auto change = [&] {
    std::string data = "abc";
    const uintptr_t write =
        driver_.Start(Driver::Transfer(IoOpcode::kWrite, fd, 0, data.data(), 3));
    data[1] = 'x';
    driver_.Await(write);
  };
  EXPECT_DEATH(change(), "a buffer was changed while it was being written");
}

TEST_F(SimBackendDeathTest, AWaitThatNothingWillEnd) {
  EXPECT_DEATH(backend_->Wait(Poller::kForever), "wait for ever");
}

}  // namespace
}  // namespace ioengine
