// ReadView: all places where a tablet's changes are, at one time.
#ifndef IOENGINE_ENGINE_LSM_READ_VIEW_H_
#define IOENGINE_ENGINE_LSM_READ_VIEW_H_

#include <memory>
#include <vector>

#include "ioengine/engine/lsm/memtable.h"
#include "ioengine/engine/lsm/version.h"

namespace ioengine {

// In the order in which a key is looked for: the first place that has a change of it has the
// newest. Whoever reads holds the view, and with it the memory and the files that he needs.
//
// Shard: that of the tablet.
struct ReadView {
  std::shared_ptr<Memtable> memtable;                   // takes the writes
  std::vector<std::shared_ptr<const Memtable>> frozen;  // on their way to tables; newest first
  std::shared_ptr<const Version> version;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_LSM_READ_VIEW_H_
