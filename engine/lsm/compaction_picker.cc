#include "ioengine/engine/lsm/compaction_picker.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "ioengine/engine/format/checksum.h"
#include "ioengine/engine/format/coding.h"

namespace ioengine {
namespace {

// A table that is moved is of target_file_bytes / this, at least, on average.
constexpr uint64_t kLeastPartOfMoved = 4;
// Percent: see BeginRound.
constexpr uint64_t kMuch = 150;
constexpr uint64_t kGuardSeed = 0x6475617267;  // "guard"

using Tables = std::vector<std::shared_ptr<Table>>;

// A range of keys: of all, if there is no upper.
struct KeyRange {
  std::string lower;
  std::optional<std::string> upper;

  static KeyRange Of(const TableRecord& table) { return {table.lower, table.upper}; }
  bool Overlaps(const TableRecord& table) const {
    return (!upper.has_value() || table.lower < *upper) &&
           (!table.upper.has_value() || lower < *table.upper);
  }
  // Whether it became wider.
  bool Cover(const TableRecord& table) {
    bool wider = table.lower < lower;
    if (wider) lower = table.lower;
    if (upper.has_value() && (!table.upper.has_value() || *table.upper > *upper)) {
      upper = table.upper;
      wider = true;
    }
    return wider;
  }
};

bool IsBelow(const std::shared_ptr<Table>& a, const std::shared_ptr<Table>& b) {
  return a->record().lower < b->record().lower;
}

const SortedRun* FindRun(const Version& version, uint32_t tier, uint64_t number) {
  for (const SortedRun& run : version.runs()) {
    if (run.tier == tier && run.number == number) return &run;
  }
  return nullptr;
}

uint64_t BytesOf(const Version& version, uint32_t tier) {
  uint64_t sum = 0;
  for (const SortedRun& run : version.runs()) {
    if (run.tier == tier) sum += run.file_bytes();
  }
  return sum;
}

size_t RunsOf(const Version& version, uint32_t tier) {
  return static_cast<size_t>(
      std::count_if(version.runs().begin(), version.runs().end(),
                    [tier](const SortedRun& run) { return run.tier == tier; }));
}

}  // namespace

absl::Status CompactionPolicy::Validate() const {
  if (max_runs < 2) {
    return absl::InvalidArgumentError("CompactionPolicy::max_runs is less than 2");
  }
  if (target_file_bytes < 4096) {
    return absl::InvalidArgumentError("CompactionPolicy::target_file_bytes is less than a page");
  }
  if (upper_percent == 0 || least_slices == 0) {
    return absl::InvalidArgumentError(
        "CompactionPolicy::upper_percent and least_slices are at least 1");
  }
  return absl::OkStatus();
}

uint64_t CompactionPick::input_bytes() const {
  uint64_t sum = 0;
  for (const Tables& tables : runs) {
    for (const std::shared_ptr<Table>& table : tables) sum += table->record().identity.file_bytes;
  }
  return sum;
}

bool CompactionPicker::IsDamaged(const Table& table) const {
  return !table.damage().ok() || damaged_.count(table.record().identity.uuid) > 0;
}

std::vector<const SortedRun*> CompactionPicker::Eligible(const Version& version,
                                                         uint32_t tier) const {
  std::vector<const SortedRun*> runs;
  for (const SortedRun& run : version.runs()) {
    if (run.tier != tier) continue;
    const bool damaged =
        std::any_of(run.tables.begin(), run.tables.end(),
                    [this](const std::shared_ptr<Table>& table) { return IsDamaged(*table); });
    // Those before it are newer.
    if (damaged) {
      runs.clear();
    } else {
      runs.push_back(&run);
    }
  }
  return runs;
}

// Values in files of their own count: what hides them is not known to be garbage up there.
bool CompactionPicker::IsTooMuch(const Version& version) const {
  uint64_t upper = 0;
  uint64_t bottom = 0;
  for (const SortedRun& run : version.runs()) {
    uint64_t& sum = run.tier == kBottomTier ? bottom : upper;
    sum += run.file_bytes();
    for (const std::shared_ptr<Table>& table : run.tables) {
      for (const BlobReference& blob : table->record().blobs) sum += blob.stored_bytes;
    }
  }
  // What is less than a table is not worth while.
  bottom = std::max(bottom, policy_.target_file_bytes);
  return upper * 100 > bottom * policy_.upper_percent;
}

// Bounds of the bottom's tables, one in so many that there are about least_slices.
std::vector<std::string> CompactionPicker::Guards(const Version& version) const {
  std::vector<std::string> guards;
  const SortedRun* const bottom = FindRun(version, kBottomTier, kBottomRun);
  if (bottom == nullptr) return guards;
  const uint64_t one_in =
      std::bit_ceil(std::max<uint64_t>(1, bottom->tables.size() / policy_.least_slices));
  for (const std::shared_ptr<Table>& table : bottom->tables) {
    const std::string& lower = table->record().lower;
    if (Checksum(AsBytes(lower), kGuardSeed) % one_in == 0) guards.push_back(lower);
  }
  return guards;
}

std::optional<CompactionPick> CompactionPicker::PickFlushed(const Version& version) const {
  const std::vector<const SortedRun*> runs = Eligible(version, kFlushTier);
  if (runs.size() < 2) return std::nullopt;
  if (std::optional<CompactionPick> pick = PickFlushedToBottom(version)) return pick;
  if (runs.size() < policy_.max_runs) return std::nullopt;
  CompactionPick pick;
  for (const SortedRun* const run : runs) pick.runs.push_back(run->tables);
  pick.tier = kFlushTier + 1;
  pick.cut_keys = Guards(version);
  MoveIfApart(&pick);
  return pick;
}

// Nobody else has a job on the bottom where nothing is in between.
std::optional<CompactionPick> CompactionPicker::PickFlushedToBottom(const Version& version) const {
  if (!IsTooMuch(version)) return std::nullopt;
  CompactionPick pick;
  for (const SortedRun* const run : Eligible(version, kFlushTier)) pick.runs.push_back(run->tables);
  for (const SortedRun& run : version.runs()) {
    if (run.tier == kFlushTier) continue;
    if (run.tier != kBottomTier) return std::nullopt;
    for (const std::shared_ptr<Table>& table : run.tables) {
      if (IsDamaged(*table)) return std::nullopt;
    }
    pick.runs.push_back(run.tables);
  }
  pick.tier = kBottomTier;
  pick.run = kBottomRun;
  pick.is_bottom = true;
  pick.cut_keys = Guards(version);
  MoveIfApart(&pick);
  return pick;
}

void CompactionPicker::MoveIfApart(CompactionPick* pick) const {
  Tables all;
  for (const Tables& tables : pick->runs) all.insert(all.end(), tables.begin(), tables.end());
  std::sort(all.begin(), all.end(), IsBelow);
  Tables moved;
  uint64_t moved_bytes = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    const TableRecord& record = all[i]->record();
    if (i > 0 && KeyRange::Of(all[i - 1]->record()).Overlaps(record)) return;
    if (record.tier == pick->tier && record.run == pick->run) continue;
    // At the bottom they hide nothing.
    if (pick->is_bottom && record.deletes > 0) return;
    moved.push_back(all[i]);
    moved_bytes += record.identity.file_bytes;
  }
  // Small ones are better made one.
  if (moved_bytes < moved.size() * policy_.target_file_bytes / kLeastPartOfMoved) return;
  pick->is_move = true;
  pick->runs = {std::move(moved)};
}

bool CompactionPicker::GoOnWithRound(const Version& version) {
  if (!round_.has_value()) return false;
  for (const SortedRun& run : version.runs()) {
    if (round_->runs.count({run.tier, run.number}) > 0) return true;
  }
  round_.reset();
  return false;
}

bool CompactionPicker::BeginRound(const Version& version) {
  if (IsTooMuch(version)) BeginRoundOfAll(version);
  const uint64_t bottom = BytesOf(version, kBottomTier);
  bool is_lowest = true;
  for (uint32_t tier = kBottomTier - 1; tier > kFlushTier && !round_.has_value(); --tier) {
    const std::vector<const SortedRun*> runs = Eligible(version, tier);
    const bool is_full = runs.size() >= policy_.max_runs;
    if (is_full) {
      uint64_t bytes = 0;
      Round& round = round_.emplace();
      for (const SortedRun* const run : runs) {
        round.runs.insert({run->tier, run->number});
        bytes += run->file_bytes();
      }
      // What goes to the bottom is written with (bottom / bytes) times as much of it; one more tier
      // costs one more time, and saves that until it is too much.
      const bool is_much = bytes * kMuch >= bottom * policy_.upper_percent;
      round.to_tier = is_lowest && is_much ? kBottomTier : tier + 1;
    }
    // What is here and may not move is in the way of what is above.
    if (RunsOf(version, tier) > 0) is_lowest = false;
  }
  if (!round_.has_value()) return false;
  if (round_->to_tier == kBottomTier) round_->run = kBottomRun;
  return true;
}

void CompactionPicker::BeginRoundOfAll(const Version& version) {
  Round round;
  round.to_tier = kBottomTier;
  for (uint32_t tier = kBottomTier - 1; tier > kFlushTier; --tier) {
    const std::vector<const SortedRun*> runs = Eligible(version, tier);
    for (const SortedRun* const run : runs) round.runs.insert({run->tier, run->number});
    if (runs.size() < RunsOf(version, tier)) break;
  }
  if (!round.runs.empty()) round_ = std::move(round);
}

std::optional<CompactionPick> CompactionPicker::PickSlice(const Version& version) {
  std::vector<const SortedRun*> runs;
  for (const SortedRun& run : version.runs()) {
    if (round_->runs.count({run.tier, run.number}) > 0) runs.push_back(&run);
  }
  const SortedRun* const bottom =
      round_->to_tier == kBottomTier ? FindRun(version, kBottomTier, kBottomRun) : nullptr;
  if (bottom != nullptr) runs.push_back(bottom);
  // From the lowest table on, whichever slice has none that is damaged.
  Tables starts;
  for (const SortedRun* const run : runs) {
    if (run != bottom) starts.insert(starts.end(), run->tables.begin(), run->tables.end());
  }
  std::sort(starts.begin(), starts.end(), IsBelow);
  for (const std::shared_ptr<Table>& start : starts) {
    KeyRange range = KeyRange::Of(start->record());
    CompactionPick pick;
    bool wider = true;
    bool damaged = false;
    while (wider) {
      wider = false;
      pick.runs.clear();
      for (const SortedRun* const run : runs) {
        Tables& tables = pick.runs.emplace_back();
        for (const std::shared_ptr<Table>& table : run->tables) {
          if (!range.Overlaps(table->record())) continue;
          wider |= range.Cover(table->record());
          damaged |= IsDamaged(*table);
          tables.push_back(table);
        }
      }
    }
    if (damaged) continue;
    std::erase_if(pick.runs, [](const Tables& tables) { return tables.empty(); });
    pick.tier = round_->to_tier;
    pick.run = round_->run;
    pick.is_bottom = round_->to_tier == kBottomTier;
    pick.cut_keys = Guards(version);
    MoveIfApart(&pick);
    return pick;
  }
  // All that is left of the round overlaps with damage.
  round_.reset();
  return std::nullopt;
}

uint64_t CompactionPicker::DebtBytes(const Version& version) const {
  uint64_t debt = 0;
  for (uint32_t tier = kFlushTier; tier < kBottomTier; ++tier) {
    // Of each run beyond what may be there.
    const std::vector<const SortedRun*> runs = Eligible(version, tier);
    for (size_t i = 0; i + policy_.max_runs <= runs.size(); ++i) debt += runs[i]->file_bytes();
  }
  return debt;
}

}  // namespace ioengine
