// Programs for simulations that compact tables.
#ifndef IOENGINE_TESTS_ENGINE_LSM_COMPACTION_PROGRAM_H_
#define IOENGINE_TESTS_ENGINE_LSM_COMPACTION_PROGRAM_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ioengine/engine/lsm/compaction.h"
#include "ioengine/engine/lsm/run_iterator.h"
#include "ioengine/engine/sim/simulation.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tests/engine/lsm/lsm_world.h"
#include "ioengine/tests/engine/table/table_program.h"
#include "ioengine/tests/engine/table/table_records.h"

namespace ioengine {

// Each run is newer than the one behind it, as runs of a tablet are.
inline std::vector<TableModel> RandomRuns(Random& random, size_t count, size_t records) {
  std::vector<TableModel> runs(count);
  for (size_t run = 0; run < count; ++run) {
    const uint64_t oldest = (count - run) * 1000;
    for (size_t i = 0; i < records; ++i) {
      TableChange change;
      if (random.OneIn(3)) {
        change.kind = OperationKind::kDelete;
      } else {
        change.value = std::string(random.Below(60), 'v');
      }
      runs[run][{RandomTableKey(random), {1, oldest + random.Below(1000)}}] = change;
    }
  }
  // A change that two runs have.
  if (count > 1) runs[1].insert(*runs[0].begin());
  return runs;
}

// What is to be there afterwards, by its definition.
inline TableModel Expected(const std::vector<TableModel>& runs,
                           const std::vector<Sequence>& snapshots, bool is_bottom) {
  TableModel all;
  for (const TableModel& run : runs) all.insert(run.begin(), run.end());
  TableModel kept;
  std::vector<Sequence> reads = snapshots;
  reads.push_back(kMaxSequence);
  for (const auto& [place, change] : all) {
    for (const Sequence at : reads) {
      const auto seen = all.lower_bound({place.key, at});
      if (seen != all.end() && !(place < seen->first) && !(seen->first < place)) {
        kept[place] = change;
      }
    }
  }
  if (!is_bottom) return kept;
  // From the oldest on: a delete with nothing below it hides nothing.
  TableModel result;
  std::string last_key;
  bool has_put = false;
  for (auto at = kept.rbegin(); at != kept.rend(); ++at) {
    if (at == kept.rbegin() || at->first.key != last_key) has_put = false;
    last_key = at->first.key;
    has_put = has_put || at->second.kind == OperationKind::kPut;
    if (has_put) result.insert(*at);
  }
  return result;
}

struct CompactionCase {
  uint64_t seed = 1;
  std::vector<TableModel> runs;
  std::vector<Sequence> snapshots;
  bool is_bottom = false;
  std::vector<std::string> cut_keys;
  uint64_t target_file_bytes = 16 << 10;
  uint64_t least_file_bytes = 0;
};

inline CompactionCase RandomCase(uint64_t seed) {
  Random random(seed);
  CompactionCase result;
  result.seed = seed;
  result.runs = RandomRuns(random, 1 + random.Below(4), 100 + random.Below(200));
  for (uint64_t left = random.Below(4); left > 0; --left) {
    result.snapshots.push_back({1, 1000 + random.Below(4500)});
  }
  std::sort(result.snapshots.begin(), result.snapshots.end());
  result.is_bottom = random.OneIn(2);
  for (uint64_t left = random.Below(4); left > 0; --left) {
    result.cut_keys.push_back(RandomTableKey(random));
  }
  std::sort(result.cut_keys.begin(), result.cut_keys.end());
  result.target_file_bytes = random.OneIn(4) ? 1 << 20 : 8 << 10;
  return result;
}

inline Task<absl::StatusOr<CompactionJob>> MakeJob(LsmWorld* world, const CompactionCase* c) {
  CompactionJob job;
  for (size_t i = 0; i < c->runs.size(); ++i) {
    auto run = co_await world->MakeRun(c->runs[i], 100 - i, 0, 1 + (c->seed + i) % 3);
    if (!run.ok()) co_return run.status();
    job.runs.push_back(std::move(run->tables));
  }
  job.snapshots = c->snapshots;
  job.is_bottom = c->is_bottom;
  job.run = 7;
  job.tier = 2;
  job.new_uuid = [world] { return world->NewUuid(); };
  job.options.target_file_bytes = c->target_file_bytes;
  job.options.least_file_bytes = c->least_file_bytes;
  job.options.cut_keys = c->cut_keys;
  job.options.table = kTinyTable;
  job.options.read_ahead = {.buffer_bytes = 8192, .read_ahead = 2};
  co_return job;
}

// Compares all that the tables have with the model; adopts their readers.
inline Task<absl::Status> CheckTables(std::vector<CompactionOutput> outputs,
                                      const TableModel* model) {
  ManifestEdit edit;
  std::vector<std::shared_ptr<Table>> tables;
  for (CompactionOutput& output : outputs) {
    EXPECT_EQ(output.record.run, 7u);
    EXPECT_EQ(output.record.tier, 2u);
    EXPECT_EQ(output.record, TableRecordOf(output.reader->info(), 7, 2));
    edit.added.push_back(output.record);
    tables.push_back(std::make_shared<Table>(output.record, std::move(output.reader),
                                             absl::OkStatus(), nullptr));
  }
  std::shared_ptr<const Version> version;
  absl::Status status = Version().Apply(edit, tables, &version);
  if (!status.ok()) co_return status;
  RunIterator iterator(tables);
  status = co_await iterator.SeekToFirst();
  uint64_t steps = 0;
  for (auto at = model->begin(); status.ok() && at != model->end(); ++at) {
    if (++steps % kStepsInTurn == 0) co_await Yield();
    const std::string got = iterator.Valid() ? ChangeText(iterator.key(), iterator.sequence(),
                                                          iterator.kind(), iterator.value())
                                             : "nowhere";
    if (got != ChangeText(*at)) co_return Wrong("compaction", got, ChangeText(*at));
    status = co_await iterator.Next();
  }
  if (status.ok() && iterator.Valid()) co_return Wrong("compaction", iterator.key(), "nowhere");
  co_return status;
}

struct CompactionOutcome {
  size_t outputs = 0;
  uint64_t dropped = 0;
  std::vector<TableRecord> records;
  std::string message;  // of one that went wrong
};

inline Task<absl::Status> CompactAndCheck(Shard& shard, const CompactionCase* c,
                                          CompactionOutcome* outcome) {
  LsmWorld world(shard);
  if (absl::Status status = co_await world.Open(); !status.ok()) co_return status;
  absl::StatusOr<CompactionJob> job = co_await MakeJob(&world, c);
  if (!job.ok()) co_return job.status();
  const TableModel expected = Expected(c->runs, c->snapshots, c->is_bottom);
  auto result = co_await RunCompaction(shard.io(), world.files(), world.cache(), *std::move(job));
  if (!result.ok()) co_return result.status();
  if (absl::Status synced = co_await world.files().SyncDirectory(); !synced.ok()) co_return synced;
  if (result->output_records != expected.size()) {
    co_return Wrong("records", absl::StrCat(result->output_records), absl::StrCat(expected.size()));
  }
  EXPECT_EQ(result->input_records, result->output_records + result->dropped_records);
  for (const CompactionOutput& output : result->outputs) {
    outcome->records.push_back(output.record);
    EXPECT_LE(output.record.identity.file_bytes, c->target_file_bytes + (32 << 10));
  }
  outcome->outputs += result->outputs.size();
  outcome->dropped += result->dropped_records;
  co_return co_await CheckTables(std::move(result->outputs), &expected);
}

inline SimulationOptions CompactionWorld(uint64_t seed) {
  SimulationOptions options = {.seed = seed};
  options.buffer_pool_bytes = size_t{4} << 20;
  return options;
}

}  // namespace ioengine

#endif  // IOENGINE_TESTS_ENGINE_LSM_COMPACTION_PROGRAM_H_
