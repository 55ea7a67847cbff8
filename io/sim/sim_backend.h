// SimBackend: one shard's way to a SimDisk, in simulated time.
#ifndef IOENGINE_IO_SIM_SIM_BACKEND_H_
#define IOENGINE_IO_SIM_SIM_BACKEND_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/io/backend.h"
#include "ioengine/io/sim/sim_disk.h"
#include "ioengine/io/sim/sim_trace.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/simulated_time.h"

namespace ioengine {

// How long operations take: any time between the two, and one in `late_one_in` 20 times as long.
// Nanoseconds, at least 1.
struct SimLatency {
  struct Range {
    uint64_t least_ns;
    uint64_t most_ns;
  };
  Range read = {20'000, 120'000};
  Range write = {15'000, 100'000};
  Range sync = {100'000, 1'000'000};
  Range other = {2'000, 100'000};  // names, stat, allocate, …
  uint64_t late_one_in = 100;      // 0: none
};

struct SimBackendOptions {
  size_t capacity = 256;
  size_t registered_files = 256;
  uint64_t seed = 1;
  SimLatency latency = {};
  // How long each look at the backend (Poll, HasCompletions) takes, so that whoever looks again and
  // again sees time go by.
  uint64_t look_ns = 100;
  // Checks at the completion of each write that the buffer holds what it held at the start. Costs a
  // pass over the data, twice.
  bool check_buffers = true;
  // For `trace`.
  uint32_t shard = 0;
};

// A write of a process that was killed, which has its effect later.
struct SimLateWrite {
  std::vector<std::byte> data;
  IoCommand command;
  SimOperation operation;
};

// An operation has its effect when it completes, in Poll, Wait or Drain. So a write is in the
// disk's cache from then on, a read fills its buffer then and not before, and what is in flight
// when the power goes may have happened or not.
//
// Sockets join here as they do in Backend: Start puts their operations into the same queue of what
// is due, under a latency of their own, and Finish hands those of another kind of descriptor to a
// SimNetwork beside the SimDisk.
//
// Shard: one of a simulation, on its one thread; Wake from any.
class SimBackend : public Backend {
 public:
  // Borrows all; `trace` may be null.
  SimBackend(SimDisk& disk, SimulatedClock& clock, const SimBackendOptions& options,
             SimTrace* trace = nullptr);
  ~SimBackend() override;

  void Start(IoOperation& operation) override;
  // Half of the operations, by chance, end with ECANCELED and without effect; the others have been
  // too far on the way.
  void Cancel(IoOperation& operation) override;
  void Drain() override;
  BufferRegistration RegisterBuffers(std::span<std::byte> arena) override;
  bool RegisterFile(int index, int fd) override;
  const BackendInfo& info() const override { return info_; }

  size_t Poll() override;
  // Lets the time go by until an operation is due.
  size_t Wait(uint64_t timeout_ns) override;
  bool HasCompletions() const override;
  bool PrepareWait(uint64_t timeout_ns) override;
  void Wake() override { woken_.store(true, std::memory_order_release); }

  // For whoever pumps the shard: until when it has nothing to do, after a Pump that gave kIdle;
  // kForever when it waits for others.
  uint64_t wake_at_ns() const;
  bool woken() const { return woken_.load(std::memory_order_acquire); }

  // The power goes: each operation in flight has had its effect, or not, by chance. From now on
  // nothing has an effect any more; all that is started or in flight fails (EIO), as soon as
  // somebody looks. Before SimDisk::PowerCut.
  //
  // With `late`: the process is killed, and some of its writes are still on their way to the
  // device. SimDisk::Execute gives them their effect.
  void PowerOff(Random& random, std::vector<SimLateWrite>* late = nullptr);
  bool powered_off() const { return powered_off_; }

  // Operations that complete only when they are cancelled, in words; for whoever finds that a
  // simulation goes on no more.
  std::string DescribeStuck();

 private:
  // Beside each slot.
  struct Flight {
    SimOperation operation;
    uint64_t due_ns = 0;  // kForever: never
    uint64_t serial = 0;  // of its entry in due_; 0: none
    uint64_t data = 0;    // SimHash of what is written
    bool cancelled = false;
  };
  struct Due {
    uint64_t time_ns;
    uint64_t order;  // a random one between those of the same time
    uint64_t serial;
    IoOperation* operation;

    bool operator>(const Due& other) const {
      return std::pair(time_ns, order) > std::pair(other.time_ns, other.order);
    }
  };

  uint64_t LatencyOf(IoOpcode opcode, const SimFaultDraw& fault);
  void MakeDue(IoOperation& operation, uint64_t time_ns);
  uint64_t NextDueNs() const;
  IoOperation* TakeDue();
  void Finish(IoOperation& operation);
  int32_t Effect(IoOperation& operation, Flight& flight);
  size_t FinishDue();
  void Note(SimEvent::Kind kind, const IoOperation& operation, const Flight& flight,
            int32_t result) const;
  bool BufferIsValid(const IoRequest& request) const;
  static SimLateWrite MakeLate(const IoOperation& operation, Flight& flight);

  SimDisk& disk_;
  SimulatedClock& clock_;
  const SimBackendOptions options_;
  SimTrace* const trace_;
  BackendInfo info_;
  Random random_;
  std::vector<Flight> flights_;  // by slot
  uint64_t last_serial_ = 0;
  // The entries that their flights do not name any more, since those were cancelled, go when they
  // are first.
  mutable std::priority_queue<Due, std::vector<Due>, std::greater<Due>> due_;
  std::vector<std::shared_ptr<SimOpenFile>> registered_files_;
  std::span<std::byte> registered_arena_;  // one region
  uint64_t sleep_until_ns_ = kForever;
  bool powered_off_ = false;
  // Release and acquire: what the thread that woke did before is seen by the shard.
  std::atomic<bool> woken_{false};
};

}  // namespace ioengine

#endif  // IOENGINE_IO_SIM_SIM_BACKEND_H_
