// Event: tasks wait until it is set.
#ifndef IOENGINE_SCHED_EVENT_H_
#define IOENGINE_SCHED_EVENT_H_

#include <concepts>
#include <coroutine>

#include "ioengine/sched/executor.h"
#include "ioengine/sched/runnable.h"

namespace ioengine {

//            Set                        Reset
//   not set ─────► set (Wait goes on) ─────────► not set (Wait suspends)
//
// Any number of tasks wait: they are linked through their own frames, so waiting allocates nothing
// and leaves with the task that is destroyed. Tasks that wait when the event is destroyed never go
// on; whoever owns them destroys them.
//
// Shard: one.
class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  // `co_await event.Wait()`: suspends until the event is set; not at all when it is. A task that
  // was woken goes on also when Reset came before its turn.
  auto Wait() { return Awaiter{this}; }

  // Makes the tasks that wait runnable, in the order in which they came. Cost: O(tasks).
  void Set() {
    set_ = true;
    while (Runnable* const task = waiting_.TryPopFront()) Executor::Current()->MakeRunnable(*task);
  }

  void Reset() { set_ = false; }

  bool is_set() const { return set_; }
  bool has_waiters() const { return !waiting_.empty(); }

 private:
  // Packed: g++ puts it behind the small members of the coroutine's frame, without a gap. That
  // makes the frame of a task that waits for an event 72 bytes instead of 80.
  struct [[gnu::packed]] Awaiter {
    Event* event;

    bool await_ready() const noexcept { return event->set_; }
    template <std::derived_from<Runnable> Promise>
    void await_suspend(std::coroutine_handle<Promise> handle) const noexcept {
      event->waiting_.PushBack(handle.promise());
    }
    void await_resume() const noexcept {}
  };

  RunnableList waiting_;
  bool set_ = false;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_EVENT_H_
