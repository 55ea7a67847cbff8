// What the user_data of the backend's entries says: which operation, and which entry of it.
#ifndef IOENGINE_IO_URING_USER_DATA_H_
#define IOENGINE_IO_URING_USER_DATA_H_

#include <cstdint>

#include "ioengine/io/io_operation.h"

namespace ioengine {

// user_data of entries that belong to no slot: slots have indices below these.
inline constexpr uint64_t kWakeTag = 0xffff'ffff;
inline constexpr uint64_t kCancelTag = 0xffff'fffe;
inline constexpr uint64_t kFlagTag = 0xffff'fffd;
inline constexpr uint64_t kHostTimeoutTag = 0xffff'fffc;

// In the index of a user_data: the entry is the sync of a pair, and the operation's other one its
// write. Tables of operations are far smaller.
inline constexpr uint32_t kSyncBit = uint32_t{1} << 31;

inline uint64_t TagOf(const IoOperation& operation) {
  return (uint64_t{operation.generation} << 32) | operation.index;
}

// Not so for those above, which have all bits.
inline bool IsLinkedSync(uint64_t tag) {
  return (tag & kSyncBit) != 0 && static_cast<uint32_t>(tag) < kHostTimeoutTag;
}
inline uint32_t IndexOf(uint64_t tag) { return static_cast<uint32_t>(tag) & ~kSyncBit; }
inline uint32_t GenerationOf(uint64_t tag) { return static_cast<uint32_t>(tag >> 32); }

}  // namespace ioengine

#endif  // IOENGINE_IO_URING_USER_DATA_H_
