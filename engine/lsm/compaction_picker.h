// CompactionPicker: which tables are to become others, so that reads find few runs and space is
// not wasted.
#ifndef IOENGINE_ENGINE_LSM_COMPACTION_PICKER_H_
#define IOENGINE_ENGINE_LSM_COMPACTION_PICKER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/engine/lsm/version.h"

namespace ioengine {

// Where flushes go, and where everything ends.
inline constexpr uint32_t kFlushTier = 0;
inline constexpr uint32_t kBottomTier = 15;
// The bottom is one run for ever.
inline constexpr uint64_t kBottomRun = 0;

struct CompactionPolicy {
  // Runs of a tier above the bottom, at most, before they become one of the next.
  uint64_t max_runs = 8;
  // What the tiers above may hold, of the bottom.
  uint64_t upper_percent = 50;
  // Of a table.
  uint64_t target_file_bytes = uint64_t{48} << 20;
  // Into so many parts the bottom is cut, at least, of which one is compacted at a time. So much
  // of it is there twice meanwhile.
  uint64_t least_slices = 16;

  // InvalidArgument, naming the field.
  absl::Status Validate() const;
};

struct CompactionPick {
  std::vector<std::vector<std::shared_ptr<Table>>> runs;  // newest first
  uint32_t tier = 0;                                      // they become tables of
  std::optional<uint64_t> run;                            // none: a new one of that tier
  bool is_bottom = false;
  // The tables are to be there as they are, and none is to be written: nothing overlaps. Those that
  // are there already are not in `runs`.
  bool is_move = false;
  std::vector<std::string> cut_keys;

  uint64_t input_bytes() const;
};

// Lazy leveling (N. Dayan, S. Idreos: "Dostoevsky: Better Space-Time Trade-Offs for LSM-Tree Based
// Key-Value Stores via Adaptive Removal of Superfluous Merging", SIGMOD 2018): runs gather in each
// tier but the last, which is one run.
//
//   tier 0      ▭ ▭ ▭ ▭ ▭      flushes; max_runs of them become one run of tier 1, at once
//   tier 1      ▭▭▭ ▭▭▭        max_runs of them become one of tier 2, and so on, until they are
//   bottom      ▭▭▭▭▭▭▭▭▭▭     much beside the bottom: then they go there, slice by slice
//
// When all that is above the bottom is too much for it, all of it but the flushes goes there.
//
// While the bottom is so small that flushes alone are too much for it, they go there at once, with
// all of it. Tables that overlap with nothing are not written again: they change their place.
//
// Tables of tier 1 and below end at guards, which are some bounds of the bottom's tables, chosen by
// a hash of the key: so they stay the same while tables around them change, and the tables of a
// slice in all runs end where it does. A slice is what is between: what overlaps with it, and with
// that, is in the job too, so a slice without guards is only larger.
//
// What may not be moved: a table that is damaged. Nothing newer may get below it, so of a tier only
// runs older than the newest one with such a table are eligible; a slice of the bottom with one
// stays as it is.
//
// Runs that go down in slices are a round: what comes to their tier meanwhile waits for the next
// one, or slices at the end would never have their turn.
//
// Shard: one.
class CompactionPicker {
 public:
  explicit CompactionPicker(CompactionPolicy policy) : policy_(policy) {}

  // Tables that are not to be read, besides those that are quarantined.
  void AddDamaged(const Uuid& uuid) { damaged_.insert(uuid); }

  // All eligible runs of the first tier, if there are too many; and if nothing is in between, when
  // they are too much for the bottom: then they go there at once.
  std::optional<CompactionPick> PickFlushed(const Version& version) const;

  // A slice of the tiers below. The picks of a round have the same `run`, which the first gets from
  // `new_run`.
  template <typename NewRun>
  std::optional<CompactionPick> PickDeep(const Version& version, NewRun new_run) {
    for (;;) {
      const bool is_new = !GoOnWithRound(version);
      if (is_new && !BeginRound(version)) return std::nullopt;
      if (!round_->run.has_value()) round_->run = new_run();
      std::optional<CompactionPick> pick = PickSlice(version);
      // Behind a round that damage has ended there may be another; asked again, it says the same.
      if (pick.has_value() || is_new) return pick;
    }
  }

  // Bytes that are to be moved before all is as it should be: about what the runs hold that are too
  // many, or too much.
  uint64_t DebtBytes(const Version& version) const;

 private:
  struct Round {
    std::set<std::pair<uint32_t, uint64_t>> runs;  // tier and number
    uint32_t to_tier = 0;
    std::optional<uint64_t> run;  // of to_tier
  };

  bool IsDamaged(const Table& table) const;
  // Of the tier, that may be moved down.
  std::vector<const SortedRun*> Eligible(const Version& version, uint32_t tier) const;
  // Whether the tiers above hold more than they may, of the bottom.
  bool IsTooMuch(const Version& version) const;
  std::optional<CompactionPick> PickFlushedToBottom(const Version& version) const;
  // Makes a move of it, where that can be.
  void MoveIfApart(CompactionPick* pick) const;
  std::vector<std::string> Guards(const Version& version) const;

  bool GoOnWithRound(const Version& version);
  bool BeginRound(const Version& version);
  void BeginRoundOfAll(const Version& version);
  std::optional<CompactionPick> PickSlice(const Version& version);

  const CompactionPolicy policy_;
  std::set<Uuid> damaged_;
  std::optional<Round> round_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_LSM_COMPACTION_PICKER_H_
