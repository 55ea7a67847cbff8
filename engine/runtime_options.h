// RuntimeOptions: what a Runtime is made of. RuntimeInfo: what it was granted.
#ifndef IOENGINE_ENGINE_RUNTIME_OPTIONS_H_
#define IOENGINE_ENGINE_RUNTIME_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/io/backend.h"
#include "ioengine/numa/placement.h"
#include "ioengine/sched/stall.h"

namespace ioengine {

// Whose threads the shards run on.
enum class ShardThreads : uint8_t {
  kOwn,   // the runtime starts one for each
  kLent,  // none: the host calls Runtime::RunShard or PumpShard
};

struct RuntimeOptions {
  // Shards, each with a thread of its own. At most one per CPU unless the placement is unbound.
  int shard_count = 1;

  // A host that lends its threads keeps their names, signal masks and timer slack; they are pinned
  // only if `placement` says so.
  ShardThreads threads = ShardThreads::kOwn;

  // Which CPU each shard's thread is pinned to. Default: none.
  PlacementSpec placement = {};

  // Memory for the DMA buffers of each shard, taken at start, from huge pages where there are any,
  // and registered with the kernel. Bytes; rounded up to 2 MiB.
  size_t buffer_pool_bytes = size_t{64} << 20;

  // Operations that each shard may have in flight; more wait in their tasks.
  size_t queue_depth = 256;

  // Files that each shard may have open at once.
  size_t max_open_files = 256;

  // Calls from foreign threads that may wait for a shard.
  size_t inbox_capacity = 1024;

  // Messages that each shard may have on their way to each other one (see MeshOptions); more wait
  // where they were sent.
  size_t mesh_ring_capacity = 256;

  // Memory for the calls that each shard has on their way to others. Bytes; address space, which
  // becomes memory as it is needed. A call takes 64 bytes if its arguments and result are small.
  size_t mesh_call_bytes = size_t{64} << 20;

  // Calls to a shard that takes nothing for so long get DeadlineExceeded. 0: they wait on.
  uint32_t peer_timeout_ms = 10'000;

  // How long an idle shard looks for work before it sleeps. Microseconds. Spinning saves the
  // wake-up, and costs that much CPU each time a shard has nothing to do.
  uint32_t idle_spin_us = 0;

  // Tasks that keep a shard for too long are reported, on that shard. Default: none.
  StallOptions stall = {};

  // InvalidArgument, naming the field, when a value cannot be used.
  absl::Status Validate() const;
};

// What one shard was granted.
struct ShardInfo {
  int cpu = -1;        // that its thread is pinned to; -1: not pinned
  std::string memory;  // of its buffers: size, pages and node achieved
  BackendInfo backend;
  std::vector<Degradation> degraded;  // memory's and the backend's
};

// What a Runtime was granted, and what not and why. Fixed when it started.
struct RuntimeInfo {
  std::string placement;
  std::vector<ShardInfo> shards;

  // All that is degraded on any shard, each once.
  std::vector<Degradation> Degraded() const;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_RUNTIME_OPTIONS_H_
