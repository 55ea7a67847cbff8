// WhenAll: several tasks side by side, and the results of all.
#ifndef IOENGINE_SCHED_WHEN_ALL_H_
#define IOENGINE_SCHED_WHEN_ALL_H_

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "ioengine/sched/executor.h"
#include "ioengine/sched/runnable.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_context.h"
#include "ioengine/sched/task_owner.h"

namespace ioengine {
namespace internal {

// The owner of tasks that run side by side for one that waits; in that one's frame. They have its
// context and class.
class TaskGroup final : public TaskOwner {
 public:
  TaskGroup() : context_(TaskContext::Current()) {}

  // `waiter` goes on when `count` tasks are done.
  void Wait(Runnable& waiter, size_t count) {
    waiter_ = &waiter;
    left_ = count;
  }

  // Makes `task` runnable.
  void Start(Runnable& task) {
    task.EndInOwner(*this);
    task.set_class_id(waiter_->class_id());
    Executor::Current()->MakeRunnable(task);
  }

 private:
  TaskContext* context() noexcept override { return context_; }
  bool keeps_frame() const noexcept override { return true; }
  std::coroutine_handle<> OnTaskDone(Runnable& /*task*/) noexcept override {
    // More than were waited for can be done when they ended before the waiter's turn came.
    if (left_ == 0 || --left_ > 0) return nullptr;
    this_thread.task = waiter_;
    return waiter_->handle();
  }

  TaskContext* const context_;
  Runnable* waiter_ = nullptr;
  size_t left_ = 0;
};

// What a task's result is in a tuple or vector: std::monostate stands for void.
template <typename T>
using StorableResult = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <typename T>
StorableResult<T> TakeStorableResult(Task<T>& task) {
  if constexpr (std::is_void_v<T>) {
    return {};
  } else {
    return TaskAccess::Promise(task).TakeResult();
  }
}

template <typename... T>
class [[nodiscard]] WhenAllTuple {
 public:
  explicit WhenAllTuple(Task<T>... tasks) : tasks_(std::move(tasks)...) {}

  bool await_ready() const noexcept { return sizeof...(T) == 0; }
  template <std::derived_from<Runnable> Promise>
  void await_suspend(std::coroutine_handle<Promise> handle) {
    group_.Wait(handle.promise(), sizeof...(T));
    std::apply([this](auto&... task) { (group_.Start(TaskAccess::ToStart(task)), ...); }, tasks_);
  }
  std::tuple<StorableResult<T>...> await_resume() {
    return std::apply(
        [](auto&... task) { return std::tuple<StorableResult<T>...>(TakeStorableResult(task)...); },
        tasks_);
  }

 private:
  TaskGroup group_;
  std::tuple<Task<T>...> tasks_;
};

template <typename T>
class [[nodiscard]] WhenAllVector {
 public:
  explicit WhenAllVector(std::vector<Task<T>> tasks) : tasks_(std::move(tasks)) {}

  bool await_ready() const noexcept { return tasks_.empty(); }
  template <std::derived_from<Runnable> Promise>
  void await_suspend(std::coroutine_handle<Promise> handle) {
    group_.Wait(handle.promise(), tasks_.size());
    for (Task<T>& task : tasks_) group_.Start(TaskAccess::ToStart(task));
  }
  std::vector<StorableResult<T>> await_resume() {
    std::vector<StorableResult<T>> results;
    results.reserve(tasks_.size());
    for (Task<T>& task : tasks_) results.push_back(TakeStorableResult(task));
    return results;
  }

 private:
  TaskGroup group_;
  std::vector<Task<T>> tasks_;
};

}  // namespace internal

// `auto [a, b] = co_await WhenAll(One(), Two())`: runs the tasks side by side and gives the results
// of all (std::monostate for void), whatever they are: errors end nothing; for that there is
// TaskScope with cancel_on_failure. Destroying the task that waits destroys them.
// Shard: the one that runs the awaiting task, whose class they have. Cost: no allocation beside the
// tasks' own.
template <typename... T>
auto WhenAll(Task<T>... tasks) {
  return internal::WhenAllTuple<T...>(std::move(tasks)...);
}

// The same for any number of tasks of one type: gives their results in the tasks' order.
template <typename T>
auto WhenAll(std::vector<Task<T>> tasks) {
  return internal::WhenAllVector<T>(std::move(tasks));
}

}  // namespace ioengine

#endif  // IOENGINE_SCHED_WHEN_ALL_H_
