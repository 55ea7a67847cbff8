#include "ioengine/tests/io/confinement.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <iterator>
#include <string>

#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

constexpr uid_t kFirstUser = 61234;

}  // namespace

void BlockIoUring(int error) {
  const auto refusal = SECCOMP_RET_ERRNO | static_cast<unsigned>(error);
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_enter, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_register, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, refusal),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
  IOENGINE_CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "cannot be confined");
  IOENGINE_CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "cannot be confined");
}

bool IoUringIsBlocked() {
  // The kernel itself would say EFAULT.
  return syscall(SYS_io_uring_setup, 1, nullptr) < 0 && (errno == EPERM || errno == ENOSYS);
}

bool BecomeOrdinaryUser(rlim_t memlock_bytes) {
  const rlimit limit{memlock_bytes, memlock_bytes};
  if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) return false;
  if (geteuid() != 0) return true;
  const uid_t user = kFirstUser + static_cast<uid_t>(getpid());
  if (setgroups(0, nullptr) != 0 || setresgid(user, user, user) != 0 ||
      setresuid(user, user, user) != 0) {
    return false;
  }
  // Lost with the identity; without it /proc/self belongs to root.
  return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}

int OpenForEverybody(const std::string& directory) {
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY);
  IOENGINE_CHECK(fd >= 0 && fchmod(fd, 0777) == 0, "cannot open the test's directory");
  return fd;
}

}  // namespace ioengine
