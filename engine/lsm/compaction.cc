#include "ioengine/engine/lsm/compaction.h"

#include <optional>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/record_hash.h"
#include "ioengine/engine/lsm/merge_iterator.h"
#include "ioengine/engine/lsm/retention.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/yield.h"

namespace ioengine {
namespace {

// About 100 µs of work.
constexpr uint64_t kTurnRecords = 64;
constexpr uint64_t kTurnBytes = uint64_t{64} << 10;

// So many records, and the sum of their hashes (RecordHash).
struct RecordSum {
  uint64_t records = 0;
  uint64_t hash = 0;

  RecordSum& operator+=(const RecordSum& other) {
    records += other.records;
    hash += other.hash;
    return *this;
  }
  friend bool operator==(const RecordSum&, const RecordSum&) = default;
};

RecordSum SumOf(const TableIdentity& table) { return {table.records, table.records_hash}; }

class Compaction {
 public:
  Compaction(ShardIo& io, FileSystem& files, BlockCache& cache, CompactionJob job)
      : io_(io),
        files_(files),
        cache_(cache),
        job_(std::move(job)),
        memory_(job_.memory != nullptr ? job_.memory : io.executor().memory().get()),
        retention_(IsCanary("compaction-forgets-snapshots") ? std::vector<Sequence>()
                                                            : job_.snapshots) {}

  Task<absl::Status> Run();
  Task<> RemoveOutputs();
  CompactionResult TakeResult() { return std::move(result_); }

 private:
  Task<absl::Status> Merge();
  // Whether the change that `merge` is at is to be written now.
  bool IsWritten(const MergeIterator& merge);
  bool TryWrite(OperationKind kind, Sequence sequence, std::string_view value);
  Task<absl::Status> Write(OperationKind kind, Sequence sequence, std::string_view value);
  // With the deletes that are needed for it.
  Task<absl::Status> WriteAll(OperationKind kind, Sequence sequence, std::string_view value);
  void Drop(OperationKind kind, Sequence sequence, std::string_view value);
  void EndKey();

  void NoteWritten();
  bool EndsBefore(std::string_view key);
  Task<absl::Status> BeginTable();
  Task<absl::Status> EndTable();
  absl::Status Check() const;

  ShardIo& io_;
  FileSystem& files_;
  BlockCache& cache_;
  const CompactionJob job_;
  MemoryBudget* const memory_;
  Retention retention_;
  CompactionResult result_;
  RecordSum dropped_;
  std::vector<Uuid> names_;  // of files that it has made, or may have

  // The key that it is at, and what of it was needed so far.
  bool has_key_ = false;
  std::string key_;
  bool key_is_written_ = false;
  // Deletes with nothing below them yet that is needed; newest first.
  std::vector<Sequence> idle_deletes_;

  std::unique_ptr<TableBuilder> builder_;  // null: no table is begun
  std::string last_key_;                   // in it
  size_t next_cut_ = 0;
  bool wants_to_end_ = false;
};

Task<absl::Status> Compaction::Run() {
  for (const auto& tables : job_.runs) {
    for (const std::shared_ptr<Table>& table : tables) {
      result_.input_records += table->record().identity.records;
      result_.input_bytes += table->record().identity.file_bytes;
    }
  }
  if (absl::Status status = co_await Merge(); !status.ok()) co_return status;
  EndKey();
  if (builder_ != nullptr) {
    if (absl::Status status = co_await EndTable(); !status.ok()) co_return status;
  }
  result_.dropped_records = dropped_.records;
  co_return Check();
}

Task<absl::Status> Compaction::Merge() {
  MergeSources sources;
  for (const auto& tables : job_.runs) sources.runs.emplace_back(tables);
  TableIteratorOptions options;
  options.read_ahead = job_.options.read_ahead;
  options.copies = {.memory = memory_, .may_exceed = true};
  MergeIterator merge(std::move(sources), std::move(options));
  absl::Status status = co_await merge.SeekToFirst();
  uint64_t records = 0;
  uint64_t bytes = 0;
  while (status.ok() && merge.Valid()) {
    bytes += merge.key().size() + merge.value().size();
    if (IsWritten(merge) && !TryWrite(merge.kind(), merge.sequence(), merge.value())) {
      status = co_await WriteAll(merge.kind(), merge.sequence(), merge.value());
      if (!status.ok()) break;
    }
    if (++records == kTurnRecords || bytes >= kTurnBytes) {
      if (job_.on_progress) job_.on_progress(bytes);
      records = bytes = 0;
      co_await Yield();
      if (job_.stop != nullptr && *job_.stop) co_return absl::CancelledError("a compaction stops");
    }
    if (!merge.TryNext()) status = co_await merge.Next();
  }
  co_return status;
}

bool Compaction::IsWritten(const MergeIterator& merge) {
  if (!has_key_ || merge.key() != key_) {
    EndKey();
    has_key_ = true;
    key_.assign(merge.key());
    retention_.BeginKey();
  }
  if (!retention_.IsNeeded(merge.sequence())) {
    Drop(merge.kind(), merge.sequence(), merge.value());
    return false;
  }
  const bool may_be_idle = job_.is_bottom || IsCanary("compaction-drops-any-delete");
  if (merge.kind() != OperationKind::kDelete || !may_be_idle) return true;
  idle_deletes_.push_back(merge.sequence());
  return false;
}

void Compaction::Drop(OperationKind kind, Sequence sequence, std::string_view value) {
  dropped_ += {1, RecordHash(kind, key_, sequence, value)};
}

// Nothing came below the deletes.
void Compaction::EndKey() {
  for (const Sequence sequence : idle_deletes_) Drop(OperationKind::kDelete, sequence, {});
  idle_deletes_.clear();
  key_is_written_ = false;
}

bool Compaction::TryWrite(OperationKind kind, Sequence sequence, std::string_view value) {
  if (!idle_deletes_.empty() || builder_ == nullptr) return false;
  if (!key_is_written_ && EndsBefore(key_)) return false;
  if (!builder_->TryAdd(kind, key_, sequence, value)) return false;
  NoteWritten();
  return true;
}

Task<absl::Status> Compaction::Write(OperationKind kind, Sequence sequence,
                                     std::string_view value) {
  if (builder_ != nullptr && !key_is_written_ && EndsBefore(key_)) {
    if (absl::Status status = co_await EndTable(); !status.ok()) co_return status;
  }
  if (builder_ == nullptr) {
    if (absl::Status status = co_await BeginTable(); !status.ok()) co_return status;
  }
  absl::Status status = co_await builder_->Add(kind, key_, sequence, value);
  NoteWritten();
  co_return status;
}

Task<absl::Status> Compaction::WriteAll(OperationKind kind, Sequence sequence,
                                        std::string_view value) {
  for (const Sequence idle : idle_deletes_) {
    absl::Status status = co_await Write(OperationKind::kDelete, idle, {});
    if (!status.ok()) co_return status;
  }
  idle_deletes_.clear();
  co_return co_await Write(kind, sequence, value);
}

void Compaction::NoteWritten() {
  if (key_is_written_) return;
  last_key_ = key_;
  key_is_written_ = true;
}

// Whether the table in progress should be ended before `key`, and can be: bounds of two tables may
// not overlap, and those of long keys are wider than the keys. Asked again, it says the same.
bool Compaction::EndsBefore(std::string_view key) {
  const CompactionOptions& options = job_.options;
  bool at_cut = false;
  for (; next_cut_ < options.cut_keys.size() && options.cut_keys[next_cut_] <= key; ++next_cut_) {
    at_cut = at_cut || options.cut_keys[next_cut_] > last_key_;
  }
  const uint64_t bytes = builder_->written_bytes();
  if (bytes >= options.target_file_bytes) wants_to_end_ = true;
  if (builder_->kept_bytes() >= options.most_builder_bytes) wants_to_end_ = true;
  if (at_cut && bytes >= options.least_file_bytes) wants_to_end_ = true;
  if (!wants_to_end_) return false;
  const std::optional<std::string> upper = UpperBound(last_key_);
  return upper.has_value() && *upper <= LowerBound(key);
}

Task<absl::Status> Compaction::BeginTable() {
  const Uuid uuid = job_.new_uuid();
  auto builder = co_await TableBuilder::Create(io_, files_, TableFileName(uuid), uuid,
                                               job_.options.table, memory_);
  if (!absl::IsAlreadyExists(builder.status())) names_.push_back(uuid);
  if (!builder.ok()) co_return builder.status();
  builder_ = *std::move(builder);
  wants_to_end_ = false;
  co_return absl::OkStatus();
}

Task<absl::Status> Compaction::EndTable() {
  const absl::StatusOr<TableInfo> info = co_await builder_->Finish();
  if (!info.ok()) co_return info.status();
  builder_ = nullptr;
  // Its footer and its bounds are read again before anybody relies on them.
  auto reader =
      co_await TableReader::Open(io_, files_, TableFileName(info->uuid), cache_, IdentityOf(*info));
  if (!reader.ok()) co_return reader.status();
  CompactionOutput& output = result_.outputs.emplace_back();
  output.record = TableRecordOf(*info, job_.run, job_.tier);
  output.reader = *std::move(reader);
  result_.output_records += info->records;
  result_.output_bytes += info->file_bytes;
  co_return absl::OkStatus();
}

absl::Status Compaction::Check() const {
  RecordSum in;
  for (const auto& tables : job_.runs) {
    for (const std::shared_ptr<Table>& table : tables) in += SumOf(table->record().identity);
  }
  RecordSum out = dropped_;
  for (const CompactionOutput& output : result_.outputs) out += SumOf(output.record.identity);
  if (in == out) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(
      "a compaction has ", in.records, " records with hash ", in.hash, " to read, and has ",
      out.records, " with hash ", out.hash, " written or dropped: its outputs are not used"));
}

Task<> Compaction::RemoveOutputs() {
  builder_ = nullptr;
  result_.outputs.clear();
  // What is left is removed when the database is opened again: no manifest names it.
  for (const Uuid& uuid : names_) (co_await files_.Remove(TableFileName(uuid))).IgnoreError();
}

}  // namespace

TableRecord TableRecordOf(const TableInfo& table, uint64_t run, uint32_t tier) {
  TableRecord record;
  record.identity = IdentityOf(table);
  record.run = run;
  record.tier = tier;
  record.deletes = table.deletes;
  record.key_bytes = table.key_bytes;
  record.value_bytes = table.value_bytes;
  record.largest_sequence = table.largest_sequence;
  record.lower = LowerBound(table.smallest_key);
  record.upper = UpperBound(table.largest_key);
  record.blobs = table.blobs;
  return record;
}

Task<absl::StatusOr<CompactionResult>> RunCompaction(ShardIo& io, FileSystem& files,
                                                     BlockCache& cache, CompactionJob job) {
  Compaction compaction(io, files, cache, std::move(job));
  const absl::Status status = co_await compaction.Run();
  if (!status.ok()) {
    co_await compaction.RemoveOutputs();
    co_return status;
  }
  co_return compaction.TakeResult();
}

}  // namespace ioengine
