// StoreOpener: the steps by which ShardStore::Open makes a store.
#ifndef IOENGINE_ENGINE_STORE_OPENER_H_
#define IOENGINE_ENGINE_STORE_OPENER_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/root_state.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/engine/manifest/root_file.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/wal/wal_reader.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/io/file_system.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// In an order in which a crash at any point does no harm:
//
//   1. the directory's lock: one opener
//   2. ROOT: what is in force (RootFile completes its pair); no stream that it does not name may be
//      newer than it
//   3. the manifest that it names, and the tables that that names
//   4. the log streams that ROOT names and tables do not contain, each to its seal, or to its end
//      by proof. ReadWal makes durable what it reads: after a kill it may be in the device's cache
//      only, and nobody may see what a power cut then takes back
//   5. a stream and a manifest of this open's own, durable. (The stream's first segment, which is
//      long, is made while the old ones are read: it is nobody's yet.)
//   6. ROOT: both of them, and the old streams with their seals, so that what a killed process
//      still writes to them is never replayed
//   7. files that nobody names any more are removed
//
// Shard: the store's.
class StoreOpener {
 public:
  // Borrows `store`, of which it has the directory and nothing else.
  explicit StoreOpener(ShardStore& store) : store_(store) {}

  Task<absl::Status> Run();

  // After a Run that failed: closes what it opened. What nobody can have a name of is removed, so
  // that a database that cannot be opened does not fill the disk by being tried again.
  Task<> Abandon();

 private:
  Task<absl::Status> OpenRoot();
  Task<absl::Status> CreateRoot();
  Task<absl::StatusOr<Uuid>> ChooseIdentity();
  Task<absl::Status> ListFiles();
  Task<absl::Status> CheckOrphans();
  Task<absl::Status> CheckOrphan(const std::string& segment);
  Task<absl::Status> LoadCatalog();
  Task<absl::Status> ReplayStreams();
  Task<absl::StatusOr<bool>> ReplayStream(RootStream* stream, WalVisitor* replay);
  Task<absl::Status> MakeStream();
  Task<absl::Status> BeginStream();
  Task<> RemoveStream(uint64_t stream);
  Task<absl::Status> RemoveOrphans();
  Task<absl::Status> Start();
  WalStream IdentityOf(const RootStream& stream) const;

  ShardStore& store_;
  std::unique_ptr<RootFile> root_;     // until there is a catalog
  RootState next_;                     // what is to be in force
  std::vector<std::string> segments_;  // of logs and manifests: all that were there
  bool has_tables_ = false;
  RootStream stream_;               // of this open
  bool may_be_named_ = false;       // it, by ROOT
  std::vector<uint64_t> replayed_;  // streams whose records are in memory
  std::set<std::string> kept_;      // segments of those
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_STORE_OPENER_H_
