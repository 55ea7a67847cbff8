// Runtime: N shards on their threads. The engine is built on it, and it is of use by itself.
//
//   Task<absl::Status> Job(Shard& shard, std::string path);      // runs on the shard
//
//   auto runtime = Runtime::Start({.shard_count = 2});
//   absl::Status done = (*runtime)->Submit(0, Job, "/data/x").Wait();
#ifndef IOENGINE_ENGINE_RUNTIME_H_
#define IOENGINE_ENGINE_RUNTIME_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/runtime_options.h"
#include "ioengine/engine/shard.h"
#include "ioengine/engine/shard_thread.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/fork_guard.h"
#include "ioengine/sched/future.h"
#include "ioengine/sched/inbox.h"
#include "ioengine/sched/mesh.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// After fork a child process has none of the threads and must leave the rings alone. There Submit
// gives FailedPrecondition, and Stop and the destructor do nothing: the memory of the parent's
// runtime stays until the child ends or calls exec. It may start a runtime of its own.
class Runtime {
 public:
  // Starts all shards, or none. Errors: InvalidArgument names the option; ResourceExhausted when
  // the buffer pools are larger than the machine's memory; those of io_uring's set-up, of threads
  // and of memory name what is missing and what to do. Blocks until all shards run.
  static absl::StatusOr<std::unique_ptr<Runtime>> Start(const RuntimeOptions& options);

  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Stops.
  ~Runtime();

  // Calls `function(shard, args…)`, which returns a Task<T>, on shard `id`, and gives its result to
  // the Future: Status and StatusOr<T> as they are, T as StatusOr<T>.
  //
  // Shard: any thread but a shard's, which must not block in Wait.
  // Ownership: `function` and `args` are moved into the call and destroyed on the shard, before the
  // Future is ready (on the caller's thread when the call is refused).
  // Errors, through the Future: ResourceExhausted when the shard's inbox is full; Unavailable when
  // the runtime stops before the task is done; FailedPrecondition in a child process.
  // Cost: a few allocations, and a system call when the shard sleeps.
  template <typename Function, typename... Args>
  auto Submit(ShardId id, Function function, Args... args);

  // Stops all shards and joins their threads. Tasks that have not finished are destroyed where
  // they are suspended, and their Futures get Unavailable, while their I/O may still be on its way;
  // when Stop returns it is completed or cancelled. A second call does nothing.
  //
  // One thread at a time, and not a shard's (CHECK); Submit may run beside it.
  void Stop();

  // Any thread. Unchanged from Start on; also after Stop.
  size_t shard_count() const { return shards_.size(); }
  const RuntimeInfo& Info() const { return info_; }

 private:
  Runtime() = default;

  template <typename T, typename Function, typename... Args>
  class SubmittedCall;

  std::unique_ptr<Mesh> mesh_;
  std::vector<std::unique_ptr<ShardThread>> shards_;
  RuntimeInfo info_;
  ForkGuard fork_guard_;
};

namespace internal {

template <typename>
struct TaskResult;
template <typename T>
struct TaskResult<Task<T>> {
  using type = T;
};

}  // namespace internal

// A call on its way to a shard: there it starts a task, which takes over all that it carries.
template <typename T, typename Function, typename... Args>
class Runtime::SubmittedCall final : public ForeignCall {
 public:
  SubmittedCall(ShardThread& shard, Function function, Args... args)
      : shard_(shard), function_(std::move(function)), args_(std::move(args)...) {}

  Promise<T>& promise() { return promise_; }

  void Run() override {
    Shard& shard = shard_.shard();
    shard.executor().Spawn(
        Execute(shard, std::move(promise_), Invocation(std::move(function_), std::move(args_))));
  }

 private:
  // What is called, and with what; the task may refer to it.
  using Invocation = std::pair<Function, std::tuple<Args...>>;

  static Task<void> Execute(Shard& shard, Promise<T> promise,
                            std::optional<Invocation> invocation) {
    // Not a coroutine, and done before the first suspension.
    const auto start = [&](Args&... unpacked) {
      return invocation->first(shard, std::move(unpacked)...);
    };
    Task<T> task = std::apply(start, invocation->second);
    // Nothing of the call is left when the caller goes on: what it refers to may be gone then.
    if constexpr (std::is_void_v<T>) {
      co_await std::move(task);
      task = {};
      invocation.reset();
      promise.Set(absl::OkStatus());
    } else {
      typename Promise<T>::Result result(co_await std::move(task));
      task = {};
      invocation.reset();
      promise.Set(std::move(result));
    }
  }

  ShardThread& shard_;
  Promise<T> promise_;
  Function function_;
  std::tuple<Args...> args_;
};

template <typename Function, typename... Args>
auto Runtime::Submit(ShardId id, Function function, Args... args) {
  using T = typename internal::TaskResult<std::invoke_result_t<Function&, Shard&, Args...>>::type;
  IOENGINE_CHECK(id < shards_.size(), "Submit to a shard that does not exist");
  auto call = std::make_unique<SubmittedCall<T, Function, Args...>>(
      *shards_[id], std::move(function), std::move(args)...);
  Promise<T>& promise = call->promise();
  Future<T> future = promise.future();
  std::unique_ptr<ForeignCall> message = std::move(call);
  // A call that is refused is still ours, and its promise passes the reason on.
  if (absl::Status refused = shards_[id]->Call(message); !refused.ok()) {
    promise.Set(std::move(refused));
  }
  return future;
}

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_RUNTIME_H_
