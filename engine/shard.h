// Shard: one core's share of everything: its executor, its I/O, and its way to the other shards.
#ifndef IOENGINE_ENGINE_SHARD_H_
#define IOENGINE_ENGINE_SHARD_H_

#include <cstddef>
#include <utility>

#include "ioengine/io/shard_io.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/mesh_port.h"
#include "ioengine/sched/shard_id.h"

namespace ioengine {

// What a task on the shard works with. Passed to every function that is sent to a shard.
//
// Shard: itself, for every call.
class Shard {
 public:
  // Makes it what `executor.shard()` gives.
  Shard(Executor& executor, ShardIo& io, MeshPort& mesh)
      : executor_(executor), io_(io), mesh_(mesh) {
    executor.set_shard(this);
  }
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;
  ~Shard() { executor_.set_shard(nullptr); }

  // The one that runs on this thread; null on foreign threads.
  static Shard* Current() {
    Executor* const executor = Executor::Current();
    return executor == nullptr ? nullptr : executor->shard();
  }

  ShardId id() const { return mesh_.id(); }
  size_t shard_count() const { return mesh_.shard_count(); }
  Executor& executor() const { return executor_; }
  ShardIo& io() const { return io_; }
  MeshPort& mesh() const { return mesh_; }

  // Calls `function(shard, args…)` on shard `to` of this runtime, where `shard` is that one:
  // `co_await shard.SubmitTo(…)` gives its result. All else is as MeshPort::SubmitTo says.
  template <typename Function, typename... Args>
  auto SubmitTo(ShardId to, Function function, Args... args) {
    return mesh_.SubmitTo(to, OnShard<Function>{std::move(function)}, std::move(args)...);
  }

 private:
  // Finds the shard where it is called.
  template <typename Function>
  struct OnShard {
    template <typename... Args>
    auto operator()(Args... args) {
      return function(*Current(), std::move(args)...);
    }

    [[no_unique_address]] Function function;
  };

  Executor& executor_;
  ShardIo& io_;
  MeshPort& mesh_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_SHARD_H_
