// What every backend must do: the rules of backend.h, for each of ConformingBackends.

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/io/backend.h"
#include "ioengine/tests/io/backend_driver.h"
#include "ioengine/tests/io/backend_factory.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using Driver = BackendDriver;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kCapacity = 16;
constexpr size_t kPage = 4096;

class BackendConformanceTest : public testing::TestWithParam<BackendFactory> {
 protected:
  // A new file of `size_bytes` zeros.
  int NewFile(const std::string& name, size_t size_bytes = 0) {
    const int fd = driver_.Run(Driver::Open(directory_.File(name), O_RDWR | O_CREAT | O_EXCL));
    EXPECT_GE(fd, 0);
    if (size_bytes > 0) {
      std::vector<std::byte> zeros(size_bytes);
      EXPECT_EQ(driver_.Run(Driver::Transfer(IoOpcode::kWrite, fd, 0, zeros.data(), zeros.size())),
                static_cast<int32_t>(size_bytes));
    }
    return fd;
  }

  static uint64_t NowNs() { return GetParam().clock->NowNs(); }

  void CloseFd(int fd) { EXPECT_EQ(driver_.Run(Driver::OnFd(IoOpcode::kClose, fd)), 0); }

  void TearDown() override {
    EXPECT_EQ(driver_.forbidden_completions, 0) << "rule 3: never from within Start or Cancel";
    EXPECT_EQ(driver_.backend().stats().stray_completions, 0u);
  }

  const TestDirectory directory_;
  Driver driver_{GetParam().make(kCapacity)};
};

TEST_P(BackendConformanceTest, TellsWhatItIs) {
  const BackendInfo& info = driver_.backend().info();
  EXPECT_FALSE(info.name.empty());
  for (const Degradation& degradation : info.degraded) {
    EXPECT_FALSE(degradation.feature.empty());
    EXPECT_FALSE(degradation.reason.empty()) << degradation.feature;
    EXPECT_FALSE(degradation.consequence.empty()) << degradation.feature;
  }
  EXPECT_EQ(driver_.backend().capacity(), kCapacity);
}

TEST_P(BackendConformanceTest, TheLifeOfAFile) {
  const std::string path = directory_.File("x");
  const int fd = NewFile("x");
  std::string text = "what is written can be read again";
  EXPECT_EQ(driver_.Run(Driver::Transfer(IoOpcode::kWrite, fd, 100, text.data(), text.size())),
            static_cast<int32_t>(text.size()));
  EXPECT_EQ(driver_.Run(Driver::OnFd(IoOpcode::kFdatasync, fd)), 0);
  EXPECT_EQ(driver_.Run(Driver::OnFd(IoOpcode::kFsync, fd)), 0);
  std::string back(200, '?');
  EXPECT_EQ(driver_.Run(Driver::Transfer(IoOpcode::kRead, fd, 100, back.data(), back.size())),
            static_cast<int32_t>(text.size()))
      << "rule 5: shorter only at the end of the file";
  EXPECT_EQ(back.substr(0, text.size()), text);
  EXPECT_EQ(back[text.size()], '?');
  EXPECT_EQ(driver_.Run(Driver::Transfer(IoOpcode::kRead, fd, 0, back.data(), 100)), 100);
  EXPECT_EQ(back.substr(0, 100), std::string(100, '\0'));
  EXPECT_EQ(driver_.Run(Driver::Transfer(IoOpcode::kRead, fd, 1 << 20, back.data(), 10)), 0);
  CloseFd(fd);
  EXPECT_EQ(driver_.Run(Driver::Remove(path)), 0);
  EXPECT_EQ(driver_.Run(Driver::Open(path, O_RDONLY)), -ENOENT);
}

TEST_P(BackendConformanceTest, ADurableWriteIsAWrite) {
  const int fd = NewFile("x");
  std::string text(kPage, 'd');
  IoCommand command = Driver::Transfer(IoOpcode::kWrite, fd, 0, text.data(), text.size());
  command.request.flags |= kIoDsync;
  EXPECT_EQ(driver_.Run(std::move(command)), static_cast<int32_t>(kPage));
  std::string back(kPage, '?');
  EXPECT_EQ(driver_.Run(Driver::Transfer(IoOpcode::kRead, fd, 0, back.data(), kPage)),
            static_cast<int32_t>(kPage));
  EXPECT_EQ(back, text);
  CloseFd(fd);
}

TEST_P(BackendConformanceTest, StatAndAllocate) {
  const int fd = NewFile("x", 100);
  FileStat stat;
  driver_.on_complete = [&](uintptr_t, IoCommand& command, int32_t) {
    if (command.path != nullptr) stat = command.path->stat;
  };
  EXPECT_EQ(driver_.Run(Driver::OnFd(IoOpcode::kStat, fd)), 0);
  EXPECT_EQ(stat.size_bytes, 100u);
  EXPECT_TRUE(stat.is_regular());
  EXPECT_FALSE(stat.is_block_device());
  IoCommand allocate = Driver::OnFd(IoOpcode::kAllocate, fd);
  allocate.request.offset_bytes = 50;
  allocate.request.range_bytes = 1 << 20;
  EXPECT_EQ(driver_.Run(std::move(allocate)), 0);
  EXPECT_EQ(driver_.Run(Driver::OnFd(IoOpcode::kStat, fd)), 0);
  EXPECT_EQ(stat.size_bytes, (uint64_t{1} << 20) + 50);
  CloseFd(fd);
}

TEST_P(BackendConformanceTest, FailuresAreMinusAnErrno) {
  const std::string path = directory_.File("x");
  const int fd = NewFile("x");
  std::byte data[16];
  EXPECT_EQ(driver_.Run(Driver::Open(directory_.File("missing"), O_RDONLY)), -ENOENT);
  EXPECT_EQ(driver_.Run(Driver::Open(path, O_RDWR | O_CREAT | O_EXCL)), -EEXIST);
  EXPECT_EQ(driver_.Run(Driver::Remove(directory_.File("missing"))), -ENOENT);
  EXPECT_EQ(driver_.Run(Driver::Transfer(IoOpcode::kRead, 987654, 0, data, 16)), -EBADF);
  EXPECT_EQ(driver_.Run(Driver::Transfer(IoOpcode::kWrite, 987654, 0, data, 16)), -EBADF);
  EXPECT_EQ(driver_.Run(Driver::OnFd(IoOpcode::kFdatasync, 987654)), -EBADF);
  EXPECT_EQ(driver_.Run(Driver::OnFd(IoOpcode::kStat, 987654)), -EBADF);
  EXPECT_EQ(driver_.Run(Driver::OnFd(IoOpcode::kClose, 987654)), -EBADF);
  const int read_only = driver_.Run(Driver::Open(path, O_RDONLY));
  EXPECT_EQ(driver_.Run(Driver::Transfer(IoOpcode::kWrite, read_only, 0, data, 16)), -EBADF);
  EXPECT_EQ(driver_.Run(Driver::Open(directory_.path(), O_RDWR)), -EISDIR);
  EXPECT_EQ(driver_.Run(Driver::Remove(directory_.path())), -EISDIR);
  EXPECT_EQ(driver_.Run(Driver::Open(path + "/below", O_RDONLY)), -ENOTDIR);
  CloseFd(read_only);
  CloseFd(fd);
}

TEST_P(BackendConformanceTest, HoldsAsManyOperationsAsItSays) {
  const int fd = NewFile("x", kCapacity * kPage);
  std::vector<std::byte> data(kCapacity * kPage);
  for (int round = 0; round < 3; ++round) {
    std::vector<uintptr_t> numbers;
    for (size_t i = 0; i < kCapacity; ++i) {
      numbers.push_back(driver_.Start(
          Driver::Transfer(IoOpcode::kRead, fd, i * kPage, data.data() + i * kPage, kPage)));
    }
    EXPECT_EQ(driver_.backend().in_flight(), kCapacity);
    IoCommand refused = Driver::Open(directory_.File("x"), O_RDONLY);
    EXPECT_EQ(driver_.backend().Acquire(refused, nullptr), nullptr);
    EXPECT_NE(refused.path, nullptr) << "rule 2: moved from only when there is a slot";
    for (const uintptr_t number : numbers) {
      EXPECT_EQ(driver_.Await(number), static_cast<int32_t>(kPage));
    }
    EXPECT_EQ(driver_.backend().in_flight(), 0u);
  }
  CloseFd(fd);
}

TEST_P(BackendConformanceTest, CompletionsMayStartOperations) {
  const int fd = NewFile("x", kPage);
  int left = 200;
  std::vector<std::byte> data((kCapacity + 200) * kPage);
  size_t next_page = 0;  // each its own: a backend may write them at the same time
  const auto read = [&] {
    return Driver::Transfer(IoOpcode::kRead, fd, 0, data.data() + next_page++ * kPage, kPage);
  };
  driver_.on_complete = [&](uintptr_t, IoCommand&, int32_t result) {
    EXPECT_EQ(result, static_cast<int32_t>(kPage));
    if (left-- > 0) driver_.Start(read());
  };
  const size_t before = driver_.completions();
  for (size_t i = 0; i < kCapacity; ++i) driver_.Start(read());
  while (driver_.backend().in_flight() > 0) driver_.backend().Wait(uint64_t{1'000'000'000});
  EXPECT_EQ(driver_.completions() - before, kCapacity + 200);
  driver_.on_complete = nullptr;
  CloseFd(fd);
}

TEST_P(BackendConformanceTest, PollSubmitsAndHandsOnWithoutSleeping) {
  const int fd = NewFile("x", kPage);
  std::vector<std::byte> data(kPage);
  const uintptr_t number =
      driver_.Start(Driver::Transfer(IoOpcode::kRead, fd, 0, data.data(), kPage));
  size_t handed_on = 0;
  const auto end = steady_clock::now() + std::chrono::seconds(10);
  while (!driver_.completed(number) && steady_clock::now() < end) {
    handed_on += driver_.backend().Poll();
  }
  EXPECT_EQ(handed_on, 1u);
  EXPECT_EQ(driver_.result(number), static_cast<int32_t>(kPage));
  CloseFd(fd);
}

TEST_P(BackendConformanceTest, HasCompletionsTellsOfThem) {
  const int fd = NewFile("x", kPage);
  std::vector<std::byte> data(kPage);
  const uintptr_t number =
      driver_.Start(Driver::Transfer(IoOpcode::kRead, fd, 0, data.data(), kPage));
  driver_.backend().Poll();  // submits
  const auto end = steady_clock::now() + std::chrono::seconds(10);
  while (!driver_.completed(number) && steady_clock::now() < end) {
    if (driver_.backend().HasCompletions()) driver_.backend().Poll();
  }
  EXPECT_TRUE(driver_.completed(number));
  CloseFd(fd);
}

TEST_P(BackendConformanceTest, WaitEndsWithItsTime) {
  const uint64_t start_ns = NowNs();
  EXPECT_EQ(driver_.backend().Wait(20'000'000), 0u);
  EXPECT_GE(NowNs() - start_ns, 19'000'000u);
  EXPECT_LT(NowNs() - start_ns, 5'000'000'000u);
  EXPECT_EQ(driver_.backend().Wait(0), 0u);
}

TEST_P(BackendConformanceTest, AWakeEndsTheWaitThatIsUnderWayOrTheNext) {
  Backend& backend = driver_.backend();
  for (int i = 0; i < 3; ++i) {
    backend.Wake();
    backend.Wake();  // as good as one
    const uint64_t start_ns = NowNs();
    EXPECT_EQ(backend.Wait(uint64_t{60'000'000'000}), 0u) << "a wake-up is no completion";
    EXPECT_LT(NowNs() - start_ns, 30'000'000'000u);
  }
  for (int i = 0; i < 20; ++i) {
    std::thread waker([&] {
      if (i % 2 == 0) std::this_thread::sleep_for(milliseconds(2));
      backend.Wake();
    });
    const auto start = steady_clock::now();  // simulated time does not wait for the other thread
    backend.Wait(uint64_t{60'000'000'000});
    EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(30));
    waker.join();
  }
  // None is left over that would end every sleep from now on.
  for (int i = 0; i < 5; ++i) backend.Wait(1'000'000);
  const uint64_t start_ns = NowNs();
  backend.Wait(20'000'000);
  EXPECT_GE(NowNs() - start_ns, 19'000'000u);
}

TEST_P(BackendConformanceTest, WakesFromManyThreadsWhileOperationsRun) {
  const int fd = NewFile("x", kPage);
  std::vector<std::byte> data(kPage);
  std::atomic<bool> stop{false};
  std::vector<std::thread> wakers;
  for (int i = 0; i < 3; ++i) {
    wakers.emplace_back([&] {
      while (!stop.load()) {
        driver_.backend().Wake();
        std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
    });
  }
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(driver_.Run(Driver::Transfer(IoOpcode::kRead, fd, 0, data.data(), kPage)),
              static_cast<int32_t>(kPage));
  }
  stop.store(true);
  for (std::thread& waker : wakers) waker.join();
  CloseFd(fd);
}

TEST_P(BackendConformanceTest, ACancelledOperationCompletesOnce) {
  const int fd = NewFile("x", kCapacity * kPage);
  std::vector<std::byte> data(kCapacity * kPage);
  for (int round = 0; round < 20; ++round) {
    std::vector<uintptr_t> numbers;
    for (size_t i = 0; i < kCapacity; ++i) {
      numbers.push_back(driver_.Start(
          Driver::Transfer(IoOpcode::kRead, fd, i * kPage, data.data() + i * kPage, kPage)));
      if (round % 3 == 0) driver_.Cancel(numbers.back());
    }
    if (round % 3 == 1) driver_.backend().Poll();
    for (const uintptr_t number : numbers) {
      if (driver_.completed(number)) continue;
      driver_.Cancel(number);
      driver_.Cancel(number);
    }
    for (const uintptr_t number : numbers) {
      const int32_t result = driver_.Await(number);
      EXPECT_TRUE(result == static_cast<int32_t>(kPage) || result == -ECANCELED) << result;
    }
  }
  CloseFd(fd);
}

TEST_P(BackendConformanceTest, DrainCompletesEverything) {
  const int fd = NewFile("x", kPage);
  std::vector<std::byte> data(kCapacity * kPage);
  for (int round = 0; round < 10; ++round) {
    std::vector<uintptr_t> numbers;
    for (size_t i = 0; i < kCapacity; ++i) {
      numbers.push_back(
          driver_.Start(Driver::Transfer(IoOpcode::kRead, fd, 0, data.data() + i * kPage, kPage)));
    }
    if (round % 2 == 1) driver_.backend().Poll();
    driver_.backend().Drain();
    EXPECT_EQ(driver_.backend().in_flight(), 0u);
    for (const uintptr_t number : numbers) {
      const int32_t result = driver_.result(number);
      EXPECT_TRUE(result == static_cast<int32_t>(kPage) || result == -ECANCELED) << result;
    }
  }
  CloseFd(fd);
  driver_.backend().Drain();
}

TEST_P(BackendConformanceTest, DrainAlsoCompletesWhatCompletionsStart) {
  const int fd = NewFile("x", kPage);
  std::vector<std::byte> data(kPage);
  int left = 30;
  driver_.on_complete = [&](uintptr_t, IoCommand&, int32_t) {
    if (left-- > 0) {
      driver_.Start(Driver::Transfer(IoOpcode::kRead, fd, 0, data.data(), kPage));
    }
  };
  driver_.Start(Driver::Transfer(IoOpcode::kRead, fd, 0, data.data(), kPage));
  driver_.backend().Drain();
  EXPECT_EQ(driver_.backend().in_flight(), 0u);
  EXPECT_LT(left, 0);
  driver_.on_complete = nullptr;
  CloseFd(fd);
}

TEST_P(BackendConformanceTest, ACloseIsNeverCancelled) {
  const int before = GetParam().real_files ? CountOpenFds() : 0;
  std::vector<uintptr_t> closes;
  for (int i = 0; i < 8; ++i) {
    const int fd = NewFile("f" + std::to_string(i));
    closes.push_back(driver_.Start(Driver::OnFd(IoOpcode::kClose, fd)));
    driver_.Cancel(closes.back());
  }
  driver_.backend().Drain();
  for (const uintptr_t close : closes) EXPECT_EQ(driver_.result(close), 0);
  if (GetParam().real_files) {
    EXPECT_EQ(CountOpenFds(), before);
  }
}

TEST_P(BackendConformanceTest, TheEndOfTheBackendDrains) {
  const int fd = NewFile("x", kPage);
  std::vector<std::byte> data(kCapacity * kPage);
  std::vector<uintptr_t> numbers;
  for (size_t i = 0; i < kCapacity; ++i) {
    numbers.push_back(
        driver_.Start(Driver::Transfer(IoOpcode::kRead, fd, 0, data.data() + i * kPage, kPage)));
  }
  driver_.Use(GetParam().make(kCapacity));
  for (const uintptr_t number : numbers) EXPECT_TRUE(driver_.completed(number));
  if (GetParam().real_files) CloseFd(fd);
}

// Random operations on a file, against its content in memory. Each page has one operation at a
// time, so that the order of all is known.
TEST_P(BackendConformanceTest, AgreesWithAModel) {
  constexpr size_t kPages = 32;
  constexpr int kOperations = 1500;
  const int fd = NewFile("x", kPages * kPage);
  std::mt19937 random(11);
  std::vector<unsigned char> content(kPages, 0);
  std::vector<std::vector<unsigned char>> data(kPages, std::vector<unsigned char>(kPage));
  std::map<uintptr_t, std::pair<size_t, bool>> running;  // page, and whether it is written
  std::vector<bool> busy(kPages);
  driver_.on_complete = [&](uintptr_t number, IoCommand&, int32_t result) {
    const auto [page, write] = running.at(number);
    running.erase(number);
    busy[page] = false;
    ASSERT_EQ(result, static_cast<int32_t>(kPage));
    if (write) {
      content[page] = data[page][0];
      return;
    }
    ASSERT_TRUE(std::all_of(data[page].begin(), data[page].end(),
                            [&, expected = content[page]](auto byte) { return byte == expected; }))
        << "page " << page;
  };
  for (int started = 0; started < kOperations;) {
    const size_t page = random() % kPages;
    if (running.size() == kCapacity || busy[page]) {
      driver_.backend().Wait(uint64_t{1'000'000'000});
      continue;
    }
    const bool write = random() % 2 == 0;
    std::fill(data[page].begin(), data[page].end(), static_cast<unsigned char>(random()));
    busy[page] = true;
    const IoOpcode opcode = write ? IoOpcode::kWrite : IoOpcode::kRead;
    IoCommand command = Driver::Transfer(opcode, fd, page * kPage, data[page].data(), kPage);
    running[driver_.Start(std::move(command))] = {page, write};
    ++started;
    if (random() % 8 == 0) driver_.backend().Poll();
  }
  while (!running.empty()) driver_.backend().Wait(uint64_t{1'000'000'000});
  driver_.on_complete = nullptr;
  CloseFd(fd);
}

INSTANTIATE_TEST_SUITE_P(Backends, BackendConformanceTest, testing::ValuesIn(ConformingBackends()),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace ioengine
