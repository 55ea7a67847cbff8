// ShardThread: a shard and the thread that it runs on.
#ifndef IOENGINE_ENGINE_SHARD_THREAD_H_
#define IOENGINE_ENGINE_SHARD_THREAD_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/runtime_options.h"
#include "ioengine/engine/shard.h"
#include "ioengine/io/backend.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/numa/node_memory.h"
#include "ioengine/numa/placement.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/future.h"
#include "ioengine/sched/inbox.h"
#include "ioengine/sched/memory_budget.h"
#include "ioengine/sched/mesh_port.h"
#include "ioengine/sched/pulse.h"
#include "ioengine/sched/shard_id.h"

namespace ioengine {

// Everything of a shard is made on its thread: the ring belongs to the thread that made it, and
// memory comes from the node of the thread that touches it first. The thread is its own (Start) or
// lent by the host (RunHere, PumpHere).
//
//   new ──Start, RunHere, PumpHere──► setting up ──► running ──Stop──► ended
//    │                                     └───── failed ───────────────►┘
//    └──────────────Stop─────────────────────────────────────────────────┘
class ShardThread {
 public:
  // Borrows `mesh`, the port of this shard.
  ShardThread(MeshPort& mesh, const RuntimeOptions& options, ShardPlacement placement)
      : id_(mesh.id()), mesh_(mesh), options_(options), placement_(placement) {}
  ShardThread(const ShardThread&) = delete;
  ShardThread& operator=(const ShardThread&) = delete;
  // A shard that a host pumps must have ended (CHECK).
  ~ShardThread();

  ShardId id() const { return id_; }

  // Starts a thread, and gives the outcome of its set-up.
  Future<absl::Status> Start();

  // What Runtime::RunShard, PumpShard and ShardFd say.
  absl::Status RunHere();
  absl::StatusOr<PumpOutcome> PumpHere(uint64_t max_ns);
  int fd() const;

  // Blocks until the shard is set up, or cannot be; gives that outcome.
  absl::Status WaitUntilSetUp();

  // Hands a call to the shard. Errors: ResourceExhausted, Unavailable, FailedPrecondition (after
  // fork, or not set up yet); `call` is then untouched. Any thread.
  absl::Status Call(std::unique_ptr<ForeignCall>& call);

  // Asks the shard to stop, without waiting. Any thread.
  void RequestStop();

  // Stops, and waits for the end unless a host pumps it. Not from the shard.
  void Stop();

  // Any thread. There from the beginning: who waits for the shard need not know whether it is set
  // up yet.
  std::shared_ptr<Pulse> pulse() const { return pulse_; }

  // What the shard was granted. After WaitUntilSetUp.
  const ShardInfo& info() const { return info_; }

 private:
  enum class State : uint32_t { kNew, kSettingUp, kRunning, kPumped, kEnded };

  void Main(Promise<absl::Status> started);
  absl::Status Begin(State next);
  void End();
  void SetState(State state);
  absl::Status Ended() const;

  absl::Status SetUp();
  absl::Status ChargeFixedMemory();
  absl::Status MakeClasses();
  void TearDown();

  const ShardId id_;
  MeshPort& mesh_;
  const RuntimeOptions options_;
  const ShardPlacement placement_;
  const std::shared_ptr<Pulse> pulse_ = std::make_shared<Pulse>();
  ShardInfo info_;
  absl::Status set_up_;

  // In the order in which they are made. The executor stays until this object goes: foreign
  // threads may call it while the thread stops.
  std::shared_ptr<MemoryBudget> budget_;
  std::optional<NodeMemory> memory_;
  std::unique_ptr<Backend> backend_;
  std::optional<Executor> executor_;
  std::optional<ShardIo> io_;
  std::optional<Shard> shard_;
  std::thread thread_;

  // Release when it says that `info_`, `set_up_` and `executor_` are there to be read.
  std::atomic<State> state_{State::kNew};
  // Set before the executor is looked for; who makes that looks at this afterwards.
  std::atomic<bool> stop_requested_{false};
  std::atomic<Executor*> published_{nullptr};  // `executor_`, for other threads
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_SHARD_THREAD_H_
