#include "ioengine/engine/lsm/blob_move.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/blob_format.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/record_hash.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/table/table_iterator.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/memory_charge.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"

namespace ioengine {
namespace {

// Records that are taken together, and so values that are read together.
constexpr size_t kMostRecords = 64;
constexpr uint64_t kMostValueBytes = uint64_t{1} << 20;

struct Record {
  OperationKind kind = OperationKind::kPut;
  std::string key;
  Sequence sequence;
  std::string value;
  // Of a value that is to be moved.
  std::optional<BlobPointer> from;
  absl::StatusOr<std::string> moved;
};

class BlobMove {
 public:
  BlobMove(ShardIo& io, FileSystem& files, BlockCache& cache, BlobFiles& blobs, BlobWriter& writer,
           BlobMoveJob job)
      : io_(io),
        files_(files),
        cache_(cache),
        blobs_(blobs),
        writer_(writer),
        job_(std::move(job)) {}

  Task<absl::Status> Run();
  BlobMoveResult TakeResult() { return std::move(result_); }

 private:
  Task<absl::Status> MoveAll();
  void Take(const TableIterator& at);
  static Task<> Read(const BlobFiles* blobs, Record* record);
  Task<absl::Status> WriteWindow();
  Task<absl::Status> MoveValue(Record* record);
  Task<absl::Status> Finish();

  ShardIo& io_;
  FileSystem& files_;
  BlockCache& cache_;
  BlobFiles& blobs_;
  BlobWriter& writer_;
  const BlobMoveJob job_;
  BlobMoveResult result_;
  std::unique_ptr<TableBuilder> builder_;
  std::vector<Record> window_;
  uint64_t window_bytes_ = 0;  // of values that are to be moved
  uint64_t hash_change_ = 0;   // of the records' hash, by other pointers
};

Task<absl::Status> BlobMove::Run() {
  auto builder = co_await TableBuilder::Create(io_, files_, TableFileName(job_.new_table),
                                               job_.new_table, job_.options, job_.memory);
  if (!builder.ok()) co_return builder.status();
  builder_ = *std::move(builder);
  absl::Status status = co_await MoveAll();
  if (status.ok()) status = co_await Finish();
  builder_ = nullptr;
  if (!status.ok()) {
    result_.output.reader = nullptr;
    // What is left is removed when the database is opened again: no manifest names it.
    (co_await files_.Remove(TableFileName(job_.new_table))).IgnoreError();
  }
  co_return status;
}

Task<absl::Status> BlobMove::MoveAll() {
  TableIteratorOptions options;
  options.read_ahead = job_.read_ahead;
  options.copies = {.memory = job_.memory, .may_exceed = true};
  TableIterator at(*job_.table->reader(), std::move(options));
  absl::Status status = co_await at.SeekToFirst();
  while (status.ok() && at.Valid()) {
    Take(at);
    if (window_.size() == kMostRecords || window_bytes_ >= kMostValueBytes) {
      status = co_await WriteWindow();
      if (!status.ok()) break;
    }
    if (!at.TryNext()) status = co_await at.Next();
  }
  if (status.ok()) status = co_await WriteWindow();
  co_return status;
}

void BlobMove::Take(const TableIterator& at) {
  Record& record = window_.emplace_back();
  record.kind = at.kind();
  record.key = at.key();
  record.sequence = at.sequence();
  record.value = at.value();
  if (record.kind != OperationKind::kPutBlob) return;
  BlobPointer pointer;
  // The block has looked that it makes sense.
  (void)DecodeBlobPointer(record.value, &pointer);
  if (job_.files.count(pointer.file) == 0) return;
  record.from = pointer;
  window_bytes_ += pointer.value_bytes;
}

Task<> BlobMove::Read(const BlobFiles* blobs, Record* record) {
  record->moved = co_await blobs->Read(record->value);
}

Task<absl::Status> BlobMove::WriteWindow() {
  // Values as they are read, and of their pieces what is on its way.
  const MemoryCharge charge(job_.memory, window_bytes_ + window_.size() * sizeof(Record));
  {
    TaskScope reads(*Executor::Current());
    for (Record& record : window_) {
      if (record.from.has_value()) reads.Spawn(Read(&blobs_, &record));
    }
    if (absl::Status joined = co_await reads.Join(); !joined.ok()) co_return joined;
  }
  for (Record& record : window_) {
    if (record.from.has_value()) {
      absl::Status moved = co_await MoveValue(&record);
      if (!moved.ok()) co_return moved;
    }
    absl::Status added =
        co_await builder_->Add(record.kind, record.key, record.sequence, record.value);
    if (!added.ok()) co_return added;
  }
  if (job_.on_progress) job_.on_progress(window_bytes_);
  window_.clear();
  window_bytes_ = 0;
  co_await Yield();
  if (job_.stop != nullptr && *job_.stop)
    co_return absl::CancelledError("values are moved no more");
  co_return absl::OkStatus();
}

Task<absl::Status> BlobMove::MoveValue(Record* record) {
  if (absl::IsDataLoss(record->moved.status())) {
    result_.damaged.insert(record->from->file);
    co_return absl::OkStatus();
  }
  if (!record->moved.ok()) co_return record->moved.status();
  absl::StatusOr<PlacedBlob> placed = co_await writer_.Append(*record->moved);
  if (!placed.ok()) co_return placed.status();
  hash_change_ -= RecordHash(record->kind, record->key, record->sequence, record->value);
  record->value = EncodeBlobPointer(placed->pointer);
  hash_change_ += RecordHash(record->kind, record->key, record->sequence, record->value);
  ++result_.moved_values;
  result_.moved_bytes += record->moved->size();
  record->moved->clear();
  // Of each file the last one, which is durable when all before it are.
  std::vector<PlacedBlob>& kept = result_.placed;
  if (!kept.empty() && kept.back().pointer.file == placed->pointer.file) kept.pop_back();
  kept.push_back(*std::move(placed));
  co_return absl::OkStatus();
}

Task<absl::Status> BlobMove::Finish() {
  for (const PlacedBlob& placed : result_.placed) {
    if (IsCanary("blob-move-before-durable")) break;
    absl::Status durable = co_await writer_.MakeDurable(placed);
    if (!durable.ok()) co_return durable;
  }
  const absl::StatusOr<TableInfo> info = co_await builder_->Finish();
  if (!info.ok()) co_return info.status();
  const TableRecord& old = job_.table->record();
  if (info->records != old.identity.records ||
      info->records_hash != old.identity.records_hash + hash_change_) {
    co_return absl::InternalError(absl::StrCat("values of table ", TableFileName(old.identity.uuid),
                                               " are moved, and it has ", old.identity.records,
                                               " records, and its successor ", info->records,
                                               ", or others: that is not used"));
  }
  auto reader =
      co_await TableReader::Open(io_, files_, TableFileName(info->uuid), cache_, IdentityOf(*info));
  if (!reader.ok()) co_return reader.status();
  result_.output.record = TableRecordOf(*info, old.run, old.tier);
  // Bounds may be wider than the keys, and others rely on them.
  result_.output.record.lower = old.lower;
  result_.output.record.upper = old.upper;
  result_.output.reader = *std::move(reader);
  co_return absl::OkStatus();
}

}  // namespace

Task<absl::StatusOr<BlobMoveResult>> MoveBlobs(ShardIo& io, FileSystem& files, BlockCache& cache,
                                               BlobFiles& blobs, BlobWriter& writer,
                                               BlobMoveJob job) {
  BlobMove move(io, files, cache, blobs, writer, std::move(job));
  const absl::Status status = co_await move.Run();
  if (!status.ok()) co_return status;
  co_return move.TakeResult();
}

}  // namespace ioengine
