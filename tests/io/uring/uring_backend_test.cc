// UringBackend: what is its own, beside what every backend must do.

#include "ioengine/io/uring/uring_backend.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ioengine/io/uring/kernel_ring.h"
#include "ioengine/tests/io/backend_driver.h"
#include "ioengine/tests/io/backend_factory.h"
#include "ioengine/tests/io/test_directory.h"

namespace ioengine {
namespace {

using Driver = BackendDriver;

// The descriptor of the only ring of this process.
int FindRing() {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    const auto target = std::filesystem::read_symlink(entry.path(), error);
    if (!error && target == "anon_inode:[io_uring]") return std::stoi(entry.path().filename());
  }
  return -1;
}

// A second ring, which can put completions with any user_data into the first.
class ForgedCompletions {
 public:
  explicit ForgedCompletions(int target) : target_(target) {
    BackendInfo info;
    auto ring = KernelRing::Create({.entries = 8, .completion_entries = 16}, info);
    EXPECT_TRUE(ring.ok()) << ring.status();
    if (ring.ok()) ring_ = *std::move(ring);
  }

  void Post(uint64_t user_data, int32_t result) {
    io_uring_sqe* const sqe = io_uring_get_sqe(ring_->get());
    io_uring_prep_msg_ring(sqe, target_, static_cast<unsigned>(result), user_data, 0);
    ASSERT_GE(io_uring_submit_and_wait(ring_->get(), 1), 0);
    io_uring_cqe* cqe = nullptr;
    ASSERT_EQ(io_uring_peek_cqe(ring_->get(), &cqe), 0);
    ASSERT_EQ(cqe->res, 0) << "the message was not accepted";
    io_uring_cqe_seen(ring_->get(), cqe);
  }

 private:
  int target_;
  std::unique_ptr<KernelRing> ring_;
};

class StrayCompletionTest : public testing::Test {
 protected:
  StrayCompletionTest() {
    WriteWholeFile(directory_.File("x"), std::string(4096, 'x'));
    fd_ = driver_.Run(Driver::Open(directory_.File("x"), O_RDONLY));
  }
  ~StrayCompletionTest() override {
    EXPECT_EQ(driver_.Run(Driver::OnFd(IoOpcode::kClose, fd_)), 0);
  }

  const TestDirectory directory_;
  Driver driver_{MakeUring({.capacity = 1})};
  ForgedCompletions forged_{FindRing()};
  int fd_ = -1;
};

// The one slot was used once, by the open: generation 0 is gone.
TEST_F(StrayCompletionTest, OfAnEarlierUseOfTheSlotIsCountedAndNotDelivered) {
  char data[4096];
  const uintptr_t read =
      driver_.Start(Driver::Transfer(IoOpcode::kRead, fd_, 0, data, sizeof(data)));
  forged_.Post(0, 17);
  EXPECT_EQ(driver_.Await(read), 4096);
  EXPECT_EQ(driver_.backend().stats().stray_completions, 1u);
}

TEST_F(StrayCompletionTest, OfAFreeSlotIsCountedAndNotDelivered) {
  forged_.Post(uint64_t{1} << 32, 17);  // the generation that comes next
  forged_.Post(0, 17);
  EXPECT_EQ(driver_.backend().Wait(1'000'000'000), 0u);
  driver_.backend().Poll();
  EXPECT_EQ(driver_.backend().stats().stray_completions, 2u);
}

TEST_F(StrayCompletionTest, OfASlotThatDoesNotExistIsCountedAndNotDelivered) {
  forged_.Post(1, 17);
  forged_.Post(0xdeadbeef, 17);
  driver_.backend().Poll();
  driver_.backend().Poll();
  EXPECT_EQ(driver_.backend().stats().stray_completions, 2u);
}

bool Has(const std::vector<std::string>& texts, const std::string& part) {
  return std::any_of(texts.begin(), texts.end(),
                     [&](const auto& text) { return text.find(part) != std::string::npos; });
}

const Degradation* Find(const BackendInfo& info, const std::string& feature) {
  for (const Degradation& one : info.degraded) {
    if (one.feature.find(feature) != std::string::npos) return &one;
  }
  return nullptr;
}

TEST(UringInfoTest, TellsEachStepDown) {
  const auto defer = MakeUring({.ring = {.allow_defer_taskrun = false}});
  EXPECT_TRUE(Has(defer->info().features, "COOP_TASKRUN"));
  ASSERT_NE(Find(defer->info(), "DEFER_TASKRUN"), nullptr);
  EXPECT_NE(Find(defer->info(), "DEFER_TASKRUN")->reason.find("not allowed"), std::string::npos);

  const auto files = MakeUring({.ring = {.allow_registered_files = false}});
  EXPECT_FALSE(Has(files->info().features, "registered files"));
  EXPECT_NE(Find(files->info(), "registered files"), nullptr);
  EXPECT_FALSE(files->RegisterFile(0, 0));

  const auto buffers = MakeUring({.ring = {.allow_registered_buffers = false}});
  std::vector<std::byte> memory(4096);
  EXPECT_EQ(buffers->RegisterBuffers(memory).registered_bytes, 0u);
  ASSERT_NE(Find(buffers->info(), "registered buffers"), nullptr);
  EXPECT_NE(Find(buffers->info(), "registered buffers")->consequence.find("ulimit -l"),
            std::string::npos);
}

TEST(UringInfoTest, EachFeatureIsInUseOrDegraded) {
  const auto backend = MakeUring({});
  EXPECT_EQ(backend->info().name, "io_uring");
  for (const std::string feature : {"DEFER_TASKRUN", "registered ring", "registered files"}) {
    EXPECT_NE(Has(backend->info().features, feature), Find(backend->info(), feature) != nullptr)
        << feature;
  }
}

TEST(UringBackendTest, SubmitsASmallTurnWithOneSystemCall) {
  const TestDirectory directory;
  WriteWholeFile(directory.File("x"), std::string(4096, 'x'));
  Driver driver(MakeUring({.capacity = 64}));
  const int fd = driver.Run(Driver::Open(directory.File("x"), O_RDONLY));
  std::vector<char> data(8 * 64);
  const uint64_t before = driver.backend().stats().system_calls;
  for (size_t i = 0; i < 8; ++i) {
    driver.Start(Driver::Transfer(IoOpcode::kRead, fd, i * 64, data.data() + i * 64, 64));
  }
  EXPECT_EQ(driver.backend().stats().system_calls, before);
  driver.backend().Poll();
  EXPECT_EQ(driver.backend().stats().system_calls, before + 1);
  driver.backend().Drain();
  EXPECT_EQ(driver.Run(Driver::OnFd(IoOpcode::kClose, fd)), 0);
  const uint64_t idle = driver.backend().stats().system_calls;
  for (int i = 0; i < 100; ++i) driver.backend().Poll();
  EXPECT_EQ(driver.backend().stats().system_calls, idle) << "an idle poll costs no system call";
}

TEST(UringBackendTest, LeavesNoDescriptorAndNoThread) {
  const int fds = CountOpenFds();
  const int threads = CountThreads();
  for (int i = 0; i < 50; ++i) {
    Driver driver(MakeUring({.capacity = 4}));
    EXPECT_EQ(driver.Run(Driver::Open("/missing", O_RDONLY)), -ENOENT);
  }
  EXPECT_EQ(CountOpenFds(), fds);
  EXPECT_TRUE(ThreadsFallTo(threads)) << CountThreads() << " threads";
}

}  // namespace
}  // namespace ioengine
