#include "ioengine/sched/task_scope.h"

#include "ioengine/sched/task_owner.h"

namespace ioengine {

// A scope's side of one task. It comes from the shard's pool and returns there when the task ends.
// 40 bytes; there may be very many.
class TaskScope::Child : public TaskOwner, public ListLink {
 public:
  Child(TaskScope& scope, Runnable& task) : scope_(scope), task_(task) {}
  virtual ~Child() = default;

  static void* operator new(size_t size_bytes) { return FramePool::AllocateNode(size_bytes); }
  static void operator delete(void* child, size_t size_bytes) {
    FramePool::FreeNode(child, size_bytes);
  }

  Runnable& task() const { return task_; }

 protected:
  TaskContext* context() noexcept override { return &scope_.context_; }
  bool keeps_frame() const noexcept override { return false; }
  std::coroutine_handle<> OnTaskDone(Runnable& /*task*/) noexcept override {
    scope_.OnChildDone(*this, absl::OkStatus());
    return nullptr;
  }

  TaskScope& scope_;

 private:
  Runnable& task_;
};

class TaskScope::StatusChild final : public Child {
 public:
  using Child::Child;

 private:
  std::coroutine_handle<> OnTaskDone(Runnable& task) noexcept override {
    scope_.OnChildDone(*this, static_cast<internal::TaskPromise<absl::Status>&>(task).TakeResult());
    return nullptr;
  }
};

TaskScope::TaskScope(Executor& executor, const TaskScopeOptions& options)
    : executor_(executor),
      context_(Executor::Current() == &executor ? TaskContext::Current() : nullptr,
               options.deadline_ns,
               options.detached ? TaskContext::Inherits::kNothing : TaskContext::Inherits::kAll),
      cancel_on_failure_(options.cancel_on_failure) {
  if (options.deadline_ns != TaskContext::kNoDeadline) {
    executor_.ArmTimer(deadline_timer_, options.deadline_ns);
  }
}

TaskScope::~TaskScope() {
  CheckNotOwnChild();
  IOENGINE_CHECK(joiner_ == nullptr, "a TaskScope is destroyed while a task waits in its Join");
  DestroyChildren();
}

void TaskScope::Start(Runnable& task, std::optional<ClassId> class_id, bool gives_status) {
  IOENGINE_CHECK(Executor::Current() == &executor_,
                 "Spawn from a thread that does not run this executor");
  const ClassId id = class_id.value_or(executor_.current_class());
  IOENGINE_CHECK(executor_.FindClass(id) != nullptr, "Spawn in a class that was not created");
  Child* const child = gives_status ? new StatusChild(*this, task) : new Child(*this, task);
  children_.PushBack(*child);
  ++size_;
  task.EndInOwner(*child);
  task.set_class_id(id);
  executor_.MakeRunnable(task);
}

void TaskScope::OnChildDone(Child& child, absl::Status status) {
  // Its arguments are still to be destroyed, and may ask for the task's context.
  child.task().EndDetached();
  delete &child;
  --size_;
  if (!status.ok()) {
    status_.Update(std::move(status));
    if (cancel_on_failure_) DestroyChildren();
  }
  if (size_ == 0) WakeJoiner();
}

void TaskScope::CheckNotOwnChild() const {
  for (const TaskContext* at = TaskContext::Current(); at != nullptr; at = at->parent()) {
    IOENGINE_CHECK(at != &context_,
                   "a TaskScope is cancelled by one of its own tasks, which would destroy itself; "
                   "return an error (cancel_on_failure) or call RequestStop");
  }
}

void TaskScope::Cancel() {
  CheckNotOwnChild();
  if (size_ == 0) return;
  status_.Update(absl::CancelledError());
  DestroyChildren();
  WakeJoiner();
}

void TaskScope::DestroyChildren() {
  IOENGINE_CHECK(children_.empty() || Executor::Current() == &executor_,
                 "tasks are destroyed on a thread that does not run their executor; end their "
                 "TaskScope on its shard");
  while (!children_.empty()) {
    Child& child = children_.PopFront();
    Runnable& task = child.task();
    task.EndDetached();
    delete &child;
    --size_;
    task.Destroy();
  }
}

void TaskScope::WakeJoiner() {
  if (joiner_ == nullptr) return;
  JoinAwaiter& joiner = *std::exchange(joiner_, nullptr);
  executor_.MakeRunnable(*std::exchange(joiner.task_, nullptr));
}

void TaskScope::OnDeadline() {
  if (size_ == 0) return;
  status_.Update(absl::DeadlineExceededError("the deadline of a TaskScope has passed"));
  DestroyChildren();
  WakeJoiner();
}

}  // namespace ioengine
