// The awaitables of single I/O operations: what DmaFile's methods return.
#ifndef IOENGINE_IO_IO_AWAITER_H_
#define IOENGINE_IO_IO_AWAITER_H_

#include <coroutine>
#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/io/io_error.h"
#include "ioengine/io/io_queue.h"
#include "ioengine/sched/check.h"

namespace ioengine {

// Submits one command when it is awaited, and resumes the awaiting task through the run queue when
// the command completed. The command carries the task's class. Await it at once and once; it
// cannot be moved.
//
// Cost: no allocation: it lives in the frame of the coroutine that awaits it.
class [[nodiscard]] IoAwaiter : public IoWaiter {
 public:
  using IoWaiter::IoWaiter;

  bool await_ready() const noexcept { return result() < 0; }

  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
    IOENGINE_CHECK(Executor::Current() == &queue().executor(),
                   "I/O of one shard is awaited on another; send a task to the file's shard");
    task_ = &handle.promise();
    command().request.class_id = task_->class_id();
    queue().Submit(*this);
  }

  int32_t await_resume() const noexcept { return result(); }

 private:
  void Done() final { queue().executor().MakeRunnable(*task_); }

  Runnable* task_ = nullptr;
};

// Gives OK, or an error that names the operation and its file.
class [[nodiscard]] StatusAwaiter : public IoAwaiter {
 public:
  StatusAwaiter(IoQueue& queue, IoCommand command) : IoAwaiter(queue, std::move(command)) {}

  // An operation that must not be started: awaiting it gives the error at once.
  StatusAwaiter(IoQueue& queue, absl::Status error)
      : IoAwaiter(queue, IoCommand()), error_(std::move(error)) {
    set_result(-1);
  }

  absl::Status await_resume() {
    if (result() >= 0) [[likely]] {
      return absl::OkStatus();
    }
    return Failure();
  }

 protected:
  // Lets go of file and buffer too: an awaiter that is kept must not keep the file from closing.
  absl::Status Failure() {
    if (!error_.ok()) return std::move(error_);
    absl::Status status = CommandError(command(), result());
    command() = IoCommand();
    return status;
  }

 private:
  absl::Status error_;
};

// Gives the number of bytes, or an error likewise.
class [[nodiscard]] SizeAwaiter : public StatusAwaiter {
 public:
  using StatusAwaiter::StatusAwaiter;

  absl::StatusOr<size_t> await_resume() {
    if (result() >= 0) [[likely]] {
      return static_cast<size_t>(result());
    }
    return Failure();
  }
};

}  // namespace ioengine

#endif  // IOENGINE_IO_IO_AWAITER_H_
