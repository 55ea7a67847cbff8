#include "ioengine/engine/lsm/memtable_tree.h"

#include <algorithm>
#include <new>

#include "ioengine/engine/format/key_head.h"
#include "ioengine/sched/check.h"

namespace ioengine {

namespace {

// A scan asks for so many entries before it reads them.
constexpr size_t kEntriesAhead = 6;

// A node's heads are made anew, for which all its entries are read, when its prefix has grown by so
// much: until then at least half of each head tells keys apart.
constexpr size_t kPrefixStep = 4;

}  // namespace

struct MemtableTree::Node {
  size_t count = 0;         // of heads and entries
  size_t prefix_bytes = 0;  // that all keys begin with
  uint64_t heads[kFanout];
  MemtableEntry* entries[kFanout];

  bool full() const { return count == kFanout; }

  // The first of heads [from, count) that is not less than `head`; without a branch to mispredict.
  size_t LowerBound(size_t from, uint64_t head) const {
    size_t left = count - from;
    const uint64_t* at = heads + from;
    while (left > 1) {
      const size_t half = left / 2;
      at += at[half - 1] < head ? half : 0;
      left -= half;
    }
    return static_cast<size_t>(at - heads) + (left == 1 && *at < head ? 1 : 0);
  }

  void InsertAt(size_t at, MemtableEntry* entry) {
    std::copy_backward(heads + at, heads + count, heads + count + 1);
    std::copy_backward(entries + at, entries + count, entries + count + 1);
    heads[at] = HeadOf(entry->key());
    entries[at] = entry;
    ++count;
  }

  uint64_t HeadOf(std::string_view key) const { return KeyHead(key.substr(prefix_bytes)); }

  // From now on all keys, those that are searched for too, are from `lower` to `upper`.
  void Narrow(const MemtableEntry* lower, const MemtableEntry* upper) {
    if (lower == nullptr || upper == nullptr) return;
    const size_t shared_bytes = SharedPrefixBytes(lower->key(), upper->key());
    if (shared_bytes < prefix_bytes + kPrefixStep) return;
    prefix_bytes = shared_bytes;
    for (size_t i = 0; i < count; ++i) heads[i] = HeadOf(entries[i]->key());
  }

  // All entries are there, and no heads yet.
  void MakeHeads(const MemtableEntry* lower, const MemtableEntry* upper) {
    if (lower != nullptr && upper != nullptr) {
      prefix_bytes = SharedPrefixBytes(lower->key(), upper->key());
    }
    for (size_t i = 0; i < count; ++i) heads[i] = HeadOf(entries[i]->key());
  }

  // Gives [from, count) to `other`, which is empty.
  void MoveTail(size_t from, Node* other) {
    std::copy(heads + from, heads + count, other->heads);
    std::copy(entries + from, entries + count, other->entries);
    other->count = count - from;
    other->prefix_bytes = prefix_bytes;
    count = from;
  }

  // Asks for what a search reads first.
  void Prefetch() const {
    const char* const bytes = reinterpret_cast<const char*>(this);
    for (size_t at = 0; at < offsetof(Node, entries); at += 64) __builtin_prefetch(bytes + at);
  }
};

struct MemtableTree::Leaf : Node {
  Leaf* previous = nullptr;
  Leaf* next = nullptr;
};

struct MemtableTree::Inner : Node {
  Node* children[kFanout + 1];

  // `child` holds what does not stand before `separator`, which was in the child before it.
  void InsertAt(size_t at, MemtableEntry* separator, Node* child) {
    std::copy_backward(children + at + 1, children + count + 1, children + count + 2);
    children[at + 1] = child;
    Node::InsertAt(at, separator);
  }
};

template <typename T>
T* MemtableTree::New() {
  return ::new (arena_.Allocate(sizeof(T))) T;
}

MemtableTree::MemtableTree(Arena& arena) : arena_(arena), first_(New<Leaf>()), last_(first_) {
  root_ = first_;
}

MemtableEntry* MemtableTree::Position::entry() const { return leaf_->entries[index_]; }

void MemtableTree::Position::Next() {
  if (++index_ < leaf_->count) {
    __builtin_prefetch(leaf_->entries[std::min(index_ + kEntriesAhead, leaf_->count - 1)]);
    return;
  }
  leaf_ = leaf_->next;
  index_ = 0;
  if (leaf_ == nullptr) return;
  for (size_t i = 0; i < std::min(kEntriesAhead, leaf_->count); ++i) {
    __builtin_prefetch(leaf_->entries[i]);
  }
}

void MemtableTree::Position::Prev() {
  if (index_ == 0) {
    leaf_ = leaf_->previous;
    if (leaf_ == nullptr) return;
    index_ = leaf_->count;
  }
  --index_;
}

MemtableTree::Walk::Walk(const MemtableTree& tree, std::string_view key, Sequence sequence)
    : key_(key), sequence_(sequence), node_(tree.root_), height_(tree.height_) {}

bool MemtableTree::Walk::Step() {
  if (done_) return false;
  if (!has_range_) {
    const uint64_t head = node_->HeadOf(key_);
    first_ = last_ = node_->LowerBound(0, head);
    if (first_ < node_->count && node_->heads[first_] == head) {
      last_ = head == UINT64_MAX ? node_->count : node_->LowerBound(first_, head + 1);
      has_range_ = true;
      __builtin_prefetch(node_->entries[first_ + (last_ - first_) / 2]);
      return true;
    }
  }
  const auto is_before = [this](const MemtableEntry* entry) {
    return IsBefore(entry->key(), entry->sequence(), key_, sequence_);
  };
  first_ = static_cast<size_t>(
      std::partition_point(node_->entries + first_, node_->entries + last_, is_before) -
      node_->entries);
  has_range_ = false;
  done_ = height_ == 0;
  if (done_) return false;
  Inner* const inner = static_cast<Inner*>(node_);
  --height_;
  path_[height_] = {inner, first_};
  node_ = inner->children[first_];
  node_->Prefetch();
  return true;
}

MemtableTree::Position MemtableTree::Walk::position() const {
  const Leaf* const leaf = static_cast<const Leaf*>(node_);
  return first_ < leaf->count ? Position(leaf, first_) : Position(leaf->next, 0);
}

MemtableTree::Position MemtableTree::Find(std::string_view key, Sequence sequence) const {
  Walk walk(*this, key, sequence);
  while (walk.Step()) {
  }
  return walk.position();
}

MemtableTree::Position MemtableTree::First() const {
  return first_->count == 0 ? Position() : Position(first_, 0);
}

MemtableTree::Position MemtableTree::Last() const {
  return last_->count == 0 ? Position() : Position(last_, last_->count - 1);
}

bool MemtableTree::Insert(MemtableEntry* entry) {
  Walk walk(*this, entry->key(), entry->sequence());
  while (walk.Step()) {
  }
  const bool repeats = Repeats(walk, *entry);
  Leaf* const leaf = static_cast<Leaf*>(walk.node_);
  ++version_;
  if (leaf->full()) {
    SplitLeaf(walk, leaf, walk.first_, entry);
  } else {
    leaf->InsertAt(walk.first_, entry);
  }
  return repeats;
}

bool MemtableTree::Repeats(const Walk& walk, const MemtableEntry& entry) {
  const Position follower = walk.position();
  if (!follower.valid()) return false;
  // Its entry is far away in memory, its head is not.
  const bool is_in_leaf = follower.leaf_ == walk.node_;
  if (is_in_leaf && follower.leaf_->heads[follower.index_] != walk.node_->HeadOf(entry.key())) {
    return false;
  }
  const MemtableEntry& following = *follower.entry();
  return following.sequence() == entry.sequence() && following.key() == entry.key();
}

// Keys that come in order fill their leaves: at the tree's end the full one is left as it is.
void MemtableTree::SplitLeaf(Walk& walk, Leaf* leaf, size_t index, MemtableEntry* entry) {
  const bool at_end = leaf->next == nullptr && index == leaf->count;
  const size_t middle = at_end ? leaf->count : leaf->count / 2;
  Leaf* const right = New<Leaf>();
  leaf->MoveTail(middle, right);
  right->previous = leaf;
  right->next = leaf->next;
  leaf->next = right;
  (right->next == nullptr ? last_ : right->next->previous) = right;
  if (index > middle || at_end) {
    right->InsertAt(index - middle, entry);
  } else {
    leaf->InsertAt(index, entry);
  }
  MemtableEntry* const separator = right->entries[0];
  const Fences fences = FencesOf(walk, 0);
  leaf->Narrow(fences.lower, separator);
  right->Narrow(separator, fences.upper);
  AddToParent(walk, 0, separator, right, at_end);
}

MemtableTree::Fences MemtableTree::FencesOf(const Walk& walk, size_t height) const {
  Fences fences;
  for (; height < height_; ++height) {
    const auto [inner, child] = walk.path_[height];
    if (fences.lower == nullptr && child > 0) fences.lower = inner->entries[child - 1];
    if (fences.upper == nullptr && child < inner->count) fences.upper = inner->entries[child];
  }
  return fences;
}

// `height`: of the child above the leaves.
void MemtableTree::AddToParent(Walk& walk, size_t height, MemtableEntry* separator, Node* child,
                               bool at_end) {
  if (height == height_) {
    IOENGINE_CHECK(height < Walk::kMaxHeight, "a memtable has more entries than memory");
    Inner* const root = New<Inner>();
    root->children[0] = root_;
    root->InsertAt(0, separator, child);
    root_ = root;
    ++height_;
    return;
  }
  const auto [inner, at] = walk.path_[height];
  if (!inner->full()) {
    inner->InsertAt(at, separator, child);
    return;
  }
  const size_t middle = at_end ? kFanout - 1 : kFanout / 2;
  MemtableEntry* const promoted = inner->entries[middle];
  Inner* const right = New<Inner>();
  inner->MoveTail(middle + 1, right);
  inner->count = middle;
  std::copy(inner->children + middle + 1, inner->children + kFanout + 1, right->children);
  if (at > middle) {
    right->InsertAt(at - middle - 1, separator, child);
  } else {
    inner->InsertAt(at, separator, child);
  }
  const Fences fences = FencesOf(walk, height + 1);
  inner->Narrow(fences.lower, promoted);
  right->Narrow(promoted, fences.upper);
  AddToParent(walk, height + 1, promoted, right, at_end);
}

MemtableTree::Builder::Builder(MemtableTree& tree) : tree_(tree), leaf_(tree.first_) {
  IOENGINE_CHECK(tree.version_ == 0, "a tree that is built is not empty");
}

void MemtableTree::Builder::Append(MemtableEntry* entry) {
  if (leaf_->count == kBuiltFill) {
    leaf_->MakeHeads(lower_, entry);
    Leaf* const next = tree_.New<Leaf>();
    next->previous = leaf_;
    leaf_->next = next;
    AddSibling(0, leaf_, entry, next);
    leaf_ = next;
    lower_ = entry;
  }
  leaf_->entries[leaf_->count++] = entry;
}

// `level`: of the nodes above both.
void MemtableTree::Builder::AddSibling(size_t level, Node* node, MemtableEntry* separator,
                                       Node* sibling) {
  if (level == height_) {
    IOENGINE_CHECK(level < Walk::kMaxHeight, "a memtable has more entries than memory");
    levels_[height_++] = {tree_.New<Inner>(), nullptr};
    levels_[level].node->children[0] = node;
  }
  const auto [parent, lower] = levels_[level];
  if (parent->count < kBuiltFill) {
    parent->InsertAt(parent->count, separator, sibling);
    return;
  }
  parent->Narrow(lower, separator);
  Inner* const next = tree_.New<Inner>();
  next->children[0] = sibling;
  levels_[level] = {next, separator};
  AddSibling(level + 1, parent, separator, next);
}

void MemtableTree::Builder::Finish() {
  leaf_->MakeHeads(lower_, nullptr);
  tree_.last_ = leaf_;
  tree_.height_ = height_;
  if (height_ > 0) tree_.root_ = levels_[height_ - 1].node;
  ++tree_.version_;
}

}  // namespace ioengine
