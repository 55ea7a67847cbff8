// Linked into a test binary, it takes from the process what an ordinary user in a container does
// not have: the right to lock more memory than RLIMIT_MEMLOCK says. Buffers of any use then cannot
// be registered.

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "gtest/gtest.h"

namespace ioengine {
namespace {

// Enough for the rings of a test or two that run at the same time.
constexpr rlim_t kMemlockBytes = rlim_t{6} << 20;

class LimitedMemlock final : public testing::Environment {
 public:
  void SetUp() override {
    rlimit limit;
    ASSERT_EQ(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
    limit.rlim_cur = std::min(limit.rlim_cur, kMemlockBytes);
    ASSERT_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    DropIpcLock();
  }

 private:
  // The capability lifts the limit.
  static void DropIpcLock() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2];
    ASSERT_EQ(syscall(SYS_capget, &header, data), 0);
    constexpr uint32_t kOthers = ~(uint32_t{1} << CAP_IPC_LOCK);
    data[0].effective &= kOthers;
    data[0].permitted &= kOthers;
    data[0].inheritable &= kOthers;
    ASSERT_EQ(syscall(SYS_capset, &header, data), 0);
  }
};

[[maybe_unused]] const testing::Environment* const kLimitedMemlock =
    testing::AddGlobalTestEnvironment(new LimitedMemlock);

}  // namespace
}  // namespace ioengine
