#include "ioengine/sched/guarded_task.h"

namespace ioengine::internal {

void Guard::Start(Runnable& task, Runnable& waiter) {
  waiter_ = &waiter;
  task.EndInOwner(*this);
  task.set_class_id(waiter.class_id());
  const uint64_t deadline_ns = own_context_.deadline_ns();
  if (deadline_ns != TaskContext::kNoDeadline) executor_.ArmTimer(*this, deadline_ns);
}

std::coroutine_handle<> Guard::OnTaskDone(Runnable& /*task*/) noexcept {
  done_ = true;
  if (waiter_ == nullptr) return nullptr;  // it is in the run queue
  Runnable& waiter = *std::exchange(waiter_, nullptr);
  this_thread.task = &waiter;
  return waiter.handle();
}

void Guard::End(absl::StatusCode reason) {
  if (ended()) return;
  reason_ = reason;
  if (waiter_ == nullptr) return;  // not started yet, or done
  executor_.MakeRunnable(*std::exchange(waiter_, nullptr));
}

absl::Status Guard::error() const {
  return reason_ == absl::StatusCode::kCancelled
             ? absl::CancelledError("a stop was requested")
             : absl::DeadlineExceededError("the time for the task was over");
}

}  // namespace ioengine::internal
