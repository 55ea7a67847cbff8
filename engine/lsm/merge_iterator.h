// MergeIterator: goes over the changes of several memtables and runs in one order, both ways.
#ifndef IOENGINE_ENGINE_LSM_MERGE_ITERATOR_H_
#define IOENGINE_ENGINE_LSM_MERGE_ITERATOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/lsm/memtable.h"
#include "ioengine/engine/lsm/read_view.h"
#include "ioengine/engine/lsm/run_iterator.h"
#include "ioengine/engine/table/block_source.h"
#include "ioengine/engine/table/table_iterator.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// What is merged: memtables, then runs, each from the newest to the oldest. Borrows all of them.
struct MergeSources {
  std::vector<const Memtable*> memtables;
  std::vector<RunIterator::Tables> runs;

  static MergeSources Of(const ReadView& view);
};

// Order: keys ascending, of each the newest change first, and of changes with one sequence that of
// the newer source. None is left out.
//
//   nowhere ──Seek…──► at a change ──Next, Prev──► at a change, or nowhere
//                            └── an error: nowhere. Seek leads on, behind what is damaged
//
// Sources are kept in the order of where they stand. So a move costs one comparison as long as one
// source leads, and else a binary search among the others: four for a dozen. Turning around is a
// seek.
//
// Shard: that of the sources. One task at a time.
// Ownership: borrows memtables and tables. Changes that are published in a memtable meanwhile may
// be met or not.
// Errors: those of RunIterator. A quarantined table is met at its bounds: what other sources have
// before it is given, and what they have in it is not.
class MergeIterator {
 public:
  explicit MergeIterator(MergeSources sources, TableIteratorOptions options = {});
  MergeIterator(const MergeIterator&) = delete;
  MergeIterator& operator=(const MergeIterator&) = delete;

  // False where there is nothing (more), after an error, and at first.
  bool Valid() const { return best_ != nullptr; }
  // Of the change that it stands at, until it moves. REQUIRES: Valid().
  std::string_view key() const { return best_->key; }
  Sequence sequence() const { return best_->sequence; }
  OperationKind kind() const;
  std::string_view value() const;
  // Which source it is of: memtables count from 0, then runs.
  size_t source() const { return IndexOf(*best_); }
  bool in_memtable() const { return source() < memtables_.size(); }

  Task<absl::Status> SeekToFirst();
  Task<absl::Status> SeekToLast();
  // To the first change that does not stand before (key, sequence). Reads of all runs go on at
  // once.
  Task<absl::Status> Seek(std::string key, Sequence sequence);
  // To the last change that does not stand behind (key, sequence). Likewise.
  Task<absl::Status> SeekForPrev(std::string key, Sequence sequence);

  // REQUIRES: Valid(), here and below.
  Task<absl::Status> Next();
  Task<absl::Status> Prev();
  // The same where it needs no other block and no turning around, and so no task; else false, and
  // nothing is done.
  bool TryNext();
  bool TryPrev();

  // What value() refers to, for those who need it for longer; it is nowhere then. Not in a
  // memtable.
  LoadedBlock TakeBlock();

 private:
  enum class State : uint8_t {
    kNothing,
    kChange,
    kLoss,  // at the edge of a quarantined table
  };

  // Where a source stands.
  struct Place {
    State state = State::kNothing;
    uint64_t key_head = 0;
    std::string_view key;
    Sequence sequence;
  };

  // What is sought; without a key: the last change of all. No aggregate, for g++ 12.
  struct Target {
    Target() = default;

    std::optional<std::string> key;
    Sequence sequence;
  };

  size_t IndexOf(const Place& place) const { return static_cast<size_t>(&place - places_.data()); }
  // Where both are somewhere.
  static bool IsBefore(const Place& a, const Place& b);
  bool Leads(const Place& a, const Place& b) const {
    return forward_ ? IsBefore(a, b) : IsBefore(b, a);
  }

  bool TryStep();
  Task<absl::Status> Step();
  // The first or last change on the other side of the one where it stands.
  Task<absl::Status> Turn();

  void SeekMemtable(size_t memtable, const Target& target);
  Task<absl::Status> SeekRun(size_t run, Target target);
  Task<absl::Status> SeekAll(Target target);
  // Looks where a source stands now.
  void LookAtMemtable(size_t memtable);
  void LookAtRun(size_t run);
  // After a move of a run, what came of it; errors that need not be told yet are kept.
  absl::Status Arrive(size_t run, absl::Status moved);
  // Whose turn it is, after all have moved or only the one that led.
  void Choose();
  void ChooseAgain();
  // What a move gives: an error where there is a loss.
  absl::Status Settle();
  void GoNowhere();

  const TableIteratorOptions options_;
  std::vector<Memtable::Iterator> memtables_;
  std::vector<std::unique_ptr<RunIterator>> runs_;
  std::vector<Place> places_;         // of memtables, and of runs
  std::vector<absl::Status> losses_;  // of each run that stands at one
  size_t loss_count_ = 0;
  bool forward_ = true;
  // Those that are somewhere, as they lead.
  std::vector<Place*> order_;
  Place* best_ = nullptr;  // the first of them; null while it moves
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_LSM_MERGE_ITERATOR_H_
