// ShardThread: a shard on a thread of its own.
#ifndef IOENGINE_ENGINE_SHARD_THREAD_H_
#define IOENGINE_ENGINE_SHARD_THREAD_H_

#include <memory>
#include <optional>
#include <thread>

#include "absl/status/status.h"
#include "ioengine/engine/runtime_options.h"
#include "ioengine/engine/shard.h"
#include "ioengine/io/backend.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/numa/node_memory.h"
#include "ioengine/numa/placement.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/future.h"
#include "ioengine/sched/inbox.h"
#include "ioengine/sched/mesh_port.h"
#include "ioengine/sched/pulse.h"
#include "ioengine/sched/shard_id.h"

namespace ioengine {

// Everything of a shard is made on its thread: the ring belongs to the thread that made it, and
// memory comes from the node of the thread that touches it first.
//
//   created ──Start──► setting up ──► running ──Stop──► stopped
//                          └───── failed ─────────────────►┘
class ShardThread {
 public:
  // Borrows `mesh`, the port of this shard.
  ShardThread(MeshPort& mesh, const RuntimeOptions& options, ShardPlacement placement)
      : id_(mesh.id()), mesh_(mesh), options_(options), placement_(placement) {}
  ShardThread(const ShardThread&) = delete;
  ShardThread& operator=(const ShardThread&) = delete;
  ~ShardThread() { Stop(); }

  // Starts the thread, and gives the outcome of its set-up. Wait for it before any other call.
  Future<absl::Status> Start();

  // Hands a call to the shard. Errors: ResourceExhausted, Unavailable, FailedPrecondition
  // (after fork); `call` is then untouched. Any thread.
  absl::Status Call(std::unique_ptr<ForeignCall>& call);

  // Asks the shard to stop, without waiting. Any thread.
  void RequestStop();

  // Stops and joins. Not from the shard.
  void Stop();

  // Any thread.
  std::shared_ptr<Pulse> pulse() const { return executor_->pulse(); }

  // Only on the shard.
  Shard& shard() { return *shard_; }

  // What the shard was granted. After Start.
  const ShardInfo& info() const { return info_; }

 private:
  void Main(Promise<absl::Status> started);
  absl::Status SetUp();
  void TearDown();

  const ShardId id_;
  MeshPort& mesh_;
  const RuntimeOptions options_;
  const ShardPlacement placement_;
  ShardInfo info_;

  // In the order in which they are made. The executor stays until this object goes: foreign
  // threads may call it while the thread stops.
  std::optional<NodeMemory> memory_;
  std::unique_ptr<Backend> backend_;
  std::optional<Executor> executor_;
  std::optional<ShardIo> io_;
  std::optional<Shard> shard_;
  std::thread thread_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_SHARD_THREAD_H_
