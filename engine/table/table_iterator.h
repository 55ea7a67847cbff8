// TableIterator: goes over the changes in a table, both ways.
#ifndef IOENGINE_ENGINE_TABLE_TABLE_ITERATOR_H_
#define IOENGINE_ENGINE_TABLE_TABLE_ITERATOR_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/table/block.h"
#include "ioengine/engine/table/block_source.h"
#include "ioengine/engine/table/table_reader.h"
#include "ioengine/sched/task.h"

namespace ioengine {

struct TableIteratorOptions {
  // Changes of other keys are not there: of those below `lower`, and of `upper` and above.
  std::string lower = {};
  std::optional<std::string> upper = std::nullopt;
  // To read ahead with buffers of its own, past the cache: for compaction and the like.
  std::optional<ReadAheadOptions> read_ahead = std::nullopt;
  // What its copies of blocks are charged to.
  CopyAccount copies = {};
};

//   nowhere ──Seek…──► at a change ──Next, Prev──► at a change, or nowhere
//                            └── an error: nowhere. Seek leads on, behind what is damaged
//
// Order: keys ascending, the newest change first of each. Pins two blocks at most.
//
// Shard: that of the reader. One task at a time.
// Ownership: borrows the reader. Keys that are given are copied where they must last.
// Errors: those of TableReader::Get.
class TableIterator {
 public:
  explicit TableIterator(const TableReader& table, TableIteratorOptions options = {});
  TableIterator(const TableIterator&) = delete;
  TableIterator& operator=(const TableIterator&) = delete;

  // False where there is nothing (more), after an error, and at first.
  bool Valid() const { return valid_; }
  // Of the change that it stands at, until it moves. REQUIRES: Valid().
  std::string_view key() const { return key_; }
  Sequence sequence() const { return record_.sequence; }
  OperationKind kind() const { return record_.kind; }
  std::string_view value() const { return record_.value; }

  Task<absl::Status> SeekToFirst();
  Task<absl::Status> SeekToLast();
  // To the first change that does not stand before (key, sequence).
  Task<absl::Status> Seek(std::string key, Sequence sequence);
  // To the last change that does not stand behind (key, sequence).
  Task<absl::Status> SeekForPrev(std::string key, Sequence sequence);

  // REQUIRES: Valid(), here and below.
  Task<absl::Status> Next();
  Task<absl::Status> Prev();
  // The same where it needs no other block, and so no task; else false, and nothing is done. Where
  // one has led out of the bounds, the other leads back.
  bool TryNext();
  bool TryPrev();

  // What value() refers to, for those who need it for longer; it is nowhere then.
  LoadedBlock TakeBlock();

 private:
  Task<absl::Status> LoadIndex(size_t root_at);
  Task<absl::Status> LoadData(size_t index_at);
  // To the first change that does not stand before, also outside of the bounds.
  Task<absl::Status> MoveTo(std::string key, Sequence sequence);
  Task<absl::Status> MoveToEnd();
  // From the block where it is to the next one that has changes; to nowhere behind the last.
  Task<absl::Status> NextBlock();
  Task<absl::Status> PrevBlock();
  // Looks at the change at data_at_.
  void Arrive();

  const TableReader& table_;
  const TableIteratorOptions options_;
  const std::unique_ptr<BlockSource> source_;
  LoadedBlock index_;
  LoadedBlock data_;
  size_t root_at_ = 0;
  size_t index_at_ = 0;
  size_t data_at_ = 0;
  bool has_place_ = false;  // data_at_ is a record of data_
  bool valid_ = false;      // and that is within the bounds
  Block::Record record_;
  std::string key_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_TABLE_TABLE_ITERATOR_H_
