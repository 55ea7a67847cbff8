#include "ioengine/engine/store_compactor.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <iterator>
#include <string>
#include <utility>

#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/table/table_iterator.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/yield.h"

namespace ioengine {
namespace {

// After a job that failed.
constexpr std::chrono::milliseconds kRetry(100);
constexpr uint64_t kRecordsPerYield = 64;
// Of values that are moved together, unless one is larger.
constexpr size_t kMoveBytes = size_t{4} << 20;

// DataLoss where the table has any.
Task<absl::Status> ReadAll(std::shared_ptr<Table> table, ReadAheadOptions read_ahead,
                           CopyAccount copies) {
  TableIteratorOptions options;
  options.read_ahead = read_ahead;
  options.copies = copies;
  TableIterator at(*table->reader(), std::move(options));
  absl::Status status = co_await at.SeekToFirst();
  for (uint64_t records = 1; status.ok() && at.Valid(); ++records) {
    if (records % kRecordsPerYield == 0) co_await Yield();
    if (!at.TryNext()) status = co_await at.Next();
  }
  co_return status;
}

}  // namespace

StoreCompactor::StoreCompactor(ShardStore& store)
    : store_(store),
      picker_(store.options_.compaction),
      garbage_(store.options_.blobs),
      scope_(store.shard_.executor(), {.detached = true}) {}

void StoreCompactor::Start(ClassId class_id) { scope_.Spawn(Begin(class_id), class_id); }

Task<> StoreCompactor::Begin(ClassId class_id) {
  // In this class.
  writer_ = std::make_unique<BlobWriter>(
      store_.shard_.io(), store_.files_, store_.catalog_->blobs(), store_.root().database,
      [this] { return store_.catalog_->NewUuid(); }, BlobWriter::Source::kMoved,
      store_.options_.blobs);
  for (const Part part : {Part::kFlushed, Part::kDeep, Part::kBlobs}) {
    scope_.Spawn(Run(part), class_id);
  }
  co_return;
}

void StoreCompactor::Wake() {
  ShowDebt();
  for (Event& work : work_) work.Set();
}

Task<> StoreCompactor::Stop() {
  stopping_ = true;
  Wake();  // and nobody waits for what is not done any more
  settled_.Set();
  (co_await scope_.Join()).IgnoreError();
  if (writer_ != nullptr) co_await writer_->Stop();
}

// Where jobs fail nobody is to wait for them.
void StoreCompactor::ShowDebt() {
  const bool is_paid = status_.ok() && store_.failed_.ok() && !stopping_;
  const uint64_t debt_bytes =
      picker_.DebtBytes(*store_.view_->version) + garbage_.DebtBytes(store_.blobs());
  store_.pacer_.SetDebt(is_paid ? debt_bytes : 0);
}

std::optional<StoreCompactor::Job> StoreCompactor::Pick(Part part) {
  if (stopping_ || !store_.failed_.ok()) return std::nullopt;
  const Version& version = *store_.view_->version;
  if (part == Part::kBlobs) {
    std::optional<BlobPick> values = garbage_.Pick(version, store_.blobs(), busy_);
    if (!values.has_value()) return std::nullopt;
    return Job{{}, *std::move(values)};
  }
  const auto new_run = [this] { return store_.catalog_->NewRun(); };
  std::optional<CompactionPick> tables =
      part == Part::kFlushed ? picker_.PickFlushed(version) : picker_.PickDeep(version, new_run);
  if (!tables.has_value()) return std::nullopt;
  return Job{*std::move(tables), std::nullopt};
}

// Values give way to tables, or a part might never have its turn.
std::optional<StoreCompactor::Job> StoreCompactor::Take(Part part) {
  if (part == Part::kBlobs && std::any_of(std::begin(waits_), std::end(waits_), std::identity())) {
    return std::nullopt;
  }
  std::optional<Job> job = Pick(part);
  bool& waits = waits_[static_cast<size_t>(part)];
  waits = job.has_value() &&
          std::any_of(job->tables.runs.begin(), job->tables.runs.end(), [this](const auto& tables) {
            return std::any_of(tables.begin(), tables.end(),
                               [this](const auto& table) { return IsBusy(*table); });
          });
  if (waits) return std::nullopt;
  return job;
}

// A job has a part in what is to be picked, so nothing is asked while one runs.
bool StoreCompactor::IsSettled() {
  if (running_ > 0) return false;
  for (const Part part : {Part::kFlushed, Part::kDeep, Part::kBlobs}) {
    if (Pick(part).has_value()) return false;
  }
  return true;
}

// The tables that it names are nobody else's until it is done.
Task<absl::Status> StoreCompactor::Do(Job job) {
  std::vector<Uuid> tables;
  for (const auto& run : job.tables.runs) {
    for (const std::shared_ptr<Table>& table : run) tables.push_back(table->record().identity.uuid);
  }
  if (job.values.has_value()) tables.push_back(job.values->table->record().identity.uuid);
  busy_.insert(tables.begin(), tables.end());
  absl::Status status;
  if (job.values.has_value()) {
    status = co_await MoveValues(*std::move(job.values));
  } else {
    status = co_await Compact(std::move(job.tables));
  }
  for (const Uuid& uuid : tables) busy_.erase(uuid);
  co_return status;
}

Task<> StoreCompactor::Run(Part part) {
  Event& work = work_[static_cast<size_t>(part)];
  while (!stopping_) {
    std::optional<Job> job = Take(part);
    if (!job.has_value()) {
      work.Reset();
      settled_.Set();
      settled_.Reset();
      // What is left is in the way of damage, and will not go.
      if (++idle_ == std::size(work_)) store_.pacer_.SetDebt(0);
      co_await work.Wait();
      --idle_;
      continue;
    }
    MemoryCharge extra(&store_.memory_.shard);
    if (!HasMemoryFor(*job, &extra)) {
      job.reset();  // the tables may go meanwhile
      co_await ended_.Wait();
      continue;
    }
    ++running_;
    status_ = co_await Do(*std::move(job));
    --running_;
    ended_.Set();
    ended_.Reset();
    ShowDebt();
    // What one part has made may be the other's work.
    Wake();
    if (!status_.ok() && !stopping_) {
      ++stats_.failed_jobs;
      settled_.Set();
      settled_.Reset();
      co_await Sleep(kRetry);
    }
  }
}

Task<absl::Status> StoreCompactor::Settle() {
  while (!stopping_ && store_.failed_.ok()) {
    if (IsSettled() || (running_ == 0 && !status_.ok())) co_return status_;
    co_await settled_.Wait();
  }
  co_return store_.failed_;
}

CompactionJob StoreCompactor::JobFor(const CompactionPick& pick, uint64_t run) {
  const StoreOptions& options = store_.options_;
  CompactionJob job;
  job.runs = pick.runs;
  // Later ones are newer than all that is in tables.
  job.snapshots = store_.Moments();
  job.is_bottom = pick.is_bottom;
  job.run = run;
  job.tier = pick.tier;
  job.stop = &stopping_;
  job.on_progress = [this](uint64_t bytes) { store_.pacer_.OnCompacted(bytes); };
  job.new_uuid = [this] { return store_.catalog_->NewUuid(); };
  job.memory = &store_.memory_.jobs;
  job.options.target_file_bytes = options.compaction.target_file_bytes;
  job.options.least_file_bytes = 0;
  job.options.cut_keys = pick.cut_keys;
  job.options.table = options.table;
  job.options.read_ahead = options.compaction_reads;
  return job;
}

bool StoreCompactor::HasMemoryFor(const Job& job, MemoryCharge* extra) const {
  const CompactionPick& pick = job.tables;
  if (pick.is_move || running_ == 0) return true;
  // A window of values, each of which may be twice in memory.
  if (job.values.has_value()) {
    return extra->TryResize(CompactionOptions().most_builder_bytes + kMoveBytes);
  }
  // How large the largest records are is not known. A run takes a few of its own, beside blocks of
  // small ones, and the builder as much as of the largest of them.
  constexpr size_t kRun = size_t{64} << 10;
  constexpr uint64_t kRecords = 8;
  size_t needed_bytes = CompactionOptions().most_builder_bytes;
  size_t largest_bytes = 0;
  for (const auto& tables : pick.runs) {
    uint64_t record_bytes = 0;
    for (const std::shared_ptr<Table>& table : tables) {
      const TableIdentity& identity = table->record().identity;
      const uint64_t average = identity.file_bytes / std::max<uint64_t>(identity.records, 1);
      record_bytes = std::max(record_bytes, average);
    }
    const size_t bytes =
        std::min<uint64_t>(kRecords * record_bytes, store_.options_.wal.max_pending_bytes);
    needed_bytes += kRun + bytes;
    largest_bytes = std::max(largest_bytes, bytes);
  }
  return extra->TryResize(needed_bytes + 3 * largest_bytes);
}

Task<absl::Status> StoreCompactor::Compact(CompactionPick pick) {
  const uint64_t run = pick.run.has_value() ? *pick.run : store_.catalog_->NewRun();
  if (pick.is_move) co_return co_await Move(&pick, run);
  auto result =
      co_await RunCompaction(store_.shard_.io(), store_.files_, *store_.cache_, JobFor(pick, run));
  if (absl::IsDataLoss(result.status())) co_await FindDamage(&pick);
  if (!result.ok()) co_return result.status();
  ++stats_.jobs;
  stats_.read_bytes += result->input_bytes;
  stats_.written_bytes += result->output_bytes;
  stats_.dropped_records += result->dropped_records;
  co_return co_await Install(&pick, *std::move(result));
}

Task<absl::Status> StoreCompactor::MoveValues(BlobPick pick) {
  BlobMoveJob job;
  job.table = pick.table;
  job.files = pick.files;
  job.new_table = store_.catalog_->NewUuid();
  job.stop = &stopping_;
  job.on_progress = [this](uint64_t bytes) { store_.pacer_.OnCompacted(bytes); };
  job.options = store_.options_.table;
  job.read_ahead = store_.options_.compaction_reads;
  job.memory = &store_.memory_.jobs;
  auto result = co_await MoveBlobs(store_.shard_.io(), store_.files_, *store_.cache_,
                                   store_.catalog_->blobs(), *writer_, std::move(job));
  if (absl::IsDataLoss(result.status())) {
    picker_.AddDamaged(pick.table->record().identity.uuid);
    garbage_.AddDamagedTable(pick.table->record().identity.uuid);
  }
  if (!result.ok()) co_return result.status();
  garbage_.AddDamagedFiles(result->damaged);
  ++stats_.jobs;
  stats_.written_bytes += result->output.record.identity.file_bytes;
  stats_.moved_values += result->moved_values;
  stats_.moved_value_bytes += result->moved_bytes;
  if (IsCanary("blob-removed-before-edit")) {
    for (const Uuid& file : pick.files) {
      (co_await store_.files_.Remove(BlobFileName(file))).IgnoreError();
    }
  }
  CompactionPick tables;
  tables.runs.push_back({std::move(pick.table)});
  CompactionResult outputs;
  outputs.outputs.push_back(std::move(result->output));
  co_return co_await Install(&tables, std::move(outputs));
}

Task<absl::Status> StoreCompactor::Install(CompactionPick* pick, CompactionResult result) {
  absl::Status status = co_await store_.files_.SyncDirectory();
  if (!status.ok()) co_return status;
  ManifestEdit edit;
  std::vector<std::shared_ptr<Table>> added;
  for (CompactionOutput& output : result.outputs) {
    edit.added.push_back(output.record);
    added.push_back(
        store_.catalog_->AdoptTable(std::move(output.record), std::move(output.reader)));
  }
  for (const auto& tables : pick->runs) {
    for (const std::shared_ptr<Table>& table : tables) {
      edit.removed.push_back(table->record().identity.uuid);
    }
  }
  // Its files can go when it is done.
  pick->runs.clear();
  if (IsCanary("compaction-removes-before-edit")) {
    for (const Uuid& uuid : edit.removed) {
      (co_await store_.files_.Remove(TableFileName(uuid))).IgnoreError();
    }
  }
  co_return co_await Change(std::move(edit), std::move(added));
}

Task<absl::Status> StoreCompactor::Move(const CompactionPick* pick, uint64_t run) {
  ManifestEdit edit;
  std::vector<std::shared_ptr<Table>> added;
  for (const auto& tables : pick->runs) {
    for (const std::shared_ptr<Table>& table : tables) {
      TableRecord record = table->record();
      record.run = run;
      record.tier = pick->tier;
      edit.removed.push_back(record.identity.uuid);
      edit.added.push_back(record);
      added.push_back(store_.catalog_->MoveTable(*table, std::move(record)));
    }
  }
  const uint64_t moved = added.size();
  absl::Status status = co_await Change(std::move(edit), std::move(added));
  if (status.ok()) stats_.moved_tables += moved;
  co_return status;
}

Task<absl::Status> StoreCompactor::Change(ManifestEdit edit,
                                          std::vector<std::shared_ptr<Table>> added) {
  absl::Status status = co_await store_.catalog_->Change(std::move(edit), std::move(added));
  if (!store_.catalog_->failed().ok()) store_.FailWrites(store_.catalog_->failed());
  if (!status.ok()) co_return status;
  store_.ShowTables();
  status = co_await store_.catalog_->RollIfLong();
  if (status.ok()) status = co_await store_.catalog_->RemoveUnused();
  if (!store_.catalog_->failed().ok()) store_.FailWrites(store_.catalog_->failed());
  // What could not be removed goes later.
  co_return absl::OkStatus();
}

Task<> StoreCompactor::FindDamage(const CompactionPick* pick) {
  const CopyAccount copies = {.memory = &store_.memory_.jobs, .may_exceed = true};
  for (const auto& tables : pick->runs) {
    for (const std::shared_ptr<Table>& table : tables) {
      const absl::Status status = co_await ReadAll(table, store_.options_.compaction_reads, copies);
      if (!absl::IsDataLoss(status)) continue;
      picker_.AddDamaged(table->record().identity.uuid);
      garbage_.AddDamagedTable(table->record().identity.uuid);
    }
  }
}

}  // namespace ioengine
