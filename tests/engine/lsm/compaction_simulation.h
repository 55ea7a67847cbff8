// CompactionSimulation: what a CompactionPicker does to a store, in numbers of keys only.
#ifndef IOENGINE_TESTS_ENGINE_LSM_COMPACTION_SIMULATION_H_
#define IOENGINE_TESTS_ENGINE_LSM_COMPACTION_SIMULATION_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "ioengine/engine/lsm/compaction_picker.h"
#include "ioengine/engine/lsm/version.h"

namespace ioengine {

// A table of nothing but its record. Healthy, but for one with `damage`.
inline std::shared_ptr<Table> FakeTable(TableRecord record,
                                        absl::Status damage = absl::OkStatus()) {
  return std::make_shared<Table>(std::move(record), nullptr, std::move(damage), nullptr);
}

// Tables are sorted sets of keys, each of kKeyBytes. Compactions take no time, or
// `compacted_per_flush` bytes may be read between two flushes: then they lag.
class CompactionSimulation {
 public:
  using Key = uint32_t;
  static constexpr uint64_t kKeyBytes = 1000;

  explicit CompactionSimulation(CompactionPolicy policy, uint64_t compacted_per_flush = UINT64_MAX)
      : policy_(policy), picker_(policy), compacted_per_flush_(compacted_per_flush) {}

  // Keys of one memtable; the puts of a key count each.
  void Flush(const std::set<Key>& keys, uint64_t puts) {
    user_bytes_ += puts * kKeyBytes;
    live_.insert(keys.begin(), keys.end());
    const uint64_t run = ++last_run_;
    Install({}, {Make({keys.begin(), keys.end()}, run, kFlushTier)});
    credit_ = std::min(credit_, compacted_per_flush_ * 8);
    credit_ = compacted_per_flush_ == UINT64_MAX ? UINT64_MAX : credit_ + compacted_per_flush_;
    while (credit_ > 0 && Step()) {
    }
  }

  void Settle() {
    credit_ = UINT64_MAX;
    for (int jobs = 0; Step(); ++jobs) {
      ASSERT_LT(jobs, 100'000) << "it goes round in circles";
    }
  }

  // Of flushes and compactions, for each byte that was put.
  double write_amplification() const {
    return static_cast<double>(written_bytes_) / static_cast<double>(user_bytes_);
  }
  double space_amplification() const {
    return static_cast<double>(TableBytes()) / static_cast<double>(live_bytes());
  }
  uint64_t live_bytes() const { return live_.size() * kKeyBytes; }
  // What the largest job wrote.
  uint64_t most_temporary_bytes() const { return most_temporary_; }
  size_t most_runs() const { return most_runs_; }
  uint64_t moved_tables() const { return moved_tables_; }
  const Version& version() const { return *version_; }
  CompactionPicker& picker() { return picker_; }

 private:
  static std::string Name(Key key) {
    std::string name(4, '\0');
    for (size_t i = 4; i-- > 0; key >>= 8) name[i] = static_cast<char>(key & 0xff);
    return name;
  }

  uint64_t TableBytes() const {
    uint64_t sum = 0;
    for (const SortedRun& run : version_->runs()) sum += run.file_bytes();
    return sum;
  }

  std::shared_ptr<Table> Make(std::vector<Key> keys, uint64_t run, uint32_t tier) {
    TableRecord record;
    record.identity.uuid = MakeUuid(++last_uuid_, 0);
    record.identity.file_bytes = keys.size() * kKeyBytes;
    record.identity.records = keys.size();
    record.run = run;
    record.tier = tier;
    record.lower = Name(keys.front());
    record.upper = Name(keys.back() + 1);
    written_bytes_ += record.identity.file_bytes;
    keys_[record.identity.uuid] = std::move(keys);
    return FakeTable(std::move(record));
  }

  void Install(const std::vector<Uuid>& removed, std::vector<std::shared_ptr<Table>> added) {
    ManifestEdit edit;
    edit.removed = removed;
    for (const auto& table : added) edit.added.push_back(table->record());
    ASSERT_EQ(version_->Apply(edit, std::move(added), &version_), absl::OkStatus());
    most_runs_ = std::max(most_runs_, version_->runs().size());
  }

  // One job. False: there is none.
  bool Step() {
    std::optional<CompactionPick> pick = picker_.PickFlushed(*version_);
    if (!pick.has_value()) pick = picker_.PickDeep(*version_, [this] { return ++last_run_; });
    if (!pick.has_value()) return false;
    Run(*pick);
    if (credit_ != UINT64_MAX) credit_ -= std::min(credit_, pick->input_bytes());
    return true;
  }

  void Run(const CompactionPick& pick) {
    const uint64_t run = pick.run.has_value() ? *pick.run : ++last_run_;
    if (pick.is_move) return Move(pick, run);
    std::vector<Uuid> removed;
    std::set<Key> merged;
    for (const auto& tables : pick.runs) {
      for (const std::shared_ptr<Table>& table : tables) {
        const Uuid& uuid = table->record().identity.uuid;
        removed.push_back(uuid);
        merged.insert(keys_[uuid].begin(), keys_[uuid].end());
      }
    }
    std::vector<std::shared_ptr<Table>> added;
    std::vector<Key> part;
    size_t cut = 0;
    for (const Key key : merged) {
      bool ends = part.size() * kKeyBytes >= policy_.target_file_bytes;
      for (; cut < pick.cut_keys.size() && pick.cut_keys[cut] <= Name(key); ++cut) ends = true;
      if (ends && !part.empty()) {
        added.push_back(Make(std::move(part), run, pick.tier));
        part.clear();
      }
      part.push_back(key);
    }
    added.push_back(Make(std::move(part), run, pick.tier));
    // Until the inputs are gone.
    most_temporary_ = std::max<uint64_t>(most_temporary_, merged.size() * kKeyBytes);
    Install(removed, std::move(added));
    for (const Uuid& uuid : removed) keys_.erase(uuid);
  }

  void Move(const CompactionPick& pick, uint64_t run) {
    std::vector<Uuid> removed;
    std::vector<std::shared_ptr<Table>> added;
    for (const auto& tables : pick.runs) {
      for (const std::shared_ptr<Table>& table : tables) {
        TableRecord record = table->record();
        removed.push_back(record.identity.uuid);
        record.run = run;
        record.tier = pick.tier;
        added.push_back(FakeTable(std::move(record)));
        ++moved_tables_;
      }
    }
    Install(removed, std::move(added));
  }

  const CompactionPolicy policy_;
  CompactionPicker picker_;
  const uint64_t compacted_per_flush_;
  uint64_t credit_ = 0;
  std::shared_ptr<const Version> version_ = std::make_shared<const Version>();
  std::map<Uuid, std::vector<Key>> keys_;
  std::set<Key> live_;
  uint64_t most_temporary_ = 0;
  uint64_t last_run_ = 0;
  uint64_t last_uuid_ = 0;
  uint64_t user_bytes_ = 0;
  uint64_t written_bytes_ = 0;
  size_t most_runs_ = 0;
  uint64_t moved_tables_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_ENGINE_LSM_COMPACTION_SIMULATION_H_
