// PortPresence: whether a shard's end of a mesh is there to be used, for what may outlive the mesh.
#ifndef IOENGINE_SCHED_PORT_PRESENCE_H_
#define IOENGINE_SCHED_PORT_PRESENCE_H_

#include <atomic>

#include "ioengine/sched/executor.h"
#include "ioengine/sched/shard_id.h"

namespace ioengine {

class MeshPort;

// Made with the port, and shared by all that may be left when that is gone: they keep this, not a
// pointer to the port, and so cannot but ask.
//
//   made ──Attach──► attached ──Stop──► stopped (for good; the port may go)
//     └─────────────────Stop──────────────►┘
//
// Shard: any thread, except where it says otherwise.
class PortPresence {
 public:
  PortPresence(ShardId id, MeshPort& port) : id_(id), port_(port) {}
  PortPresence(const PortPresence&) = delete;
  PortPresence& operator=(const PortPresence&) = delete;

  ShardId id() const { return id_; }

  // The port, on the thread that runs its shard; until that goes on, it stays. Null on all others,
  // and once the shard has stopped. Cost: two loads.
  MeshPort* PortIfHere() const {
    const Executor* const executor = executor_.load(std::memory_order_acquire);
    return executor != nullptr && executor == Executor::Current() ? &port_ : nullptr;
  }

  // The shard has stopped, or will never run; what it did before is visible. Cost: a load.
  bool has_stopped() const { return stopped_.load(std::memory_order_acquire); }

  // The port's.
  void Attach(const Executor& executor) { executor_.store(&executor, std::memory_order_release); }
  void Stop() {
    // Another executor may get its address.
    executor_.store(nullptr, std::memory_order_release);
    stopped_.store(true, std::memory_order_release);
  }

 private:
  const ShardId id_;
  MeshPort& port_;
  std::atomic<const Executor*> executor_{nullptr};  // while it is attached
  std::atomic<bool> stopped_{false};
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_PORT_PRESENCE_H_
