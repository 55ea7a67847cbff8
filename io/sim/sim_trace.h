// SimTrace: what happened in a simulation, as one number, and the last of it in words.
#ifndef IOENGINE_IO_SIM_SIM_TRACE_H_
#define IOENGINE_IO_SIM_SIM_TRACE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ioengine/io/io_request.h"
#include "ioengine/io/io_site.h"
#include "ioengine/io/sim/sim_faults.h"

namespace ioengine {

// One event.
struct SimEvent {
  enum class Kind : uint8_t {
    kTurn,      // a shard ran
    kStart,     // an operation
    kComplete,  // an operation, with what it met
    kBegin,     // a run of the simulation
    kEnd,
    kPowerCut,
  };

  Kind kind = Kind::kTurn;
  IoOpcode opcode = IoOpcode::kRead;
  SimFault fault = SimFault::kNone;
  uint32_t shard = 0;
  int fd = -1;
  int32_t result = 0;
  uint64_t time_ns = 0;
  uint64_t offset_bytes = 0;
  uint64_t size_bytes = 0;
  uint64_t data = 0;  // SimHash of what was written or read
  IoSite site = {};   // of an operation. No part of the hash: a program may be moved
};

// A number that tells bytes apart, the same on every machine.
uint64_t SimHash(std::span<const std::byte> bytes);

// Two runs with the same hash did the same.
//
// Shard: all of a simulation, on one thread.
class SimTrace {
 public:
  // Keeps the last `capacity` events, at least 1.
  explicit SimTrace(size_t capacity) : last_(capacity == 0 ? 1 : capacity) {}

  // Cost: some nanoseconds.
  void Add(const SimEvent& event);

  // Of all events.
  uint64_t hash() const { return hash_; }
  uint64_t count() const { return count_; }

  // The last events, a line for each, the oldest first.
  std::string ToString() const;

 private:
  std::vector<SimEvent> last_;
  uint64_t count_ = 0;
  uint64_t hash_ = 0x9e37'79b9'7f4a'7c15;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_SIM_SIM_TRACE_H_
