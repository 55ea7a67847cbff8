#include "ioengine/engine/lsm/compaction_picker.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "ioengine/engine/format/checksum.h"
#include "ioengine/engine/format/coding.h"

namespace ioengine {
namespace {

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
  return table.reader() == nullptr || damaged_.count(table.record().identity.uuid) > 0;
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

uint64_t CompactionPicker::UpperBytes(const Version& version) const {
  uint64_t sum = 0;
  for (const SortedRun& run : version.runs()) {
    if (run.tier != kBottomTier) sum += run.file_bytes();
  }
  return sum;
}

// The bottom is as large as so many tiers above it make worth while: each multiplies what goes
// there at one time by max_runs.
uint32_t CompactionPicker::MiddleTiers(const Version& version) const {
  uint64_t largest_flush = 1;
  for (const SortedRun& run : version.runs()) {
    if (run.tier == kFlushTier) largest_flush = std::max(largest_flush, run.file_bytes());
  }
  const uint64_t bottom = BytesOf(version, kBottomTier);
  uint32_t tiers = 1;
  uint64_t at_once =
      std::max(largest_flush, policy_.target_file_bytes) * policy_.max_runs * policy_.max_runs;
  while (tiers + 1 < kBottomTier && bottom / policy_.max_runs > at_once) {
    at_once *= policy_.max_runs;
    ++tiers;
  }
  return tiers;
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
  const uint64_t bottom = BytesOf(version, kBottomTier);
  bool has_middle = false;
  for (const SortedRun& run : version.runs()) {
    has_middle |= run.tier != kFlushTier && run.tier != kBottomTier;
  }
  const bool too_much =
      !has_middle && bottom > 0 && UpperBytes(version) * 100 > bottom * policy_.upper_percent;
  if (runs.size() < policy_.max_runs && !too_much) return std::nullopt;
  CompactionPick pick;
  for (const SortedRun* const run : runs) pick.runs.push_back(run->tables);
  pick.tier = kFlushTier + 1;
  pick.cut_keys = Guards(version);
  return pick;
}

bool CompactionPicker::GoOnWithRound(const Version& version) {
  if (!round_.has_value()) return false;
  for (const SortedRun* const run : Eligible(version, round_->tier)) {
    if (run->number <= round_->last_run) return true;
  }
  round_.reset();
  return false;
}

bool CompactionPicker::BeginRound(const Version& version) {
  const uint64_t bottom = BytesOf(version, kBottomTier);
  const bool too_much = bottom > 0 && UpperBytes(version) * 100 > bottom * policy_.upper_percent;
  const uint32_t middle_tiers = MiddleTiers(version);
  bool is_lowest = true;
  for (uint32_t tier = kBottomTier - 1; tier > kFlushTier; --tier) {
    const std::vector<const SortedRun*> runs = Eligible(version, tier);
    if (runs.empty()) {
      // What is here may not move, and so neither may what is above.
      if (RunsOf(version, tier) > 0) is_lowest = false;
      continue;
    }
    if (runs.size() >= policy_.max_runs || (is_lowest && too_much)) {
      Round round;
      round.tier = tier;
      round.last_run = runs.front()->number;
      const bool to_bottom = is_lowest && (tier >= middle_tiers || too_much);
      round.to_tier = to_bottom ? kBottomTier : tier + 1;
      if (to_bottom) round.run = kBottomRun;
      round_ = round;
      return true;
    }
    is_lowest = false;
  }
  return false;
}

std::optional<CompactionPick> CompactionPicker::PickSlice(const Version& version) {
  std::vector<const SortedRun*> runs;
  for (const SortedRun* const run : Eligible(version, round_->tier)) {
    if (run->number <= round_->last_run) runs.push_back(run);
  }
  const SortedRun* const bottom =
      round_->to_tier == kBottomTier ? FindRun(version, kBottomTier, kBottomRun) : nullptr;
  if (bottom != nullptr) runs.push_back(bottom);
  // From the lowest table on, whichever slice has none that is damaged.
  Tables starts;
  for (const SortedRun* const run : runs) {
    if (run != bottom) starts.insert(starts.end(), run->tables.begin(), run->tables.end());
  }
  std::sort(starts.begin(), starts.end(),
            [](const auto& a, const auto& b) { return a->record().lower < b->record().lower; });
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
