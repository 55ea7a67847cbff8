#include "ioengine/engine/lsm/entry_sorter.h"

#include <algorithm>
#include <bit>
#include <string_view>
#include <utility>

#include "ioengine/engine/format/key_head.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/yield.h"

namespace ioengine {
namespace {

// Of a pass over a range: so many items between two chances to yield.
constexpr size_t kPiece = 4096;
// So few are sorted by insertion.
constexpr size_t kFew = 40;
// So many ranges of equal heads have their entries fetched together.
constexpr size_t kTies = 32;

constexpr size_t kHeadBytes = sizeof(uint64_t);
constexpr uint64_t kGoesOn = kHeadBytes + 1;

// Where a later one stands that came with the same key and sequence: in front.
bool StandsBefore(const MemtableEntry& earlier, const MemtableEntry& later, size_t offset) {
  return IsBefore(earlier.key().substr(offset), earlier.sequence(), later.key().substr(offset),
                  later.sequence());
}

// `front` came after `entry`, which its batch no longer means.
void Supersede(MemtableEntry& front, MemtableEntry& entry) {
  front.set_repeats();
  entry.set_state(MemtableEntry::State::kSuperseded);
}

}  // namespace

EntrySorter::EntrySorter(std::span<Item> items, std::span<Item> scratch, size_t prefix_bytes)
    : items_(items), scratch_(scratch) {
  IOENGINE_CHECK(scratch.size() >= items.size(), "there is less room than there are items");
  ranges_.push_back({0, items.size(), prefix_bytes, Part::kKey, /*loaded=*/true});
}

Task<> EntrySorter::Sort() {
  while (!ranges_.empty()) {
    Range range = ranges_.back();
    ranges_.pop_back();
    if (range.size() <= kFew) {
      SortFew(range);
      if (ties_.size() < kTies) continue;
      SortTies();
      co_await MaybeYield();
      continue;
    }
    if (!range.loaded) co_await LoadHeads(&range);
    co_await Distribute(range);
  }
  SortTies();
}

uint64_t EntrySorter::HeadOf(const Range& range, const MemtableEntry& entry) {
  switch (range.part) {
    case Part::kKey:
      return KeyHead(entry.key().substr(range.offset));
    case Part::kLength:
      return std::min<uint64_t>(entry.key().size() - range.offset, kGoesOn);
    case Part::kEpoch:
      return ~entry.sequence().epoch;
    case Part::kCounter:
      return ~entry.sequence().counter;
  }
  return 0;
}

// Where keys go on alike for long, all of that is left out at once.
Task<> EntrySorter::LoadHeads(Range* range) {
  if (range->part == Part::kKey) {
    size_t shared_bytes = SIZE_MAX;
    for (size_t at = range->begin; at < range->end; at += kPiece) {
      co_await MaybeYield();
      const size_t end = std::min(at + kPiece, range->end);
      shared_bytes = std::min(shared_bytes, SharedBytes(*range, at, end));
    }
    range->offset += shared_bytes;
  }
  for (size_t at = range->begin; at < range->end; at += kPiece) {
    co_await MaybeYield();
    const size_t end = std::min(at + kPiece, range->end);
    for (size_t i = at; i < end; ++i) items_[i].head = HeadOf(*range, *items_[i].entry);
  }
  range->loaded = true;
}

// By the first byte in which heads differ.
Task<> EntrySorter::Distribute(Range range) {
  uint64_t differing = 0;
  for (size_t at = range.begin; at < range.end; at += kPiece) {
    co_await MaybeYield();
    differing |= Differing(at, std::min(at + kPiece, range.end), items_[range.begin].head);
  }
  if (differing == 0) {
    if (range.part == Part::kCounter) co_await Repeat(range);
    PushNext(range);
    co_return;
  }
  const int shift = (63 - std::countl_zero(differing)) / 8 * 8;
  Bins bins = {};
  for (size_t at = range.begin; at < range.end; at += kPiece) {
    co_await MaybeYield();
    Count(at, std::min(at + kPiece, range.end), shift, &bins);
  }
  size_t sum = range.begin;
  for (size_t& bin : bins) sum += std::exchange(bin, sum);
  for (size_t at = range.begin; at < range.end; at += kPiece) {
    co_await MaybeYield();
    Scatter(at, std::min(at + kPiece, range.end), shift, &bins);
  }
  for (size_t at = range.begin; at < range.end; at += kPiece) {
    co_await MaybeYield();
    const size_t count = std::min(kPiece, range.end - at);
    std::copy_n(scratch_.data() + at, count, items_.data() + at);
  }
  size_t begin = range.begin;
  for (const size_t end : bins) {
    if (end - begin > 1) ranges_.push_back({begin, end, range.offset, range.part, true});
    begin = end;
  }
}

// All are of one key and sequence, in the order in which they came.
Task<> EntrySorter::Repeat(Range range) {
  for (size_t i = 0; i < range.size() / 2; ++i) {
    if (i % kPiece == 0) co_await MaybeYield();
    std::swap(items_[range.begin + i], items_[range.end - 1 - i]);
  }
  for (size_t i = range.begin + 1; i < range.end; ++i) {
    if (i % kPiece == 0) co_await MaybeYield();
    Supersede(*items_[i - 1].entry, *items_[i].entry);
  }
}

size_t EntrySorter::SharedBytes(const Range& range, size_t begin, size_t end) const {
  std::string_view shared = items_[range.begin].entry->key().substr(range.offset);
  for (size_t i = begin; i < end; ++i) {
    const std::string_view key = items_[i].entry->key().substr(range.offset);
    shared = shared.substr(0, SharedPrefixBytes(shared, key));
  }
  return shared.size();
}

uint64_t EntrySorter::Differing(size_t begin, size_t end, uint64_t head) const {
  uint64_t differing = 0;
  for (size_t i = begin; i < end; ++i) differing |= items_[i].head ^ head;
  return differing;
}

void EntrySorter::Count(size_t begin, size_t end, int shift, Bins* bins) const {
  for (size_t i = begin; i < end; ++i) ++(*bins)[items_[i].head >> shift & 0xff];
}

void EntrySorter::Scatter(size_t begin, size_t end, int shift, Bins* next) {
  for (size_t i = begin; i < end; ++i) {
    scratch_[(*next)[items_[i].head >> shift & 0xff]++] = items_[i];
  }
}

// Its heads are all the same.
void EntrySorter::PushNext(Range range) {
  range.loaded = false;
  switch (range.part) {
    case Part::kKey:
      range.part = Part::kLength;
      break;
    case Part::kLength:
      range.part = items_[range.begin].head == kGoesOn ? Part::kKey : Part::kEpoch;
      range.offset += range.part == Part::kKey ? kHeadBytes : 0;
      break;
    case Part::kEpoch:
      range.part = Part::kCounter;
      break;
    case Part::kCounter:
      return;
  }
  ranges_.push_back(range);
}

void EntrySorter::SortFew(const Range& range) {
  if (!range.loaded) return AddTie(range);
  for (size_t i = range.begin + 1; i < range.end; ++i) {
    const Item item = items_[i];
    size_t to = i;
    for (; to > range.begin && items_[to - 1].head > item.head; --to) items_[to] = items_[to - 1];
    items_[to] = item;
  }
  size_t begin = range.begin;
  for (size_t i = range.begin + 1; i <= range.end; ++i) {
    if (i < range.end && items_[i].head == items_[begin].head) continue;
    if (i - begin > 1) AddTie({begin, i, range.offset, range.part, true});
    begin = i;
  }
}

void EntrySorter::AddTie(const Range& tie) {
  for (size_t i = tie.begin; i < tie.end; ++i) __builtin_prefetch(items_[i].entry);
  ties_.push_back(tie);
}

void EntrySorter::SortTies() {
  for (const Range& tie : ties_) SortTie(tie);
  ties_.clear();
}

void EntrySorter::SortTie(const Range& tie) {
  for (size_t i = tie.begin + 1; i < tie.end; ++i) {
    const Item item = items_[i];
    size_t to = i;
    while (to > tie.begin && !StandsBefore(*items_[to - 1].entry, *item.entry, tie.offset)) {
      items_[to] = items_[to - 1];
      --to;
    }
    items_[to] = item;
  }
  for (size_t i = tie.begin + 1; i < tie.end; ++i) {
    MemtableEntry& front = *items_[i - 1].entry;
    MemtableEntry& entry = *items_[i].entry;
    if (front.sequence() != entry.sequence()) continue;
    if (front.key() == entry.key()) Supersede(front, entry);
  }
}

}  // namespace ioengine
