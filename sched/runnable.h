// What the scheduler sees of a coroutine: a link for the list that it waits in, its class, and who
// is told when it ends.
#ifndef IOENGINE_SCHED_RUNNABLE_H_
#define IOENGINE_SCHED_RUNNABLE_H_

#include <coroutine>
#include <cstdint>

#include "ioengine/sched/check.h"
#include "ioengine/sched/intrusive_list.h"

namespace ioengine {

class TaskOwner;

// Priority class of a task; it travels with the task into the I/O queue. One byte, so that it
// fits beside the other small members of a coroutine's promise.
using ClassId = uint8_t;

// The first base of every promise type of this library. A suspended coroutine is in one list at
// most: that of an Event, say, or a run queue. The list links promises through this base, so making
// a task wait or run allocates nothing and can never fail, and a task that is destroyed leaves the
// list that it is in, whichever that is.
//
// 24 bytes, which is what brings a task that waits for an Event to 64: two links, and one word that
// holds everything else (pointers have 48 bits on x86-64 and on aarch64):
//
//   63      56 55       50 49  48 47                                             0
//   ┌─────────┬───────────┬──────┬───────────────────────────────────────────────┐
//   │  class  │ (not used)│ kind │ Runnable* that awaits it, or TaskOwner*       │
//   └─────────┴───────────┴──────┴───────────────────────────────────────────────┘
//
// Shard: only the one that the coroutine runs on.
class Runnable : public ListLink {
 public:
  Runnable() = default;
  Runnable(const Runnable&) = delete;
  Runnable& operator=(const Runnable&) = delete;

  // Resumes the coroutine; it runs until its next suspension. It may be gone when this returns.
  void Resume() { handle().resume(); }

  // Destroys the suspended coroutine.
  void Destroy() { handle().destroy(); }

  std::coroutine_handle<Runnable> handle() {
    return std::coroutine_handle<Runnable>::from_promise(*this);
  }

  ClassId class_id() const { return static_cast<ClassId>(word_ >> kClassShift); }
  void set_class_id(ClassId id) {
    word_ = (word_ & ~(uint64_t{0xff} << kClassShift)) | uint64_t{id} << kClassShift;
  }

  // Who is told when the coroutine returns.
  enum class End : uint8_t {
    kNobody = 0,    // it has not been started
    kTask = 1,      // awaiting_task() goes on
    kOwner = 2,     // owner() is told
    kDetached = 3,  // nobody: it destroys itself
  };
  End end() const { return static_cast<End>((word_ >> kKindShift) & 3); }
  Runnable* awaiting_task() const { return reinterpret_cast<Runnable*>(word_ & kPointerMask); }
  TaskOwner* owner() const { return reinterpret_cast<TaskOwner*>(word_ & kPointerMask); }

  void EndInTask(Runnable& task) { SetEnd(End::kTask, &task); }
  void EndInOwner(TaskOwner& owner) { SetEnd(End::kOwner, &owner); }
  void EndDetached() { SetEnd(End::kDetached, nullptr); }

 private:
  static constexpr int kClassShift = 56;
  static constexpr int kKindShift = 48;
  static constexpr uint64_t kPointerMask = (uint64_t{1} << kKindShift) - 1;

  void SetEnd(End end, const void* pointer) {
    word_ = (word_ & (uint64_t{0xff} << kClassShift)) | static_cast<uint64_t>(end) << kKindShift |
            reinterpret_cast<uintptr_t>(pointer);
  }

  uint64_t word_ = 0;
};

static_assert(sizeof(Runnable) == 24);

// A FIFO of coroutines: those that are runnable, or those that wait for one thing.
using RunnableList = IntrusiveList<Runnable>;

}  // namespace ioengine

#endif  // IOENGINE_SCHED_RUNNABLE_H_
