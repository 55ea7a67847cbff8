// What every backend must do with operations that never end by themselves: reads of pipes and
// sockets that nobody writes to.

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/tests/io/backend_driver.h"
#include "ioengine/tests/io/backend_factory.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using Driver = BackendDriver;

constexpr size_t kCapacity = 40;

class EndlessOperationTest : public testing::TestWithParam<BackendFactory> {
 protected:
  EndlessOperationTest() { EXPECT_EQ(mkfifo(fifo_.c_str(), 0600), 0); }

  // Without kIoWhole: what there is, is enough.
  IoCommand Stream(IoOpcode opcode, int fd, void* data, size_t size_bytes) {
    IoCommand command = Driver::Transfer(opcode, fd, 0, data, size_bytes);
    command.request.flags = kIoNone;
    return command;
  }
  uintptr_t StartRead(int fd) { return driver_.Start(Stream(IoOpcode::kRead, fd, data_, 64)); }

  // Ends an open that waits, or may have been done without waiting.
  void Close(int32_t opened) {
    if (opened != -ECANCELED) {
      EXPECT_EQ(driver_.Run(Driver::OnFd(IoOpcode::kClose, opened)), 0);
    }
  }

  const TestDirectory directory_;
  const std::string fifo_ = directory_.File("fifo");
  Driver driver_{GetParam().make(kCapacity)};
  char data_[64];
};

TEST_P(EndlessOperationTest, ReadsOfAnEmptyPipeCanBeCancelled) {
  const int fd = driver_.Run(Driver::Open(fifo_, O_RDWR));
  ASSERT_GE(fd, 0);
  const uintptr_t first = StartRead(fd);
  const uintptr_t second = StartRead(fd);
  EXPECT_EQ(driver_.backend().Wait(10'000'000), 0u);
  driver_.Cancel(first);
  EXPECT_EQ(driver_.Await(first), -ECANCELED);
  EXPECT_FALSE(driver_.completed(second));
  driver_.backend().Drain();
  EXPECT_EQ(driver_.result(second), -ECANCELED);
  Close(fd);
}

TEST_P(EndlessOperationTest, EachOfManyCanBeCancelled) {
  const int fd = driver_.Run(Driver::Open(fifo_, O_RDWR));
  for (int round = 0; round < 10; ++round) {
    std::vector<uintptr_t> numbers;
    for (size_t i = 0; i < kCapacity; ++i) numbers.push_back(StartRead(fd));
    if (round % 2 == 0) driver_.backend().Poll();
    if (round % 3 == 0) driver_.backend().Wait(1'000'000);
    for (const uintptr_t number : numbers) driver_.Cancel(number);
    for (const uintptr_t number : numbers) EXPECT_EQ(driver_.Await(number), -ECANCELED);
  }
  Close(fd);
}

TEST_P(EndlessOperationTest, TheyKeepNoOtherOperationFromItsEnd) {
  const int fd = driver_.Run(Driver::Open(fifo_, O_RDWR));
  std::vector<uintptr_t> endless;
  for (size_t i = 0; i + 2 < kCapacity; ++i) endless.push_back(StartRead(fd));
  driver_.backend().Poll();
  const int other = driver_.Run(Driver::Open(directory_.File("x"), O_RDWR | O_CREAT));
  std::string text = "written beside them";
  EXPECT_EQ(driver_.Run(Driver::Transfer(IoOpcode::kWrite, other, 0, text.data(), text.size())),
            static_cast<int32_t>(text.size()));
  Close(other);
  for (const uintptr_t number : endless) EXPECT_FALSE(driver_.completed(number));
  driver_.backend().Drain();
  Close(fd);
}

TEST_P(EndlessOperationTest, AReadOfAPipeEndsWithWhatIsWritten) {
  const int fd = driver_.Run(Driver::Open(fifo_, O_RDWR));
  for (int round = 0; round < 20; ++round) {
    const uintptr_t read = StartRead(fd);
    if (round % 2 == 0) driver_.backend().Wait(1'000'000);
    std::string text = "word";
    EXPECT_EQ(driver_.Run(Stream(IoOpcode::kWrite, fd, text.data(), text.size())), 4);
    EXPECT_EQ(driver_.Await(read), 4);
    EXPECT_EQ(std::string(data_, 4), text);
  }
  Close(fd);
}

TEST_P(EndlessOperationTest, SocketsWorkBothWays) {
  std::array<int, 2> ends;
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  for (int round = 0; round < 20; ++round) {
    const uintptr_t read = StartRead(ends[0]);
    if (round % 2 == 0) driver_.backend().Wait(1'000'000);
    std::string text = "answer";
    EXPECT_EQ(driver_.Run(Stream(IoOpcode::kWrite, ends[1], text.data(), text.size())), 6);
    EXPECT_EQ(driver_.Await(read), 6);
  }
  const uintptr_t last = StartRead(ends[0]);
  driver_.backend().Wait(1'000'000);
  Close(ends[1]);
  EXPECT_EQ(driver_.Await(last), 0) << "the other end is closed";
  Close(ends[0]);
}

TEST_P(EndlessOperationTest, AWriteToAFullPipeWaitsForAReader) {
  const int fd = driver_.Run(Driver::Open(fifo_, O_RDWR));
  const int size_bytes = fcntl(fd, F_GETPIPE_SZ);
  ASSERT_GT(size_bytes, 0);
  std::vector<char> data(static_cast<size_t>(size_bytes));
  EXPECT_EQ(driver_.Run(Stream(IoOpcode::kWrite, fd, data.data(), data.size())), size_bytes);
  const uintptr_t cancelled = driver_.Start(Stream(IoOpcode::kWrite, fd, data.data(), 64));
  const uintptr_t patient = driver_.Start(Stream(IoOpcode::kWrite, fd, data.data(), 64));
  EXPECT_EQ(driver_.backend().Wait(10'000'000), 0u);
  driver_.Cancel(cancelled);
  EXPECT_EQ(driver_.Await(cancelled), -ECANCELED);
  // Not into `data`, which the write in flight owns.
  std::vector<char> drained(data.size());
  EXPECT_EQ(driver_.Run(Stream(IoOpcode::kRead, fd, drained.data(), drained.size())), size_bytes);
  EXPECT_EQ(driver_.Await(patient), 64);
  Close(fd);
}

// With O_CREAT io_uring opens in a kernel thread, which waits for the pipe's other end, and which a
// cancellation interrupts. Others do not wait.
TEST_P(EndlessOperationTest, AnOpenThatWaitsCanBeCancelled) {
  const uintptr_t open = driver_.Start(Driver::Open(fifo_, O_RDONLY | O_CREAT));
  driver_.backend().Wait(10'000'000);
  if (!driver_.completed(open)) driver_.Cancel(open);
  Close(driver_.Await(open));
}

TEST_P(EndlessOperationTest, TheEndOfTheBackendCancelsThem) {
  const int fd = driver_.Run(Driver::Open(fifo_, O_RDWR));
  const uintptr_t read = StartRead(fd);
  ASSERT_EQ(mkfifo((fifo_ + "2").c_str(), 0600), 0);
  const uintptr_t open = driver_.Start(Driver::Open(fifo_ + "2", O_RDONLY | O_CREAT));
  driver_.backend().Wait(10'000'000);
  driver_.Use(GetParam().make(kCapacity));
  EXPECT_EQ(driver_.result(read), -ECANCELED);
  Close(driver_.result(open));
  Close(fd);
}

INSTANTIATE_TEST_SUITE_P(Backends, EndlessOperationTest, testing::ValuesIn(KernelBackends()),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace ioengine
