// LsmWorld: memtables and runs of tables on a simulated disk, and what is in them.
#ifndef IOENGINE_TESTS_ENGINE_LSM_LSM_WORLD_H_
#define IOENGINE_TESTS_ENGINE_LSM_LSM_WORLD_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/blob/blob_file.h"
#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/lsm/compaction.h"
#include "ioengine/engine/lsm/memtable.h"
#include "ioengine/engine/lsm/read_view.h"
#include "ioengine/engine/lsm/version.h"
#include "ioengine/engine/shard.h"
#include "ioengine/engine/table/block_cache.h"
#include "ioengine/engine/table/table_builder.h"
#include "ioengine/engine/table/table_reader.h"
#include "ioengine/io/file_system.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/engine/table/table_program.h"
#include "ioengine/tests/engine/table/table_records.h"

namespace ioengine {

// Copies a model's changes into a memtable.
inline std::shared_ptr<Memtable> MakeMemtable(const TableModel& model) {
  MemtableOptions options;
  options.arena_block_bytes = 16 << 10;
  auto memtable = std::make_shared<Memtable>(options);
  for (const auto& [place, change] : model) {
    memtable->Publish(memtable->Stage(change.kind, place.key, place.sequence, change.value));
  }
  return memtable;
}

// Of the tables that it makes, in a simulation's run.
class LsmWorld {
 public:
  explicit LsmWorld(Shard& shard)
      : shard_(shard),
        cache_(shard.io(), {.capacity_bytes = 512 << 10, .max_pinned_bytes = 384 << 10}),
        blobs_(shard.io(), files_, size_t{64} << 10) {}

  Task<absl::Status> Open() {
    absl::StatusOr<FileSystem> files = co_await OpenTables(shard_.io());
    if (!files.ok()) co_return files.status();
    files_ = *std::move(files);
    co_return absl::OkStatus();
  }

  Shard& shard() { return shard_; }
  FileSystem& files() { return files_; }
  BlockCache& cache() { return cache_; }
  BlobFiles& blobs() { return blobs_; }
  const BlobFiles& blobs() const { return blobs_; }
  Uuid NewUuid() { return MakeUuid(++last_uuid_, 7); }

  // A table with what is in the model, which is not empty.
  Task<absl::StatusOr<std::shared_ptr<Table>>> MakeTable(TableModel model, uint64_t run,
                                                         uint32_t tier) {
    const Uuid uuid = NewUuid();
    auto builder =
        co_await TableBuilder::Create(shard_.io(), files_, TableFileName(uuid), uuid, kTinyTable);
    if (!builder.ok()) co_return builder.status();
    uint64_t steps = 0;
    for (const auto& [place, change] : model) {
      if (++steps % kStepsInTurn == 0) co_await Yield();
      absl::Status added =
          co_await (*builder)->Add(change.kind, place.key, place.sequence, change.value);
      if (!added.ok()) co_return added;
    }
    absl::StatusOr<TableInfo> info = co_await (*builder)->Finish();
    if (!info.ok()) co_return info.status();
    co_return co_await OpenTable(TableRecordOf(*info, run, tier));
  }

  Task<absl::StatusOr<std::shared_ptr<Table>>> OpenTable(TableRecord record) {
    auto reader = co_await TableReader::Open(
        shard_.io(), files_, TableFileName(record.identity.uuid), cache_, record.identity);
    if (!reader.ok()) co_return reader.status();
    co_return std::make_shared<Table>(std::move(record), *std::move(reader), absl::OkStatus(),
                                      nullptr);
  }

  // A run of up to `most_tables` tables; all versions of a key are in one of them.
  Task<absl::StatusOr<SortedRun>> MakeRun(TableModel model, uint64_t number, uint32_t tier,
                                          size_t most_tables) {
    SortedRun run;
    run.number = number;
    run.tier = tier;
    const size_t records = model.size() / most_tables + 1;
    while (!model.empty()) {
      TableModel part;
      while (!model.empty() && (part.size() < records || !MayCut(part, model))) {
        part.insert(model.extract(model.begin()));
      }
      auto table = co_await MakeTable(std::move(part), number, tier);
      if (!table.ok()) co_return table.status();
      run.tables.push_back(*std::move(table));
    }
    co_return run;
  }

 private:
  static bool MayCut(const TableModel& below, const TableModel& above) {
    const std::optional<std::string> upper = UpperBound(below.rbegin()->first.key);
    return upper.has_value() && *upper <= LowerBound(above.begin()->first.key);
  }

  Shard& shard_;
  BlockCache cache_;
  FileSystem files_;
  BlobFiles blobs_;
  uint64_t last_uuid_ = 0;
};

// The same table, as it is when its file cannot be read.
inline std::shared_ptr<Table> Quarantined(const Table& table) {
  return std::make_shared<Table>(table.record(), nullptr, absl::DataLossError("a bad footer"),
                                 nullptr);
}

// A change, and which source it is of: what merging gives, in its order.
struct MergedPlace {
  std::string key;
  Sequence sequence;
  size_t source = 0;

  friend bool operator<(const MergedPlace& a, const MergedPlace& b) {
    if (a.key != b.key) return a.key < b.key;
    if (a.sequence != b.sequence) return a.sequence > b.sequence;
    return a.source < b.source;
  }
};

}  // namespace ioengine

#endif  // IOENGINE_TESTS_ENGINE_LSM_LSM_WORLD_H_
