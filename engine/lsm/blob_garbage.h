// BlobGarbagePicker: which tables are to move their values out of which blob files.
#ifndef IOENGINE_ENGINE_LSM_BLOB_GARBAGE_H_
#define IOENGINE_ENGINE_LSM_BLOB_GARBAGE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <set>

#include "ioengine/engine/blob/blob_file.h"
#include "ioengine/engine/blob/blob_options.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/engine/lsm/version.h"

namespace ioengine {

struct BlobPick {
  std::shared_ptr<Table> table;
  std::set<Uuid> files;
};

// What of a file no table refers to is garbage. Tables say exactly how much they refer to, so it is
// known without reading anything. When there is too much, the worst files are emptied, table by
// table, and go by themselves when nothing in them is needed any more:
//
//   nothing ──too much garbage──► a round: the worst files, with a twentieth of all ──
//      ▲      each table that refers to them is written anew──► nobody refers to them
//      └─────────────────────────────────────────────────────────────┘
//
// A file that is written to, or that memory refers to, is not looked at: how much of it is good is
// not known yet.
//
// Shard: one.
class BlobGarbagePicker {
 public:
  explicit BlobGarbagePicker(const BlobOptions& options) : options_(options) {}

  // Tables that are not to be read, and files with values that cannot be: they keep what they have.
  void AddDamagedTable(const Uuid& uuid) { damaged_tables_.insert(uuid); }
  void AddDamagedFiles(const std::set<Uuid>& files) {
    damaged_files_.insert(files.begin(), files.end());
  }

  // A table, but for the `busy` ones.
  std::optional<BlobPick> Pick(const Version& version, const BlobFiles& blobs,
                               const std::set<Uuid>& busy);

  // Of garbage, what is above the limit.
  uint64_t DebtBytes(const BlobFiles& blobs) const;

 private:
  struct Sum {
    uint64_t file_bytes = 0;
    uint64_t garbage_bytes = 0;
  };

  bool IsCounted(const BlobFile& file) const;
  Sum SumOf(const BlobFiles& blobs) const;
  bool IsTooMuch(const Sum& sum) const;
  bool IsDamaged(const Table& table) const;
  void BeginRound(const Version& version, const BlobFiles& blobs);

  const BlobOptions options_;
  std::set<Uuid> damaged_tables_;
  std::set<Uuid> damaged_files_;
  std::set<Uuid> round_;  // files
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_LSM_BLOB_GARBAGE_H_
