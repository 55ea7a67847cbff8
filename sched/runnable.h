// What the scheduler sees of a coroutine: a link for the run queue, and how to resume it.
#ifndef IOENGINE_SCHED_RUNNABLE_H_
#define IOENGINE_SCHED_RUNNABLE_H_

#include <coroutine>
#include <cstddef>
#include <cstdint>

#include "ioengine/sched/check.h"

namespace ioengine {

// Priority class of a task; it travels with the task into the I/O queue. One byte, so that it
// fits beside the other small members of a coroutine's promise.
using ClassId = uint8_t;

// The first base of every promise type of this library. The run queue links promises through it,
// so making a task runnable allocates nothing and can never fail.
//
// Shard: only the one that the coroutine runs on.
class Runnable {
 public:
  Runnable() = default;
  Runnable(const Runnable&) = delete;
  Runnable& operator=(const Runnable&) = delete;
  ~Runnable() {
    if (queued_) [[unlikely]] {
      LeaveRunQueue();
    }
  }

  // Resumes the coroutine; it runs until its next suspension. It may be gone when this returns.
  void Resume() { std::coroutine_handle<Runnable>::from_promise(*this).resume(); }

  ClassId class_id() const { return class_id_; }
  void set_class_id(ClassId id) { class_id_ = id; }

 private:
  friend class RunQueue;

  // Takes this task, which is being destroyed before its turn came, out of the queue of the
  // executor that runs this thread. Defined in executor.cc.
  void LeaveRunQueue();

  Runnable* next_ = nullptr;
  ClassId class_id_ = 0;
  bool queued_ = false;
};

// A FIFO of runnable coroutines, linked through their promises.
// A task that is destroyed in the queue takes itself out.
class RunQueue {
 public:
  bool empty() const { return head_ == nullptr; }
  size_t size() const { return size_; }

  // Cost: O(1), no allocation.
  void Push(Runnable& task) {
    IOENGINE_CHECK(!task.queued_, "the task is in a run queue already");
    task.next_ = nullptr;
    task.queued_ = true;
    if (head_ == nullptr) {
      head_ = &task;
    } else {
      tail_->next_ = &task;
    }
    tail_ = &task;
    ++size_;
  }

  // Null when empty.
  Runnable* Pop() {
    Runnable* task = head_;
    if (task == nullptr) return nullptr;
    head_ = task->next_;
    task->queued_ = false;
    --size_;
    return task;
  }

  // Takes `task` out before its turn. Cost: O(length): only destruction of a task that was about
  // to run pays it.
  void Remove(Runnable& task) {
    Runnable* previous = nullptr;
    for (Runnable* at = head_; at != nullptr; previous = at, at = at->next_) {
      if (at != &task) continue;
      (previous == nullptr ? head_ : previous->next_) = task.next_;
      if (tail_ == &task) tail_ = previous;
      task.queued_ = false;
      --size_;
      return;
    }
    IOENGINE_CHECK(false, "the task is not in the run queue of this thread's executor");
  }

 private:
  Runnable* head_ = nullptr;
  Runnable* tail_ = nullptr;
  size_t size_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_RUNNABLE_H_
