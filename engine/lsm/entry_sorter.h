// EntrySorter: puts many entries of a memtable in order at once.
#ifndef IOENGINE_ENGINE_LSM_ENTRY_SORTER_H_
#define IOENGINE_ENGINE_LSM_ENTRY_SORTER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ioengine/engine/lsm/memtable_entry.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// A radix sort, byte by byte from the front, of 8 bytes that stand beside each entry: those of its
// key that the ones before could not tell apart. Only where they are equal is the entry read again:
//
//   bytes of the key ──equal──► what is left of it, at most 9 ──equal, 9──► its next bytes
//                                                  └──equal, less: one key──► epoch ──► counter
//
// Entries of one key and sequence, which one batch has, are left with the later one in front, as
// MemtableTree::Insert leaves them.
//
// Compared with a sort by comparisons no order of the keys is bad for it, and it is done in passes
// that can be left anywhere, so that the shard goes on with other work.
//
// Shard: one.
class EntrySorter {
 public:
  struct Item {
    uint64_t head;  // of the key, from where the sorter is told
    MemtableEntry* entry;
  };

  // `items`: in the order in which they came; all keys begin with the same `prefix_bytes` bytes,
  // and the heads are of what is behind those. Ownership: borrows both; `scratch` is as large.
  EntrySorter(std::span<Item> items, std::span<Item> scratch, size_t prefix_bytes);
  EntrySorter(const EntrySorter&) = delete;
  EntrySorter& operator=(const EntrySorter&) = delete;

  // Once. Cost: about 0.1 µs for each entry, and as much again where keys differ only behind their
  // first 8 bytes; pieces of some ten microseconds, between which it may yield.
  Task<> Sort();

 private:
  // What the heads of a range are of.
  enum class Part : uint8_t { kKey, kLength, kEpoch, kCounter };
  struct Range {
    size_t begin;
    size_t end;
    size_t offset;  // in the key: what is before it is the same for all
    Part part;
    bool loaded;  // the heads are

    size_t size() const { return end - begin; }
  };
  using Bins = std::array<size_t, 256>;

  static uint64_t HeadOf(const Range& range, const MemtableEntry& entry);
  Task<> LoadHeads(Range* range);
  Task<> Distribute(Range range);
  Task<> Repeat(Range range);
  size_t SharedBytes(const Range& range, size_t begin, size_t end) const;
  uint64_t Differing(size_t begin, size_t end, uint64_t head) const;
  void Count(size_t begin, size_t end, int shift, Bins* bins) const;
  void Scatter(size_t begin, size_t end, int shift, Bins* next);
  void PushNext(Range range);
  void SortFew(const Range& range);
  void AddTie(const Range& tie);
  void SortTies();
  void SortTie(const Range& tie);

  const std::span<Item> items_;
  const std::span<Item> scratch_;
  std::vector<Range> ranges_;  // that are to be sorted
  std::vector<Range> ties_;    // small ones, whose entries are on their way into the cache
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_LSM_ENTRY_SORTER_H_
