// Memtable: the newest changes of a tablet, in memory and in order.
//
//   Stage ──► staged, seen by nobody ──Publish──► visible ──► flushed to a table with all others
//
// An entry has its place from the start, so Publish takes no memory and cannot fail: a record that
// the log has can always be shown.
#ifndef IOENGINE_ENGINE_LSM_MEMTABLE_H_
#define IOENGINE_ENGINE_LSM_MEMTABLE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/engine/lsm/arena.h"
#include "ioengine/engine/lsm/memtable_entry.h"
#include "ioengine/engine/lsm/memtable_tree.h"
#include "ioengine/sched/memory_budget.h"

namespace ioengine {

struct MemtableOptions {
  // Of memory that is taken at once, at most; see Arena.
  size_t arena_block_bytes = size_t{256} << 10;
  // What it is charged to; may be exceeded, since a write that was begun must not fail: ask
  // before it. Outlives the memtable.
  MemoryBudget* budget = nullptr;
};

// Shard: one. No atomics, and nothing suspends.
class Memtable {
 public:
  using Entry = MemtableEntry;

  explicit Memtable(MemtableOptions options = {})
      : arena_(options.arena_block_bytes, options.budget), tree_(arena_) {}
  Memtable(const Memtable&) = delete;
  Memtable& operator=(const Memtable&) = delete;

  // Adds a change that nobody sees yet; its write is still on the way to the log. Copies key and
  // value. `value` is empty with those that have none (HasValue). Entries of one key may come in
  // any order of sequences; of several with one sequence, those of a batch, the last one counts.
  // Ownership: the entry lives, and stays where it is, as long as the memtable.
  // Cost: a copy, a search, and 24 bytes beside both; about 40 with its share of the tree.
  Entry* Stage(OperationKind kind, std::string_view key, Sequence sequence, std::string_view value);

  // Everybody sees it from now on. In any order; those that never are go with the memtable.
  // Cost: sets a mark.
  void Publish(Entry* entry);

  // Keeps what entries refer to elsewhere, by its name, for as long as the memtable lives.
  void Keep(const Uuid& name, std::shared_ptr<const void> referred) {
    kept_.insert_or_assign(name, std::move(referred));
  }
  bool Keeps(const Uuid& name) const { return kept_.count(name) > 0; }

  // A change of a key. Ownership: the value is the memtable's.
  struct Found {
    OperationKind kind;
    Sequence sequence;
    std::string_view value;
  };
  // The newest visible change of `key` that is not newer than `at`. Cost: a search.
  std::optional<Found> Get(std::string_view key, Sequence at) const;

  // One of many. Ownership: borrows the key.
  struct Lookup {
    std::string_view key;
    std::optional<Found> found;
  };
  // Fills in what Get finds, for those that have found nothing yet. Cost: half that of as many
  // Gets where the entries are not in the processor's cache: searches wait for memory together.
  void GetMany(std::span<Lookup> lookups, Sequence at) const;

  // Goes over the visible changes: keys ascending, the newest first of each. It can be used while
  // others stage and publish: what is published ahead of it is met. It stays where it is even if a
  // later change of the same batch replaces that.
  //
  // Ownership: borrows the memtable.
  class Iterator {
   public:
    explicit Iterator(const Memtable& memtable) : memtable_(&memtable) {}

    // False where there is nothing (more), and at first.
    bool Valid() const { return entry_ != nullptr; }
    // Of the change that it stands at. REQUIRES: Valid().
    const Entry& entry() const { return *entry_; }
    std::string_view key() const { return entry_->key(); }
    std::string_view value() const { return entry_->value(); }
    Sequence sequence() const { return entry_->sequence(); }
    OperationKind kind() const { return entry_->kind(); }

    void SeekToFirst();
    void SeekToLast();
    // To the first change that does not stand before (key, sequence).
    void Seek(std::string_view key, Sequence sequence);
    // To the last change that does not stand behind (key, sequence).
    void SeekForPrev(std::string_view key, Sequence sequence);
    // REQUIRES: Valid(). Cost: a search when something was staged since the last step.
    void Next();
    void Prev();

   private:
    void Settle(bool forward);
    // Finds the entry's position again where the tree has changed.
    void Follow();

    const Memtable* memtable_;
    MemtableTree::Position position_;
    const Entry* entry_ = nullptr;
    uint64_t version_ = 0;
  };

  // What was taken for it, in whole blocks.
  size_t used_bytes() const { return arena_.block_bytes(); }
  // At most what an entry takes beside its key and value, with its share of the tree.
  static constexpr size_t kMostEntryOverhead = 72;
  // From now on another budget is charged for it, if there is room in that: for who only keeps it.
  bool TryChargeTo(MemoryBudget* budget) { return arena_.TryChargeTo(budget); }
  // Visible ones.
  size_t entries() const { return entries_; }
  // Staged, and not (yet) published.
  size_t staged() const { return staged_; }

 private:
  friend class MemtableLoader;

  Entry* NewEntry(OperationKind kind, std::string_view key, Sequence sequence,
                  std::string_view value);
  static std::optional<Found> FirstVisible(MemtableTree::Position position, std::string_view key);
  void HideRepeated(const Entry* entry);

  Arena arena_;
  MemtableTree tree_;
  std::map<Uuid, std::shared_ptr<const void>> kept_;
  size_t entries_ = 0;
  size_t staged_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_LSM_MEMTABLE_H_
