// StoreOpener: the steps by which ShardStore::Open makes a store.
#ifndef IOENGINE_ENGINE_STORE_OPENER_H_
#define IOENGINE_ENGINE_STORE_OPENER_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/root_state.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/io/file_system.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// In an order in which a crash at any point does no harm:
//
//   1. the directory's lock: one opener
//   2. ROOT: what is in force (RootFile completes its pair); no log that it does not name may be
//      newer than it
//   3. the log streams that it names, each to its seal, or to its end by proof; ReadWal makes
//      durable what it read: after a kill it may be in the device's cache only, and nobody may see
//      what a power cut then takes back
//   4. a stream of this open's own, empty and durable
//   5. ROOT: the old streams with their seals, so that what a killed process still writes to them
//      is never replayed; and the new stream
//   6. log segments that ROOT does not name are removed
//
// Shard: the store's.
class StoreOpener {
 public:
  // Borrows `store`, of which it has the directory and nothing else.
  explicit StoreOpener(ShardStore& store) : store_(store) {}

  Task<absl::Status> Run();

 private:
  Task<absl::Status> Lock();
  Task<absl::Status> OpenRoot();
  Task<absl::Status> CreateRoot();
  Task<absl::StatusOr<Uuid>> ChooseIdentity();
  Task<absl::Status> ListSegments();
  Task<absl::Status> CheckOrphans();
  Task<absl::Status> CheckOrphan(const std::string& segment);
  Task<absl::Status> ReplayStreams();
  Task<absl::Status> BeginStream();
  Task<absl::Status> RemoveOrphans();
  WalStream IdentityOf(const RootStream& stream) const;

  ShardStore& store_;
  RootState next_;                     // what is to be in force
  std::vector<std::string> segments_;  // all that were there
  std::set<std::string> kept_;         // those that ROOT names
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_STORE_OPENER_H_
