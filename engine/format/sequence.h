// Sequence: the order of all writes to a key.
#ifndef IOENGINE_ENGINE_FORMAT_SEQUENCE_H_
#define IOENGINE_ENGINE_FORMAT_SEQUENCE_H_

#include <compare>
#include <cstdint>

namespace ioengine {

// Each write gets the database's epoch, which counts snapshots, and its shard's counter, which
// never goes back. A later write to the same key has a larger one.
struct Sequence {
  uint64_t epoch = 0;
  uint64_t counter = 0;

  friend constexpr auto operator<=>(const Sequence&, const Sequence&) = default;
};

inline constexpr Sequence kMaxSequence = {UINT64_MAX, UINT64_MAX};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_FORMAT_SEQUENCE_H_
