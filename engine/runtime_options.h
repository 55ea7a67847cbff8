// RuntimeOptions: what a Runtime is made of. RuntimeInfo: what it was granted.
#ifndef IOENGINE_ENGINE_RUNTIME_OPTIONS_H_
#define IOENGINE_ENGINE_RUNTIME_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/io/backend.h"
#include "ioengine/io/device_profile.h"
#include "ioengine/io/io_stats.h"
#include "ioengine/io/make_backend.h"
#include "ioengine/numa/placement.h"
#include "ioengine/sched/stall.h"
#include "ioengine/sched/task_queue.h"

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

  // What each shard may have: buffers, the frames of its tasks, its calls to others, rings and
  // tables, and stores, each of which has set aside what StoreOptions::memory_bytes says when it is
  // opened. Bytes. A shard that has used it up refuses foreign calls, calls to other shards and
  // buffers with ResourceExhausted until tasks end; see MemoryBudget for what may exceed it. What
  // tasks take from the heap (strings, vectors, also those that a store gives them) is not part of
  // it, unless they charge it (Executor::memory). At least buffers, tables and 1 MiB for tasks; 0:
  // 256 MiB beside the buffers.
  size_t memory_per_shard_bytes = 0;

  // What the I/O goes through. Default: io_uring, and a pool of threads on each shard where that is
  // not to be had, which RuntimeInfo tells with the reason.
  BackendChoice backend = BackendChoice::kAuto;

  // Memory for the DMA buffers of each shard, taken at start, from huge pages where there are any,
  // and registered with the kernel. Bytes; rounded up to 2 MiB.
  size_t buffer_pool_bytes = size_t{64} << 20;

  // Operations that each shard may have in flight; more wait in their tasks.
  size_t queue_depth = 256;

  // Bytes that each shard may have in flight, and its classes of the background together among them
  // (IoQueueOptions).
  size_t max_bytes_in_flight = size_t{64} << 20;
  size_t max_background_bytes = size_t{8} << 20;

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

  // Priority classes that each shard has beside "default", whose id is 0: the first here has id 1.
  // At most 255. Calls between shards keep their class by its id.
  std::vector<TaskQueueOptions> classes = {};

  // A shard that sleeps wakes up for timers at most once in this time, where more than a few are
  // due one after the other; each is then late by at most so much. Microseconds; 0: for each at
  // once.
  uint32_t timer_batch_us = 1000;

  // How long an idle shard looks for work before it sleeps. Microseconds. Spinning saves the
  // wake-up, and costs that much CPU each time a shard has nothing to do.
  uint32_t idle_spin_us = 0;

  // Tasks that keep a shard for too long are reported, on that shard. Default: none.
  StallOptions stall = {};

  // Operations that take long are reported, each on its shard, with what they waited for. Default:
  // none. Each shard has a copy of `report` and a limit of its own; several may report at once.
  SlowIoOptions slow_io = {};

  // What the device gives that the shards' files are on, as `ioengine-bench probe` found out
  // (DeviceProfile::ReadFile). Of queue_depth, max_bytes_in_flight and max_background_bytes those
  // that have their default become what is of use on that device.
  std::optional<DeviceProfile> device = std::nullopt;

  // These, with what `device` makes of them. Runtime::Start takes care of it.
  RuntimeOptions WithDeviceBounds() const;

  // InvalidArgument, naming the field, when a value cannot be used.
  absl::Status Validate() const;
};

// What one shard was granted. Bytes.
struct ShardInfo {
  int cpu = -1;        // that its thread is pinned to; -1: not pinned
  std::string memory;  // of its buffers: size, pages and node achieved
  BackendInfo backend;
  size_t memory_limit_bytes = 0;  // of all that it has
  size_t buffer_pool_bytes = 0;   // parts of that, taken at start:
  size_t mesh_ring_bytes = 0;
  size_t table_bytes = 0;  // operations, files, inbox, kernel ring
  size_t queue_depth = 0;
  size_t max_bytes_in_flight = 0;
  size_t max_background_bytes = 0;
  uint64_t slow_io_ns = 0;  // operations that take longer are reported; 0: none
  size_t max_open_files = 0;
  size_t inbox_capacity = 0;
  size_t mesh_ring_capacity = 0;  // messages on their way from each other shard
  size_t mesh_call_bytes = 0;
  std::vector<TaskQueueOptions> classes;  // by id
  std::vector<Degradation> degraded;      // memory's and the backend's
};

// What a Runtime was granted, and what not and why. Fixed when it started.
struct RuntimeInfo {
  ShardThreads threads = ShardThreads::kOwn;
  std::string placement;
  std::string device;  // what is known of it; empty: nothing
  std::vector<ShardInfo> shards;

  // All that is degraded on any shard, each once.
  std::vector<Degradation> Degraded() const;

  // All of this for a log, in lines; shards that are alike share theirs.
  std::string Describe() const;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_RUNTIME_OPTIONS_H_
