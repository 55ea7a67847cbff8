#include "ioengine/engine/lsm/memtable.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

// Searches of GetMany.
constexpr size_t kTogether = 8;

bool SameChange(const MemtableEntry& a, const MemtableEntry& b) {
  return a.sequence() == b.sequence() && a.key() == b.key();
}

}  // namespace

Memtable::Entry* Memtable::NewEntry(OperationKind kind, std::string_view key, Sequence sequence,
                                    std::string_view value) {
  IOENGINE_CHECK(HasValue(kind) || value.empty(), "a change other than a put has a value");
  return Entry::New(arena_, kind, key, sequence, value);
}

Memtable::Entry* Memtable::Stage(OperationKind kind, std::string_view key, Sequence sequence,
                                 std::string_view value) {
  Entry* const entry = NewEntry(kind, key, sequence, value);
  if (tree_.Insert(entry)) entry->set_repeats();
  ++staged_;
  return entry;
}

void Memtable::Publish(Entry* entry) {
  IOENGINE_CHECK(!entry->visible(), "an entry is published twice");
  if (entry->state() == Entry::State::kSuperseded) return;
  entry->set_state(Entry::State::kVisible);
  --staged_;
  ++entries_;
  if (entry->repeats()) HideRepeated(entry);
}

// Those of the same batch that were staged before it stand behind it.
void Memtable::HideRepeated(const Entry* entry) {
  MemtableTree::Position position = tree_.Find(entry->key(), entry->sequence());
  while (position.entry() != entry) position.Next();
  for (position.Next(); position.valid() && SameChange(*entry, *position.entry());
       position.Next()) {
    Entry* const repeated = position.entry();
    if (repeated->state() == Entry::State::kVisible) --entries_;
    if (repeated->state() == Entry::State::kStaged) --staged_;
    repeated->set_state(Entry::State::kSuperseded);
  }
}

// From where the search for the key ended.
std::optional<Memtable::Found> Memtable::FirstVisible(MemtableTree::Position position,
                                                      std::string_view key) {
  for (; position.valid(); position.Next()) {
    const Entry& entry = *position.entry();
    if (entry.key() != key) break;
    if (entry.visible()) return Found{entry.kind(), entry.sequence(), entry.value()};
  }
  return std::nullopt;
}

std::optional<Memtable::Found> Memtable::Get(std::string_view key, Sequence at) const {
  return FirstVisible(tree_.Find(key, at), key);
}

void Memtable::GetMany(std::span<Lookup> lookups, Sequence at) const {
  struct Search {
    Lookup* lookup;
    std::optional<MemtableTree::Walk> walk;
  };
  std::array<Search, kTogether> searches;
  const auto end = lookups.end();
  auto next = lookups.begin();
  const auto begin_next = [&](Search& search) {
    next = std::find_if(next, end, [](const Lookup& one) { return !one.found.has_value(); });
    if (next == end) return false;
    search.lookup = &*next++;
    search.walk.emplace(tree_, search.lookup->key, at);
    return true;
  };
  std::array<Search*, kTogether> walking;
  size_t count = 0;
  while (count < kTogether && begin_next(searches[count])) {
    walking[count] = &searches[count];
    ++count;
  }
  while (count > 0) {
    for (size_t i = 0; i < count; ++i) {
      Search& search = *walking[i];
      if (search.walk->Step()) continue;
      search.lookup->found = FirstVisible(search.walk->position(), search.lookup->key);
      if (!begin_next(search)) walking[i--] = walking[--count];
    }
  }
}

void Memtable::Iterator::Settle(bool forward) {
  while (position_.valid() && !position_.entry()->visible()) {
    forward ? position_.Next() : position_.Prev();
  }
  entry_ = position_.valid() ? position_.entry() : nullptr;
  version_ = memtable_->tree_.version();
}

void Memtable::Iterator::Follow() {
  if (version_ == memtable_->tree_.version()) return;
  position_ = memtable_->tree_.Find(entry_->key(), entry_->sequence());
  while (position_.entry() != entry_) position_.Next();
}

void Memtable::Iterator::SeekToFirst() {
  position_ = memtable_->tree_.First();
  Settle(/*forward=*/true);
}

void Memtable::Iterator::SeekToLast() {
  position_ = memtable_->tree_.Last();
  Settle(/*forward=*/false);
}

void Memtable::Iterator::Seek(std::string_view key, Sequence sequence) {
  position_ = memtable_->tree_.Find(key, sequence);
  Settle(/*forward=*/true);
}

void Memtable::Iterator::SeekForPrev(std::string_view key, Sequence sequence) {
  Seek(key, sequence);
  if (Valid() && entry_->sequence() == sequence && entry_->key() == key) return;
  position_ = memtable_->tree_.Find(key, sequence);
  if (position_.valid()) {
    position_.Prev();
  } else {
    position_ = memtable_->tree_.Last();
  }
  Settle(/*forward=*/false);
}

void Memtable::Iterator::Next() {
  IOENGINE_CHECK(Valid(), "an iterator goes on from nowhere");
  Follow();
  position_.Next();
  Settle(/*forward=*/true);
}

void Memtable::Iterator::Prev() {
  IOENGINE_CHECK(Valid(), "an iterator goes on from nowhere");
  Follow();
  position_.Prev();
  Settle(/*forward=*/false);
}

}  // namespace ioengine
