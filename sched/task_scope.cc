#include "ioengine/sched/task_scope.h"

#include <exception>
#include <utility>

#include "ioengine/sched/executor.h"

namespace ioengine {

// A task that no other task awaits. Its frame deletes itself at the end; until then the scope's
// list holds it, so that it can be destroyed early.
struct TaskScope::ChildPromise : Runnable, ListLink {
  ~ChildPromise() { scope->OnChildGone(); }

  Child get_return_object() noexcept;
  std::suspend_always initial_suspend() const noexcept { return {}; }
  std::suspend_never final_suspend() const noexcept { return {}; }
  void return_void() const noexcept {}
  [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }

  TaskScope* scope = nullptr;
};

struct TaskScope::Child {
  using promise_type = ChildPromise;
  ChildPromise& promise;
};

TaskScope::Child TaskScope::ChildPromise::get_return_object() noexcept { return {*this}; }

TaskScope::Child TaskScope::Run(Task<void> task) { co_await std::move(task); }

void TaskScope::Spawn(Task<void> task, ClassId class_id) {
  IOENGINE_CHECK(task.valid(), "Spawn of an empty task");
  IOENGINE_CHECK(Executor::Current() == &executor_,
                 "Spawn from a thread that does not run this executor");
  ChildPromise& child = Run(std::move(task)).promise;
  child.scope = this;
  child.set_class_id(class_id);
  children_.PushBack(child);
  ++size_;
  executor_.MakeRunnable(child);
}

void TaskScope::DestroyChildren() {
  while (!children_.empty()) {
    std::coroutine_handle<ChildPromise>::from_promise(children_.PopFront()).destroy();
  }
}

void TaskScope::OnChildGone() {
  if (--size_ > 0 || joiner_ == nullptr) return;
  JoinAwaiter& joiner = *std::exchange(joiner_, nullptr);
  executor_.MakeRunnable(*std::exchange(joiner.task_, nullptr));
}

}  // namespace ioengine
