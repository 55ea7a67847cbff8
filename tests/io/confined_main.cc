// main() of tests that run with less than this process has:
//
//   --io_uring=EPERM|ENOSYS   with io_uring blocked, as a container's profile does
//   --memlock=BYTES           as an ordinary user, who may lock that much memory

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "ioengine/sched/check.h"
#include "ioengine/tests/io/confinement.h"

namespace ioengine {
namespace {

constexpr const char* kReport = "report.xml";

// Takes `--name=value` from the arguments; empty when it is not there.
std::string TakeFlag(std::string_view name, int& argc, char** argv) {
  const std::string prefix = "--" + std::string(name) + "=";
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]).substr(0, prefix.size()) != prefix) continue;
    std::string value = argv[i] + prefix.size();
    for (int at = i; at < argc; ++at) argv[at] = argv[at + 1];  // the last is null
    --argc;
    return value;
  }
  return "";
}

int RunTests(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

// That user can neither reach the test's directory by its path, nor write the report where Bazel
// wants it. So the tests run in a child process, within a directory below that, and this process
// takes the report over.
int RunAsOrdinaryUser(rlim_t memlock_bytes, int argc, char** argv) {
  const char* const parent = getenv("TEST_TMPDIR");
  std::string directory = std::string(parent == nullptr ? "/var/tmp" : parent) + "/user-XXXXXX";
  IOENGINE_CHECK(mkdtemp(directory.data()) != nullptr, "cannot make the test's directory");
  const int fd = OpenForEverybody(directory);
  const pid_t child = fork();
  IOENGINE_CHECK(child >= 0, "cannot fork");
  if (child == 0) {
    IOENGINE_CHECK(BecomeOrdinaryUser(memlock_bytes) && fchdir(fd) == 0, "cannot be confined");
    setenv("TEST_TMPDIR", ".", 1);
    unsetenv("TEST_PREMATURE_EXIT_FILE");
    // Otherwise it would be put relative to where this process started.
    testing::GTEST_FLAG(output) = std::string("xml:/proc/self/cwd/") + kReport;
    exit(RunTests(argc, argv));
  }
  int status = 0;
  IOENGINE_CHECK(waitpid(child, &status, 0) == child, "the tests are gone");
  if (const char* const report = getenv("XML_OUTPUT_FILE"); report != nullptr) {
    std::ifstream written(directory + "/" + kReport);
    if (written) std::ofstream(report) << written.rdbuf();
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace
}  // namespace ioengine

int main(int argc, char** argv) {
  using ioengine::TakeFlag;
  const std::string blocked = TakeFlag("io_uring", argc, argv);
  const std::string memlock = TakeFlag("memlock", argc, argv);
  if (!blocked.empty()) ioengine::BlockIoUring(blocked == "ENOSYS" ? ENOSYS : EPERM);
  if (memlock.empty()) return ioengine::RunTests(argc, argv);
  return ioengine::RunAsOrdinaryUser(std::stoul(memlock), argc, argv);
}
