// The rules about names that must not be used.

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ioengine/tests/tidy/cpp_text.h"
#include "ioengine/tests/tidy/file_kind.h"
#include "ioengine/tests/tidy/source_tree.h"
#include "ioengine/tests/tidy/tidy_rules.h"

namespace ioengine::tidy {
namespace {

template <typename IsBad>
std::vector<Violation> CheckNames(const SourceFile& file, const IsBad& is_bad,
                                  const std::string& why) {
  std::vector<Violation> violations;
  const std::string code = BlankPreprocessor(BlankNonCode(file.content));
  for (const Name& name : FindNames(code)) {
    if (!is_bad(name)) continue;
    violations.push_back(
        {file.path, LineOf(code, name.offset), absl::StrCat(name.text, ": ", why)});
  }
  return violations;
}

const std::set<std::string_view>& SystemCalls() {
  static const std::set<std::string_view> calls = {
      // Files.
      "open", "open64", "openat", "openat2", "creat", "close", "read", "pread", "pread64", "readv",
      "preadv", "preadv2", "write", "pwrite", "pwrite64", "writev", "pwritev", "pwritev2", "lseek",
      "fsync", "fdatasync", "sync", "syncfs", "sync_file_range", "msync", "fallocate",
      "posix_fallocate", "ftruncate", "truncate", "fcntl", "ioctl", "flock", "posix_fadvise",
      "readahead", "copy_file_range", "sendfile", "splice",
      // Names of files.
      "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink",
      "unlinkat", "rmdir", "mkdir", "mkdirat", "mkfifo", "mknod", "mkstemp", "mkostemp", "mkdtemp",
      "stat", "lstat", "fstat", "fstatat", "statx", "statfs", "fstatfs", "statvfs", "access",
      "faccessat", "chmod", "fchmod", "chown", "fchown", "readlink", "readlinkat", "opendir",
      "fdopendir", "readdir",
      // stdio.
      "fopen", "fdopen", "freopen", "fread", "fwrite", "fclose", "tmpfile",
      // Sockets.
      "socket", "socketpair", "accept", "accept4", "connect", "bind", "listen", "send", "sendto",
      "sendmsg", "recv", "recvfrom", "recvmsg", "shutdown", "setsockopt", "getaddrinfo",
      // What waits, and the way around this list.
      "poll", "ppoll", "select", "pselect", "epoll_wait", "epoll_pwait", "sleep", "usleep",
      "nanosleep", "clock_nanosleep", "syscall"};
  return calls;
}

bool IsSystemCall(const Name& name) {
  std::string_view text = name.text;
  if (text.starts_with("std::")) {
    text.remove_prefix(5);
    if (text.starts_with("filesystem")) return text != "filesystem::path";
    if (text == "this_thread::sleep_for" || text == "this_thread::sleep_until") return true;
    if (text == "ofstream" || text == "ifstream" || text == "fstream") return true;
    return name.is_call && (text == "rename" || text == "tmpfile" || text == "fopen" ||
                            text == "freopen" || text == "fread" || text == "fwrite");
  }
  if (!name.is_call || name.is_member) return false;
  if (text.starts_with("::")) text.remove_prefix(2);
  return SystemCalls().count(text) > 0;
}

bool IsLock(const Name& name) {
  static const std::set<std::string_view> kinds = {"mutex",
                                                   "timed_mutex",
                                                   "recursive_mutex",
                                                   "recursive_timed_mutex",
                                                   "shared_mutex",
                                                   "shared_timed_mutex",
                                                   "condition_variable",
                                                   "condition_variable_any",
                                                   "lock_guard",
                                                   "unique_lock",
                                                   "scoped_lock",
                                                   "shared_lock",
                                                   "call_once",
                                                   "once_flag",
                                                   "counting_semaphore",
                                                   "binary_semaphore",
                                                   "latch",
                                                   "barrier",
                                                   "future",
                                                   "promise",
                                                   "async"};
  if (name.text.starts_with("pthread_mutex_") || name.text.starts_with("pthread_cond_") ||
      name.text.starts_with("pthread_rwlock_") || name.text.starts_with("pthread_spin_")) {
    return true;
  }
  return name.text.starts_with("std::") && kinds.count(name.text.substr(5)) > 0;
}

bool IsAbslLock(const Name& name) {
  return name.text == "absl::Mutex" || name.text == "absl::MutexLock" ||
         name.text == "absl::CondVar" || name.text == "absl::Notification" ||
         name.text == "absl::BlockingCounter" || name.text == "absl::Barrier";
}

bool Prints(const Name& name) {
  static const std::set<std::string_view> streams = {"std::cout", "std::cerr", "std::clog"};
  static const std::set<std::string_view> functions = {
      "printf", "fprintf", "vprintf", "vfprintf", "dprintf", "puts", "fputs", "putchar", "perror"};
  if (streams.count(name.text) > 0) return true;
  if (!name.is_call || name.is_member) return false;
  std::string_view text = name.text;
  if (text == "absl::PrintF" || text == "absl::FPrintF") return true;
  if (text.starts_with("std::")) text.remove_prefix(5);
  if (text.starts_with("::")) text.remove_prefix(2);
  return functions.count(text) > 0;
}

}  // namespace

std::vector<Violation> CheckSystemCalls(const SourceFile& file) {
  if (!IsLibrary(file)) return {};
  return CheckNames(file, IsSystemCall,
                    "a system call outside of the Backend seam can neither be simulated nor made "
                    "to fail, and blocks the shard; go through io/backend.h, or give the reason "
                    "in tests/tidy/tidy_exceptions.cc");
}

std::vector<Violation> CheckLocks(const SourceFile& file) {
  if (!IsCpp(file)) return {};
  std::vector<Violation> violations =
      CheckNames(file, IsAbslLock, "TSan misjudges absl's synchronization: use the std primitives");
  if (!IsLibrary(file)) return violations;
  std::vector<Violation> locks =
      CheckNames(file, IsLock,
                 "nothing blocks a shard: use the mesh or an inbox, or give the reason in "
                 "tests/tidy/tidy_exceptions.cc");
  violations.insert(violations.end(), locks.begin(), locks.end());
  return violations;
}

std::vector<Violation> CheckConsole(const SourceFile& file) {
  if (!IsLibrary(file)) return {};
  return CheckNames(file, Prints, "a library does not print: return a Status or a report");
}

std::vector<Violation> CheckUnfinished(const SourceFile& file) {
  // Written in two parts, so that this file passes.
  static const std::set<std::string_view> marks = {
      "FIX"
      "ME",
      "TO"
      "DO",
      "XX"
      "X",
      "HA"
      "CK"};
  std::vector<Violation> violations;
  if (!IsCode(file)) return violations;
  for (const Name& name : FindNames(file.content)) {
    if (marks.count(name.text) == 0) continue;
    violations.push_back({file.path, LineOf(file.content, name.offset),
                          name.text + ": finish it, or file an issue and take it out"});
  }
  return violations;
}

std::vector<Violation> CheckUsingNamespace(const SourceFile& file) {
  std::vector<Violation> violations;
  if (!IsHeader(file)) return violations;
  const std::string code = BlankNonCode(file.content);
  const std::vector<Name> names = FindNames(code);
  for (size_t i = 0; i + 1 < names.size(); ++i) {
    if (names[i].text != "using" || names[i + 1].text != "namespace") continue;
    violations.push_back({file.path, LineOf(code, names[i].offset),
                          "using namespace in a header is imposed on whoever includes it"});
  }
  return violations;
}

}  // namespace ioengine::tidy
