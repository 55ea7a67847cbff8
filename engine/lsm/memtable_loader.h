// MemtableLoader: fills an empty memtable with very many changes at once.
#ifndef IOENGINE_ENGINE_LSM_MEMTABLE_LOADER_H_
#define IOENGINE_ENGINE_LSM_MEMTABLE_LOADER_H_

#include <cstddef>
#include <deque>
#include <span>
#include <string_view>

#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/lsm/arena.h"
#include "ioengine/engine/lsm/entry_sorter.h"
#include "ioengine/engine/lsm/memtable.h"
#include "ioengine/sched/memory_budget.h"
#include "ioengine/sched/memory_charge.h"
#include "ioengine/sched/task.h"

namespace ioengine {

//   Add, Add, … ──► entries in the memtable's arena, in no order ──Finish──► sorted ──► its tree
//
// What the memtable then shows is what Stage and Publish of each change, one after the other, had
// made; but no change is searched for a place, which is most of their cost: they are sorted, and
// the tree is built from its leaves up.
//
// Shard: one. Until Finish has ended the memtable is the loader's alone. Dropped before that, it
// leaves an empty memtable that has taken memory.
// Memory, beside the memtable's: 16 to 32 bytes for each change, and 48 within Finish.
class MemtableLoader {
 public:
  // Borrows the memtable. `memory` is what is taken beside it is charged to, and may exceed; null:
  // nothing. REQUIRES: nothing was ever staged in the memtable.
  explicit MemtableLoader(Memtable& memtable, MemoryBudget* memory = nullptr);
  MemtableLoader(const MemtableLoader&) = delete;
  MemtableLoader& operator=(const MemtableLoader&) = delete;

  // As Memtable::Stage and Publish. Cost: a copy.
  void Add(OperationKind kind, std::string_view key, Sequence sequence, std::string_view value);

  // All that was added is visible. Once. Cost: 0.1 to 0.3 µs for each change; changes that were
  // added in the memtable's order are not sorted. May yield after each few ten microseconds.
  Task<> Finish();

 private:
  using Item = EntrySorter::Item;

  // Items in the order in which they came.
  class Chunk {
   public:
    explicit Chunk(size_t capacity);

    bool full() const { return count_ == items_.size(); }
    void Add(const Item& item) { items_[count_++] = item; }
    const Item& last() const { return items_[count_ - 1]; }
    std::span<const Item> items() const { return items_.first(count_); }

   private:
    Arena memory_;
    const std::span<Item> items_;
    size_t count_ = 0;
  };

  void AddChunk();
  Task<> MoveItems(std::span<Item> to);

  Memtable& memtable_;
  MemoryCharge charge_;
  std::deque<Chunk> chunks_;
  size_t count_ = 0;         // of items in them
  size_t prefix_bytes_ = 0;  // that all keys begin with
  size_t stale_ = 0;         // so many, the first, have heads of what was behind a longer prefix
  bool in_order_ = true;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_LSM_MEMTABLE_LOADER_H_
