// Task<T>: a coroutine of a shard.
//
//   created ──co_await──► running ◄──► suspended ──co_return──► done
//      │                                   │                      │
//      └───────────── ~Task ───────────────┴──────────────────────┘► destroyed
//
// A task is lazy: its body starts when it is awaited (or spawned), in the same turn
// and without a trip through the run queue. When it returns, control passes straight back to the
// task that awaits it (symmetric transfer), so a chain of any depth uses constant stack.
//
// (The compiler must make tail calls for that: -O2, or -foptimize-sibling-calls. With g++ 12 and
// ASan they are left out in coroutines with temporaries on the stack; there a loop of many
// thousands of awaits that never suspend can use the stack up. A Yield gives it back.)
//
// Rules for the body of a coroutine: parameters by value where they must live across a suspension,
// and no lambda with captures as a coroutine (its captures die with the lambda object).
#ifndef IOENGINE_SCHED_TASK_H_
#define IOENGINE_SCHED_TASK_H_

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "ioengine/sched/check.h"
#include "ioengine/sched/frame_pool.h"
#include "ioengine/sched/runnable.h"
#include "ioengine/sched/task_owner.h"
#include "ioengine/sched/this_thread.h"

namespace ioengine {

template <typename T = void>
class Task;

namespace internal {

// What all promises of Task share.
class TaskPromiseBase : public Runnable {
 public:
  // Passes control to whoever waits for the task that returned; or lets the frame destroy itself.
  struct FinalAwaiter {
    bool destroys_itself;

    bool await_ready() const noexcept { return destroys_itself; }
    template <typename Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> handle) const noexcept {
      Runnable& task = handle.promise();
      if (task.end() == Runnable::End::kTask) [[likely]] {
        this_thread.task = task.awaiting_task();
        return task.awaiting_task()->handle();
      }
      const std::coroutine_handle<> next = task.owner()->OnTaskDone(task);
      return next != nullptr ? next : std::noop_coroutine();
    }
    void await_resume() const noexcept {}
  };

  static void* operator new(size_t size_bytes) { return FramePool::Allocate(size_bytes); }
  static void operator delete(void* frame, size_t size_bytes) noexcept {
    FramePool::Free(frame, size_bytes);
  }

  std::suspend_always initial_suspend() const noexcept { return {}; }

  FinalAwaiter final_suspend() noexcept {
    if (end() == End::kTask) [[likely]] {
      return {false};
    }
    if (end() == End::kOwner) {
      if (owner()->keeps_frame()) return {false};
      owner()->OnTaskDone(*this);
    }
    return {true};
  }

  // The library throws nothing and reports errors as absl::Status; an exception that leaves a
  // coroutine's body has nowhere to go.
  [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
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

// For what starts tasks other than by co_await: scopes, timeouts, WhenAll.
struct TaskAccess {
  template <typename T>
  static TaskPromise<T>& Promise(Task<T>& task) {
    return task.handle_.promise();
  }
  // Of a task whose owner keeps its frame.
  template <typename T>
  static bool HasReturned(const Task<T>& task) {
    return task.handle_.done();
  }
  // A task that is about to be started.
  template <typename T>
  static TaskPromise<T>& ToStart(Task<T>& task) {
    IOENGINE_CHECK(task.valid(), "an empty task is started");
    IOENGINE_CHECK(task.handle_.promise().end() == Runnable::End::kNobody,
                   "a task that was started already is started again");
    return task.handle_.promise();
  }
  // The same; the frame is the caller's from now on.
  template <typename T>
  static TaskPromise<T>& Release(Task<T> task) {
    TaskPromise<T>& promise = ToStart(task);
    task.handle_ = nullptr;
    return promise;
  }
};

}  // namespace internal

// A coroutine that yields one T. Move-only; owns the coroutine's frame.
//
// Shard: lives and dies on one shard.
// Ownership: destroying a task that is suspended destroys its locals and the tasks that it awaits;
// I/O that it has in flight keeps its buffer and file until the kernel is done with them.
// Cost: one frame from the shard's free lists (clang may elide it), one indirect jump to start and
// one to return.
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
    template <std::derived_from<Runnable> Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> parent) noexcept {
      Runnable& task = child.promise();
      task.EndInTask(parent.promise());
      task.set_class_id(parent.promise().class_id());
      internal::this_thread.task = &task;
      return child;
    }
    T await_resume() { return child.promise().TakeResult(); }
  };

  friend promise_type;
  friend internal::TaskAccess;
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
