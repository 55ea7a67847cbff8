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
  for (TaskContext* at = children_.front(); at != nullptr; at = children_.Next(*at)) {
    if (at->inherits_ == Inherits::kAll) return at;
  }
  for (TaskContext* above = this; above != &top; above = above->parent_) {
    IntrusiveList<TaskContext>& beside = above->parent_->children_;
    for (TaskContext* at = beside.Next(*above); at != nullptr; at = beside.Next(*at)) {
      if (at->inherits_ == Inherits::kAll) return at;
    }
  }
  return nullptr;
}

}  // namespace ioengine
