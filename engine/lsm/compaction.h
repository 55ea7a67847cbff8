// Compaction: makes new tables of old ones, without what nobody needs any more.
#ifndef IOENGINE_ENGINE_LSM_COMPACTION_H_
#define IOENGINE_ENGINE_LSM_COMPACTION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/engine/lsm/version.h"
#include "ioengine/engine/table/block_cache.h"
#include "ioengine/engine/table/block_source.h"
#include "ioengine/engine/table/table_builder.h"
#include "ioengine/engine/table/table_footer.h"
#include "ioengine/engine/table/table_reader.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/memory_budget.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// No aggregates: g++ 12 destroys twice what is made in braces within a co_await.
struct CompactionOptions {
  CompactionOptions() = default;

  // A table ends where it is so large. It may be larger where keys are equal in their first
  // kMaxBoundBytes, and all changes of a key are in one table.
  uint64_t target_file_bytes = uint64_t{48} << 20;
  // … and at one of the `cut_keys` (ascending) when it is so large at least: those are the bounds
  // of the tables below, so that a later job with this table needs few of them.
  uint64_t least_file_bytes = uint64_t{12} << 20;
  // … and when so much of memory is kept for it (TableBuilder::kept_bytes).
  size_t most_builder_bytes = size_t{8} << 20;
  std::vector<std::string> cut_keys;
  TableOptions table;
  // Of each run that is read.
  ReadAheadOptions read_ahead;
};

struct CompactionJob {
  CompactionJob() = default;

  // From the newest to the oldest; tables of each in order, and none quarantined. Within the range
  // of keys that they cover, there is nothing in between that is newer than one and older than
  // another.
  std::vector<std::vector<std::shared_ptr<Table>>> runs;
  // Those that are live, ascending. Later ones are newer than all changes of the tables.
  std::vector<Sequence> snapshots;
  // Nothing older of these keys is anywhere else, also not in a quarantined table: a delete that
  // hides nothing goes.
  bool is_bottom = false;
  // Where the new tables belong.
  uint64_t run = 0;
  uint32_t tier = 0;
  // Gives each new table its name.
  std::function<Uuid()> new_uuid;
  // When it becomes true the job ends, with Cancelled. May be null.
  const bool* stop = nullptr;
  // Told of keys and values that were read, now and then. May be empty.
  std::function<void(uint64_t bytes)> on_progress;
  // What it takes is charged to it, and may exceed its limit: ask before. Null: the shard's.
  MemoryBudget* memory = nullptr;
  CompactionOptions options;
};

// A new table, and that it can be read.
struct CompactionOutput {
  TableRecord record;
  std::unique_ptr<TableReader> reader;
};

struct CompactionResult {
  std::vector<CompactionOutput> outputs;  // in order
  uint64_t input_records = 0;
  uint64_t input_bytes = 0;  // of files
  uint64_t dropped_records = 0;
  uint64_t output_records = 0;
  uint64_t output_bytes = 0;
};

// What a manifest says of a table that was finished.
TableRecord TableRecordOf(const TableInfo& table, uint64_t run, uint32_t tier);

// Keeps of each key what Retention says, and checks that nothing was lost or made up: what was read
// is what the inputs' records say, in number and hash, and it is what was written and what was
// dropped. The new tables are durable, and their names are when the directory is synced; installing
// them, and retiring the others, is the caller's.
//
// Shard: that of `io`.
// Ownership: borrows `io`, `files` and `cache`; keeps the inputs until it is done.
// Errors: DataLoss for a damaged input; Internal when the check fails; Cancelled, when it was to
// stop; those of reads and writes.
// The new files are removed then, if that can be done. A task that is destroyed leaves them; their
// names are those that it was given.
// Cost: reads and writes all of it once. Buffers of `read_ahead` and a copy of two blocks for each
// run, what a TableBuilder takes. Yields every 64 records or 64 KiB.
Task<absl::StatusOr<CompactionResult>> RunCompaction(ShardIo& io, FileSystem& files,
                                                     BlockCache& cache, CompactionJob job);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_LSM_COMPACTION_H_
