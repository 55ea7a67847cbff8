// RunIterator: goes over the changes in a sorted run, both ways.
#ifndef IOENGINE_ENGINE_LSM_RUN_ITERATOR_H_
#define IOENGINE_ENGINE_LSM_RUN_ITERATOR_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/lsm/version.h"
#include "ioengine/engine/table/block_source.h"
#include "ioengine/engine/table/table_iterator.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// Its tables one after the other; of one at a time blocks are pinned, two at most.
//
//   nowhere ──Seek…──► at a change ──Next, Prev──► at a change, or nowhere
//                            └── an error: nowhere. Seek leads on, behind what is damaged
//
// Shard: that of the tables. One task at a time.
// Ownership: borrows the tables, which are in order and do not overlap.
// Errors: those of TableIterator; DataLoss, naming the table and its bounds, from a move that comes
// to a quarantined table.
class RunIterator {
 public:
  using Tables = std::span<const std::shared_ptr<Table>>;

  explicit RunIterator(Tables tables, TableIteratorOptions options = {});
  RunIterator(const RunIterator&) = delete;
  RunIterator& operator=(const RunIterator&) = delete;

  // False where there is nothing (more), after an error, and at first.
  bool Valid() const { return iterator_ != nullptr && iterator_->Valid(); }
  // Of the change that it stands at, until it moves. REQUIRES: Valid().
  std::string_view key() const { return iterator_->key(); }
  Sequence sequence() const { return iterator_->sequence(); }
  OperationKind kind() const { return iterator_->kind(); }
  std::string_view value() const { return iterator_->value(); }

  Task<absl::Status> SeekToFirst();
  Task<absl::Status> SeekToLast();
  // To the first change that does not stand before (key, sequence).
  Task<absl::Status> Seek(std::string key, Sequence sequence);
  // To the last change that does not stand behind (key, sequence).
  Task<absl::Status> SeekForPrev(std::string key, Sequence sequence);

  // REQUIRES: Valid(), here and below.
  Task<absl::Status> Next();
  Task<absl::Status> Prev();
  // The same where it needs no other block, and so no task; else false, and nothing is done.
  bool TryNext();
  bool TryPrev();

  // What value() refers to, for those who need it for longer; it is nowhere then.
  LoadedBlock TakeBlock() { return iterator_->TakeBlock(); }

  // After the DataLoss of a move that came to a quarantined table from outside of its bounds: the
  // bound that it came to. Up to there the run has nothing (more), and nothing is lost.
  const std::optional<std::string>& loss_edge() const { return loss_edge_; }

 private:
  // Opens table `at`, unless it is open.
  absl::Status Enter(size_t at);
  absl::Status EnterForward(size_t at, std::string_view from);
  absl::Status EnterBackward(size_t at, std::optional<std::string_view> from);
  // From the end of a table to the next change.
  Task<absl::Status> SkipForward();
  Task<absl::Status> SkipBackward();

  const TableIteratorOptions options_;
  const Tables tables_;  // that overlap with the bounds
  size_t at_ = 0;
  std::unique_ptr<TableIterator> iterator_;  // of table at_
  std::optional<std::string> loss_edge_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_LSM_RUN_ITERATOR_H_
