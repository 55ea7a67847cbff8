#include "ioengine/engine/store_options.h"

namespace ioengine {

absl::Status StoreOptions::Validate() const {
  if (memtable_bytes == 0) {
    return absl::InvalidArgumentError(
        "StoreOptions::memtable_bytes is 0: nothing could be written");
  }
  if (absl::Status status = wal_read.Validate(); !status.ok()) return status;
  if (absl::Status status = compaction.Validate(); !status.ok()) return status;
  return wal.Validate();
}

}  // namespace ioengine
