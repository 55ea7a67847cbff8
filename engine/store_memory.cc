#include "ioengine/engine/store_memory.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ioengine/io/dma_buffer.h"
#include "ioengine/sched/executor.h"

namespace ioengine {

StoreMemory::StoreMemory(ShardIo& io, const StoreOptions& options)
    : shard(*io.executor().memory()),
      // What writes may have is asked for before each of them, and one that is larger than all of
      // it may have more where the shard has.
      changes(shard, MemoryBudget::kUnlimited, options.change_bytes()),
      jobs(shard, MemoryBudget::kUnlimited, options.job_bytes()),
      readers(shard, options.reader_bytes),
      scan_buffers(io.buffers().capacity_bytes() -
                   std::min(io.buffers().capacity_bytes(), options.buffer_bytes())) {}

absl::Status StoreMemory::Check(ShardIo& io, const StoreOptions& options) {
  const MemoryBudget& shard = *io.executor().memory();
  const size_t needed_bytes = options.memory_bytes();
  if (shard.HasRoomFor(needed_bytes)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the shard has ", shard.room_bytes(), " bytes left of its memory of ", shard.limit_bytes(),
      " (RuntimeOptions::memory_per_shard_bytes), and a store with these StoreOptions needs ",
      needed_bytes, ", of which ", options.change_bytes(), " are for memtable_bytes, ",
      options.job_bytes(), " for flushes and compactions (memtable_bytes, wal.max_pending_bytes, ",
      "compaction.max_runs), ", options.reader_bytes, " for reader_bytes, ",
      options.wal.max_pending_bytes, " for wal.max_pending_bytes and ",
      BlockCache::DirectoryBytes(options.cache),
      " for cache.capacity_bytes: make those smaller, or the memory larger"));
}

}  // namespace ioengine
