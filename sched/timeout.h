// Timeout and WithDeadline: a task that is ended when its time is over.
#ifndef IOENGINE_SCHED_TIMEOUT_H_
#define IOENGINE_SCHED_TIMEOUT_H_

#include <chrono>
#include <cstdint>
#include <utility>

#include "ioengine/sched/check.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/guarded_task.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/stop_token.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// `absl::StatusOr<int> result = co_await Timeout(50ms, Read(…))`: runs the task as co_await would,
// but destroys it, with all that it awaits and holds, when `duration` is over before it returns;
// then gives DeadlineExceeded. What the task's own result is (T, Status, StatusOr<T>) decides what
// is given, see ResultOrError. The deadline holds for everything below: see CurrentDeadlineNs.
//
// Shard: the one that runs the awaiting task. Ownership: I/O that the task has in flight keeps its
// buffer and file until the kernel is done. Cost: a look at the clock and a timer; no
// allocation.
template <typename T>
auto Timeout(std::chrono::nanoseconds duration, Task<T> task) {
  Executor* const executor = Executor::Current();
  IOENGINE_CHECK(executor != nullptr, "Timeout outside of a shard's task");
  return internal::GuardedTaskAwaiter<T>(*executor, DeadlineAfter(*executor, duration), StopToken(),
                                         std::move(task));
}

// The same, with a time of the shard's clock.
template <typename T>
auto WithDeadline(uint64_t deadline_ns, Task<T> task) {
  Executor* const executor = Executor::Current();
  IOENGINE_CHECK(executor != nullptr, "WithDeadline outside of a shard's task");
  return internal::GuardedTaskAwaiter<T>(*executor, deadline_ns, StopToken(), std::move(task));
}

}  // namespace ioengine

#endif  // IOENGINE_SCHED_TIMEOUT_H_
