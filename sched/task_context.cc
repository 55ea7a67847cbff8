#include "ioengine/sched/task_context.h"

namespace ioengine {

StopToken TaskContext::stop_token() {
  if (!stop_token_.stop_possible()) {
    stop_token_ = StopToken(new internal::StopState());
    stop_token_.state_->requested = stop_requested_;
  }
  return stop_token_;
}

void TaskContext::RequestStop() {
  // First all are marked, then all are told: a callback may end tasks, and with them contexts.
  StopCallbackList callbacks;
  for (TaskContext* at = this; at != nullptr; at = at->NextBelow(*this)) {
    at->stop_requested_ = true;
    callbacks.Take(at->callbacks_);
    if (!at->stop_token_.stop_possible()) continue;
    at->stop_token_.state_->requested = true;
    callbacks.Take(at->stop_token_.state_->callbacks);
  }
  callbacks.CallAll();
}

TaskContext* TaskContext::NextBelow(const TaskContext& top) {
  if (!children_.empty()) return children_.front();
  for (TaskContext* at = this; at != &top; at = at->parent_) {
    if (TaskContext* const next = at->parent_->children_.Next(*at)) return next;
  }
  return nullptr;
}

}  // namespace ioengine
