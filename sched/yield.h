// Yield and MaybeYield: what a task that computes for long does for the others.
#ifndef IOENGINE_SCHED_YIELD_H_
#define IOENGINE_SCHED_YIELD_H_

#include "ioengine/sched/check.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/this_thread.h"

namespace ioengine {

// `co_await Yield()`: puts the task at the end of its class's queue.
// Shard: the one that runs the task. Cost: about 5 ns, and what the others take.
inline auto Yield() {
  IOENGINE_CHECK(internal::this_thread.executor != nullptr, "Yield outside of a shard's task");
  return internal::this_thread.executor->Yield();
}

// `co_await MaybeYield()`: the same, but only when the slice of the task's class is over: for inner
// loops. Shard: likewise. Cost: a few loads; a loop that keeps its Executor& pays less
// (Executor::MaybeYield: one load of a word that stays in cache, as a rule).
inline auto MaybeYield() {
  IOENGINE_CHECK(internal::this_thread.executor != nullptr, "MaybeYield outside of a shard's task");
  return internal::this_thread.executor->MaybeYield();
}

}  // namespace ioengine

#endif  // IOENGINE_SCHED_YIELD_H_
