#include "ioengine/engine/store_options.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/sched/class_scheduler.h"

namespace ioengine {

absl::Status StoreOptions::Validate() const {
  for (const auto& [shares, name] : {std::pair(flush_shares, "flush_shares"),
                                     std::pair(compaction_shares, "compaction_shares")}) {
    if (shares >= 1 && shares <= ClassScheduler::kMaxShares) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "StoreOptions::", name, " is ", shares, ", and may be 1 to ", ClassScheduler::kMaxShares));
  }
  if (memtable_bytes == 0) {
    return absl::InvalidArgumentError(
        "StoreOptions::memtable_bytes is 0: nothing could be written");
  }
  if (absl::Status status = wal_read.Validate(); !status.ok()) return status;
  if (absl::Status status = compaction.Validate(); !status.ok()) return status;
  return wal.Validate();
}

}  // namespace ioengine
