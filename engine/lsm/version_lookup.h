// VersionLookup: the search for one key in all tables of a version, the newest first.
#ifndef IOENGINE_ENGINE_LSM_VERSION_LOOKUP_H_
#define IOENGINE_ENGINE_LSM_VERSION_LOOKUP_H_

#include <cstddef>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/lsm/version.h"
#include "ioengine/engine/table/table_lookup.h"
#include "ioengine/engine/table/table_reader.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// For the newest change of a key that is not newer than `at`. Movable while no task is in Finish.
//
// Shard: that of the version. Ownership: borrows the version and the key. Pins nothing until it has
// found something, and that for a moment only (PinUse::kShort).
class VersionLookup {
 public:
  VersionLookup(const Version& version, std::string_view key, Sequence at)
      : version_(&version), key_(key), at_(at) {}

  // Goes on with what is in the cache; whether it is done. Cost: no task, and no allocation.
  bool TryFinish();
  // The same in steps: see TableLookup::Step. False when it is done, or must Finish.
  bool Step(BlockCache::Pin& pin);
  bool done() const { return done_; }
  // Reads the rest. REQUIRES: !done(), and that TryFinish or Step said no.
  Task<> Finish();

  // When it is done. Errors: those of TableReader::Get; why a table is quarantined that may have
  // the key.
  const absl::Status& status() const { return table_.has_value() ? table_->status() : status_; }
  // Null: there is no such change, or it failed.
  TableFound* found() {
    return table_.has_value() && table_->found().has_value() ? &*table_->found() : nullptr;
  }

 private:
  bool GoToNextTable();
  bool IsResult();

  const Version* version_;
  std::string_view key_;
  Sequence at_;
  size_t next_run_ = 0;
  bool done_ = false;
  std::optional<TableLookup> table_;  // where it is
  absl::Status status_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_LSM_VERSION_LOOKUP_H_
