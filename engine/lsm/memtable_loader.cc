#include "ioengine/engine/lsm/memtable_loader.h"

#include <algorithm>
#include <span>

#include "ioengine/engine/format/key_head.h"
#include "ioengine/engine/lsm/arena.h"
#include "ioengine/engine/lsm/memtable_tree.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/page_memory.h"
#include "ioengine/sched/yield.h"

namespace ioengine {
namespace {

// Items between two chances to yield.
constexpr size_t kPiece = 1024;
// So many entries are asked for before the tree reads them.
constexpr size_t kAhead = 64;

constexpr size_t kHuge = PageMemory::kHugePageBytes;

// Of items: the first one is small, for the many logs that hold little; each has as many as all
// before it, up to a huge page.
constexpr size_t kFirstChunk = 64;
constexpr size_t kLargestChunk = kHuge / sizeof(EntrySorter::Item);

// What tells a key of usual length from others.
void Prefetch(const MemtableEntry& entry) {
  const char* const bytes = reinterpret_cast<const char*>(&entry);
  __builtin_prefetch(bytes);
  __builtin_prefetch(bytes + sizeof(MemtableEntry) + 16);
}

// In an arena of its own, which uses huge pages if they are many: they are gone over in no order.
std::span<EntrySorter::Item> NewItems(Arena& arena, size_t count) {
  size_t size_bytes = count * sizeof(EntrySorter::Item);
  if (size_bytes >= kHuge) {
    size_bytes = (size_bytes + kHuge - 1) / kHuge * kHuge;
  }
  return {reinterpret_cast<EntrySorter::Item*>(arena.Allocate(size_bytes)), count};
}

}  // namespace

MemtableLoader::MemtableLoader(Memtable& memtable, MemoryBudget* memory)
    : memtable_(memtable), charge_(memory) {
  IOENGINE_CHECK(memtable.tree_.version() == 0, "a memtable that is loaded has changes already");
}

void MemtableLoader::Add(OperationKind kind, std::string_view key, Sequence sequence,
                         std::string_view value) {
  MemtableEntry* const entry = memtable_.NewEntry(kind, key, sequence, value);
  entry->set_state(MemtableEntry::State::kVisible);
  if (count_ == 0) {
    prefix_bytes_ = key.size();
  } else {
    const MemtableEntry& last = *chunks_.back().last().entry;
    in_order_ = in_order_ && IsBefore(last.key(), last.sequence(), key, sequence);
    const std::string_view prefix = last.key().substr(0, prefix_bytes_);
    if (!key.starts_with(prefix)) {
      prefix_bytes_ = SharedPrefixBytes(prefix, key);
      stale_ = count_;
    }
  }
  if (chunks_.empty() || chunks_.back().full()) AddChunk();
  chunks_.back().Add({KeyHead(key.substr(prefix_bytes_)), entry});
  ++count_;
}

MemtableLoader::Chunk::Chunk(size_t capacity)
    : memory_(kHuge, nullptr), items_(NewItems(memory_, capacity)) {}

void MemtableLoader::AddChunk() {
  const size_t capacity = std::clamp(count_, kFirstChunk, kLargestChunk);
  chunks_.emplace_back(capacity);
  charge_.Resize(charge_.bytes() + capacity * sizeof(Item));
}

// With heads that are right. What they were in is given back.
Task<> MemtableLoader::MoveItems(std::span<Item> to) {
  size_t moved = 0;
  for (; !chunks_.empty(); chunks_.pop_front()) {
    for (const Item& item : chunks_.front().items()) {
      if (moved % kPiece == 0) co_await MaybeYield();
      to[moved] = item;
      if (moved < stale_) to[moved].head = KeyHead(item.entry->key().substr(prefix_bytes_));
      ++moved;
    }
  }
}

Task<> MemtableLoader::Finish() {
  charge_.Resize(3 * count_ * sizeof(Item));
  Arena memory(kHuge, nullptr);
  const std::span<Item> items = NewItems(memory, count_);
  co_await MoveItems(items);
  if (!in_order_) {
    Arena scratch(kHuge, nullptr);
    EntrySorter sorter(items, NewItems(scratch, count_), prefix_bytes_);
    co_await sorter.Sort();
  }
  MemtableTree::Builder builder(memtable_.tree_);
  for (size_t i = 0; i < count_; ++i) {
    if (i % kPiece == 0) co_await MaybeYield();
    Prefetch(*items[std::min(i + kAhead, count_ - 1)].entry);
    MemtableEntry* const entry = items[i].entry;
    if (entry->visible()) ++memtable_.entries_;
    builder.Append(entry);
  }
  builder.Finish();
  charge_.Resize(0);
}

}  // namespace ioengine
