// What every backend must do with the memory and files of its operations: for each of
// ConformingBackends.

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/io/backend.h"
#include "ioengine/io/dma_buffer_pool.h"
#include "ioengine/io/open_file.h"
#include "ioengine/tests/io/backend_driver.h"
#include "ioengine/tests/io/backend_factory.h"
#include "ioengine/tests/io/test_arena.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using Driver = BackendDriver;

constexpr size_t kCapacity = 16;
constexpr size_t kPage = 4096;

class BackendMemoryTest : public testing::TestWithParam<BackendFactory> {
 protected:
  int NewFile(const std::string& name, size_t size_bytes = 0) {
    const int fd = driver_.Run(Driver::Open(directory_.File(name), O_RDWR | O_CREAT | O_EXCL));
    EXPECT_GE(fd, 0);
    std::string zeros(size_bytes, '\0');
    EXPECT_EQ(driver_.Run(Driver::Transfer(IoOpcode::kWrite, fd, 0, zeros.data(), zeros.size())),
              static_cast<int32_t>(size_bytes));
    return fd;
  }

  void CloseFd(int fd) { EXPECT_EQ(driver_.Run(Driver::OnFd(IoOpcode::kClose, fd)), 0); }

  const TestDirectory directory_;
  Driver driver_{GetParam().make(kCapacity)};
};

// Buffers and files belong to the operation until OnComplete returned.
TEST_P(BackendMemoryTest, AnOperationOwnsWhatItUses) {
  class NoCloser final : public FileCloser {
   public:
    void CloseFile(OpenFile& file) override { file.table->Release(file); }
  };
  const TestArena arena(kCapacity * kPage);
  DmaBufferPool pool(arena.bytes());
  NoCloser closer;
  FileTable table(1, closer);
  const int fd = NewFile("x", kPage);
  for (const bool cancel : {false, true}) {
    FileRef file = table.Reserve();
    DmaBuffer buffer = pool.Allocate(kPage).value();
    IoCommand command = Driver::Transfer(IoOpcode::kRead, fd, 0, buffer.data(), kPage);
    command.buffer = std::move(buffer);
    command.file = std::move(file);
    int seen = 0;
    driver_.on_complete = [&](uintptr_t, IoCommand& completed, int32_t) {
      ++seen;
      EXPECT_TRUE(completed.buffer.valid());
      EXPECT_TRUE(completed.file);
      EXPECT_EQ(pool.used_bytes(), kPage);
    };
    const uintptr_t number = driver_.Start(std::move(command));
    EXPECT_EQ(pool.used_bytes(), kPage);
    EXPECT_EQ(table.open_files(), 1u);
    if (cancel) driver_.Cancel(number);
    driver_.Await(number);
    EXPECT_EQ(seen, 1);
    EXPECT_EQ(pool.used_bytes(), 0u);
    EXPECT_EQ(table.open_files(), 0u);
    driver_.on_complete = nullptr;
  }
  CloseFd(fd);
}

TEST_P(BackendMemoryTest, RegisteredFilesAndBuffers) {
  Backend& backend = driver_.backend();
  const TestArena arena(size_t{64} * kPage);
  const BufferRegistration registration = backend.RegisterBuffers(arena.bytes());
  const bool buffers = registration.registered_bytes > 0;
  EXPECT_TRUE(!buffers || registration.registered_bytes == arena.bytes().size())
      << "it is a small one";
  const auto& features = backend.info().features;
  const auto& degraded = backend.info().degraded;
  EXPECT_EQ(std::count(features.begin(), features.end(), "registered buffers"), buffers ? 1 : 0);
  EXPECT_EQ(std::count_if(degraded.begin(), degraded.end(),
                          [](const auto& one) { return one.feature == "registered buffers"; }),
            buffers ? 0 : 1)
      << "what is not granted is told";
  const int fd = NewFile("x");
  const int other_fd = NewFile("y");
  const bool file = backend.RegisterFile(1, fd);
  // The operation goes to the registered file: its descriptor is not looked at.
  for (size_t i = 0; i < 2; ++i) {
    const size_t at = 32 * i * kPage;
    std::byte* const data = arena.bytes().data() + at;
    std::memset(data, 'a' + static_cast<int>(i), kPage);
    IoCommand command = Driver::Transfer(IoOpcode::kWrite, file ? -1 : fd, i * kPage, data, kPage);
    if (file) command.request.registered_file = 1;
    if (buffers) {
      command.request.registered_buffer = static_cast<uint16_t>(at / registration.region_bytes);
    }
    EXPECT_EQ(driver_.Run(std::move(command)), static_cast<int32_t>(kPage));
  }
  std::string back(2 * kPage, '?');
  EXPECT_EQ(driver_.Run(Driver::Transfer(IoOpcode::kRead, fd, 0, back.data(), 2 * kPage)),
            static_cast<int32_t>(2 * kPage));
  EXPECT_EQ(back, std::string(kPage, 'a') + std::string(kPage, 'b'));
  if (file) {
    // Replaced, and emptied.
    EXPECT_TRUE(backend.RegisterFile(1, other_fd));
    IoCommand sync = Driver::OnFd(IoOpcode::kFdatasync, -1);
    sync.request.registered_file = 1;
    EXPECT_EQ(driver_.Run(std::move(sync)), 0);
    EXPECT_TRUE(backend.RegisterFile(1, -1));
    sync = Driver::OnFd(IoOpcode::kFdatasync, -1);
    sync.request.registered_file = 1;
    EXPECT_EQ(driver_.Run(std::move(sync)), -EBADF);
  }
  EXPECT_FALSE(backend.RegisterFile(-1, fd));
  EXPECT_FALSE(backend.RegisterFile(1 << 20, fd));
  CloseFd(fd);
  CloseFd(other_fd);
}

INSTANTIATE_TEST_SUITE_P(Backends, BackendMemoryTest, testing::ValuesIn(ConformingBackends()),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace ioengine
