#include "ioengine/engine/lsm/version.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

bool IsNewer(const SortedRun& a, const SortedRun& b) {
  return a.tier != b.tier ? a.tier < b.tier : a.number > b.number;
}

bool IsBelow(const std::shared_ptr<Table>& a, const std::shared_ptr<Table>& b) {
  return a->record().lower < b->record().lower;
}

absl::Status CheckRun(const SortedRun& run) {
  for (size_t i = 1; i < run.tables.size(); ++i) {
    const TableRecord& below = run.tables[i - 1]->record();
    const TableRecord& above = run.tables[i]->record();
    if (below.upper.has_value() && *below.upper <= above.lower) continue;
    return absl::DataLossError(absl::StrCat("tables ", TableFileName(below.identity.uuid), " and ",
                                            TableFileName(above.identity.uuid), " of run ",
                                            run.number, " overlap: the manifest makes no sense"));
  }
  return absl::OkStatus();
}

}  // namespace

Table::Table(TableRecord record, std::shared_ptr<TableReader> reader, absl::Status damage,
             Owner* owner, MemoryCharge charge, std::vector<std::shared_ptr<BlobFile>> blobs)
    : record_(std::move(record)),
      reader_(std::move(reader)),
      damage_(std::move(damage)),
      owner_(owner),
      blobs_(std::move(blobs)),
      charge_(std::move(charge)) {
  IOENGINE_CHECK(blobs_.size() == record_.blobs.size(), "a table lacks files with its values");
  for (size_t i = 0; i < blobs_.size(); ++i) {
    blobs_[i]->AddTableBytes(record_.blobs[i].stored_bytes);
  }
}

Table::~Table() {
  for (size_t i = 0; i < blobs_.size(); ++i) {
    blobs_[i]->SubtractTableBytes(record_.blobs[i].stored_bytes);
  }
  reader_.reset();
  if (retired_ && owner_ != nullptr) owner_->OnUnused(record_.identity.uuid);
}

const std::shared_ptr<Table>* SortedRun::Find(std::string_view key) const {
  const auto above = std::partition_point(
      tables.begin(), tables.end(),
      [key](const std::shared_ptr<Table>& table) { return table->record().lower <= key; });
  if (above == tables.begin()) return nullptr;
  const std::shared_ptr<Table>& table = *(above - 1);
  return table->record().MayHave(key) ? &table : nullptr;
}

uint64_t SortedRun::file_bytes() const {
  uint64_t sum = 0;
  for (const std::shared_ptr<Table>& table : tables) sum += table->record().identity.file_bytes;
  return sum;
}

Version::Version(std::vector<SortedRun> runs) : runs_(std::move(runs)) {
  std::sort(runs_.begin(), runs_.end(), IsNewer);
  for (SortedRun& run : runs_) std::sort(run.tables.begin(), run.tables.end(), IsBelow);
}

std::vector<std::shared_ptr<Table>> Version::tables() const {
  std::vector<std::shared_ptr<Table>> all;
  for (const SortedRun& run : runs_) all.insert(all.end(), run.tables.begin(), run.tables.end());
  return all;
}

size_t Version::table_count() const {
  size_t count = 0;
  for (const SortedRun& run : runs_) count += run.tables.size();
  return count;
}

absl::Status Version::Apply(const ManifestEdit& edit, std::vector<std::shared_ptr<Table>> added,
                            std::shared_ptr<const Version>* next) const {
  const std::set<Uuid> removed(edit.removed.begin(), edit.removed.end());
  std::map<std::pair<uint32_t, uint64_t>, SortedRun> runs;
  const auto add = [&runs](std::shared_ptr<Table> table) {
    const TableRecord& record = table->record();
    SortedRun& run = runs[{record.tier, record.run}];
    run.number = record.run;
    run.tier = record.tier;
    run.tables.push_back(std::move(table));
  };
  for (std::shared_ptr<Table>& table : tables()) {
    if (removed.count(table->record().identity.uuid) == 0) add(std::move(table));
  }
  for (std::shared_ptr<Table>& table : added) add(std::move(table));
  std::vector<SortedRun> list;
  for (auto& [key, run] : runs) list.push_back(std::move(run));
  auto version = std::make_shared<const Version>(std::move(list));
  for (const SortedRun& run : version->runs()) {
    if (absl::Status status = CheckRun(run); !status.ok()) return status;
  }
  *next = std::move(version);
  return absl::OkStatus();
}

}  // namespace ioengine
