// What is told where io_uring is blocked, and that the other tests of this binary run in that way:
// see confined_main.cc.

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/io/make_backend.h"
#include "ioengine/tests/io/backend_factory.h"
#include "ioengine/tests/io/confinement.h"

namespace ioengine {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(BlockedTest, TheOtherTestsHaveNoRing) {
  ASSERT_TRUE(IoUringIsBlocked());
  bool chosen = false;
  for (const BackendFactory& factory : KernelBackends()) {
    EXPECT_EQ(factory.make(4)->info().name, "thread pool") << factory.name;
    chosen |= factory.name == "auto";
  }
  EXPECT_TRUE(chosen) << "by MakeBackend";
}

TEST(BlockedTest, ThreadsStandInAndSaySo) {
  const absl::StatusOr<std::unique_ptr<Backend>> backend = MakeBackend({});
  ASSERT_TRUE(backend.ok()) << backend.status();
  const BackendInfo& info = (*backend)->info();
  EXPECT_EQ(info.name, "thread pool");
  ASSERT_EQ(info.degraded.size(), 1u);
  EXPECT_EQ(info.degraded[0].feature, "io_uring");
  EXPECT_THAT(info.degraded[0].reason, HasSubstr("io_uring_setup: "));
  EXPECT_THAT(info.degraded[0].reason, HasSubstr("seccomp"));
  EXPECT_THAT(info.degraded[0].consequence, HasSubstr("threads"));
}

TEST(BlockedTest, WhoWantsARingGetsTheError) {
  ASSERT_LT(syscall(SYS_io_uring_setup, 1, nullptr), 0);
  const auto code =
      errno == EPERM ? absl::StatusCode::kPermissionDenied : absl::StatusCode::kUnimplemented;
  const absl::Status status = MakeBackend({.choice = BackendChoice::kIoUring}).status();
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("seccomp"));
}

TEST(BlockedTest, WhoWantsThreadsMissesNothing) {
  const auto backend = MakeBackend({.choice = BackendChoice::kThreadPool});
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_TRUE((*backend)->info().degraded.empty());
}

}  // namespace
}  // namespace ioengine
