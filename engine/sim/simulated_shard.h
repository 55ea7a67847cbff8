// SimulatedShard: all that makes one shard, over the simulated disk.
#ifndef IOENGINE_ENGINE_SIM_SIMULATED_SHARD_H_
#define IOENGINE_ENGINE_SIM_SIMULATED_SHARD_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>

#include "ioengine/engine/shard.h"
#include "ioengine/io/dma_buffer_pool.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/io/sim/sim_backend.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/mesh_port.h"

namespace ioengine {

// The memory of a shard's buffers; outlives the shard, so that the next one takes it over.
class SimulatedArena {
 public:
  explicit SimulatedArena(size_t size_bytes)
      : size_bytes_(size_bytes),
        memory_(static_cast<std::byte*>(::operator new(size_bytes, kAlignment))) {}
  SimulatedArena(const SimulatedArena&) = delete;
  SimulatedArena& operator=(const SimulatedArena&) = delete;
  ~SimulatedArena() { ::operator delete(memory_, kAlignment); }

  std::span<std::byte> bytes() const { return {memory_, size_bytes_}; }

 private:
  static constexpr std::align_val_t kAlignment{DmaBufferPool::kArenaAlignmentBytes};

  const size_t size_bytes_;
  std::byte* const memory_;
};

struct SimulatedShardOptions {
  SimBackendOptions backend;
  ExecutorOptions executor;
  ShardIoOptions io;
};

// One life of a shard, from its start to its end. Stop, and then pump until it has stopped, before
// it is destroyed.
//
// Shard: all of a simulation, on one thread.
class SimulatedShard {
 public:
  SimulatedShard(const SimulatedShardOptions& options, SimDisk& disk, SimulatedClock& clock,
                 SimTrace& trace, MeshPort& port, std::span<std::byte> arena)
      : backend_(disk, clock, options.backend, &trace),
        executor_(backend_, options.executor, clock),
        io_(backend_, executor_, arena, options.io),
        shard_(executor_, io_, port) {
    port.Attach(executor_);
  }

  Shard& shard() { return shard_; }
  Executor& executor() { return executor_; }
  SimBackend& backend() { return backend_; }

  // One turn.
  PumpOutcome Pump() {
    const PumpOutcome outcome = executor_.Pump(0);
    idle_ = outcome == PumpOutcome::kIdle;
    return outcome;
  }

  // It does nothing before this time, as one whose thread does not get its processor.
  void StallUntil(uint64_t time_ns) { stalled_until_ns_ = time_ns; }

  // When it has something to do: now or before, or later; Poller::kForever: when others want it.
  uint64_t ready_at_ns() const {
    const bool has_work = !idle_ || backend_.woken();
    return std::max(has_work ? uint64_t{0} : backend_.wake_at_ns(), stalled_until_ns_);
  }

 private:
  SimBackend backend_;
  Executor executor_;
  ShardIo io_;
  Shard shard_;
  bool idle_ = false;
  uint64_t stalled_until_ns_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_SIM_SIMULATED_SHARD_H_
