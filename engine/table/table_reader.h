// TableReader: an open table.
#ifndef IOENGINE_ENGINE_TABLE_TABLE_READER_H_
#define IOENGINE_ENGINE_TABLE_TABLE_READER_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/table/block.h"
#include "ioengine/engine/table/block_cache.h"
#include "ioengine/engine/table/block_source.h"
#include "ioengine/engine/table/table_file.h"
#include "ioengine/engine/table/table_footer.h"
#include "ioengine/io/dma_buffer.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/memory_charge.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// A change of a key in a table. Move-only.
struct TableFound {
  OperationKind kind = OperationKind::kPut;
  Sequence sequence;
  std::string_view value;  // as long as `pin`, which is short (PinUse)
  BlockCache::Pin pin;
};

// The root of the index is in memory, charged to the shard's; all else comes through the cache.
//
// Shard: that of `io`; any number of tasks at once.
// Ownership: borrows `io` and the cache. Reads that are under way keep the file open.
class TableReader {
 public:
  // Errors: those of the file system (NotFound), naming the file; DataLoss for a wrong size and a
  // damaged footer, root or bounds, and for another file than the `expected` one;
  // FailedPrecondition for a newer format. Cost: three reads.
  static Task<absl::StatusOr<std::unique_ptr<TableReader>>> Open(
      ShardIo& io, FileSystem& files, std::string name, BlockCache& cache,
      std::optional<TableIdentity> expected = std::nullopt);

  TableReader(const TableReader&) = delete;
  TableReader& operator=(const TableReader&) = delete;

  // The newest change of `key` that is not newer than `at`.
  // Ownership: borrows the key until it is done.
  // Errors: DataLoss, naming the file, the offset and the keys that are lost, where a damaged block
  // may hold the key (a filter's damaged page only costs time); those of BlockCache::Read.
  // Cost: blocks of filter, index and data; one read where the first two are in the cache.
  Task<absl::StatusOr<std::optional<TableFound>>> Get(std::string_view key, Sequence at);

  const TableInfo& info() const { return table_.info; }
  const TableLayout& layout() const { return table_.layout; }
  const std::string& name() const { return file_->name; }

  // For iterators.
  const Block& root() const { return root_; }
  std::unique_ptr<BlockSource> CachedSource(CopyAccount copies) const;
  std::unique_ptr<BlockSource> ReadAheadSource(ReadAheadOptions options, CopyAccount copies) const;

  // Of memory, which it has as long as it is open.
  size_t memory_bytes() const { return charge_.bytes(); }

 private:
  friend class TableLookup;

  TableReader(ShardIo& io, BlockCache& cache)
      : io_(io), cache_(cache), charge_(io.executor().memory().get()) {}

  Task<absl::Status> Load(std::optional<TableIdentity> expected);
  Task<absl::StatusOr<DmaBuffer>> ReadBlock(BlockHandle handle);
  Task<absl::Status> LoadFooter();
  Task<absl::Status> LoadRootAndBounds();

  ShardIo& io_;
  BlockCache& cache_;
  std::shared_ptr<TableFile> file_ = std::make_shared<TableFile>();
  TableDescription table_;
  std::vector<std::byte> root_bytes_;
  Block root_;
  MemoryCharge charge_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_TABLE_TABLE_READER_H_
