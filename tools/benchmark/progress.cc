#include "ioengine/tools/benchmark/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace ioengine::bench {
namespace {

constexpr std::chrono::milliseconds kInterval(250);
constexpr std::string_view kErase = "\r\x1b[K";

// A line that could not be drawn is no reason to stop a benchmark.
void WriteText(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

bool CanRedraw(int fd) {
  if (isatty(fd) == 0) return false;
  const char* terminal = std::getenv("TERM");
  return terminal != nullptr && *terminal != '\0' && std::string_view(terminal) != "dumb";
}

size_t TerminalWidth(int fd) {
  winsize size;
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

// The first `width` characters of UTF-8 text.
std::string_view Cut(std::string_view text, size_t width) {
  size_t characters = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((text[i] & 0xC0) == 0x80) continue;
    if (characters++ == width) return text.substr(0, i);
  }
  return text;
}

}  // namespace

Progress::Progress(std::function<std::string()> line, int fd) : line_(std::move(line)), fd_(fd) {
  if (CanRedraw(fd)) thread_ = std::thread([this] { Run(); });
}

Progress::~Progress() { Stop(); }

void Progress::Stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  stop_changed_.notify_one();
  thread_.join();
  WriteText(fd_, kErase);
}

void Progress::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stop_) {
    lock.unlock();
    Draw();
    lock.lock();
    stop_changed_.wait_for(lock, kInterval, [this] { return stop_; });
  }
}

void Progress::Draw() {
  const std::string line = line_();
  // The last column stays free: a character there makes some terminals wrap.
  WriteText(fd_, std::string(kErase) + std::string(Cut(line, TerminalWidth(fd_) - 1)));
}

}  // namespace ioengine::bench
