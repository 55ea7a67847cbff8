// One line on a terminal that says how far a run is.
#ifndef IOENGINE_TOOLS_BENCHMARK_PROGRESS_H_
#define IOENGINE_TOOLS_BENCHMARK_PROGRESS_H_

#include <unistd.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace ioengine::bench {

// Redraws a line four times a second from a thread of its own, and erases it at the end. In a pipe
// or a file it does nothing at all: there is no thread, and `line` is never called.
//
// The thread inherits the creator's CPU affinity: create it before pinning. Nothing else should
// write to `fd` while it lives.
class Progress {
 public:
  // `line` returns what to show, without a newline; longer text is cut to the terminal's width. It
  // is called on the thread of the Progress, so it may only read atomics or what does not change.
  explicit Progress(std::function<std::string()> line, int fd = STDERR_FILENO);
  ~Progress();  // Stop()

  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Erases the line and joins the thread; `line` is not called any more after that.
  void Stop();

 private:
  void Run();
  void Draw();

  const std::function<std::string()> line_;
  const int fd_;
  std::mutex mutex_;
  std::condition_variable stop_changed_;
  bool stop_ = false;  // under mutex_
  std::thread thread_;
};

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_PROGRESS_H_
