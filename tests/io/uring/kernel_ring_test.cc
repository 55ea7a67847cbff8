// KernelRing where memory may not be locked, as an ordinary user: in child processes.

#include "ioengine/io/uring/kernel_ring.h"

#include <grp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"

namespace ioengine {
namespace {

constexpr uint32_t kEntries = 4096;

// Memory is counted per user, and that of a ring for a moment after its end: each child is a user
// of its own.
constexpr uid_t kFirstUser = 61234;

bool BecomeOrdinaryUser(rlim_t memlock_bytes) {
  const uid_t user = kFirstUser + static_cast<uid_t>(getpid());
  const rlimit limit{memlock_bytes, memlock_bytes};
  if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) return false;
  if (geteuid() != 0) return true;
  return setgroups(0, nullptr) == 0 && setresgid(user, user, user) == 0 &&
         setresuid(user, user, user) == 0;
}

// Makes a ring and lets it complete something.
absl::Status MakeAndUse(BackendInfo& info) {
  auto ring = KernelRing::Create({.entries = kEntries, .completion_entries = 2 * kEntries}, info);
  if (!ring.ok()) return ring.status();
  io_uring_sqe* const sqe = io_uring_get_sqe((*ring)->get());
  if (sqe == nullptr) return absl::InternalError("no entry");
  io_uring_prep_nop(sqe);
  if (io_uring_submit_and_wait((*ring)->get(), 1) != 1) return absl::InternalError("no submission");
  return absl::OkStatus();
}

// 0 when the ring is whole, 1 when it is smaller and says so, 2 when there is none and the error
// says what to do; else more.
[[noreturn]] void TryWith(rlim_t memlock_bytes) {
  if (!BecomeOrdinaryUser(memlock_bytes)) _exit(10);
  BackendInfo info;
  const absl::Status status = MakeAndUse(info);
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  if (!status.ok()) {
    const bool told = status.code() == absl::StatusCode::kResourceExhausted &&
                      std::string(status.message()).find("ulimit -l") != std::string::npos;
    _exit(told ? 2 : 11);
  }
  for (const Degradation& one : info.degraded) {
    std::fprintf(stderr, "%s: %s: %s\n", one.feature.c_str(), one.reason.c_str(),
                 one.consequence.c_str());
    if (one.feature == "a ring of 4096 entries") {
      _exit(one.consequence.find("ulimit -l") != std::string::npos ? 1 : 12);
    }
  }
  _exit(0);
}

TEST(KernelRingDeathTest, StepsDownToTheMemoryThatItMayLock) {
  EXPECT_EXIT(TryWith(1 << 20), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(TryWith(64 << 10), testing::ExitedWithCode(1), "");
  EXPECT_EXIT(TryWith(0), testing::ExitedWithCode(2), "");
}

TEST(KernelRingTest, IsMadeWithAllThatThisKernelHas) {
  BackendInfo info;
  const auto ring = KernelRing::Create({}, info);
  ASSERT_TRUE(ring.ok()) << ring.status();
  EXPECT_TRUE((*ring)->has_registered_files());
  EXPECT_EQ((*ring)->registered_files(), 256u);
  EXPECT_TRUE(info.degraded.empty()) << info.degraded[0].feature << ": " << info.degraded[0].reason;
}

[[noreturn]] void RegisterMoreFilesThanAllowed() {
  const rlimit limit{64, 64};
  BackendInfo info;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) _exit(10);
  const auto ring = KernelRing::Create({.registered_files = 256}, info);
  if (!ring.ok() || (*ring)->has_registered_files() || info.degraded.size() != 1) _exit(11);
  const Degradation& told = info.degraded[0];
  std::fprintf(stderr, "%s: %s\n", told.feature.c_str(), told.reason.c_str());
  const bool right = told.feature == "registered files" &&
                     told.reason.find("Too many open files") != std::string::npos &&
                     told.consequence.find("ulimit -n") != std::string::npos;
  _exit(right ? 0 : 12);
}

TEST(KernelRingDeathTest, TellsWhenFilesCannotBeRegistered) {
  EXPECT_EXIT(RegisterMoreFilesThanAllowed(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace ioengine
