// Small things that tests make tasks of.

#ifndef IOENGINE_TESTS_SCHED_TASK_HELPERS_H_
#define IOENGINE_TESTS_SCHED_TASK_HELPERS_H_

#include <coroutine>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ioengine/sched/executor.h"
#include "ioengine/sched/inbox.h"
#include "ioengine/sched/runnable.h"

namespace ioengine {

// Notes its own end in a log, so that a test sees what was released, and in which order.
class Probe {
 public:
  Probe(std::vector<std::string>* log, std::string name) : log_(log), name_(std::move(name)) {}
  Probe(Probe&& other) noexcept
      : log_(std::exchange(other.log_, nullptr)), name_(std::move(other.name_)) {}
  Probe& operator=(Probe&&) = delete;
  ~Probe() {
    if (log_ != nullptr) log_->push_back(name_);
  }

 private:
  std::vector<std::string>* log_;
  std::string name_;
};

// Counts its live copies.
class Counted {
 public:
  explicit Counted(int* live) : live_(live) { ++*live_; }
  Counted(const Counted& other) : live_(other.live_) { ++*live_; }
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --*live_; }

 private:
  int* live_;
};

// Where one task waits until the test makes it runnable.
class WaitPoint {
 public:
  // `co_await point.Wait()`. One task at a time.
  auto Wait() { return Awaiter{*this}; }

  bool has_waiter() const { return waiter_ != nullptr; }
  Runnable& waiter() { return *waiter_; }
  // On the executor that the task runs on.
  void Open() { Executor::Current()->MakeRunnable(*std::exchange(waiter_, nullptr)); }

 private:
  struct Awaiter {
    WaitPoint& point;

    bool await_ready() const noexcept { return false; }
    template <typename Promise>
    void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
      point.waiter_ = &handle.promise();
    }
    void await_resume() const noexcept {}
  };

  Runnable* waiter_ = nullptr;
};

// `co_await ClassOfTask()`: the class that the task carries; does not suspend it.
class ClassOfTask {
 public:
  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  bool await_suspend(std::coroutine_handle<Promise> handle) noexcept {
    class_id_ = handle.promise().class_id();
    return false;
  }
  ClassId await_resume() const noexcept { return class_id_; }

 private:
  ClassId class_id_ = 0;
};

// A foreign call that calls a function.
class FunctionCall final : public ForeignCall {
 public:
  explicit FunctionCall(std::function<void()> function) : function_(std::move(function)) {}
  void Run() override { function_(); }

  static std::unique_ptr<ForeignCall> Make(std::function<void()> function) {
    return std::make_unique<FunctionCall>(std::move(function));
  }

 private:
  std::function<void()> function_;
};

// Any thread.
inline CallOutcome CallOn(Executor& executor, std::function<void()> function) {
  std::unique_ptr<ForeignCall> call = FunctionCall::Make(std::move(function));
  return executor.TryCall(call);
}

}  // namespace ioengine

#endif  // IOENGINE_TESTS_SCHED_TASK_HELPERS_H_
