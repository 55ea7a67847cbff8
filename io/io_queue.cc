#include "ioengine/io/io_queue.h"

#include <algorithm>
#include <cerrno>

#include "ioengine/io/poison.h"
#include "ioengine/sched/check.h"

namespace ioengine {

IoWaiter::~IoWaiter() {
  if (operation_ != nullptr) queue_.Forget(*this);
}

IoQueue::IoQueue(Backend& backend, Executor& executor, size_t depth)
    : backend_(backend),
      executor_(executor),
      depth_(std::clamp(depth, size_t{1}, backend.capacity())) {
  backend_.SetSink(*this);
}

IoQueue::~IoQueue() {
  IOENGINE_CHECK(backend_.in_flight() == 0 && waiting_.empty(),
                 "an IoQueue is destroyed with operations in flight; call Drain first");
}

void IoQueue::Drain() {
  while (!waiting_.empty() || backend_.in_flight() > 0) backend_.Drain();
}

bool IoQueue::TryStart(IoWaiter& waiter) {
  if (backend_.in_flight() >= depth_) return false;
  IoOperation* operation = backend_.Acquire(waiter.command_, &waiter);
  if (operation == nullptr) return false;
  waiter.operation_ = operation;
  const IoRequest& request = operation->command.request;
  IOENGINE_CHECK(!IsPoisoned(request.data, request.size_bytes),
                 "an operation is given memory that is not allocated");
  backend_.Start(*operation);
  return true;
}

void IoQueue::OnComplete(IoWaiter* waiter, IoCommand& command, int32_t result) {
  IOENGINE_CHECK(!IsPoisoned(command.request.data, command.request.size_bytes),
                 "memory was freed while an operation used it");
  // Before anybody is told: from here on the slot's references decide who closes it.
  if (command.request.opcode == IoOpcode::kOpen && result >= 0) {
    IOENGINE_CHECK(command.file, "an open without a slot for the descriptor");
    command.file->fd = result;
  }
  if (waiter != nullptr) {
    waiter->operation_ = nullptr;
    waiter->result_ = result;
    // Failures are to be named, and rare operations have their results in the command.
    if (result < 0 || command.path != nullptr) [[unlikely]] {
      waiter->command_ = std::move(command);
    }
    waiter->Done();
  }
  while (!waiting_.empty() && TryStart(*waiting_.front())) waiting_.PopFront();
}

void IoQueue::Forget(IoWaiter& waiter) {
  waiter.operation_->waiter = nullptr;
  backend_.Cancel(*waiter.operation_);
}

}  // namespace ioengine
