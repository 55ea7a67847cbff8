// Shard: one core's share of everything: its executor and its I/O.
#ifndef IOENGINE_ENGINE_SHARD_H_
#define IOENGINE_ENGINE_SHARD_H_

#include <cstdint>

#include "ioengine/io/shard_io.h"
#include "ioengine/sched/executor.h"

namespace ioengine {

// Number of a shard, from 0.
using ShardId = uint32_t;

// What a task on the shard works with. Passed to every function that is sent to a shard.
//
// Shard: itself, for every call.
class Shard {
 public:
  Shard(ShardId id, Executor& executor, ShardIo& io) : id_(id), executor_(executor), io_(io) {}
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  ShardId id() const { return id_; }
  Executor& executor() const { return executor_; }
  ShardIo& io() const { return io_; }

 private:
  const ShardId id_;
  Executor& executor_;
  ShardIo& io_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_SHARD_H_
