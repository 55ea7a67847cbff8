#include "ioengine/sched/mesh_class_queue.h"

#include <utility>

#include "absl/status/status.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/this_thread.h"

namespace ioengine {

void MeshClassQueue::Push(MeshCall& call) {
  calls_.PushBack(call);
  if (!begun_) {
    begun_ = true;
    port_.executor().Spawn(Dispatch(this), id_);
  } else if (parked_ != nullptr) {
    port_.executor().MakeRunnable(*std::exchange(parked_, nullptr));
  }
}

Task<> MeshClassQueue::Dispatch(MeshClassQueue* queue) {
  Runnable* const self = internal::this_thread.task;
  MeshPort& port = queue->port_;
  for (;;) {
    while (MeshCall* const call = queue->TryPop()) {
      if (call->cancelled()) {
        call->Refuse(port, absl::StatusCode::kCancelled);
      } else {
        call->Execute(port);
        internal::this_thread.task = self;
      }
      co_await port.executor().MaybeYield();
    }
    port.EndTurn();  // the answers need not wait for what else this shard does
    co_await Park{*queue};
  }
}

}  // namespace ioengine
