// Retention: which changes of a key somebody may still see.
#ifndef IOENGINE_ENGINE_LSM_RETENTION_H_
#define IOENGINE_ENGINE_LSM_RETENTION_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "ioengine/engine/format/sequence.h"

namespace ioengine {

// The newest change, which is that of now and of all snapshots to come, and for each snapshot the
// newest that is not newer. Snapshots cut time into slices, and of each slice the newest change is
// needed:
//
//    changes, by sequence     1   2   3     5   6       8   9
//    snapshots                          4           7
//    needed                           3           6           9
//
// Shard: any one.
class Retention {
 public:
  // Of the snapshots that are live, ascending.
  explicit Retention(std::vector<Sequence> snapshots) : snapshots_(std::move(snapshots)) {}

  // What follows is of another key.
  void BeginKey() { last_slice_ = SIZE_MAX; }
  // Whether the next change of the key is needed; they come from the newest to the oldest. Cost: a
  // binary search among the snapshots.
  bool IsNeeded(Sequence sequence) {
    const auto at = std::lower_bound(snapshots_.begin(), snapshots_.end(), sequence);
    const auto slice = static_cast<size_t>(at - snapshots_.begin());
    return std::exchange(last_slice_, slice) != slice;
  }

 private:
  const std::vector<Sequence> snapshots_;
  size_t last_slice_ = SIZE_MAX;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_LSM_RETENTION_H_
