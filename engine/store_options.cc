#include "ioengine/engine/store_options.h"

#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/sched/class_scheduler.h"

namespace ioengine {

absl::Status StoreOptions::Validate() const {
  for (const auto& [shares, name] : {std::pair(flush_shares, "flush_shares"),
                                     std::pair(compaction_shares, "compaction_shares")}) {
    if (shares >= 1 && shares <= ClassScheduler::kMaxShares) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "StoreOptions::", name, " is ", shares, ", and may be 1 to ", ClassScheduler::kMaxShares));
  }
  if (ballast_bytes % kWalPageBytes != 0) {
    return absl::InvalidArgumentError(absl::StrCat("StoreOptions::ballast_bytes is ", ballast_bytes,
                                                   ", and no multiple of ", kWalPageBytes));
  }
  if (memtable_bytes == 0) {
    return absl::InvalidArgumentError(
        "StoreOptions::memtable_bytes is 0: nothing could be written");
  }
  if (absl::Status status = wal_read.Validate(); !status.ok()) return status;
  if (absl::Status status = blobs.Validate(); !status.ok()) return status;
  if (absl::Status status = compaction.Validate(); !status.ok()) return status;
  return wal.Validate();
}

size_t StoreOptions::buffer_bytes() const {
  // Runs that a compaction merges: usually less than two tiers, and the bottom.
  const size_t runs = 2 * compaction.max_runs + 1;
  const size_t reads = compaction_reads.read_ahead * std::bit_ceil(compaction_reads.buffer_bytes);
  const size_t writes = (table.write_behind + 1) * std::bit_ceil(table.write_bytes);
  const size_t frames = wal.max_frames_in_flight * std::bit_ceil(wal.max_frame_bytes);
  // ROOT, and manifests, of which there are two while one takes the other's place.
  constexpr size_t kCatalog = size_t{1} << 20;
  // Values that come, and those that are moved: what is read of them, and what is written.
  const size_t moving = reads + writes + 2 * blobs.buffer_bytes();
  return frames + kCatalog + cache.capacity_bytes + writes + blobs.buffer_bytes() + moving +
         2 * (runs * reads + writes);
}

}  // namespace ioengine
