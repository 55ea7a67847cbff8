// MemtableTree: the order of a memtable's entries, a B+tree in an arena.
//
//   inner   count │ heads of the separators │ separators │ children, one more than separators
//                                                              │
//            ┌─────────────────────────────────────────────────┘
//   leaf    count │ heads of the entries    │ entries    │ previous leaf, next leaf
//                                                 │
//                                                 └──► MemtableEntry: sequence, key, value
//
// The heads (KeyHead) of a node stand together, so a search mostly stays in the node, and reads
// only those entries whose heads equal that of the key it looks for. What the separators on both
// sides of a node begin with is what all keys in it begin with: heads are of what is behind that
// prefix, or keys that begin with the same 8 bytes would all be equal. A separator is the first
// entry of the child behind it at the time of the split; entries never leave and never move, so
// neither do separators become wrong nor need they be copied.
#ifndef IOENGINE_ENGINE_LSM_MEMTABLE_TREE_H_
#define IOENGINE_ENGINE_LSM_MEMTABLE_TREE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/lsm/arena.h"
#include "ioengine/engine/lsm/memtable_entry.h"

namespace ioengine {

// Shard: one.
// Ownership: nodes live in the arena, as long as that; entries must do so too.
class MemtableTree {
 private:
  struct Node;
  struct Leaf;
  struct Inner;

 public:
  explicit MemtableTree(Arena& arena);
  MemtableTree(const MemtableTree&) = delete;
  MemtableTree& operator=(const MemtableTree&) = delete;

  // Where an entry stands, until the next Insert.
  class Position {
   public:
    Position() = default;
    // False behind the last entry, and before the first.
    bool valid() const { return leaf_ != nullptr; }
    MemtableEntry* entry() const;
    void Next();
    void Prev();

   private:
    friend class MemtableTree;
    Position(const Leaf* leaf, size_t index) : leaf_(leaf), index_(index) {}

    const Leaf* leaf_ = nullptr;
    size_t index_ = 0;
  };

  // A search, in steps between which the processor can do something else: each step ends with a
  // request for the memory that the next one reads, which a step never waits for otherwise. Whoever
  // has several searches steps them in turn; not across an Insert.
  //
  // Ownership: borrows the key.
  class Walk {
   public:
    Walk(const MemtableTree& tree, std::string_view key, Sequence sequence);
    // False when nothing is left to do, from then on.
    bool Step();
    // After that: the first entry that does not stand before the key and sequence.
    Position position() const;

   private:
    friend class MemtableTree;
    friend class Builder;
    static constexpr size_t kMaxHeight = 16;
    struct Turning {
      Inner* node;
      size_t child;
    };

    const std::string_view key_;
    const Sequence sequence_;
    Node* node_;
    size_t height_;  // inner nodes that are still to come, with this one
    // Separators or entries in [first_, last_) have the key's head.
    bool has_range_ = false;
    bool done_ = false;
    size_t first_ = 0;
    size_t last_ = 0;
    std::array<Turning, kMaxHeight> path_;  // by height - 1
  };

  // Makes an empty tree of entries that are in order already: from the leaves up, without a search.
  //
  // Ownership: borrows the tree, which must not be used meanwhile.
  class Builder {
   public:
    // REQUIRES: the tree is empty, and was always.
    explicit Builder(MemtableTree& tree);
    // REQUIRES: it stands behind those before, or, where it has the key and sequence of the one
    // before, came earlier. Cost: reads its key, a little later.
    void Append(MemtableEntry* entry);
    // Once, at the end.
    void Finish();

   private:
    // An inner node that is being filled, and the separator in front of it.
    struct Level {
      Inner* node;
      const MemtableEntry* lower;
    };

    void AddSibling(size_t level, Node* node, MemtableEntry* separator, Node* sibling);

    MemtableTree& tree_;
    Leaf* leaf_;
    const MemtableEntry* lower_ = nullptr;  // the separator in front of `leaf_`
    std::array<Level, Walk::kMaxHeight> levels_;
    size_t height_ = 0;
  };

  // First of those that do not stand before the key and sequence. Cost: a step for each level.
  Position Find(std::string_view key, Sequence sequence) const;
  Position First() const;
  Position Last() const;

  // In front of those with the same key and sequence; whether there are such.
  bool Insert(MemtableEntry* entry);

  // Changes with each Insert.
  uint64_t version() const { return version_; }

 private:
  static constexpr size_t kFanout = 63;
  // Of a node that is built: the first entries that are inserted later need not split it.
  static constexpr size_t kBuiltFill = 56;

  // The separators on both sides of a node; null at the ends of the tree.
  struct Fences {
    const MemtableEntry* lower = nullptr;
    const MemtableEntry* upper = nullptr;
  };

  static bool Repeats(const Walk& walk, const MemtableEntry& entry);
  void SplitLeaf(Walk& walk, Leaf* leaf, size_t index, MemtableEntry* entry);
  void AddToParent(Walk& walk, size_t height, MemtableEntry* separator, Node* child, bool at_end);
  // Of the node that the walk came to from the one at `height`, before any is changed.
  Fences FencesOf(const Walk& walk, size_t height) const;
  template <typename T>
  T* New();

  Arena& arena_;
  Node* root_;
  size_t height_ = 0;  // inner nodes from the root to each leaf
  Leaf* first_;
  Leaf* last_;
  uint64_t version_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_LSM_MEMTABLE_TREE_H_
