// Durability: what a write that was acknowledged survives.
#ifndef IOENGINE_ENGINE_WAL_DURABILITY_H_
#define IOENGINE_ENGINE_WAL_DURABILITY_H_

#include <cstdint>

namespace ioengine {

enum class Durability : uint8_t {
  // It is in the memtable. Goes to the log within 1 ms or 64 KiB of others; until then it survives
  // nothing, not even the process's end.
  kMemory,
  // Its write to the log completed: survives the process and the kernel, not the power.
  kWritten,
  // It, and every write of its shard before it, survives a power cut.
  kDurable,
};

inline const char* DurabilityName(Durability level) {
  switch (level) {
    case Durability::kMemory:
      return "memory";
    case Durability::kWritten:
      return "written";
    case Durability::kDurable:
      return "durable";
  }
  return "unknown durability";
}

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_WAL_DURABILITY_H_
