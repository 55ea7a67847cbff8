// MemtableLoader against a memtable into which the same changes were put one by one.

#include "ioengine/engine/lsm/memtable_loader.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/lsm/memtable.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/memory_budget.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/sched/scripted_poller.h"
#include "ioengine/tests/sched/task_helpers.h"

namespace ioengine {
namespace {

struct Change {
  std::string key;
  Sequence sequence;
  OperationKind kind;
  std::string value;
};

using Changes = std::vector<Change>;

Change PutOf(std::string key, Sequence sequence, std::string value) {
  return {std::move(key), sequence, OperationKind::kPut, std::move(value)};
}

void PutOneByOne(Memtable& memtable, const Changes& changes) {
  for (const Change& change : changes) {
    memtable.Publish(memtable.Stage(change.kind, change.key, change.sequence, change.value));
  }
}

Task<> FinishLoader(MemtableLoader* loader, bool* done) {
  co_await loader->Finish();
  *done = true;
}

Task<> CountTurns(const bool* done, size_t* turns) {
  while (!*done) {
    ++*turns;
    co_await Yield();
  }
}

void ExpectAt(const Memtable::Iterator& loaded, const Memtable::Iterator& expected) {
  ASSERT_EQ(loaded.Valid(), expected.Valid());
  if (!expected.Valid()) return;
  ASSERT_EQ(loaded.key(), expected.key());
  ASSERT_EQ(loaded.sequence(), expected.sequence());
  ASSERT_EQ(loaded.kind(), expected.kind());
  ASSERT_EQ(loaded.value(), expected.value());
}

void ExpectSame(const Memtable& loaded, const Memtable& expected) {
  EXPECT_EQ(loaded.entries(), expected.entries());
  EXPECT_EQ(loaded.staged(), expected.staged());
  Memtable::Iterator at(loaded);
  Memtable::Iterator expected_at(expected);
  at.SeekToFirst();
  for (expected_at.SeekToFirst(); expected_at.Valid(); expected_at.Next(), at.Next()) {
    ASSERT_NO_FATAL_FAILURE(ExpectAt(at, expected_at));
  }
  EXPECT_FALSE(at.Valid());
  at.SeekToLast();
  for (expected_at.SeekToLast(); expected_at.Valid(); expected_at.Prev(), at.Prev()) {
    ASSERT_NO_FATAL_FAILURE(ExpectAt(at, expected_at));
  }
  EXPECT_FALSE(at.Valid());
}

// Searches for each key and place that there is, and beside them.
void ExpectSameSearches(const Memtable& loaded, const Memtable& expected, const Changes& changes) {
  Memtable::Iterator at(loaded);
  Memtable::Iterator expected_at(expected);
  for (const Change& change : changes) {
    for (const std::string& key : {change.key, change.key.substr(0, change.key.size() / 2)}) {
      for (const Sequence sequence : {change.sequence, kMaxSequence}) {
        const auto found = loaded.Get(key, sequence);
        const auto expected_found = expected.Get(key, sequence);
        ASSERT_EQ(found.has_value(), expected_found.has_value());
        if (found.has_value()) {
          ASSERT_EQ(found->value, expected_found->value);
        }
        at.Seek(key, sequence);
        expected_at.Seek(key, sequence);
        ASSERT_NO_FATAL_FAILURE(ExpectAt(at, expected_at));
      }
    }
  }
}

class MemtableLoaderTest : public testing::Test {
 protected:
  void Load(Memtable& memtable, const Changes& changes) {
    MemtableLoader loader(memtable);
    for (const Change& change : changes) {
      loader.Add(change.kind, change.key, change.sequence, change.value);
    }
    bool done = false;
    turns_ = 0;
    ScriptedPoller poller;
    // On the heap: ASan's stacks are not aligned as it is.
    const auto owned = std::make_unique<Executor>(poller, ExecutorOptions());
    Executor& executor = *owned;
    poller.on_wait = [&executor]() -> size_t {
      executor.RequestStop();
      return 0;
    };
    const auto start = [&] {
      executor.Spawn(FinishLoader(&loader, &done));
      executor.Spawn(CountTurns(&done, &turns_));
    };
    ASSERT_EQ(CallOn(executor, start), CallOutcome::kAccepted);
    executor.Run();
    EXPECT_TRUE(done);
  }

  // Loaded, and then changed as any other: `more`, of which nothing may be in `changes`.
  void Check(const Changes& changes, const Changes& more) {
    Memtable loaded;
    Memtable expected;
    PutOneByOne(expected, changes);
    Load(loaded, changes);
    ASSERT_NO_FATAL_FAILURE(ExpectSame(loaded, expected));
    ASSERT_NO_FATAL_FAILURE(ExpectSameSearches(loaded, expected, changes));
    PutOneByOne(expected, more);
    PutOneByOne(loaded, more);
    ASSERT_NO_FATAL_FAILURE(ExpectSame(loaded, expected));
    ASSERT_NO_FATAL_FAILURE(ExpectSameSearches(loaded, expected, more));
  }

  size_t turns_ = 0;  // of another task, during the last Load
};

// Keys of one kind, which differs from seed to seed.
class KeyMaker {
 public:
  KeyMaker(Random& random, uint64_t kind) : random_(random), kind_(kind), few_(1 + kind % 3) {}

  std::string Next() {
    const uint64_t number = random_.Below(few_ == 1 ? 50 : 20'000);
    switch (kind_ % 6) {
      case 0:
        return absl::StrCat(1'000'000'000'000 + number);
      case 1:
        return std::to_string(number * 7919 % 1'000'003);
      case 2:
        return absl::StrCat("tenant/", random_.Below(5), "/user/", number, "/", random_.Below(3));
      case 3: {
        std::string key(8 + random_.Below(3), '\0');
        for (char& byte : key) byte = static_cast<char>(random_.Next());
        return key;
      }
      case 4:
        return std::string(random_.Below(40), random_.OneIn(2) ? '\0' : '\xff');
      default: {
        std::string key = random_.OneIn(3) ? "" : std::string(300 * random_.Below(3), 'k');
        for (uint64_t more = random_.Below(12); more > 0; --more) {
          key += static_cast<char>(random_.Below(3));
        }
        return key;
      }
    }
  }

 private:
  Random& random_;
  const uint64_t kind_;
  const uint64_t few_;
};

class MemtableLoaderRandomTest : public MemtableLoaderTest,
                                 public testing::WithParamInterface<uint64_t> {
 protected:
  // Of batches, in which keys repeat.
  Changes RandomBatches(KeyMaker& keys, size_t batches) {
    Changes changes;
    for (size_t i = 0; i < batches; ++i) {
      const Sequence sequence = {1 + counter_ / 300, ++counter_};
      const uint64_t operations = random_.OneIn(100) ? 500 : 1 + random_.Below(4);
      const std::string again = keys.Next();
      for (uint64_t j = 0; j < operations; ++j) {
        std::string key = random_.OneIn(3) ? again : keys.Next();
        if (random_.OneIn(5)) {
          changes.push_back({std::move(key), sequence, OperationKind::kDelete, ""});
        } else {
          changes.push_back(PutOf(std::move(key), sequence, absl::StrCat(i, ".", j)));
        }
      }
    }
    return changes;
  }

  Random random_{GetParam()};
  uint64_t counter_ = 0;
};

TEST_P(MemtableLoaderRandomTest, ShowsWhatChangesOneByOneShow) {
  KeyMaker keys(random_, GetParam());
  Changes changes = RandomBatches(keys, GetParam() % 7 == 0 ? 40 : 2'000);
  // Streams of the log may be read in any order; what is of one sequence stays in its own.
  if (random_.OneIn(2)) {
    const uint64_t turn = random_.Next();
    std::stable_sort(changes.begin(), changes.end(), [turn](const Change& a, const Change& b) {
      return (a.sequence.epoch ^ turn) % 8 < (b.sequence.epoch ^ turn) % 8;
    });
  }
  Check(changes, RandomBatches(keys, 1'000));
}

INSTANTIATE_TEST_SUITE_P(Seeds, MemtableLoaderRandomTest,
                         testing::Range(uint64_t{1}, uint64_t{19}));

TEST_F(MemtableLoaderTest, LoadsNothing) { Check({}, {PutOf("a", {1, 1}, "value")}); }

// Nodes that are just full, and just not.
TEST_F(MemtableLoaderTest, BuildsTreesOfAllHeights) {
  constexpr size_t kFill = 56;
  constexpr size_t kSecond = kFill * (kFill + 1);
  for (const size_t count : {size_t{1}, kFill - 1, kFill, kFill + 1, 2 * kFill, kSecond - 1,
                             kSecond, kSecond + 1, kSecond * (kFill + 1) + 1}) {
    Changes changes;
    for (size_t i = 0; i < count; ++i) {
      changes.push_back(PutOf(absl::StrCat("k", i * 7919 % 1'000'003), {1, i + 1}, ""));
    }
    Changes more;
    for (size_t i = 0; i < 5'000; ++i) {
      more.push_back(PutOf(absl::StrCat("k", i * 104'729 % 1'000'003), {2, i + 1}, ""));
    }
    ASSERT_NO_FATAL_FAILURE(Check(changes, more)) << count;
  }
}

TEST_F(MemtableLoaderTest, ChangesInOrderAreNotSorted) {
  Changes changes;
  for (uint64_t i = 0; i < 5'000; ++i) {
    for (uint64_t version = 0; version < i % 3; ++version) {
      changes.push_back(PutOf(std::to_string(100'000 + i), {1, 9 - version}, std::to_string(i)));
    }
  }
  Check(changes, {PutOf("", {1, 1}, ""), PutOf("200000", {1, 1}, "")});
}

TEST_F(MemtableLoaderTest, SortsManyVersionsOfAKey) {
  Random random(3);
  Changes changes;
  for (uint64_t i = 1; i <= 20'000; ++i) {
    changes.push_back(PutOf("a", {1 + i / 5'000, i}, std::to_string(i)));
    if (i % 10 == 0) changes.push_back(PutOf("b", {1, i}, std::to_string(i)));
  }
  for (size_t i = changes.size() - 1; i > 0; --i) std::swap(changes[i], changes[random.Below(i)]);
  Check(changes, {PutOf("a", {9, 1}, "newest"), PutOf("a", {0, 1}, "oldest")});
}

TEST_F(MemtableLoaderTest, TheLastOfABatchOnAKeyCounts) {
  for (const size_t repeats : {2, 3, 39, 40, 41, 10'000}) {
    Changes changes = {PutOf("a", {1, 1}, "older"), PutOf("b", {1, 1}, "other")};
    for (size_t i = 0; i < repeats; ++i) {
      changes.push_back(PutOf("a", {1, 2}, std::to_string(i)));
    }
    Memtable memtable;
    Load(memtable, changes);
    EXPECT_EQ(memtable.Get("a", kMaxSequence)->value, std::to_string(repeats - 1));
    EXPECT_EQ(memtable.entries(), 3u);
    // As after changes one by one, one more of the same is in front of all.
    Check(changes, {PutOf("a", {1, 2}, "last")});
  }
}

TEST_F(MemtableLoaderTest, KeysOfZerosAreOrderedByLength) {
  Changes changes;
  for (uint64_t i = 0; i < 4'000; ++i) {
    changes.push_back(PutOf(absl::StrCat("a", std::string(i * 7 % 23, '\0')), {1, i}, ""));
  }
  Check(changes, {PutOf("", {1, 1}, ""), PutOf("b", {1, 1}, "")});
}

TEST_F(MemtableLoaderTest, KeysThatDifferFarBehind) {
  Changes changes;
  for (uint64_t i = 0; i < 300; ++i) {
    const std::string begin = i % 2 == 0 ? std::string(20'000, 'x') : std::string(9, 'y');
    const std::string middle = i % 3 == 0 ? "" : std::string(30'000, 'z');
    changes.push_back(PutOf(absl::StrCat(begin, middle, i * 37 % 101), {1, i + 1}, ""));
  }
  Check(changes, {PutOf(std::string(kMaxKeyBytes, 'x'), {1, 1}, "")});
}

TEST_F(MemtableLoaderTest, OthersHaveTheirTurns) {
  constexpr uint64_t kChanges = 200'000;
  Changes changes;
  for (uint64_t i = 0; i < kChanges; ++i) {
    changes.push_back(PutOf(std::to_string(i * 7919 % 100'003), {1, i + 1}, ""));
  }
  Memtable memtable;
  Load(memtable, changes);
  EXPECT_EQ(memtable.entries(), kChanges);
  EXPECT_GE(turns_, 5u);
}

TEST_F(MemtableLoaderTest, WhatIsNotFinishedShowsNothing) {
  MemoryBudget budget;
  {
    Memtable memtable({.budget = &budget});
    {
      MemtableLoader loader(memtable);
      loader.Add(OperationKind::kPut, "a", {1, 1}, "value");
    }
    EXPECT_FALSE(memtable.Get("a", kMaxSequence).has_value());
    EXPECT_EQ(memtable.entries(), 0u);
    EXPECT_EQ(budget.used_bytes(), memtable.used_bytes());
  }
  EXPECT_EQ(budget.used_bytes(), 0u);
}

using MemtableLoaderDeathTest = MemtableLoaderTest;

TEST_F(MemtableLoaderDeathTest, RefusesAMemtableThatIsInUse) {
  Memtable memtable;
  memtable.Stage(OperationKind::kPut, "a", {1, 1}, "");
  EXPECT_DEATH(MemtableLoader loader(memtable), "has changes already");
}

}  // namespace
}  // namespace ioengine
