// Mutex: one task at a time, across its suspensions.
#ifndef IOENGINE_SCHED_MUTEX_H_
#define IOENGINE_SCHED_MUTEX_H_

#include <optional>

#include "ioengine/sched/semaphore.h"

namespace ioengine {

// Needed only where a task must be alone from one suspension to a later one: between two
// suspensions it is alone on its shard anyway. Fair: first come, first served.
//
// Shard: one.
class Mutex {
 public:
  // Has the mutex until it is destroyed.
  using Guard = Semaphore::Units;

  // `const Mutex::Guard guard = co_await mutex.Lock()`. Cost: O(1), no allocation.
  auto Lock() { return semaphore_.Acquire(); }

  // Nothing when another task has it, or waits for it.
  std::optional<Guard> TryLock() { return semaphore_.TryAcquire(); }

  bool locked() const { return semaphore_.available() == 0; }

 private:
  Semaphore semaphore_{1};
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_MUTEX_H_
