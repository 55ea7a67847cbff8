// MeshClassQueue: the calls of one priority class that have come to a shard.
#ifndef IOENGINE_SCHED_MESH_CLASS_QUEUE_H_
#define IOENGINE_SCHED_MESH_CLASS_QUEUE_H_

#include <coroutine>

#include "ioengine/sched/mesh_call.h"
#include "ioengine/sched/mesh_message.h"
#include "ioengine/sched/mesh_port.h"
#include "ioengine/sched/runnable.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// A task of the class calls them, one after the other. It begins with the first call, and waits
// when there is none.
//
// Shard: the port's.
class MeshClassQueue {
 public:
  MeshClassQueue(MeshPort& port, ClassId id) : port_(port), id_(id) {}

  void Push(MeshCall& call);
  // Null when there is none.
  MeshCall* TryPop() { return static_cast<MeshCall*>(calls_.TryPopFront()); }

 private:
  struct Park {
    MeshClassQueue& queue;

    bool await_ready() const noexcept { return false; }
    template <typename Promise>
    void await_suspend(std::coroutine_handle<Promise> handle) const noexcept {
      queue.parked_ = &handle.promise();
    }
    void await_resume() const noexcept {}
  };

  static Task<> Dispatch(MeshClassQueue* queue);

  MeshPort& port_;
  const ClassId id_;
  MeshMessageList calls_;
  bool begun_ = false;
  Runnable* parked_ = nullptr;  // the task, when there is nothing to call
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_MESH_CLASS_QUEUE_H_
