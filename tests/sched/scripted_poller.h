// Pollers for tests of what lies above them.

#ifndef IOENGINE_TESTS_SCHED_SCRIPTED_POLLER_H_
#define IOENGINE_TESTS_SCHED_SCRIPTED_POLLER_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>

#include "ioengine/sched/poller.h"

namespace ioengine {

// Each call does what the test put there; nothing by default. Wait returns at once, so an executor
// that nobody stops would spin: put the stop into `on_wait`.
class ScriptedPoller final : public Poller {
 public:
  size_t Poll() override {
    ++polls;
    return on_poll ? on_poll() : 0;
  }
  size_t Wait(uint64_t timeout_ns) override {
    ++waits;
    last_timeout_ns = timeout_ns;
    return on_wait ? on_wait() : 0;
  }
  bool HasCompletions() const override { return has_completions && has_completions(); }
  void Wake() override {
    if (on_wake) on_wake();
  }

  std::function<size_t()> on_poll;
  std::function<size_t()> on_wait;
  std::function<bool()> has_completions;
  std::function<void()> on_wake;
  int polls = 0;
  int waits = 0;
  uint64_t last_timeout_ns = 0;
};

// Sleeps as a real one does: until a Wake, which may come first, or for the time that it is given.
// A sleep of kLostAfterSeconds is taken for a wake-up that was lost: it ends, and is counted.
class SleepingPoller final : public Poller {
 public:
  static constexpr int kLostAfterSeconds = 10;

  size_t Poll() override { return 0; }
  size_t Wait(uint64_t timeout_ns) override;
  bool HasCompletions() const override { return false; }
  void Wake() override;

  // Any thread.
  int lost_wakeups() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable woken_;
  bool wake_ = false;
  int lost_wakeups_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_SCHED_SCRIPTED_POLLER_H_
