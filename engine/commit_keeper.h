// CommitKeeper: whoever coordinates batches over several shards, as the coordinator's store sees
// it.
#ifndef IOENGINE_ENGINE_COMMIT_KEEPER_H_
#define IOENGINE_ENGINE_COMMIT_KEEPER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "ioengine/engine/format/batch_record.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// Shard: the store's. Outlives the store.
class CommitKeeper {
 public:
  // Within Open, for each commit that the log holds and tables do not contain, in their order. A
  // commit may come twice. Ownership: borrows, for the call.
  virtual void OnFound(const BatchRecord& commit) = 0;

  // Until this has succeeded the log is kept. Then nobody needs what it has up to `record`, nor the
  // logs that were found when the store was opened.
  virtual Task<absl::Status> Settle(uint64_t record) = 0;

 protected:
  ~CommitKeeper() = default;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_COMMIT_KEEPER_H_
