#include "ioengine/tools/benchmark/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

extern char** environ;

namespace ioengine::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMaxOutputBytes = size_t{16} << 20;
constexpr int kPollMs = 20;
constexpr std::chrono::seconds kGrace(2);

struct Pipe {
  ~Pipe() {
    CloseRead();
    CloseWrite();
  }
  bool Open() {
    std::array<int, 2> ends;
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return false;
    read_fd = ends[0];
    write_fd = ends[1];
    return true;
  }
  void CloseRead() {
    if (read_fd >= 0) close(read_fd);
    read_fd = -1;
  }
  void CloseWrite() {
    if (write_fd >= 0) close(write_fd);
    write_fd = -1;
  }

  int read_fd = -1;
  int write_fd = -1;
};

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> MergeEnvironment(
    const std::vector<std::pair<std::string, std::string>>& added) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const bool replaced = std::any_of(added.begin(), added.end(), [&](const auto& variable) {
      return text.starts_with(variable.first + "=");
    });
    if (!replaced) merged.push_back(text);
  }
  for (const auto& [name, value] : added) merged.push_back(name + "=" + value);
  return merged;
}

// Returns an errno, as posix_spawnp does.
int Spawn(std::vector<std::string> argv,
          const std::vector<std::pair<std::string, std::string>>& environment, int output_fd,
          int error_fd, pid_t* child) {
  std::vector<std::string> variables = MergeEnvironment(environment);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output_fd, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, error_fd, STDERR_FILENO);

  // The child starts with default signals, whatever this thread blocks or ignores.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) sigaddset(&defaults, signal);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  const int error = posix_spawnp(child, argv[0].c_str(), &actions, &attributes,
                                 Pointers(argv).data(), Pointers(variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

// One read; closes the pipe at its end.
void Drain(Pipe* pipe, std::string* text) {
  std::array<char, 65536> buffer;
  const ssize_t got = read(pipe->read_fd, buffer.data(), buffer.size());
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got <= 0) {
    pipe->CloseRead();
    return;
  }
  text->append(buffer.data(), std::min(static_cast<size_t>(got), kMaxOutputBytes - text->size()));
}

int ExitStatus(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

// Watches one child from its start to its end.
class Watch {
 public:
  Watch(pid_t child, double timeout_s, const std::atomic<bool>& cancelled)
      : child_(child),
        deadline_(Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                     std::chrono::duration<double>(timeout_s))),
        cancelled_(cancelled) {}

  // Reads both pipes until they and the child have ended.
  void Run(Pipe* output, Pipe* errors, ProcessResult* result) {
    bool exited = false;
    while (!exited || output->read_fd >= 0 || errors->read_fd >= 0) {
      std::array<pollfd, 2> fds = {pollfd{output->read_fd, POLLIN, 0},
                                   pollfd{errors->read_fd, POLLIN, 0}};
      // poll() passes over a closed pipe's -1; with both closed it is the pause between two waits.
      const int ready = poll(fds.data(), fds.size(), kPollMs);
      if (ready > 0 && fds[0].revents != 0) Drain(output, &result->output);
      if (ready > 0 && fds[1].revents != 0) Drain(errors, &result->errors);
      int wait_status = 0;
      if (!exited && waitpid(child_, &wait_status, WNOHANG) == child_) {
        exited = true;
        result->exit_status = ExitStatus(wait_status);
      }
      if (exited && ready == 0) break;  // a grandchild may hold the pipes open for ever
      if (!exited) StopIfDue();
    }
  }

  bool was_cancelled() const { return was_cancelled_; }
  bool timed_out() const { return timed_out_; }

 private:
  void StopIfDue() {
    const Clock::time_point now = Clock::now();
    if (was_cancelled_ || timed_out_) {
      if (now >= kill_at_) kill(child_, SIGKILL);
      return;
    }
    was_cancelled_ = cancelled_.load(std::memory_order_relaxed);
    timed_out_ = !was_cancelled_ && now >= deadline_;
    if (!was_cancelled_ && !timed_out_) return;
    kill(child_, SIGTERM);
    kill_at_ = now + kGrace;
  }

  const pid_t child_;
  const Clock::time_point deadline_;
  const std::atomic<bool>& cancelled_;
  Clock::time_point kill_at_;
  bool was_cancelled_ = false;
  bool timed_out_ = false;
};

}  // namespace

absl::StatusOr<ProcessResult> RunProcess(
    const std::vector<std::string>& argv,
    const std::vector<std::pair<std::string, std::string>>& environment, double timeout_s,
    const std::atomic<bool>& cancelled) {
  if (argv.empty()) return absl::InvalidArgumentError("no program to run");
  Pipe output, errors;
  if (!output.Open() || !errors.Open()) {
    return absl::ErrnoToStatus(errno, "cannot make a pipe to run " + argv[0]);
  }
  pid_t child = -1;
  if (const int error = Spawn(argv, environment, output.write_fd, errors.write_fd, &child);
      error != 0) {
    return absl::ErrnoToStatus(error, "cannot run " + argv[0]);
  }
  output.CloseWrite();
  errors.CloseWrite();

  ProcessResult result;
  Watch watch(child, timeout_s, cancelled);
  watch.Run(&output, &errors, &result);
  if (watch.was_cancelled()) return absl::CancelledError(argv[0] + " was stopped");
  if (watch.timed_out()) {
    return absl::DeadlineExceededError(argv[0] + " did not end within " +
                                       std::to_string(timeout_s) + " s and was stopped");
  }
  return result;
}

}  // namespace ioengine::bench
