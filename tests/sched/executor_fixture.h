// An executor over a ScriptedPoller, on the test's own thread.

#ifndef IOENGINE_TESTS_SCHED_EXECUTOR_FIXTURE_H_
#define IOENGINE_TESTS_SCHED_EXECUTOR_FIXTURE_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/task.h"
#include "ioengine/tests/sched/scripted_poller.h"
#include "ioengine/tests/sched/task_helpers.h"

namespace ioengine {

class ExecutorFixture : public testing::Test {
 protected:
  // Runs the executor, which calls `start` first, until it would sleep; then calls `when_idle`,
  // which may make something runnable, and stops it when it would sleep once more.
  void RunUntilIdle(
      std::function<void()> start, std::function<void()> when_idle = [] {}) {
    bool idle = false;
    poller_.on_wait = [&]() -> size_t {
      if (std::exchange(idle, true)) {
        executor_.RequestStop();
      } else {
        when_idle();
      }
      return 0;
    };
    ASSERT_EQ(CallOn(executor_, std::move(start)), CallOutcome::kAccepted);
    executor_.Run();
    poller_.on_wait = nullptr;
  }

  ScriptedPoller poller_;
  Executor executor_{poller_, ExecutorOptions()};
  std::vector<std::string> log_;
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_SCHED_EXECUTOR_FIXTURE_H_
