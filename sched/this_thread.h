// What the scheduler keeps per thread: which shard runs here.
#ifndef IOENGINE_SCHED_THIS_THREAD_H_
#define IOENGINE_SCHED_THIS_THREAD_H_

namespace ioengine {

class Executor;
class FramePool;
class Runnable;

namespace internal {

// Set for as long as an executor has the thread (Run, Pump), so that a task finds its shard without
// carrying a pointer to it; all null on foreign threads.
struct ThisThread {
  Executor* executor = nullptr;
  // Where coroutine frames come from.
  FramePool* frames = nullptr;
  // The coroutine that runs; null between tasks. It is the one thing that says to which scope
  // (deadline, stop, owner) the code that asks belongs.
  Runnable* task = nullptr;
};

// constinit: no guard is checked on access.
extern constinit thread_local ThisThread this_thread;

}  // namespace internal
}  // namespace ioengine

#endif  // IOENGINE_SCHED_THIS_THREAD_H_
