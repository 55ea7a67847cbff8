// What is told where an ordinary user may lock 64 KiB, and that the other tests of this binary run
// in that way: see confined_main.cc.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ioengine/io/make_backend.h"
#include "ioengine/tests/io/backend_factory.h"
#include "ioengine/tests/io/test_arena.h"

namespace ioengine {
namespace {

using testing::HasSubstr;

const Degradation* Find(const BackendInfo& info, const std::string& feature) {
  const auto found = std::find_if(info.degraded.begin(), info.degraded.end(),
                                  [&](const Degradation& one) { return one.feature == feature; });
  return found == info.degraded.end() ? nullptr : &*found;
}

TEST(LowMemlockTest, TheOtherTestsMayLockLittle) {
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
  EXPECT_EQ(limit.rlim_max, rlim_t{65536});
  EXPECT_NE(geteuid(), 0u);
}

TEST(LowMemlockTest, TheRingIsSmallerAndSaysSo) {
  const auto backend = MakeBackend({.capacity = 1024});
  ASSERT_TRUE(backend.ok()) << backend.status();
  const BackendInfo& info = (*backend)->info();
  EXPECT_EQ(info.name, "io_uring");
  const Degradation* const ring = Find(info, "a ring of 1024 entries");
  ASSERT_NE(ring, nullptr);
  EXPECT_THAT(ring->reason, HasSubstr("ENOMEM"));
  EXPECT_THAT(ring->consequence, HasSubstr("ulimit -l"));
}

TEST(LowMemlockTest, BuffersArePlainMemoryAndThatIsTold) {
  const auto backend = MakeBackend({});
  ASSERT_TRUE(backend.ok()) << backend.status();
  const TestArena arena(size_t{2} << 20);
  EXPECT_EQ((*backend)->RegisterBuffers(arena.bytes()).registered_bytes, 0u);
  const Degradation* const told = Find((*backend)->info(), "registered buffers");
  ASSERT_NE(told, nullptr);
  EXPECT_THAT(told->reason, HasSubstr("Cannot allocate memory"));
  EXPECT_THAT(told->consequence, HasSubstr("ulimit -l"));
}

}  // namespace
}  // namespace ioengine
