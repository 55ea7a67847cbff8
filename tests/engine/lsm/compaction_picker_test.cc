// CompactionPicker: what it picks, and what it leaves alone.

#include "ioengine/engine/lsm/compaction_picker.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/tests/engine/lsm/compaction_simulation.h"

namespace ioengine {
namespace {

constexpr uint64_t kTarget = 1000;

CompactionPolicy ThreeRuns() {
  CompactionPolicy policy;
  policy.max_runs = 3;
  policy.upper_percent = 50;
  policy.target_file_bytes = kTarget;
  policy.least_slices = 4;
  return policy;
}

class CompactionPickerTest : public testing::Test {
 protected:
  CompactionPickerTest() : picker_(ThreeRuns()) {}

  // A table of [lower, upper) in that run; gives its number.
  uint64_t Add(uint32_t tier, uint64_t run, std::string lower, std::string upper, uint64_t bytes,
               absl::Status damage = absl::OkStatus()) {
    TableRecord record;
    record.identity.uuid = MakeUuid(++last_, 0);
    record.identity.file_bytes = bytes;
    record.tier = tier;
    record.run = run;
    record.lower = std::move(lower);
    record.upper = std::move(upper);
    tables_.push_back(FakeTable(std::move(record), std::move(damage)));
    return last_;
  }
  void Remove(const CompactionPick& pick) {
    for (const uint64_t number : Of(pick)) {
      std::erase_if(tables_, [number](const std::shared_ptr<Table>& table) {
        return table->record().identity.uuid == MakeUuid(number, 0);
      });
    }
  }
  void SetDeletes(uint64_t deletes) {
    TableRecord record = tables_.back()->record();
    record.deletes = deletes;
    tables_.back() = FakeTable(std::move(record));
  }

  std::shared_ptr<const Version> version() const {
    std::shared_ptr<const Version> version = std::make_shared<const Version>();
    ManifestEdit none;
    EXPECT_EQ(version->Apply(none, tables_, &version), absl::OkStatus());
    return version;
  }
  std::optional<CompactionPick> Flushed() const { return picker_.PickFlushed(*version()); }
  std::optional<CompactionPick> Deep() {
    return picker_.PickDeep(*version(), [this] { return ++last_run_; });
  }
  std::set<uint64_t> Of(const CompactionPick& pick) const {
    std::set<uint64_t> numbers;
    for (const auto& tables : pick.runs) {
      for (const auto& table : tables) {
        for (uint64_t number = 1; number <= last_; ++number) {
          if (table->record().identity.uuid == MakeUuid(number, 0)) numbers.insert(number);
        }
      }
    }
    return numbers;
  }
  static absl::Status Damage() { return absl::DataLossError("a bad footer"); }

  CompactionPicker picker_;
  std::vector<std::shared_ptr<Table>> tables_;
  uint64_t last_ = 0;
  uint64_t last_run_ = 100;
};

using Numbers = std::set<uint64_t>;

TEST_F(CompactionPickerTest, PicksNothingWhenAllIsWell) {
  EXPECT_FALSE(Flushed().has_value());
  EXPECT_FALSE(Deep().has_value());
  Add(kBottomTier, kBottomRun, "a", "z", 10 * kTarget);
  Add(1, 1, "a", "z", kTarget);
  Add(1, 2, "a", "z", kTarget);
  Add(0, 3, "a", "z", kTarget);
  Add(0, 4, "a", "z", kTarget);
  EXPECT_FALSE(Flushed().has_value());
  EXPECT_FALSE(Deep().has_value());
  EXPECT_EQ(picker_.DebtBytes(*version()), 0u);
}

TEST_F(CompactionPickerTest, ManyFlushesBecomeARunOfTheNextTier) {
  Add(kBottomTier, kBottomRun, "a", "z", 100 * kTarget);
  for (uint64_t run = 1; run <= 3; ++run) Add(0, run, "a", "z", kTarget);
  const std::optional<CompactionPick> pick = Flushed();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(Of(*pick), (Numbers{2, 3, 4}));
  EXPECT_EQ(pick->tier, 1u);
  EXPECT_FALSE(pick->run.has_value()) << "a new one";
  EXPECT_FALSE(pick->is_bottom);
  EXPECT_EQ(pick->runs.front().front()->record().run, 3u) << "newest first";
  EXPECT_EQ(pick->input_bytes(), 3 * kTarget);
  EXPECT_EQ(picker_.DebtBytes(*version()), kTarget) << "of the run that is too many";
}

TEST_F(CompactionPickerTest, FlushesGoToASmallBottomAtOnce) {
  Add(kBottomTier, kBottomRun, "a", "m", kTarget);
  Add(kBottomTier, kBottomRun, "m", "z", kTarget);
  Add(0, 1, "a", "z", kTarget);
  EXPECT_FALSE(Flushed().has_value()) << "just as much as there may be";
  Add(0, 2, "a", "z", kTarget);
  const std::optional<CompactionPick> pick = Flushed();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(Of(*pick), (Numbers{1, 2, 3, 4}));
  EXPECT_TRUE(pick->is_bottom);
  EXPECT_EQ(pick->run, kBottomRun);
  // With something in between they would get below it.
  Add(1, 3, "a", "b", 10);
  EXPECT_FALSE(Flushed().has_value());
}

TEST_F(CompactionPickerTest, NothingGetsBelowADamagedFlush) {
  Add(kBottomTier, kBottomRun, "a", "z", 100 * kTarget);
  for (uint64_t run = 1; run <= 3; ++run) Add(0, run, "a", "z", kTarget);
  Add(0, 4, "a", "z", kTarget, Damage());
  for (uint64_t run = 5; run <= 8; ++run) Add(0, run, "a", "z", kTarget);
  std::optional<CompactionPick> pick = Flushed();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(Of(*pick), (Numbers{2, 3, 4})) << "only what is older";
  Remove(*pick);
  EXPECT_FALSE(Flushed().has_value()) << "all others are newer";
}

TEST_F(CompactionPickerTest, DamageThatIsFoundCountsAsDamage) {
  Add(kBottomTier, kBottomRun, "a", "z", 100 * kTarget);
  for (uint64_t run = 1; run <= 3; ++run) Add(0, run, "a", "z", kTarget);
  ASSERT_TRUE(Flushed().has_value());
  picker_.AddDamaged(MakeUuid(3, 0));
  EXPECT_FALSE(Flushed().has_value());
}

TEST_F(CompactionPickerTest, ADamagedBottomIsNotRewrittenWhole) {
  Add(kBottomTier, kBottomRun, "a", "z", kTarget, Damage());
  Add(0, 1, "a", "z", kTarget);
  Add(0, 2, "a", "z", kTarget);
  EXPECT_FALSE(Flushed().has_value());
  Add(0, 3, "a", "z", kTarget);
  const std::optional<CompactionPick> pick = Flushed();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(pick->tier, 1u);
}

TEST_F(CompactionPickerTest, SlicesOfTheBottomWithDamageStay) {
  Add(kBottomTier, kBottomRun, "a", "f", 4 * kTarget);
  Add(kBottomTier, kBottomRun, "f", "m", 4 * kTarget, Damage());
  Add(kBottomTier, kBottomRun, "m", "z", 4 * kTarget);
  Add(1, 1, "a", "f", 3 * kTarget);
  Add(1, 1, "f", "m", 3 * kTarget);
  Add(1, 1, "m", "z", 3 * kTarget);
  std::optional<CompactionPick> pick = Deep();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(Of(*pick), (Numbers{1, 4}));
  Remove(*pick);
  Add(kBottomTier, kBottomRun, "a", "f", 7 * kTarget);
  pick = Deep();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(Of(*pick), (Numbers{3, 6}));
  Remove(*pick);
  Add(kBottomTier, kBottomRun, "m", "z", 7 * kTarget);
  EXPECT_FALSE(Deep().has_value());
  EXPECT_FALSE(Deep().has_value());
}

// b overlaps with a and c; what overlaps with those comes too.
TEST_F(CompactionPickerTest, ASliceHoldsAllThatOverlaps) {
  Add(kBottomTier, kBottomRun, "a", "c", kTarget);
  Add(kBottomTier, kBottomRun, "c", "f", kTarget);
  Add(kBottomTier, kBottomRun, "f", "k", kTarget);
  Add(kBottomTier, kBottomRun, "k", "z", kTarget);
  Add(1, 1, "a", "d", kTarget);
  Add(1, 1, "p", "q", kTarget);
  Add(1, 2, "e", "g", kTarget);
  const std::optional<CompactionPick> pick = Deep();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(Of(*pick), (Numbers{1, 2, 3, 5, 7}));
  EXPECT_TRUE(pick->is_bottom);
  const std::optional<CompactionPick> again = Deep();
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(Of(*again), Of(*pick)) << "until it is done";
  Remove(*pick);
  Add(kBottomTier, kBottomRun, "a", "k", 5 * kTarget);
  const std::optional<CompactionPick> next = Deep();
  ASSERT_TRUE(next.has_value());
  EXPECT_EQ(Of(*next), (Numbers{4, 6})) << "it goes on, though there is not too much any more";
}

TEST_F(CompactionPickerTest, WhatComesDuringARoundWaitsForTheNext) {
  Add(kBottomTier, kBottomRun, "a", "m", 4 * kTarget);
  Add(kBottomTier, kBottomRun, "m", "z", 4 * kTarget);
  Add(1, 1, "a", "m", 3 * kTarget);
  Add(1, 1, "m", "z", 3 * kTarget);
  std::optional<CompactionPick> pick = Deep();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(Of(*pick), (Numbers{1, 3}));
  Remove(*pick);
  Add(kBottomTier, kBottomRun, "a", "m", 7 * kTarget);
  Add(1, 2, "a", "m", 3 * kTarget);
  pick = Deep();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(Of(*pick), (Numbers{2, 4})) << "the slice at the end has its turn";
}

TEST_F(CompactionPickerTest, AFullTierThatIsLittleGoesOneTierDown) {
  Add(kBottomTier, kBottomRun, "a", "z", 1000 * kTarget);
  for (uint64_t run = 1; run <= 3; ++run) {
    Add(1, run, "a", "m", kTarget);
    Add(1, run, "m", "z", kTarget);
  }
  std::optional<CompactionPick> pick = Deep();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(pick->tier, 2u);
  EXPECT_EQ(pick->run, 101u);
  EXPECT_FALSE(pick->is_bottom);
  EXPECT_EQ(Of(*pick), (Numbers{2, 4, 6}));
  Remove(*pick);
  Add(2, 101, "a", "m", 3 * kTarget);
  pick = Deep();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(pick->run, 101u) << "all picks of a round make one run";
}

TEST_F(CompactionPickerTest, AFullTierThatIsMuchGoesToTheBottom) {
  Add(kBottomTier, kBottomRun, "a", "z", 20 * kTarget);
  for (uint64_t run = 1; run <= 3; ++run) Add(1, run, "a", "z", 3 * kTarget);
  const std::optional<CompactionPick> pick = Deep();
  ASSERT_TRUE(pick.has_value());
  EXPECT_TRUE(pick->is_bottom);
  EXPECT_EQ(Of(*pick), (Numbers{1, 2, 3, 4}));
}

TEST_F(CompactionPickerTest, WhenThereIsTooMuchAllTiersGoDownTogether) {
  Add(kBottomTier, kBottomRun, "a", "z", 20 * kTarget);
  Add(2, 1, "a", "z", 6 * kTarget);
  Add(1, 2, "a", "z", 3 * kTarget);
  Add(0, 3, "a", "z", 2 * kTarget);
  std::optional<CompactionPick> pick = Deep();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(Of(*pick), (Numbers{1, 2, 3})) << "but for flushes";
  ASSERT_EQ(pick->runs.size(), 3u);
  EXPECT_EQ(pick->runs.front().front()->record().tier, 1u) << "newest first";
}

TEST_F(CompactionPickerTest, NoTierPassesADamagedOne) {
  Add(kBottomTier, kBottomRun, "a", "z", 20 * kTarget);
  Add(2, 1, "a", "z", 6 * kTarget, Damage());
  for (uint64_t run = 2; run <= 4; ++run) Add(1, run, "a", "z", 3 * kTarget);
  const std::optional<CompactionPick> pick = Deep();
  ASSERT_TRUE(pick.has_value());
  EXPECT_EQ(pick->tier, 2u) << "a newer run there, and not the bottom";
  EXPECT_EQ(Of(*pick), (Numbers{3, 4, 5}));
}

TEST_F(CompactionPickerTest, TablesThatOverlapWithNothingAreMoved) {
  Add(kBottomTier, kBottomRun, "a", "c", 4 * kTarget);
  Add(0, 1, "c", "e", 2 * kTarget);
  Add(0, 2, "e", "g", 2 * kTarget);
  std::optional<CompactionPick> pick = Flushed();
  ASSERT_TRUE(pick.has_value());
  EXPECT_TRUE(pick->is_move);
  EXPECT_EQ(Of(*pick), (Numbers{2, 3})) << "and what is there stays";
  EXPECT_EQ(pick->tier, kBottomTier);
  SetDeletes(1);
  pick = Flushed();
  ASSERT_TRUE(pick.has_value());
  EXPECT_FALSE(pick->is_move) << "at the bottom deletes go";
}

TEST_F(CompactionPickerTest, SmallTablesBecomeOne) {
  Add(kBottomTier, kBottomRun, "a", "c", 100);
  for (char lower = 'c'; lower < 'm'; ++lower) {
    Add(0, static_cast<uint64_t>(lower), std::string(1, lower),
        std::string(1, static_cast<char>(lower + 1)), 100);
  }
  const std::optional<CompactionPick> pick = Flushed();
  ASSERT_TRUE(pick.has_value());
  EXPECT_FALSE(pick->is_move);
}

TEST_F(CompactionPickerTest, GuardsStayWhileTablesAroundThemChange) {
  const auto guards = [this] {
    for (uint64_t run = 1; run <= 3; ++run) Add(0, run, "a", "z", 1);
    std::optional<CompactionPick> pick = Flushed();
    EXPECT_TRUE(pick.has_value());
    for (int i = 0; i < 3; ++i) tables_.pop_back();
    return pick->cut_keys;
  };
  for (int i = 0; i < 64; ++i) {
    Add(kBottomTier, kBottomRun, absl::StrCat("k", 1000 + i), absl::StrCat("k", 1001 + i), kTarget);
  }
  const std::vector<std::string> before = guards();
  EXPECT_GT(before.size(), 0u);
  EXPECT_LT(before.size(), 16u) << "about 4";
  EXPECT_TRUE(std::is_sorted(before.begin(), before.end()));
  // Bounds that are no guards may go.
  for (size_t i = 1; i < tables_.size();) {
    const TableRecord& below = tables_[i - 1]->record();
    const TableRecord& above = tables_[i]->record();
    const bool is_guard = std::find(before.begin(), before.end(), above.lower) != before.end();
    if (is_guard || i % 3 != 0) {
      ++i;
      continue;
    }
    TableRecord both = below;
    both.upper = above.upper;
    tables_[i - 1] = FakeTable(std::move(both));
    tables_.erase(tables_.begin() + static_cast<ptrdiff_t>(i));
    ++i;
  }
  ASSERT_LT(tables_.size(), 64u);
  const std::vector<std::string> after = guards();
  for (const std::string& guard : before) {
    EXPECT_NE(std::find(after.begin(), after.end(), guard), after.end()) << guard;
  }
}

TEST(CompactionPolicyOptionsTest, SaysWhatCannotBe) {
  EXPECT_EQ(CompactionPolicy().Validate(), absl::OkStatus());
  CompactionPolicy policy;
  policy.max_runs = 1;
  EXPECT_FALSE(policy.Validate().ok());
  policy = CompactionPolicy();
  policy.target_file_bytes = 100;
  EXPECT_FALSE(policy.Validate().ok());
  policy = CompactionPolicy();
  policy.upper_percent = 0;
  EXPECT_FALSE(policy.Validate().ok());
}

}  // namespace
}  // namespace ioengine
