#include "ioengine/engine/lsm/blob_garbage.h"

#include <algorithm>
#include <vector>

namespace ioengine {
namespace {

// What a round moves at least, where there is so much: less would write the tables too often.
constexpr uint64_t kLeastRoundBytes = uint64_t{64} << 20;
// … and at most one part in so many, since that is there twice for a while.
constexpr uint64_t kRoundParts = 20;

double GarbagePart(const BlobFile& file) {
  return static_cast<double>(file.garbage_bytes()) / static_cast<double>(file.size_bytes());
}

bool IsWorse(const std::shared_ptr<BlobFile>& a, const std::shared_ptr<BlobFile>& b) {
  const double part_a = GarbagePart(*a);
  const double part_b = GarbagePart(*b);
  return part_a != part_b ? part_a > part_b : a->uuid() < b->uuid();
}

bool RefersTo(const Table& table, const std::set<Uuid>& files) {
  const std::vector<BlobReference>& blobs = table.record().blobs;
  return std::any_of(blobs.begin(), blobs.end(),
                     [&files](const BlobReference& blob) { return files.count(blob.file) > 0; });
}

}  // namespace

bool BlobGarbagePicker::IsCounted(const BlobFile& file) const {
  return !file.is_in_use() && file.size_bytes() > 0 && damaged_files_.count(file.uuid()) == 0;
}

BlobGarbagePicker::Sum BlobGarbagePicker::SumOf(const BlobFiles& blobs) const {
  Sum sum;
  for (const std::shared_ptr<BlobFile>& file : blobs.all()) {
    if (!IsCounted(*file)) continue;
    sum.file_bytes += file->size_bytes();
    sum.garbage_bytes += file->garbage_bytes();
  }
  return sum;
}

bool BlobGarbagePicker::IsTooMuch(const Sum& sum) const {
  return sum.garbage_bytes > sum.file_bytes / 100 * options_.garbage_percent;
}

uint64_t BlobGarbagePicker::DebtBytes(const BlobFiles& blobs) const {
  const Sum sum = SumOf(blobs);
  if (!IsTooMuch(sum)) return 0;
  return sum.garbage_bytes - sum.file_bytes / 100 * options_.garbage_percent;
}

bool BlobGarbagePicker::IsDamaged(const Table& table) const {
  return table.reader() == nullptr || damaged_tables_.count(table.record().identity.uuid) > 0;
}

void BlobGarbagePicker::BeginRound(const Version& version, const BlobFiles& blobs) {
  const Sum sum = SumOf(blobs);
  if (!IsTooMuch(sum)) return;
  // Files that damaged tables refer to cannot be emptied.
  std::set<Uuid> stuck;
  for (const std::shared_ptr<Table>& table : version.tables()) {
    if (!IsDamaged(*table)) continue;
    for (const BlobReference& blob : table->record().blobs) stuck.insert(blob.file);
  }
  std::vector<std::shared_ptr<BlobFile>> files = blobs.all();
  std::erase_if(files, [&](const std::shared_ptr<BlobFile>& file) {
    const bool has_garbage =
        file->garbage_bytes() > file->size_bytes() / 100 * options_.garbage_percent;
    return !IsCounted(*file) || !has_garbage || stuck.count(file->uuid()) > 0;
  });
  std::sort(files.begin(), files.end(), IsWorse);
  const uint64_t most_bytes = std::max(kLeastRoundBytes, sum.file_bytes / kRoundParts);
  uint64_t bytes = 0;
  for (const std::shared_ptr<BlobFile>& file : files) {
    if (!round_.empty() && bytes + file->table_bytes() > most_bytes) break;
    bytes += file->table_bytes();
    round_.insert(file->uuid());
  }
}

std::optional<BlobPick> BlobGarbagePicker::Pick(const Version& version, const BlobFiles& blobs,
                                                const std::set<Uuid>& busy) {
  std::erase_if(round_, [this](const Uuid& file) { return damaged_files_.count(file) > 0; });
  for (const bool may_begin : {true, false}) {
    bool waits = false;
    for (const std::shared_ptr<Table>& table : version.tables()) {
      if (round_.empty() || IsDamaged(*table) || !RefersTo(*table, round_)) continue;
      if (busy.count(table->record().identity.uuid) == 0) return BlobPick{table, round_};
      waits = true;
    }
    // What readers of older versions still refer to goes with them.
    if (waits || !may_begin) break;
    round_.clear();
    BeginRound(version, blobs);
  }
  return std::nullopt;
}

}  // namespace ioengine
