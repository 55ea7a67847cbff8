// StoreOptions: what a store is opened with.
#ifndef IOENGINE_ENGINE_STORE_OPTIONS_H_
#define IOENGINE_ENGINE_STORE_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "absl/status/status.h"
#include "ioengine/engine/blob/blob_options.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/engine/lsm/compaction_picker.h"
#include "ioengine/engine/manifest/manifest.h"
#include "ioengine/engine/table/block_cache.h"
#include "ioengine/engine/table/block_source.h"
#include "ioengine/engine/table/table_builder.h"
#include "ioengine/engine/wal/segment_reader.h"
#include "ioengine/engine/wal/wal_options.h"

namespace ioengine {

struct StoreOptions {
  // Make a database where there is none. Otherwise that is NotFound.
  bool create_if_missing = true;

  // The identity of a database that is made. Default: a random one.
  std::optional<Uuid> database = std::nullopt;

  // How long to wait for the directory's lock. The kernel may hold that of a killed process for
  // some milliseconds, until it has ended what its ring had in flight.
  uint64_t lock_wait_ns = 2'000'000'000;

  // What the changes in memory may take. Bytes. When half of it is used, what there is goes to a
  // table; writes beyond all of it wait for that. A change takes up to 112 bytes beside its key and
  // value. A batch that is larger than all of it is let in alone, if the shard has the memory.
  size_t memtable_bytes = size_t{64} << 20;

  // What readers may take: iterators, with the blocks that they copied; PinnedValues that are
  // copies; MultiGets until they give their values; memtables that only they still keep. Bytes.
  // Beyond it iterators are asked to let go of what they do not use right now, and then it is
  // ResourceExhausted. Not set aside: it may be that much only while the shard has it.
  size_t reader_bytes = size_t{32} << 20;

  WalOptions wal = {.sync = WalSync::kProbe};
  // Of the log, at most, before what is in memory goes to a table however little it is. Bytes.
  uint64_t max_log_bytes = uint64_t{1} << 30;

  // Of the disk that is held back for when it is full: then flushes use it, and writes are refused.
  // At least two of the log's segments, so that such a database can be opened; a multiple of 4 KiB.
  // 0: none.
  uint64_t ballast_bytes = uint64_t{128} << 20;

  // Of tables in memory; taken from the shard's DmaBuffers as it is needed. What it needs to know
  // of blocks, about a tenth of that, is taken at once, and is memory beside those.
  BlockCacheOptions cache = {.capacity_bytes = size_t{32} << 20,
                             .max_pinned_bytes = size_t{16} << 20};
  TableOptions table = {};
  // Of large values.
  BlobOptions blobs = {};
  ManifestOptions manifest = {};

  // Of the CPU and of the disk, beside 100 of the class that a task has by itself. Flushes and
  // compactions have classes of their own on each shard, of the background, so that their I/O gives
  // way to that of reads and writes. 1 to 1000.
  uint32_t flush_shares = 100;
  uint32_t compaction_shares = 50;

  CompactionPolicy compaction = {};
  // Of each run that a compaction reads.
  ReadAheadOptions compaction_reads = {};

  // How the log is read when the store is opened.
  WalReadOptions wal_read = {};

  // InvalidArgument, naming the field, when a value cannot be used.
  absl::Status Validate() const;

  // Of the shard's DmaBuffers (RuntimeOptions::buffer_pool_bytes), for all that may go on at one
  // time: the log's frames, the block cache, large values, a flush, two compactions, and the moving
  // of large values.
  size_t buffer_bytes() const;

  // Of the shard's memory beside those (RuntimeOptions::memory_per_shard_bytes), for all that may
  // be there at one time, but for what tables keep in memory: some KiB each.
  size_t memory_bytes() const;
  // Of that: set aside for changes, and for a flush and a compaction.
  size_t change_bytes() const;
  size_t job_bytes() const;
  // Of the arenas of memtables.
  size_t arena_block_bytes() const;
};

// g++ 12 destroys twice what is made in braces within a co_await, as in
// `co_await ShardStore::Open(shard, "/data/db", {.create_if_missing = false})`.
static_assert(std::is_trivially_destructible_v<StoreOptions>);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_STORE_OPTIONS_H_
