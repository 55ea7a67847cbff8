// Task<T>: a coroutine of a shard.
//
//   created ──co_await──► running ◄──► suspended ──co_return──► done
//      │                                   │                      │
//      └───────────── ~Task ───────────────┴──────────────────────┘► destroyed
//
// A task is lazy: its body starts when it is awaited (or spawned on an Executor), in the same turn
// and without a trip through the run queue. When it returns, control passes straight back to the
// task that awaits it (symmetric transfer), so a chain of any depth uses constant stack.
//
// Rules for the body of a coroutine: parameters by value where they must live across a suspension,
// and no lambda with captures as a coroutine (its captures die with the lambda object).
#ifndef IOENGINE_SCHED_TASK_H_
#define IOENGINE_SCHED_TASK_H_

#include <concepts>
#include <coroutine>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "ioengine/sched/check.h"
#include "ioengine/sched/runnable.h"

namespace ioengine {

template <typename T = void>
class Task;

namespace internal {

// What all promises of Task share. `continuation` is who awaits this task.
class TaskPromiseBase : public Runnable {
 public:
  // Passes control to whoever awaits the finished task.
  struct FinalAwaiter {
    bool await_ready() const noexcept { return false; }
    template <typename Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> handle) const noexcept {
      return handle.promise().continuation_;
    }
    void await_resume() const noexcept {}
  };

  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }

  // The library throws nothing and reports errors as absl::Status; an exception that leaves a
  // coroutine's body has nowhere to go.
  [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }

  void set_continuation(std::coroutine_handle<> continuation) { continuation_ = continuation; }

 private:
  std::coroutine_handle<> continuation_;
};

template <typename T>
class TaskPromise final : public TaskPromiseBase {
 public:
  // `Runnable::Resume` finds the frame from the promise's base; a promise with a larger alignment
  // than the frame header would move it. Box such a result.
  static_assert(alignof(T) <= 2 * sizeof(void*), "Task<T> of an over-aligned T is not supported");

  TaskPromise() = default;
  ~TaskPromise() {
    if (has_value_) value()->~T();
  }

  Task<T> get_return_object() noexcept;

  template <typename U>
  requires std::constructible_from<T, U&&>
  void return_value(U&& value) {
    ::new (static_cast<void*>(&storage_)) T(std::forward<U>(value));
    has_value_ = true;
  }

  T TakeResult() {
    IOENGINE_CHECK(has_value_, "a task was resumed before the task that it awaits had a result");
    return std::move(*value());
  }

 private:
  T* value() { return std::launder(reinterpret_cast<T*>(&storage_)); }

  bool has_value_ = false;
  alignas(T) unsigned char storage_[sizeof(T)];
};

template <>
class TaskPromise<void> final : public TaskPromiseBase {
 public:
  Task<void> get_return_object() noexcept;
  void return_void() const noexcept {}
  void TakeResult() const noexcept {}
};

}  // namespace internal

// A coroutine that yields one T. Move-only; owns the coroutine's frame.
//
// Shard: lives and dies on one shard.
// Ownership: destroying a task that is suspended destroys its locals and the tasks that it awaits;
// I/O that it has in flight keeps its buffer and file until the kernel is done with them.
// Cost: one frame allocation (g++ and clang may elide it), one indirect jump to start and one to
// return.
template <typename T>
class [[nodiscard]] Task {
 public:
  using promise_type = internal::TaskPromise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task() = default;
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      Destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Task() { Destroy(); }

  // False for a default-constructed or moved-from task.
  bool valid() const { return handle_ != nullptr; }

  // `co_await std::move(task)` or `co_await Function(…)`: runs the task and gives its result. The
  // task inherits the class of the task that awaits it.
  auto operator co_await() && noexcept {
    IOENGINE_CHECK(valid(), "co_await on an empty Task");
    IOENGINE_CHECK(!handle_.done(), "a Task is awaited twice");
    return Awaiter{handle_};
  }

 private:
  struct Awaiter {
    Handle child;

    bool await_ready() const noexcept { return false; }
    template <typename Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> parent) noexcept {
      child.promise().set_continuation(parent);
      child.promise().set_class_id(parent.promise().class_id());
      return child;
    }
    T await_resume() { return child.promise().TakeResult(); }
  };

  friend promise_type;
  explicit Task(Handle handle) : handle_(handle) {}

  void Destroy() {
    if (handle_ != nullptr) handle_.destroy();
  }

  Handle handle_;
};

namespace internal {

template <typename T>
Task<T> TaskPromise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

inline Task<void> TaskPromise<void>::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

}  // namespace internal
}  // namespace ioengine

#endif  // IOENGINE_SCHED_TASK_H_
