// Runtime: N shards on their threads. The engine is built on it, and it is of use by itself.
//
//   Task<absl::Status> Job(Shard& shard, std::string path);      // runs on the shard
//
//   auto runtime = Runtime::Start({.shard_count = 2});
//   absl::Status done = (*runtime)->Submit(0, Job, "/data/x").Wait();
#ifndef IOENGINE_ENGINE_RUNTIME_H_
#define IOENGINE_ENGINE_RUNTIME_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/foreign_task.h"
#include "ioengine/engine/runtime_options.h"
#include "ioengine/engine/shard.h"
#include "ioengine/engine/shard_thread.h"
#include "ioengine/sched/fork_guard.h"
#include "ioengine/sched/future.h"
#include "ioengine/sched/inbox.h"
#include "ioengine/sched/mesh.h"
#include "ioengine/sched/shard_id.h"

namespace ioengine {

// After fork a child process has none of the threads and must leave the rings alone. There Submit
// gives FailedPrecondition, and Stop and the destructor do nothing: the memory of the parent's
// runtime stays until the child ends or calls exec. It may start a runtime of its own.
class Runtime {
 public:
  // Starts all shards, or none. Errors: InvalidArgument names the option; ResourceExhausted when
  // the buffer pools are larger than the machine's memory; those of the backend's set-up
  // (MakeBackend), of threads and of memory name what is missing and what to do. Blocks until all
  // shards run.
  static absl::StatusOr<std::unique_ptr<Runtime>> Start(const RuntimeOptions& options);

  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Stops.
  ~Runtime();

  // Calls `function(shard, args…)`, a function or a coroutine, on shard `id`, and gives its result
  // to the Future: Status and StatusOr<T> as they are, T as StatusOr<T>. Client (client.h) does the
  // same with timeouts, callbacks, classes and in batches.
  //
  // Shard: any thread but a shard's, which must not block in Wait.
  // Ownership: `function` and `args` are moved into the call and destroyed on the shard, before the
  // Future is ready (on the caller's thread when the call is refused).
  // Errors, through the Future: ResourceExhausted when the shard's inbox is full; Unavailable when
  // the runtime stops before the task is done; FailedPrecondition in a child process.
  // Cost: a few allocations, and a system call when the shard sleeps.
  template <typename Function, typename... Args>
  auto Submit(ShardId id, Function function, Args... args);

  // For what is built on calls (Client). Hands `call` to shard `id`, below shard_count() (CHECK),
  // or leaves it untouched and says why, with the errors of Submit. Any thread.
  absl::Status Call(ShardId id, std::unique_ptr<ForeignCall>& call);
  // How long to wait for shard `id`; may be asked before the call, and before the shard is set up.
  WaitLimits LimitsOf(ShardId id) const;

  // For ShardThreads::kLent; each shard in one of two ways, always on the same thread.
  //
  // RunShard makes the calling thread shard `id`, below shard_count() (CHECK), until Stop. Gives an
  // error when the shard cannot be set up (those of Start), or Unavailable when Stop came before.
  absl::Status RunShard(ShardId id);
  // PumpShard is for a host with an event loop of its own: runs the shard on the calling thread for
  // about `max_ns`, or until there is nothing to do for now; never sleeps. Call it again soon when
  // it gives kMore, and when ShardFd is readable when it gives kIdle; after kStopped the shard has
  // ended. The first call sets the shard up; its errors are those of RunShard.
  absl::StatusOr<PumpOutcome> PumpShard(ShardId id, uint64_t max_ns);
  // For poll, epoll and the like, level-triggered; stays the runtime's. After the first PumpShard,
  // on its thread.
  int ShardFd(ShardId id);

  // Blocks until all lent shards are set up, so that they take calls and Info is complete; gives
  // the first error. Not on a thread that is to lend itself to one.
  absl::Status WaitUntilRunning();

  // Asks all shards to stop, without waiting. Any thread, a shard's too.
  void RequestStop();

  // Stops all shards and joins their threads. Tasks that have not finished are destroyed where
  // they are suspended, and their Futures get Unavailable, while their I/O may still be on its way;
  // when Stop returns it is completed or cancelled. A second call does nothing. Shards that are run
  // by RunShard on other threads are waited for; one that is pumped ends in its next PumpShard,
  // which must come before the runtime is destroyed (CHECK).
  //
  // One thread at a time, and not a shard's (CHECK); Submit may run beside it.
  void Stop();

  // Any thread. Unchanged from Start on (of lent threads: from WaitUntilRunning on); also after
  // Stop.
  size_t shard_count() const { return shards_.size(); }
  const RuntimeInfo& Info() const { return info_; }

 private:
  Runtime() = default;

  std::unique_ptr<Mesh> mesh_;
  std::vector<std::unique_ptr<ShardThread>> shards_;
  uint64_t peer_timeout_ns_ = 0;
  RuntimeInfo info_;
  ForkGuard fork_guard_;
};

template <typename Function, typename... Args>
auto Runtime::Submit(ShardId id, Function function, Args... args) {
  using T = internal::ForeignResult<Function, Args...>;
  auto task = std::make_unique<ForeignTask<Promise<T>, Function, Args...>>(
      ForeignCallSpec{}, Promise<T>(), std::move(function), std::move(args)...);
  Promise<T>& promise = task->sink();
  Future<T> future = promise.future();
  promise.set_limits(LimitsOf(id));
  std::unique_ptr<ForeignCall> call = std::move(task);
  // A call that is refused is still ours, and its promise passes the reason on.
  if (absl::Status refused = Call(id, call); !refused.ok()) promise.Set(std::move(refused));
  return future;
}

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_RUNTIME_H_
