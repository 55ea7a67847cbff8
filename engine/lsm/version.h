// Version: the tables that a tablet consists of, at one time.
#ifndef IOENGINE_ENGINE_LSM_VERSION_H_
#define IOENGINE_ENGINE_LSM_VERSION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/engine/blob/blob_file.h"
#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/table/table_reader.h"
#include "ioengine/sched/memory_charge.h"

namespace ioengine {

// A table that the manifest names.
//
//   in use ──its versions and readers let go──► gone
//      └──Retire──► retired ──the same──► gone, and the file is to be removed
//
// Shard: that of the reader.
class Table {
 public:
  // Told of a retired table that nobody uses any more. Must not suspend.
  class Owner {
   public:
    virtual void OnUnused(const Uuid& uuid) = 0;

   protected:
    ~Owner() = default;
  };

  // With `damage`, which says why it cannot be read, it is quarantined, and has no reader.
  // `charge`: of what is kept of it in memory, beside the reader's. `blobs` are the files that the
  // record's are in, in their order.
  Table(TableRecord record, std::shared_ptr<TableReader> reader, absl::Status damage, Owner* owner,
        MemoryCharge charge = {}, std::vector<std::shared_ptr<BlobFile>> blobs = {});
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table();

  const TableRecord& record() const { return record_; }
  // Null: it is quarantined.
  TableReader* reader() const { return reader_.get(); }
  // For the same table with another place, which reads the same file.
  const std::shared_ptr<TableReader>& shared_reader() const { return reader_; }
  const absl::Status& damage() const { return damage_; }
  size_t memory_bytes() const {
    return charge_.bytes() + (reader_ != nullptr ? reader_->memory_bytes() : 0);
  }

  // No version has it any more, durably.
  void Retire() { retired_ = true; }

 private:
  const TableRecord record_;
  std::shared_ptr<TableReader> reader_;
  const absl::Status damage_;
  Owner* const owner_;
  const std::vector<std::shared_ptr<BlobFile>> blobs_;
  const MemoryCharge charge_;
  bool retired_ = false;
};

// Tables whose keys do not overlap, in order. Of two runs with a change of one key the newer one
// has the newer change.
struct SortedRun {
  uint64_t number = 0;
  uint32_t tier = 0;
  std::vector<std::shared_ptr<Table>> tables;

  // The table that may have the key; null: none.
  const std::shared_ptr<Table>* Find(std::string_view key) const;
  uint64_t file_bytes() const;
};

// Immutable. Whoever reads holds it, and with it the files that it needs.
//
// Shard: that of its tables.
class Version {
 public:
  Version() = default;
  // The runs in any order.
  explicit Version(std::vector<SortedRun> runs);

  // Newest first: by tier, and in a tier the larger number first.
  const std::vector<SortedRun>& runs() const { return runs_; }
  std::vector<std::shared_ptr<Table>> tables() const;
  size_t table_count() const;

  // With the edit's tables removed and `added`, those that it adds, opened. A removed table that is
  // not there is ignored. DataLoss: tables of a run overlap.
  absl::Status Apply(const ManifestEdit& edit, std::vector<std::shared_ptr<Table>> added,
                     std::shared_ptr<const Version>* next) const;

 private:
  std::vector<SortedRun> runs_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_LSM_VERSION_H_
