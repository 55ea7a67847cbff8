// MoveBlobs: takes the values of a table out of blob files that are mostly garbage.
#ifndef IOENGINE_ENGINE_LSM_BLOB_MOVE_H_
#define IOENGINE_ENGINE_LSM_BLOB_MOVE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "absl/status/statusor.h"
#include "ioengine/engine/blob/blob_file.h"
#include "ioengine/engine/blob/blob_writer.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/engine/lsm/compaction.h"
#include "ioengine/engine/lsm/version.h"
#include "ioengine/engine/table/block_cache.h"
#include "ioengine/engine/table/block_source.h"
#include "ioengine/engine/table/table_builder.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/memory_budget.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// No aggregate: g++ 12 destroys twice what is made in braces within a co_await.
struct BlobMoveJob {
  BlobMoveJob() = default;

  // Not quarantined. What it has in `files` is written anew.
  std::shared_ptr<Table> table;
  std::set<Uuid> files;
  Uuid new_table;
  // When it becomes true the job ends, with Cancelled. May be null.
  const bool* stop = nullptr;
  // Told of values that were moved, now and then. May be empty.
  std::function<void(uint64_t bytes)> on_progress;
  // What its memory is charged to, and may exceed where a value is very large; null: nothing.
  MemoryBudget* memory = nullptr;
  TableOptions options;
  ReadAheadOptions read_ahead;
};

struct BlobMoveResult {
  // The same records, in the same place.
  CompactionOutput output;
  uint64_t moved_values = 0;
  uint64_t moved_bytes = 0;
  // Of `files`, those with damaged values of the table, which stay where they are.
  std::set<Uuid> damaged;
  // Keep the new values' files until the new table does.
  std::vector<PlacedBlob> placed;
};

// Writes the table again, with other pointers, and checks that it has the same records. Table and
// values are durable then, and their names are when the directory is synced; installing the table,
// and retiring the old one, is the caller's.
//
// Shard: that of `io`. Ownership: borrows all; keeps the table until it is done.
// Errors: DataLoss for a damaged table; Internal when the check fails; Cancelled; those of reads
// and writes. The new table's file is removed then, if that can be done; the values are garbage.
// Cost: the table is read and written once, and so are the values, up to 64 or 1 MiB at a time.
Task<absl::StatusOr<BlobMoveResult>> MoveBlobs(ShardIo& io, FileSystem& files, BlockCache& cache,
                                               BlobFiles& blobs, BlobWriter& writer,
                                               BlobMoveJob job);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_LSM_BLOB_MOVE_H_
