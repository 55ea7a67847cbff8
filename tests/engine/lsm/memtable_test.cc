// Memtable, also against a std::map under random operations.

#include "ioengine/engine/lsm/memtable.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/format/key_head.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/lsm/arena.h"
#include "ioengine/engine/lsm/memtable_entry.h"
#include "ioengine/engine/lsm/memtable_tree.h"
#include "ioengine/sched/memory_budget.h"
#include "ioengine/sched/page_memory.h"
#include "ioengine/sched/random.h"

namespace ioengine {
namespace {

// A memtable's order.
struct Place {
  std::string key;
  Sequence sequence;

  friend bool operator<(const Place& a, const Place& b) {
    return a.key != b.key ? a.key < b.key : a.sequence > b.sequence;
  }
};

struct Change {
  OperationKind kind;
  std::string value;
};

using Model = std::map<Place, Change>;

struct Staged {
  Memtable::Entry* entry;
  Place place;
  Change change;
};

std::string Text(const Place& place, const Change& change) {
  return absl::StrCat(place.key, "@", place.sequence.epoch, ".", place.sequence.counter,
                      change.kind == OperationKind::kPut ? "=" : "-", change.value);
}

std::string At(const Memtable::Iterator& iterator) {
  if (!iterator.Valid()) return "end";
  return Text({std::string(iterator.key()), iterator.sequence()},
              {iterator.kind(), std::string(iterator.value())});
}

std::string At(const Model& model, Model::const_iterator at) {
  return at == model.end() ? "end" : Text(at->first, at->second);
}

// Keys that are hard to keep in order: empty, long, with equal heads, of zeros and of 0xff.
std::string RandomKey(Random& random) {
  static constexpr std::string_view kBytes(
      "\x00\x01"
      "a\x7f\x80\xff",
      6);
  static const std::string kPrefixes[] = {"", "user/profile/", std::string(8, '\xff'),
                                          std::string(8, '\0'), std::string(300, 'k')};
  std::string key = random.OneIn(2) ? kPrefixes[random.Below(5)] : "";
  const uint64_t more = random.Below(5);
  for (uint64_t i = 0; i < more; ++i) key += kBytes[random.Below(kBytes.size())];
  if (random.OneIn(500)) key += std::string(kMaxKeyBytes - key.size(), 'm');
  return key;
}

class MemtableModelTest : public testing::TestWithParam<uint64_t> {
 protected:
  Place RandomPlace() {
    return {RandomKey(random_), {1 + random_.Below(3), random_.Below(next_counter_ + 1)}};
  }

  void StageOne() {
    Place place = {RandomKey(random_), {1 + next_counter_ / 400, ++next_counter_}};
    const bool is_put = !random_.OneIn(4);
    Change change = {
        is_put ? OperationKind::kPut : OperationKind::kDelete,
        is_put ? std::string(random_.Below(60), 'v') + std::to_string(next_counter_) : ""};
    Memtable::Entry* const entry =
        memtable_.Stage(change.kind, place.key, place.sequence, change.value);
    staged_.push_back({entry, std::move(place), std::move(change)});
  }

  void PublishOne() {
    if (staged_.empty()) return;
    std::swap(staged_[random_.Below(staged_.size())], staged_.back());
    memtable_.Publish(staged_.back().entry);
    model_.emplace(std::move(staged_.back().place), std::move(staged_.back().change));
    staged_.pop_back();
  }

  void Look() {
    const Place place = RandomPlace();
    const std::optional<Memtable::Found> found = memtable_.Get(place.key, place.sequence);
    const auto at = model_.lower_bound(place);
    const bool is_there = at != model_.end() && at->first.key == place.key;
    ASSERT_EQ(found.has_value(), is_there);
    if (!is_there) return;
    EXPECT_EQ(Text({place.key, found->sequence}, {found->kind, std::string(found->value)}),
              Text(at->first, at->second));
  }

  // Many at once find what each finds alone.
  void LookForMany() {
    const Sequence at = RandomPlace().sequence;
    std::vector<std::string> keys(random_.Below(30));
    for (std::string& key : keys) key = RandomPlace().key;
    std::vector<Memtable::Lookup> lookups;
    for (const std::string& key : keys) lookups.push_back({key, std::nullopt});
    const Memtable::Found found_before = {OperationKind::kPut, at, "before"};
    if (!lookups.empty()) lookups[random_.Below(lookups.size())].found = found_before;
    std::vector<Memtable::Lookup> expected = lookups;
    for (Memtable::Lookup& one : expected) {
      if (!one.found.has_value()) one.found = memtable_.Get(one.key, at);
    }
    memtable_.GetMany(lookups, at);
    for (size_t i = 0; i < lookups.size(); ++i) {
      ASSERT_EQ(lookups[i].found.has_value(), expected[i].found.has_value());
      if (!lookups[i].found.has_value()) continue;
      EXPECT_EQ(lookups[i].found->sequence, expected[i].found->sequence);
      EXPECT_EQ(lookups[i].found->kind, expected[i].found->kind);
      EXPECT_EQ(lookups[i].found->value, expected[i].found->value);
    }
  }

  // Moves the iterator, which stays over other operations, and its counterpart.
  void Move() {
    if (random_.OneIn(10) || !iterator_.Valid()) {
      Seek();
    } else if (forward_) {
      iterator_.Next();
      at_ = model_.upper_bound(place_);
    } else {
      iterator_.Prev();
      at_ = model_.lower_bound(place_);
      at_ = at_ == model_.begin() ? model_.end() : std::prev(at_);
    }
    ASSERT_EQ(At(iterator_), At(model_, at_));
    if (at_ != model_.end()) place_ = at_->first;
  }

  void Seek() {
    const Place place = RandomPlace();
    forward_ = random_.OneIn(2);
    switch (random_.Below(4)) {
      case 0:
        iterator_.SeekToFirst();
        at_ = model_.begin();
        break;
      case 1:
        iterator_.SeekToLast();
        at_ = model_.empty() ? model_.end() : std::prev(model_.end());
        break;
      case 2:
        iterator_.Seek(place.key, place.sequence);
        at_ = model_.lower_bound(place);
        break;
      default:
        iterator_.SeekForPrev(place.key, place.sequence);
        at_ = model_.upper_bound(place);
        at_ = at_ == model_.begin() ? model_.end() : std::prev(at_);
    }
  }

  void CompareAll() {
    Memtable::Iterator iterator(memtable_);
    iterator.SeekToFirst();
    for (auto at = model_.begin(); at != model_.end(); ++at, iterator.Next()) {
      ASSERT_EQ(At(iterator), At(model_, at));
    }
    EXPECT_FALSE(iterator.Valid());
    iterator.SeekToLast();
    for (auto at = model_.rbegin(); at != model_.rend(); ++at, iterator.Prev()) {
      ASSERT_EQ(At(iterator), Text(at->first, at->second));
    }
    EXPECT_FALSE(iterator.Valid());
    EXPECT_EQ(memtable_.entries(), model_.size());
    EXPECT_EQ(memtable_.staged(), staged_.size());
  }

  Random random_{GetParam()};
  Memtable memtable_{{.arena_block_bytes = size_t{1} << (8 + GetParam() % 9)}};
  Model model_;
  std::vector<Staged> staged_;
  uint64_t next_counter_ = 0;

  Memtable::Iterator iterator_{memtable_};
  Model::const_iterator at_;
  Place place_;
  bool forward_ = true;
};

TEST_P(MemtableModelTest, IsAMap) {
  for (int i = 0; i < 20'000; ++i) {
    switch (random_.Below(8)) {
      case 0:
      case 1:
        StageOne();
        break;
      case 2:
      case 3:
        PublishOne();
        break;
      case 4:
        ASSERT_NO_FATAL_FAILURE(Look());
        if (i % 16 == 0) {
          ASSERT_NO_FATAL_FAILURE(LookForMany());
        }
        break;
      default:
        ASSERT_NO_FATAL_FAILURE(Move());
    }
    if (i % 4'000 == 0) {
      ASSERT_NO_FATAL_FAILURE(CompareAll());
    }
  }
  CompareAll();
}

INSTANTIATE_TEST_SUITE_P(Seeds, MemtableModelTest, testing::Range(uint64_t{1}, uint64_t{21}));

void Put(Memtable& memtable, std::string_view key, uint64_t counter, std::string_view value) {
  memtable.Publish(memtable.Stage(OperationKind::kPut, key, {1, counter}, value));
}

TEST(MemtableTest, KeysInOrderFillTheirLeaves) {
  Memtable ascending;
  Memtable descending;
  Memtable random_order;
  constexpr uint64_t kEntries = 50'000;
  Random random(1);
  for (uint64_t i = 0; i < kEntries; ++i) {
    char key[8];
    const auto put = [&](Memtable& memtable, uint64_t number) {
      const uint64_t big_endian = __builtin_bswap64(number);
      Put(memtable, {static_cast<char*>(std::memcpy(key, &big_endian, 8)), 8}, i, "");
    };
    put(ascending, i);
    put(descending, kEntries - i);
    put(random_order, random.Next());
  }
  const auto bytes_of = [](const Memtable& memtable) { return memtable.used_bytes() / kEntries; };
  EXPECT_LE(bytes_of(ascending), 32u + 21);
  EXPECT_LE(bytes_of(descending), 32u + 38);
  EXPECT_LE(bytes_of(random_order), 32u + 28);
  for (const Memtable* const memtable : {&ascending, &descending, &random_order}) {
    Memtable::Iterator iterator(*memtable);
    size_t count = 0;
    std::string last;
    for (iterator.SeekToFirst(); iterator.Valid(); iterator.Next(), ++count) {
      ASSERT_LE(last, iterator.key());
      last = iterator.key();
    }
    EXPECT_EQ(count, kEntries);
  }
}

TEST(MemtableTest, TheLaterOfTwoInOneBatchCountsInWhateverOrderTheyArePublished) {
  for (const bool in_order : {true, false}) {
    Memtable memtable;
    Put(memtable, "a", 1, "older");
    std::vector<Memtable::Entry*> batch;
    for (const std::string_view value : {"first", "second", "third"}) {
      batch.push_back(memtable.Stage(OperationKind::kPut, "a", {1, 2}, value));
    }
    EXPECT_EQ(memtable.Get("a", kMaxSequence)->value, "older");
    if (!in_order) std::reverse(batch.begin(), batch.end());
    Memtable::Iterator iterator(memtable);
    for (Memtable::Entry* const entry : batch) {
      memtable.Publish(entry);
      iterator.SeekToFirst();
    }
    EXPECT_EQ(memtable.Get("a", kMaxSequence)->value, "third");
    EXPECT_EQ(iterator.value(), "third");
    iterator.Next();
    EXPECT_EQ(iterator.value(), "older");
    iterator.Prev();
    EXPECT_EQ(iterator.value(), "third");
    iterator.SeekForPrev("a", {1, 2});
    EXPECT_EQ(iterator.value(), "third");
    EXPECT_EQ(memtable.entries(), 2u);
    EXPECT_EQ(memtable.staged(), 0u);
  }
}

TEST(MemtableTest, AnIteratorStaysAtAChangeThatIsReplaced) {
  Memtable memtable;
  Put(memtable, "a", 2, "first");
  Put(memtable, "a", 1, "older");
  Memtable::Iterator iterator(memtable);
  iterator.SeekToFirst();
  Put(memtable, "a", 2, "second");
  EXPECT_EQ(iterator.value(), "first");
  iterator.Next();
  EXPECT_EQ(iterator.value(), "older");
  iterator.Prev();
  EXPECT_EQ(iterator.value(), "second");
}

TEST(MemtableTest, ChargesWholeBlocksToTheBudgetAndGivesThemBack) {
  MemoryBudget budget(10'000);
  {
    Memtable memtable({.arena_block_bytes = 4096, .budget = &budget});
    EXPECT_EQ(budget.used_bytes(), memtable.used_bytes());
    EXPECT_LE(memtable.used_bytes(), 4096u);
    memtable.Stage(OperationKind::kPut, "key", {1, 1}, std::string(20'000, 'v'));
    EXPECT_EQ(budget.used_bytes(), memtable.used_bytes());
    EXPECT_LT(memtable.used_bytes(), 20'000u + 4096 + 100) << "a large one takes what it needs";
    EXPECT_FALSE(budget.has_room()) << "and more than there is: what was begun goes on";
  }
  EXPECT_EQ(budget.used_bytes(), 0u);
}

TEST(MemtableTest, StagedChangesAreSeenByNobody) {
  Memtable memtable;
  memtable.Stage(OperationKind::kPut, "a", {1, 1}, "value");
  EXPECT_FALSE(memtable.Get("a", kMaxSequence).has_value());
  Memtable::Iterator iterator(memtable);
  iterator.SeekToFirst();
  EXPECT_FALSE(iterator.Valid());
  iterator.SeekToLast();
  EXPECT_FALSE(iterator.Valid());
  EXPECT_EQ(memtable.entries(), 0u);
  EXPECT_EQ(memtable.staged(), 1u);
}

TEST(MemtableDeathTest, RefusesWhatItsCallerMustKnow) {
  Memtable memtable;
  Memtable::Entry* const entry = memtable.Stage(OperationKind::kPut, "a", {1, 1}, "");
  memtable.Publish(entry);
  EXPECT_DEATH(memtable.Publish(entry), "published twice");
  EXPECT_DEATH(memtable.Stage(OperationKind::kDelete, "a", {1, 2}, "value"), "has a value");
  EXPECT_DEATH(memtable.Stage(OperationKind::kPut, std::string(kMaxKeyBytes + 1, 'k'), {1, 2}, ""),
               "longer than kMaxKeyBytes");
  EXPECT_DEATH(Memtable::Iterator(memtable).Next(), "from nowhere");
}

TEST(MemtableTreeTest, SearchesInterleave) {
  Arena arena(4096, nullptr);
  MemtableTree tree(arena);
  std::vector<std::string> keys;
  for (int i = 0; i < 5'000; ++i) {
    keys.push_back(absl::StrCat("key", i));
    tree.Insert(MemtableEntry::New(arena, OperationKind::kPut, keys.back(), {1, 1}, ""));
  }
  std::vector<MemtableTree::Walk> walks;
  for (const std::string& key : keys) walks.emplace_back(tree, key, kMaxSequence);
  size_t going = walks.size();
  while (going > 0) {
    going = 0;
    for (MemtableTree::Walk& walk : walks) going += walk.Step() ? 1 : 0;
  }
  for (MemtableTree::Walk& walk : walks)
    EXPECT_FALSE(walk.Step()) << "a walk that ended began anew";
  for (size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(walks[i].position().entry()->key(), keys[i]);
  }
}

// Prefixes of several lengths, one within the other, so that nodes leave out more and more.
TEST(MemtableTreeTest, KeysWithLongPrefixesStayInOrder) {
  Random random(5);
  Arena arena(size_t{1} << 16, nullptr);
  MemtableTree tree(arena);
  std::set<std::string> keys;
  const auto random_key = [&random] {
    std::string key = "tenant/";
    if (random.OneIn(20)) key = std::string(random.Below(3), 't');
    for (uint64_t level = random.Below(4); level > 0; --level) {
      key += absl::StrCat("level", random.Below(3), "/");
    }
    return absl::StrCat(key, random.Below(100'000));
  };
  for (int i = 0; i < 40'000; ++i) {
    const std::string key = random_key();
    if (!keys.insert(key).second) continue;
    tree.Insert(MemtableEntry::New(arena, OperationKind::kPut, key, {1, 1}, ""));
    if (i % 16 != 0) continue;
    const std::string other = random_key();
    const auto at = keys.lower_bound(other);
    const MemtableTree::Position found = tree.Find(other, kMaxSequence);
    ASSERT_EQ(found.valid() ? found.entry()->key() : "none", at == keys.end() ? "none" : *at);
  }
  MemtableTree::Position position = tree.First();
  for (const std::string& key : keys) {
    ASSERT_TRUE(position.valid());
    ASSERT_EQ(position.entry()->key(), key);
    ASSERT_EQ(tree.Find(key, kMaxSequence).entry(), position.entry());
    position.Next();
  }
  EXPECT_FALSE(position.valid());
}

TEST(ArenaTest, BlocksBeginSmallAndGrow) {
  MemoryBudget budget;
  Arena arena(size_t{64} << 10, &budget);
  arena.Allocate(8);
  EXPECT_EQ(arena.block_bytes(), 4096u);
  for (int i = 0; i < 10'000; ++i) arena.Allocate(100);
  EXPECT_EQ(budget.used_bytes(), arena.block_bytes());
  EXPECT_GT(arena.block_bytes(), 1'040'000u);
  EXPECT_LT(arena.block_bytes(), 1'040'000u + (64 << 10) + 4096);
}

TEST(ArenaTest, HugeBlocksBeginWhereAHugePageCan) {
  MemoryBudget budget;
  Arena arena(PageMemory::kHugePageBytes, &budget);
  arena.Allocate(8);
  for (int i = 0; i < 3; ++i) {
    std::byte* const block = arena.Allocate(PageMemory::kHugePageBytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % PageMemory::kHugePageBytes, 0u);
    std::memset(block, i, PageMemory::kHugePageBytes);
  }
  EXPECT_EQ(budget.used_bytes(), 4096 + 3 * PageMemory::kHugePageBytes);
}

TEST(KeyHeadTest, IsOrderedAsKeysAre) {
  Random random(1);
  for (int i = 0; i < 10'000; ++i) {
    const std::string a = RandomKey(random);
    const std::string b = RandomKey(random);
    EXPECT_TRUE(KeyHead(a) == KeyHead(b) || (KeyHead(a) < KeyHead(b)) == (a < b));
    EXPECT_EQ(KeyHead(a), KeyHead(a.substr(0, 8)));
    const size_t shared = SharedPrefixBytes(a, b);
    EXPECT_EQ(a.substr(0, shared), b.substr(0, shared));
    EXPECT_TRUE(shared == std::min(a.size(), b.size()) || a[shared] != b[shared]);
  }
  EXPECT_EQ(KeyHead("abc"), 0x6162'6300'0000'0000u);
}

}  // namespace
}  // namespace ioengine
