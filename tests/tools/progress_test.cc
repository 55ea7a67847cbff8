#include "ioengine/tools/benchmark/progress.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>

namespace ioengine::bench {
namespace {

constexpr char kErase[] = "\r\x1b[K";

// A terminal of 20 columns whose other end the test reads.
class Terminal {
 public:
  Terminal() {
    winsize size = {};
    size.ws_col = 20;
    size.ws_row = 5;
    opened_ = openpty(&reader_, &terminal_, nullptr, nullptr, &size) == 0;
    setenv("TERM", "xterm", 1);
  }
  ~Terminal() {
    if (opened_) close(reader_), close(terminal_);
  }

  bool opened() const { return opened_; }
  int fd() const { return terminal_; }

  // What is there to be read, waiting for a first byte.
  std::string Read() {
    std::string text;
    std::array<char, 4096> buffer;
    pollfd ready = {reader_, POLLIN, 0};
    for (int wait_ms = 5000; poll(&ready, 1, wait_ms) > 0; wait_ms = 0) {
      const ssize_t got = read(reader_, buffer.data(), buffer.size());
      if (got <= 0) break;
      text.append(buffer.data(), static_cast<size_t>(got));
    }
    return text;
  }

 private:
  bool opened_ = false;
  int reader_ = -1;
  int terminal_ = -1;
};

TEST(ProgressTest, DrawsAgainAndAgainAndErases) {
  Terminal terminal;
  ASSERT_TRUE(terminal.opened());
  std::atomic<int> calls = 0;
  std::string text;
  {
    Progress progress([&] { return "step " + std::to_string(++calls); }, terminal.fd());
    while (calls < 3) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  text = terminal.Read();
  EXPECT_TRUE(text.starts_with(std::string(kErase) + "step 1" + kErase + "step 2")) << text;
  EXPECT_TRUE(text.ends_with(kErase)) << text;
}

TEST(ProgressTest, CutsToTheWidth) {
  Terminal terminal;
  ASSERT_TRUE(terminal.opened());
  Progress progress([] { return std::string("0123456789µ123456789"); }, terminal.fd());
  const std::string text = terminal.Read();
  progress.Stop();
  EXPECT_EQ(text, std::string(kErase) + "0123456789µ12345678");
}

TEST(ProgressTest, StopIsSoonAndTwiceIsOnce) {
  Terminal terminal;
  ASSERT_TRUE(terminal.opened());
  std::atomic<int> calls = 0;
  Progress progress([&] { return std::to_string(++calls); }, terminal.fd());
  EXPECT_NE(terminal.Read(), "");
  progress.Stop();
  const int at_stop = calls;
  progress.Stop();
  EXPECT_EQ(terminal.Read(), kErase);
  EXPECT_EQ(calls, at_stop);
}

TEST(ProgressTest, SaysNothingInAPipe) {
  std::array<int, 2> ends;
  ASSERT_EQ(pipe(ends.data()), 0);
  bool called = false;
  {
    Progress progress(
        [&] {
          called = true;
          return std::string("line");
        },
        ends[1]);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  close(ends[1]);
  char byte;
  EXPECT_EQ(read(ends[0], &byte, 1), 0) << "nothing was written";
  close(ends[0]);
  EXPECT_FALSE(called);
}

TEST(ProgressTest, SaysNothingOnADumbTerminal) {
  Terminal terminal;
  ASSERT_TRUE(terminal.opened());
  setenv("TERM", "dumb", 1);
  std::atomic<bool> called = false;
  {
    Progress progress(
        [&] {
          called = true;
          return std::string("line");
        },
        terminal.fd());
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace ioengine::bench
