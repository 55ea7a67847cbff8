// TableBuilder: writes a table from records in order.
#ifndef IOENGINE_ENGINE_TABLE_TABLE_BUILDER_H_
#define IOENGINE_ENGINE_TABLE_TABLE_BUILDER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/blob_format.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/engine/table/block_builder.h"
#include "ioengine/engine/table/block_format.h"
#include "ioengine/engine/table/hash_list.h"
#include "ioengine/engine/table/separator.h"
#include "ioengine/engine/table/table_footer.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/sequential_writer.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/memory_budget.h"
#include "ioengine/sched/memory_charge.h"
#include "ioengine/sched/task.h"

namespace ioengine {

struct TableOptions {
  // Of blocks of data and of the index, but for the last ones.
  size_t least_block_pages = 1;
  // Of the filter. 0: none.
  size_t filter_bits_per_key = 10;
  // Each write is so large, and so many are under way.
  size_t write_bytes = size_t{256} << 10;
  size_t write_behind = 4;
};

//   adding ──Finish──► finished
//      └── a write fails ──► failed: Finish gives that error, and Add does at the latest when the
//                                    next block is written
//
// Shard: that of `io`. One task at a time.
// Ownership: borrows `io` and `memory`. A builder that is destroyed before Finish succeeded leaves
// a file that is no table; whoever chose its name removes it. Cost: 8 bytes for each key until
// Finish, and the index: about 0.5 % of the table. Twice the block that is being made, which is as
// large as its largest record. All of that is charged to `memory`, whose limit it may exceed: a
// table that was begun must be ended.
class TableBuilder {
 public:
  // `memory`: by default the shard's. Errors: those of the file system; AlreadyExists.
  static Task<absl::StatusOr<std::unique_ptr<TableBuilder>>> Create(ShardIo& io, FileSystem& files,
                                                                    std::string name, Uuid uuid,
                                                                    TableOptions options = {},
                                                                    MemoryBudget* memory = nullptr);

  TableBuilder(const TableBuilder&) = delete;
  TableBuilder& operator=(const TableBuilder&) = delete;

  // Adds a record behind all that were added: with a larger key, or the same and an older sequence
  // (CHECK). `value` is empty unless it is a put. Suspends only where `write_behind` writes are
  // under way. Ownership: borrows key and value until it is done. Errors: those of writes.
  Task<absl::Status> Add(OperationKind kind, std::string_view key, Sequence sequence,
                         std::string_view value);
  // The same where no block is full, and so without a task; else false, and nothing is done.
  bool TryAdd(OperationKind kind, std::string_view key, Sequence sequence, std::string_view value);

  // There will be so many keys at most: then their hashes are not moved as they become more.
  void ReserveKeys(size_t count) { key_hashes_.Reserve(count); }

  // Writes what leads through the table, makes it durable, and closes it. Its name is not: sync
  // the directory.
  Task<absl::StatusOr<TableInfo>> Finish();

  uint64_t records() const { return table_.info.records; }
  // Of blocks that are finished: about how large the file would be.
  uint64_t written_bytes() const { return offset_bytes_; }
  // Of memory, that it needs until it is finished, and that grow with the table.
  size_t kept_bytes() const { return key_hashes_.size() * sizeof(uint64_t) + index_bytes_; }

 private:
  struct IndexBlock {
    Separator separator;
    std::vector<std::byte> bytes;  // not sealed: its place is not known yet
  };

  TableBuilder(ShardIo& io, DmaFile file, Uuid uuid, TableOptions options, MemoryBudget* memory);

  void Count(const BlockRecord& record);
  void CountBlob(std::string_view value);
  Task<absl::Status> WriteData();
  void AddToIndex(Separator separator, BlockHandle handle);
  void EndIndexBlock();
  Task<absl::Status> WriteIndex();
  Task<absl::Status> WriteFilter();
  Task<absl::Status> WriteBounds();
  Task<absl::Status> WriteAll();
  // Seals `block_` and appends it.
  Task<absl::StatusOr<BlockHandle>> WriteBlock();
  void ChargeMemory();
  void EncodeInto(const BlockBuilder& builder, BlockKind kind, std::vector<std::byte>* block);

  const TableOptions options_;
  DmaFile file_;
  SequentialWriter writer_;
  TableDescription table_;
  const uint64_t seed_;
  uint64_t offset_bytes_ = 0;
  std::vector<std::byte> block_;  // that is being written

  BlockBuilder data_;
  Separator data_separator_;  // of the block in data_
  BlockBuilder index_;
  Separator index_separator_;
  std::vector<IndexBlock> index_blocks_;
  size_t index_bytes_ = 0;  // of those
  HashList key_hashes_;
  std::map<Uuid, BlobReference> blobs_;
  BlobReference* blob_ = nullptr;  // of the last record with one
  std::string last_key_;
  Sequence last_sequence_;
  MemoryCharge charge_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_TABLE_TABLE_BUILDER_H_
