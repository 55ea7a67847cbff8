#include "ioengine/engine/store_flusher.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/lsm/compaction.h"
#include "ioengine/engine/lsm/compaction_picker.h"
#include "ioengine/engine/lsm/retention.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/table/table_builder.h"
#include "ioengine/io/io_error.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/timeout.h"
#include "ioengine/sched/yield.h"

namespace ioengine {
namespace {

// After a flush that did not succeed.
constexpr std::chrono::milliseconds kRetry(100);
// Records between two looks at the clock.
constexpr uint64_t kRecordsPerYield = 64;

}  // namespace

StoreFlusher::StoreFlusher(ShardStore& store)
    : store_(store), scope_(store.shard_.executor(), {.detached = true}) {}

void StoreFlusher::Start(ClassId class_id, std::vector<uint64_t> replayed,
                         std::vector<std::string> segments) {
  replayed_ = std::move(replayed);
  replayed_segments_ = std::move(segments);
  FreezeIfFull();
  scope_.Spawn(Run(), class_id);
}

void StoreFlusher::FreezeIfFull() {
  if (!frozen_.empty() || !store_.serves_) return;
  const bool is_large = store_.memtable().used_bytes() >= store_.options_.memtable_bytes / 2;
  // Small records take a page each of the log, so a small memtable may pin much of it.
  const size_t segments = store_.wal_->live_segments() + replayed_segments_.size();
  const bool is_pinning = segments > store_.max_log_segments_;
  // A small memtable may also point to much, of which it is not known what is garbage.
  const uint64_t blob_bytes = store_.blob_writer_->written_bytes() - frozen_blob_bytes_;
  const bool points_to_much = blob_bytes >= store_.options_.blobs.flush_bytes;
  if (is_large || is_pinning || points_to_much) Freeze();
}

void StoreFlusher::Freeze() {
  Memtable& memtable = store_.memtable();
  if (memtable.entries() + memtable.staged() == 0) return;
  frozen_.push_back(
      {store_.view_->memtable, store_.wal_->last_record(), store_.batches_.received()});
  frozen_blob_bytes_ = store_.blob_writer_->written_bytes();
  auto view = std::make_shared<ReadView>(*store_.view_);
  view->frozen.insert(view->frozen.begin(), view->memtable);
  view->memtable = store_.NewMemtable();
  store_.view_ = std::move(view);
  work_.Set();
}

size_t StoreFlusher::frozen_bytes() const {
  size_t sum = 0;
  for (const Frozen& frozen : frozen_) sum += frozen.memtable->used_bytes();
  return sum;
}

bool StoreFlusher::IsOver() const {
  return stopping_ || !store_.failed_.ok() || !store_.catalog_->failed().ok();
}

Task<absl::Status> StoreFlusher::MakeRoom() {
  if (frozen_.empty()) Freeze();
  if (frozen_.empty() && status_.ok()) {
    co_return absl::ResourceExhaustedError(absl::StrCat(
        "the changes in memory may take ", store_.options_.memtable_bytes,
        " bytes (StoreOptions::memtable_bytes), and the shard has ",
        store_.memory_.shard.room_bytes(), " bytes more: a batch is too large for that, or ",
        "values and look-ups keep ", store_.memory_bytes(), " bytes of earlier changes"));
  }
  if (status_.ok() && !IsOver()) co_await progress_.Wait();
  if (status_.ok()) co_return absl::OkStatus();
  co_return absl::ResourceExhaustedError(absl::StrCat(
      "the changes in memory take ", store_.memory_bytes(), " bytes, may take ",
      store_.options_.memtable_bytes, " (StoreOptions::memtable_bytes), and cannot be ",
      "written to a table: ", std::string(status_.message())));
}

Task<absl::Status> StoreFlusher::FlushAll() {
  Freeze();
  const uint64_t done = flushes_ + frozen_.size();
  while (flushes_ < done && status_.ok() && !IsOver()) co_await progress_.Wait();
  if (flushes_ >= done || !status_.ok()) co_return status_;
  co_return store_.failed_.ok() ? store_.catalog_->failed() : store_.failed_;
}

Task<> StoreFlusher::Stop() {
  stopping_ = true;
  work_.Set();
  progress_.Set();
  progress_.Reset();
  (co_await scope_.Join()).IgnoreError();
}

Task<> StoreFlusher::Run() {
  while (!IsOver()) {
    if (frozen_.empty()) {
      work_.Reset();
      co_await work_.Wait();
      continue;
    }
    status_ = co_await FlushOldest();
    store_.pacer_.EndFlush();
    if (IsNoSpace(status_)) {
      const bool has_space = co_await store_.space_.GiveWay();
      if (has_space) continue;
    }
    if (status_.ok()) FreezeIfFull();
    if (!store_.catalog_->failed().ok()) store_.FailWrites(store_.catalog_->failed());
    progress_.Set();
    progress_.Reset();
    if (status_.ok()) co_await CleanUp();
    if (!status_.ok() && !IsOver()) co_await Sleep(kRetry);
  }
  progress_.Set();
}

Task<absl::Status> StoreFlusher::FlushOldest() {
  const std::shared_ptr<Memtable> memtable = frozen_.front().memtable;
  uint64_t last_record = frozen_.front().last_record;
  absl::Status status = co_await MakeLogDurable(last_record);
  if (status.ok() && store_.commits_ != nullptr && !IsCanary("flush-does-not-settle")) {
    status = co_await store_.commits_->Settle(last_record);
  }
  if (!status.ok()) co_return status;
  IOENGINE_CHECK(memtable->staged() == 0, "a write is durable and was not published");
  std::shared_ptr<Table> table;
  if (memtable->entries() > 0) {
    status = co_await WriteTable(memtable.get(), &table);
    if (!status.ok()) co_return status;
  }
  ManifestEdit edit;
  std::vector<std::shared_ptr<Table>> added;
  if (table != nullptr) {
    flushed_bytes_ += table->record().identity.file_bytes;
    edit.added.push_back(table->record());
    added.push_back(std::move(table));
  }
  if (IsCanary("flush-contains-what-came-later")) last_record = store_.wal_->last_record();
  const WalStart start = store_.wal_->StartAfter(last_record);
  edit.logs.push_back({.stream = store_.wal_->stream().stream,
                       .record = last_record,
                       .segment = start.segment,
                       .frame = start.frame,
                       .first_record = start.record,
                       .previous_hash = start.previous_hash});
  edit.finished = replayed_;
  if (!IsCanary("flush-forgets-batches")) edit.batches = frozen_.front().received;
  release_ = start;
  if (IsCanary("flush-release-before-edit")) co_await CleanUp();
  if (IsCanary("flush-forgets-streams")) co_await ForgetReplayed();
  if (status.ok()) status = co_await store_.catalog_->Change(std::move(edit), std::move(added));
  if (!status.ok()) co_return status;
  frozen_.pop_front();
  ++flushes_;
  auto view = std::make_shared<ReadView>(*store_.view_);
  view->frozen.pop_back();
  store_.view_ = std::move(view);
  store_.ShowTables();
  // What only readers keep now is not to be in the way of writes.
  if (memtable.use_count() > 1) memtable->TryChargeTo(&store_.memory_.readers);
  store_.compactor_->Wake();
  co_return absl::OkStatus();
}

// Errors: ResourceExhausted where the log waits for space: who waits for memory has to know.
Task<absl::Status> StoreFlusher::MakeLogDurable(uint64_t record) {
  for (;;) {
    absl::Status status = co_await Timeout(kRetry, ReachDurable(record));
    if (!absl::IsDeadlineExceeded(status)) co_return status;
    if (!store_.wal_->space_status().ok()) co_return store_.wal_->space_status();
    // The log may have been closed without space for its last records.
    if (stopping_) co_return absl::UnavailableError("the store is closing");
  }
}

Task<absl::Status> StoreFlusher::ReachDurable(uint64_t record) {
  co_return co_await store_.wal_->Reached(record, Durability::kDurable);
}

// Durable with its name when this is done, and read back.
Task<absl::Status> StoreFlusher::WriteTable(const Memtable* memtable,
                                            std::shared_ptr<Table>* table) {
  const Uuid uuid = store_.catalog_->NewUuid();
  store_.pacer_.BeginFlush(memtable->used_bytes());
  auto built = co_await BuildTable(memtable, uuid);
  absl::Status status = built.status();
  if (status.ok() && !IsCanary("flush-table-name-not-synced")) {
    status = co_await store_.files_.SyncDirectory();
  }
  if (status.ok()) {
    *table = *std::move(built);
    co_return status;
  }
  // Nobody knows it. What cannot be removed goes at the next opening.
  co_await store_.files_.Remove(TableFileName(uuid));
  co_return status;
}

Task<absl::StatusOr<std::shared_ptr<Table>>> StoreFlusher::BuildTable(const Memtable* memtable,
                                                                      Uuid uuid) {
  auto builder =
      co_await TableBuilder::Create(store_.shard_.io(), store_.files_, TableFileName(uuid), uuid,
                                    store_.options_.table, &store_.memory_.jobs);
  if (!builder.ok()) co_return builder.status();
  (*builder)->ReserveKeys(memtable->entries());
  Memtable::Iterator at(*memtable);
  for (at.SeekToFirst(); at.Valid(); at.Next()) {
    absl::Status added = co_await (*builder)->Add(at.kind(), at.key(), at.sequence(), at.value());
    if (!added.ok()) co_return added;
    if ((*builder)->records() % kRecordsPerYield == 0) co_await Yield();
  }
  const absl::StatusOr<TableInfo> info = co_await (*builder)->Finish();
  if (!info.ok()) co_return info.status();
  IOENGINE_CHECK(info->records == memtable->entries(), "a table lacks records of its memtable");
  co_return co_await store_.catalog_->OpenTable(
      TableRecordOf(*info, store_.catalog_->NewRun(), kFlushTier));
}

// The edit is durable, so nothing before `release_` is replayed any more. What cannot be removed
// now is tried again after the next flush, or goes at the next opening.
Task<> StoreFlusher::CleanUp() {
  absl::Status status = co_await ForgetReplayed();
  if (status.ok()) status = co_await store_.wal_->Release(release_);
  if (status.ok()) status = co_await store_.catalog_->RollIfLong();
  if (status.ok()) status = co_await store_.catalog_->RemoveUnused();
  if (!store_.catalog_->failed().ok()) store_.FailWrites(store_.catalog_->failed());
}

// ROOT first: it may not ask for a stream that is gone.
Task<absl::Status> StoreFlusher::ForgetReplayed() {
  if (!replayed_.empty()) {
    absl::Status forgotten = co_await store_.catalog_->ForgetStreams(replayed_);
    if (!forgotten.ok()) co_return forgotten;
    replayed_.clear();
  }
  while (!replayed_segments_.empty()) {
    absl::Status removed = co_await store_.files_.Remove(replayed_segments_.back());
    if (!removed.ok() && !absl::IsNotFound(removed)) co_return removed;
    replayed_segments_.pop_back();
  }
  co_return absl::OkStatus();
}

}  // namespace ioengine
