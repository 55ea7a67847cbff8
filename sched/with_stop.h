// WithStop: a task that is ended when a stop is requested.
#ifndef IOENGINE_SCHED_WITH_STOP_H_
#define IOENGINE_SCHED_WITH_STOP_H_

#include <utility>

#include "ioengine/sched/check.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/guarded_task.h"
#include "ioengine/sched/stop_token.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_context.h"

namespace ioengine {

// `co_await WithStop(CurrentStopToken(), Receive(…))`: runs the task as co_await would, but
// destroys it, with all that it awaits and holds, when the stop is requested before it returns;
// then gives Cancelled. When the request came before, the task is not started at all.
//
// Shard: the one that runs the awaiting task. Ownership: I/O that the task has in flight keeps its
// buffer and file until the kernel is done. Cost: a few stores; no allocation.
template <typename T>
auto WithStop(const StopToken& token, Task<T> task) {
  Executor* const executor = Executor::Current();
  IOENGINE_CHECK(executor != nullptr, "WithStop outside of a shard's task");
  return internal::GuardedTaskAwaiter<T>(*executor, TaskContext::kNoDeadline, token,
                                         std::move(task));
}

}  // namespace ioengine

#endif  // IOENGINE_SCHED_WITH_STOP_H_
