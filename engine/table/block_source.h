// BlockSource: where an iterator has its blocks from.
#ifndef IOENGINE_ENGINE_TABLE_BLOCK_SOURCE_H_
#define IOENGINE_ENGINE_TABLE_BLOCK_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/table/block.h"
#include "ioengine/engine/table/block_cache.h"
#include "ioengine/engine/table/block_format.h"
#include "ioengine/engine/table/table_file.h"
#include "ioengine/io/sequential_reader.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/memory_budget.h"
#include "ioengine/sched/memory_charge.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// A block, and what keeps it. Move-only.
struct LoadedBlock {
  BlockCache::Pin pin;
  std::vector<std::byte> own;
  MemoryCharge charge;  // of `own`
  Block block;          // of either
};

// What blocks that are copied are charged to.
struct CopyAccount {
  // None: nothing is charged. Outlives the blocks.
  MemoryBudget* memory = nullptr;
  // Copies that exceed its limit are made all the same: for who must go on. Else ResourceExhausted.
  bool may_exceed = false;
};

// That readers keep so much that `bytes` more have no room in `memory`.
absl::Status ReadersAreFull(const MemoryBudget& memory, size_t bytes);

// Shard: one. One task at a time.
class BlockSource {
 public:
  BlockSource() = default;
  BlockSource(const BlockSource&) = delete;
  BlockSource& operator=(const BlockSource&) = delete;
  virtual ~BlockSource() = default;

  // A block of data or of the index. Errors: those of BlockCache::Read; ResourceExhausted, where it
  // must be copied and its CopyAccount is full.
  virtual Task<absl::StatusOr<LoadedBlock>> Read(BlockHandle handle, BlockKind kind) = 0;
};

// Through the cache, and held in it; copied where too much is held already.
class CachedBlocks final : public BlockSource {
 public:
  CachedBlocks(BlockCache& cache, std::shared_ptr<const TableFile> file, CopyAccount copies)
      : cache_(cache), file_(std::move(file)), copies_(copies) {}

  Task<absl::StatusOr<LoadedBlock>> Read(BlockHandle handle, BlockKind kind) override;

 private:
  Task<absl::StatusOr<LoadedBlock>> ReadCopy(BlockHandle handle, BlockKind kind);

  BlockCache& cache_;
  const std::shared_ptr<const TableFile> file_;
  const CopyAccount copies_;
};

struct ReadAheadOptions {
  // Each read is so large, and so many are under way.
  size_t buffer_bytes = size_t{256} << 10;
  size_t read_ahead = 2;
};

// For who reads all of a table, from front to back: data blocks come through buffers of its own,
// ahead of who wants them, and the cache does not see them. In another order it begins anew at each
// block. Cost: a copy.
class ReadAheadBlocks final : public BlockSource {
 public:
  // Borrows `io`. The file's data ends at `data_bytes`.
  ReadAheadBlocks(ShardIo& io, std::shared_ptr<const TableFile> file, uint64_t data_bytes,
                  ReadAheadOptions options, CopyAccount copies)
      : io_(io),
        file_(std::move(file)),
        data_bytes_(data_bytes),
        options_(options),
        copies_(copies) {}

  Task<absl::StatusOr<LoadedBlock>> Read(BlockHandle handle, BlockKind kind) override;

 private:
  Task<absl::Status> ReadInto(BlockHandle handle, std::span<std::byte> into);

  ShardIo& io_;
  const std::shared_ptr<const TableFile> file_;
  const uint64_t data_bytes_;
  const ReadAheadOptions options_;
  const CopyAccount copies_;
  std::unique_ptr<SequentialReader> reader_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_TABLE_BLOCK_SOURCE_H_
