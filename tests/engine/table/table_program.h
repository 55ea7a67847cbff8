// Programs for simulations that write tables and read them.
#ifndef IOENGINE_TESTS_ENGINE_TABLE_TABLE_PROGRAM_H_
#define IOENGINE_TESTS_ENGINE_TABLE_TABLE_PROGRAM_H_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/engine/shard.h"
#include "ioengine/engine/table/block_cache.h"
#include "ioengine/engine/table/table_builder.h"
#include "ioengine/engine/table/table_iterator.h"
#include "ioengine/engine/table/table_reader.h"
#include "ioengine/io/file_system.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/engine/table/table_records.h"

namespace ioengine {

inline constexpr char kTableName[] = "table.sst";
inline const Uuid kTableUuid = MakeUuid(0x0102'0304'0506'0708, 0x090a'0b0c'0d0e'0f10);

// As small as possible, so that a table of a few kilobytes has all that a large one has.
inline constexpr TableOptions kTinyTable = {.write_bytes = 8192, .write_behind = 2};

// As jobs do; also what is awaited and does not suspend uses up stack under ASan (sched/task.h).
inline constexpr uint64_t kStepsInTurn = 64;

// What a reader that gives wrong data ends with; errors of the table itself are others.
inline absl::Status Wrong(std::string_view what, std::string_view got, std::string_view wanted) {
  return absl::UnknownError(absl::StrCat("WRONG ", std::string(what), ": ", std::string(got),
                                         " instead of ", std::string(wanted)));
}

inline Task<absl::StatusOr<FileSystem>> OpenTables(ShardIo& io) {
  co_return co_await FileSystem::Open(io, "/");
}

inline Task<absl::Status> BuildTable(Shard& shard, const TableModel* model, TableOptions options,
                                     TableInfo* info) {
  absl::StatusOr<FileSystem> files = co_await OpenTables(shard.io());
  if (!files.ok()) co_return files.status();
  auto builder = co_await TableBuilder::Create(shard.io(), *files, kTableName, kTableUuid, options);
  if (!builder.ok()) co_return builder.status();
  for (const auto& [place, change] : *model) {
    absl::Status added =
        co_await (*builder)->Add(change.kind, place.key, place.sequence, change.value);
    if (!added.ok()) co_return added;
  }
  absl::StatusOr<TableInfo> finished = co_await (*builder)->Finish();
  if (!finished.ok()) co_return finished.status();
  *info = *std::move(finished);
  co_return co_await files->SyncDirectory();
}

inline std::string TextAt(const TableIterator& iterator) {
  if (!iterator.Valid()) return "nowhere";
  return ChangeText(iterator.key(), iterator.sequence(), iterator.kind(), iterator.value());
}

// Asks for keys that are there and that are not, at random sequences.
inline Task<absl::Status> CheckGets(TableReader* table, const TableModel* model, Random* random,
                                    int gets) {
  for (int i = 0; i < gets; ++i) {
    if (static_cast<uint64_t>(i) % kStepsInTurn == kStepsInTurn - 1) co_await Yield();
    TablePlace place = {RandomTableKey(*random), {random->Below(5), random->Below(1000)}};
    if (random->OneIn(2) && !model->empty()) {
      place.key = std::next(model->begin(), static_cast<ptrdiff_t>(random->Below(model->size())))
                      ->first.key;
    }
    if (random->OneIn(3)) place.sequence = kMaxSequence;
    const auto at = model->lower_bound(place);
    const bool is_there = at != model->end() && at->first.key == place.key;
    const std::string wanted = is_there ? ChangeText(*at) : "nothing";
    const auto found = co_await table->Get(place.key, place.sequence);
    if (!found.ok()) co_return found.status();
    std::string got = "nothing";
    if (found->has_value()) {
      got = ChangeText(place.key, (*found)->sequence, (*found)->kind, (*found)->value);
    }
    if (got != wanted) co_return Wrong("Get", got, wanted);
  }
  co_return absl::OkStatus();
}

// Goes over all of it, both ways.
inline Task<absl::Status> CheckScans(TableReader* table, const TableModel* model,
                                     std::optional<ReadAheadOptions> read_ahead) {
  TableIterator iterator(*table, {.read_ahead = read_ahead});
  uint64_t steps = 0;
  absl::Status status = co_await iterator.SeekToFirst();
  for (auto at = model->begin(); status.ok() && at != model->end(); ++at) {
    if (++steps % kStepsInTurn == 0) co_await Yield();
    if (TextAt(iterator) != ChangeText(*at)) {
      co_return Wrong("Next", TextAt(iterator), ChangeText(*at));
    }
    if (!iterator.TryNext()) status = co_await iterator.Next();
  }
  if (!status.ok()) co_return status;
  if (iterator.Valid()) co_return Wrong("Next", TextAt(iterator), "nowhere");
  status = co_await iterator.SeekToLast();
  for (auto at = model->rbegin(); status.ok() && at != model->rend(); ++at) {
    if (++steps % kStepsInTurn == 0) co_await Yield();
    if (TextAt(iterator) != ChangeText(*at)) {
      co_return Wrong("Prev", TextAt(iterator), ChangeText(*at));
    }
    status = co_await iterator.Prev();
  }
  if (!status.ok()) co_return status;
  if (iterator.Valid()) co_return Wrong("Prev", TextAt(iterator), "nowhere");
  co_return absl::OkStatus();
}

// Seeks within random bounds, and goes on from there.
inline Task<absl::Status> CheckSeeks(TableReader* table, const TableModel* model, Random* random,
                                     int seeks) {
  TableIteratorOptions options;
  if (random->OneIn(2)) options.lower = RandomTableKey(*random);
  if (random->OneIn(2)) options.upper = RandomTableKey(*random);
  TableModel within;
  for (const auto& entry : *model) {
    const std::string& key = entry.first.key;
    if (key >= options.lower && (!options.upper || key < *options.upper)) within.insert(entry);
  }
  TableIterator iterator(*table, options);
  for (int i = 0; i < seeks; ++i) {
    const TablePlace place = {RandomTableKey(*random), {random->Below(5), random->Below(1000)}};
    const bool forward = random->OneIn(2);
    auto at = forward ? within.lower_bound(place) : within.upper_bound(place);
    if (!forward) at = at == within.begin() ? within.end() : std::prev(at);
    absl::Status status;
    if (forward) {
      status = co_await iterator.Seek(place.key, place.sequence);
    } else {
      status = co_await iterator.SeekForPrev(place.key, place.sequence);
    }
    for (int step = 0; step < 12; ++step) {
      if (!status.ok()) co_return status;
      const std::string wanted = at == within.end() ? "nowhere" : ChangeText(*at);
      if (TextAt(iterator) != wanted) co_return Wrong("Seek", TextAt(iterator), wanted);
      if (at == within.end()) break;
      if (forward == (step < 8)) {
        ++at;
        status = co_await iterator.Next();
      } else {
        at = at == within.begin() ? within.end() : std::prev(at);
        status = co_await iterator.Prev();
      }
    }
  }
  co_return absl::OkStatus();
}

struct TableCheck {
  const TableModel* model = nullptr;
  std::optional<TableIdentity> identity = std::nullopt;
  BlockCacheOptions cache = {.capacity_bytes = 256 << 10, .max_pinned_bytes = 128 << 10};
  uint64_t seed = 1;
  int gets = 200;
  int seeks = 40;
};

// Opens the table, and compares all of it with the model.
inline Task<absl::Status> CheckTable(Shard& shard, TableCheck check) {
  absl::StatusOr<FileSystem> files = co_await OpenTables(shard.io());
  if (!files.ok()) co_return files.status();
  BlockCache cache(shard.io(), check.cache);
  auto table = co_await TableReader::Open(shard.io(), *files, kTableName, cache, check.identity);
  if (!table.ok()) co_return table.status();
  Random random(check.seed);
  TableReader* const reader = table->get();
  absl::Status status = co_await CheckGets(reader, check.model, &random, check.gets);
  if (status.ok()) status = co_await CheckScans(reader, check.model, std::nullopt);
  const ReadAheadOptions read_ahead = {.buffer_bytes = 8192, .read_ahead = 2};
  if (status.ok()) status = co_await CheckScans(reader, check.model, read_ahead);
  for (int i = 0; i < check.seeks && status.ok(); i += 5) {
    status = co_await CheckSeeks(reader, check.model, &random, 5);
  }
  co_return status;
}

}  // namespace ioengine

#endif  // IOENGINE_TESTS_ENGINE_TABLE_TABLE_PROGRAM_H_
