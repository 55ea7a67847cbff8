#include "ioengine/engine/store_options.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/engine/lsm/compaction.h"
#include "ioengine/sched/class_scheduler.h"
#include "ioengine/sched/page_memory.h"

namespace ioengine {
namespace {

// Of the record of each run that a compaction has in memory. Where there are many larger ones it
// takes more, which is not set aside.
constexpr size_t kMostSetAside = size_t{4} << 20;

}  // namespace

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
  // Values that come, those that are moved with their tables, and reads of both.
  const size_t values = blobs.buffer_bytes() + reads + writes + blobs.buffer_bytes();
  return frames + kCatalog + cache.capacity_bytes + writes + values + blobs.read_bytes +
         2 * (runs * reads + writes);
}

size_t StoreOptions::arena_block_bytes() const {
  // A huge page where that is little of the whole: searches miss the TLB less.
  if (memtable_bytes / 32 >= PageMemory::kHugePageBytes) return PageMemory::kHugePageBytes;
  return std::clamp(memtable_bytes / 64, size_t{4} << 10, size_t{256} << 10);
}

size_t StoreOptions::change_bytes() const {
  // What is asked for before a write is not in whole blocks.
  return memtable_bytes + 2 * arena_block_bytes();
}

size_t StoreOptions::job_bytes() const {
  const size_t record = std::min(wal.max_pending_bytes, kMostSetAside);
  // The block that a builder makes: as it gathers, where a string may have twice what it needs, and
  // encoded.
  const size_t block = 3 * wal.max_pending_bytes;
  // The hashes of its keys, each of which has at least 48 bytes in a memtable, and its index.
  const size_t flush = memtable_bytes / 4 + block;
  const size_t runs = 2 * compaction.max_runs + 1;  // as of buffers
  constexpr size_t kRun = size_t{64} << 10;         // blocks of its index and of small records
  // Hashes move to another place as they become more.
  const size_t builder = CompactionOptions().most_builder_bytes * 3 / 2 + block;
  return flush + builder + runs * (record + kRun);
}

size_t StoreOptions::memory_bytes() const {
  // The rings of manifests, of which there are two while one takes the other's place; some tables.
  constexpr size_t kCatalog = size_t{2} << 20;
  return change_bytes() + job_bytes() + wal.max_pending_bytes + kCatalog +
         BlockCache::DirectoryBytes(cache) + reader_bytes;
}

}  // namespace ioengine
