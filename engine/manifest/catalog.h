// Catalog: what the database of a shard consists of: ROOT, the manifest, and the tables, opened.
#ifndef IOENGINE_ENGINE_MANIFEST_CATALOG_H_
#define IOENGINE_ENGINE_MANIFEST_CATALOG_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/blob/blob_file.h"
#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/format/root_state.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/engine/lsm/version.h"
#include "ioengine/engine/manifest/manifest.h"
#include "ioengine/engine/manifest/manifest_state.h"
#include "ioengine/engine/manifest/root_file.h"
#include "ioengine/engine/table/block_cache.h"
#include "ioengine/engine/wal/segment_reader.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/mutex.h"
#include "ioengine/sched/task.h"

namespace ioengine {

//   Load ──► the tables that the manifest names are open
//     Begin ──► ROOT names a manifest of this process: it can be changed
//       Change ──► … ──Close──► closed
//          └─ ROOT or the manifest cannot be written ──► failed: no change any more, and no file is
//             removed, since it is not known which of two states is in force
//
// Shard: that of `io`, for every call. Changes wait for each other.
// Ownership: borrows all but ROOT; they must outlive it, and it every version it has given.
class Catalog final : private Table::Owner {
 public:
  Catalog(ShardIo& io, FileSystem& files, BlockCache& cache, std::unique_ptr<RootFile> root,
          ManifestOptions options, size_t blob_read_bytes)
      : io_(io),
        files_(files),
        cache_(cache),
        root_(std::move(root)),
        options_(options),
        blobs_(io, files, blob_read_bytes) {}
  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;
  ~Catalog() { version_.reset(); }

  // Reads the manifest that ROOT names, if it names one, and opens its tables. A damaged table is
  // quarantined. Errors: DataLoss, for the manifest and for a table or a blob file that is missing;
  // those of files. Once.
  Task<absl::Status> Load(WalReadOptions read);

  // Writes a manifest of this process, and puts `next` in force with it: what `next` says, and not
  // what the manifest says, is which log streams are needed. Once, after Load.
  Task<absl::Status> Begin(RootState next);

  // Removes tables and manifests that are nobody's. After Begin.
  Task<absl::Status> RemoveOrphans();

  const RootState& root() const { return root_->state(); }
  // What the manifest says, as it is or as Load found it.
  const ManifestState& state() const { return manifest_ == nullptr ? found_ : manifest_->state(); }
  // Those that tables have values in, and others that are kept.
  BlobFiles& blobs() { return blobs_; }
  const BlobFiles& blobs() const { return blobs_; }
  // The tables in force.
  const std::shared_ptr<const Version>& version() const { return version_; }

  // An identity that no file has had. After Begin.
  Uuid NewUuid();
  // Larger than that of any run before.
  uint64_t NewRun() { return ++last_run_; }

  // Opens a table that is to be added. Errors: those of TableReader::Open.
  Task<absl::StatusOr<std::shared_ptr<Table>>> OpenTable(TableRecord record);

  // The same for one that is open already.
  std::shared_ptr<Table> AdoptTable(TableRecord record, std::unique_ptr<TableReader> reader) {
    return MakeTable(std::move(record), std::move(reader), absl::OkStatus());
  }

  // The same table for another place: an edit removes it, and adds it with `record`.
  std::shared_ptr<Table> MoveTable(const Table& table, TableRecord record) {
    return MakeTable(std::move(record), table.shared_reader(), absl::OkStatus());
  }

  // Makes the edit durable, and then version(), with `added`, those that it adds. The tables must
  // be durable with their names. Files of removed ones go with their last reader, in RemoveUnused.
  // Errors: those of Manifest::Append; a failure of the disk leaves the catalog failed.
  Task<absl::Status> Change(ManifestEdit edit, std::vector<std::shared_ptr<Table>> added);

  // ROOT names these log streams no more. Errors leave the catalog failed.
  Task<absl::Status> ForgetStreams(std::vector<uint64_t> streams);

  // Begins another manifest where this one has grown long. Errors: as Begin; ResourceExhausted, and
  // nothing was done, while the disk is full.
  Task<absl::Status> RollIfLong();

  // Removes the files of tables and values that nobody needs any more. Errors: those of the first
  // that failed, which is tried again the next time.
  Task<absl::Status> RemoveUnused();
  size_t unused() const { return unused_.size(); }

  Task<absl::Status> Close();

  // Why nothing can be changed any more.
  const absl::Status& failed() const { return failed_; }

 private:
  void OnUnused(const Uuid& uuid) override { unused_.push_back(uuid); }

  std::shared_ptr<Table> MakeTable(TableRecord record, std::shared_ptr<TableReader> reader,
                                   absl::Status damage);
  Task<absl::StatusOr<std::vector<std::shared_ptr<BlobFile>>>> OpenBlobs();
  Task<absl::Status> OpenTables();
  Task<> OpenSome(std::vector<TableRecord>* records, std::vector<std::shared_ptr<Table>>* tables,
                  absl::Status* status);
  Task<absl::Status> StartManifest(RootState next, ManifestState state);
  Task<absl::Status> RemoveManifest(uint64_t stream);

  ShardIo& io_;
  FileSystem& files_;
  BlockCache& cache_;
  const std::unique_ptr<RootFile> root_;
  const ManifestOptions options_;
  BlobFiles blobs_;
  ManifestState found_;
  std::unique_ptr<Manifest> manifest_;
  std::shared_ptr<const Version> version_ = std::make_shared<const Version>();
  std::vector<Uuid> unused_;
  uint64_t last_run_ = 0;
  uint64_t last_uuid_ = 0;
  uint64_t last_manifest_ = 0;  // any that there is a file of
  Mutex changing_;
  absl::Status failed_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_MANIFEST_CATALOG_H_
