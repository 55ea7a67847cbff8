// StoreMemory: the parts of a shard's memory budget that a store has.
#ifndef IOENGINE_ENGINE_STORE_MEMORY_H_
#define IOENGINE_ENGINE_STORE_MEMORY_H_

#include <cstddef>

#include "absl/status/status.h"
#include "ioengine/engine/store_options.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/memory_budget.h"

namespace ioengine {

// What cannot wait has its memory from the start, whatever others on the shard take: writes up to
// StoreOptions::memtable_bytes, a flush, and a compaction. Readers have what is there, up to
// StoreOptions::reader_bytes. What is of one size as long as the store is open (the log's ring, the
// cache's directory), and what tables keep in memory, is charged to the shard by those who have it.
//
// Shard: the store's. Ownership: borrows the shard's budget; everything that is charged here must
// be gone before it (CHECK).
struct StoreMemory {
  StoreMemory(ShardIo& io, const StoreOptions& options);

  // That the options fit: InvalidArgument, naming the fields, where the shard has not so much left.
  static absl::Status Check(ShardIo& io, const StoreOptions& options);

  MemoryBudget& shard;
  // Of changes: memtables, those of writes on their way to the log.
  MemoryBudget changes;
  // Of flushes and compactions.
  MemoryBudget jobs;
  // Of iterators, PinnedValues, MultiGets, and memtables that only they keep.
  MemoryBudget readers;
  // Of DmaBuffers, of which the store leaves so much: for scans that read ahead.
  MemoryBudget scan_buffers;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_STORE_MEMORY_H_
