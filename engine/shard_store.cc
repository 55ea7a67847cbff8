#include "ioengine/engine/shard_store.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/batch_record.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/value_separator.h"
#include "ioengine/io/io_error.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/check.h"

namespace ioengine {

ShardStore::~ShardStore() = default;

Task<absl::StatusOr<WriteResult>> ShardStore::Put(std::string_view key, std::string_view value,
                                                  Durability durability) {
  const Operation put = {.kind = OperationKind::kPut, .key = key, .value = value};
  co_return co_await WriteOne(put, durability);
}

Task<absl::StatusOr<WriteResult>> ShardStore::Delete(std::string_view key, Durability durability) {
  const Operation deletion = {.kind = OperationKind::kDelete, .key = key};
  co_return co_await WriteOne(deletion, durability);
}

// Its batch is made when there is room for it: while many wait they take no memory.
Task<absl::StatusOr<WriteResult>> ShardStore::WriteOne(Operation operation, Durability durability,
                                                       ShardBatches::LocalHold* hold) {
  absl::Status status = WriteBatch::Check(operation);
  if (status.ok() && IsLarge(operation.value.size())) {
    co_return co_await WriteLarge(std::vector<Operation>(1, operation), durability, hold);
  }
  const WriteSize size = {.bytes = OperationBytes(operation), .changes = 1};
  const WriteKeys keys = {.key = operation.key};
  if (status.ok()) status = MayWrite(size);
  if (status.ok()) status = co_await Admit(size, size.bytes, hold == nullptr ? &keys : nullptr);
  WriteResult result;
  if (!status.ok()) co_return Outcome(status, result);
  uint64_t record = 0;
  {
    WriteBatch batch;
    batch.Add(operation);
    const Operations operations = {batch.operations(), batch.count()};
    record = Begin(operations, durability, &result);
  }
  if (hold != nullptr) hold->LetGo();
  status = co_await wal_->Reached(record, durability);
  co_return Outcome(status, result);
}

Task<absl::StatusOr<WriteResult>> ShardStore::Update(std::string_view key, Updater function,
                                                     Durability durability) {
  const WriteKeys keys = {.key = key};
  absl::Status status = WriteBatch::Check({.kind = OperationKind::kDelete, .key = key});
  if (status.ok()) status = MayWrite();
  if (status.ok()) status = co_await batches_.AwaitFree(keys);
  if (!status.ok()) co_return Outcome(status, WriteResult());
  WriteBatch held;
  held.Delete(key);
  ShardBatches::LocalHold hold = batches_.HoldHere(std::move(held));
  if (IsCanary("update-does-not-hold")) hold.LetGo();
  co_await AwaitVisible(key);
  const auto value = co_await reader_.Get(key, std::nullopt);
  if (!value.ok()) co_return value.status();
  const absl::StatusOr<std::optional<std::string>> next = function(*value);
  if (!next.ok()) co_return next.status();
  const OperationKind kind = next->has_value() ? OperationKind::kPut : OperationKind::kDelete;
  const std::string_view bytes = next->has_value() ? std::string_view(**next) : std::string_view();
  const Operation operation = {.kind = kind, .key = key, .value = bytes};
  co_return co_await WriteOne(operation, durability, &hold);
}

Task<absl::StatusOr<WriteResult>> ShardStore::Write(const WriteBatch& batch,
                                                    Durability durability) {
  absl::Status status = batch.status();
  if (!status.ok()) co_return Outcome(status, WriteResult());
  if (batch.condition_count() == 0) co_return co_await WriteAll(batch, durability, nullptr);
  status = MayWrite();
  if (status.ok()) status = co_await batches_.AwaitFree(WriteKeys::Of(batch));
  if (!status.ok()) co_return Outcome(status, WriteResult());
  WriteBatch held = batch;
  ShardBatches::LocalHold hold = batches_.HoldHere(std::move(held));
  status = co_await batches_.CheckConditions(batch);
  if (!status.ok()) co_return status;
  co_return co_await WriteAll(batch, durability, &hold);
}

Task<absl::StatusOr<WriteResult>> ShardStore::WriteAll(const WriteBatch& batch,
                                                       Durability durability,
                                                       ShardBatches::LocalHold* hold) {
  if (IsLarge(batch.largest_value_bytes())) {
    co_return co_await WriteLarge(OperationsOf(batch), durability, hold);
  }
  const Operations operations = {batch.operations(), batch.count()};
  const WriteSize size = {.bytes = operations.encoded.size(), .changes = operations.count};
  const WriteKeys keys = {.batch = operations};
  absl::Status status = MayWrite(size);
  if (status.ok()) status = co_await Admit(size, size.bytes, hold == nullptr ? &keys : nullptr);
  WriteResult result;
  if (!status.ok()) co_return Outcome(status, result);
  const uint64_t record = Begin(operations, durability, &result);
  if (hold != nullptr) hold->LetGo();
  status = co_await wal_->Reached(record, durability);
  co_return Outcome(status, result);
}

Task<absl::StatusOr<WriteResult>> ShardStore::WriteLarge(std::vector<Operation> operations,
                                                         Durability durability,
                                                         ShardBatches::LocalHold* hold) {
  absl::Status status = MayWrite();
  SeparatedBatch separated;
  if (status.ok()) {
    auto placed = co_await Separate(*blob_writer_, operations, options_.blobs.least_bytes);
    status = placed.status();
    if (status.ok()) separated = *std::move(placed);
    if (IsNoSpace(status)) space_.AskToGiveWay();
  }
  const Operations encoded = {separated.operations, static_cast<uint32_t>(operations.size())};
  const WriteSize size = {.bytes = encoded.encoded.size(), .changes = encoded.count};
  const WriteKeys keys = {.batch = encoded};
  if (status.ok()) status = MayWrite(size);
  if (status.ok()) {
    const size_t user_bytes = size.bytes + separated.value_bytes;
    status = co_await Admit(size, user_bytes, hold == nullptr ? &keys : nullptr);
  }
  WriteResult result;
  if (!status.ok()) co_return Outcome(status, result);
  separated.KeepIn(memtable());
  const uint64_t record = Begin(encoded, durability, &result);
  separated.blobs.clear();
  if (hold != nullptr) hold->LetGo();
  status = co_await wal_->Reached(record, durability);
  co_return Outcome(status, result);
}

// Nobody comes in between: the log has the records in the order of their sequences, and each is on
// its way to the memtable when it is on its way to the log.
uint64_t ShardStore::Begin(Operations operations, Durability durability, WriteResult* result) {
  *result = {.sequence = NextSequence(), .reached = durability};
  const auto head = EncodeBatchHead(result->sequence, operations.count);
  const uint64_t record = wal_->Append(head, AsBytes(operations.encoded), durability);
  const Order order = {.entries = result->sequence, .order = result->sequence};
  Stage(operations, order, record, durability);
  flusher_->FreezeIfFull();
  return record;
}

Sequence ShardStore::NextSequence() {
  if (!IsCanary("store-epoch-cached")) last_.epoch = clock_->now();
  ++last_.counter;
  return last_;
}

absl::StatusOr<WriteResult> ShardStore::Outcome(const absl::Status& status,
                                                const WriteResult& result) {
  ++(status.ok() ? stats_.writes : stats_.failed_writes);
  if (!status.ok()) return status;
  return result;
}

absl::Status ShardStore::MayWrite() const {
  if (closing_) return absl::UnavailableError("the store is closing");
  return failed_.ok() ? space_.status() : failed_;
}

absl::Status ShardStore::MayWrite(WriteSize write) const {
  if (absl::Status may = MayWrite(); !may.ok()) return may;
  // Here already, so that it does not wait for memory first, and have what is there flushed.
  return wal_->CheckSize(kBatchHeadBytes + write.bytes);
}

bool ShardStore::HasMemoryFor(WriteSize write) const {
  const size_t batch_bytes = MemoryFor(write);
  if (memory_bytes() + batch_bytes <= options_.memtable_bytes) return true;
  // A batch that is larger than all of it gets it alone, and what the shard has beside.
  return flusher_->frozen_bytes() == 0 && memtable().entries() + memtable().staged() == 0 &&
         memory_.changes.HasRoomFor(batch_bytes);
}

// Waits for room in memory and in the log, and until nobody holds the keys; all that is so when
// this is done, until something else is awaited.
Task<absl::Status> ShardStore::Admit(WriteSize write, size_t user_bytes, const WriteKeys* keys) {
  if (!pacer_.is_free()) {
    co_await pacer_.Pace(write.bytes, user_bytes, memory_bytes());
    if (absl::Status may = MayWrite(write); !may.ok()) co_return may;
  }
  for (;;) {
    if (!HasMemoryFor(write)) {
      if (absl::Status room = co_await flusher_->MakeRoom(); !room.ok()) co_return room;
      if (absl::Status may = MayWrite(write); !may.ok()) co_return may;
      continue;
    }
    absl::Status admitted = co_await wal_->Admit(kBatchHeadBytes + write.bytes);
    // Others may have written while it waited.
    if (admitted.ok()) admitted = MayWrite(write);
    if (admitted.ok() && keys != nullptr && batches_.Holds(*keys)) [[unlikely]] {
      admitted = co_await batches_.AwaitFree(*keys);
      if (admitted.ok()) continue;
    }
    if (!admitted.ok() || HasMemoryFor(write)) co_return admitted;
  }
}

void ShardStore::Stage(Operations operations, Order sequences, uint64_t record,
                       Durability durability) {
  Memtable& into = memtable();
  OperationReader reader = operations.reader();
  Operation operation;
  while (reader.Next(&operation)) {
    Memtable::Entry* const entry =
        into.Stage(operation.kind, operation.key, sequences.entries, operation.value);
    if (durability == Durability::kMemory || IsCanary("store-publish-at-append")) {
      into.Publish(entry);
    } else {
      PendingOf(durability).push_back({record, sequences.order, &into, entry});
    }
  }
  ChargePending();
  IOENGINE_CHECK(reader.good(), "a WriteBatch does not read as it was written");
}

void ShardStore::OnReached(Durability level, uint64_t record) {
  std::deque<Pending>& pending = PendingOf(level);
  while (!pending.empty() && pending.front().record <= record) {
    pending.front().memtable->Publish(pending.front().entry);
    pending.pop_front();
  }
  ChargePending();
  if (!published_.has_waiters()) return;
  published_.Set();
  published_.Reset();
}

void ShardStore::OnFailed(const absl::Status& status) {
  FailWrites(status);
  if (IsCanary("store-publish-failed-writes")) {
    OnReached(Durability::kWritten, UINT64_MAX);
    OnReached(Durability::kDurable, UINT64_MAX);
  }
  pending_written_.clear();
  pending_durable_.clear();
  ChargePending();
  WakeWaiting();
}

void ShardStore::WakeWaiting() {
  published_.Set();
  published_.Reset();
  batches_.Wake();
}

void ShardStore::FailWrites(const absl::Status& status) {
  if (failed_.ok()) failed_ = status;
  pacer_.Stop();
}

void ShardStore::ShowTables() {
  auto view = std::make_shared<ReadView>(*view_);
  view->version = catalog_->version();
  view_ = std::move(view);
  LetGoOfViews();
}

Sequence ShardStore::OldestPending() const {
  Sequence oldest = kMaxSequence;
  for (const std::deque<Pending>* const pending : {&pending_written_, &pending_durable_}) {
    if (!pending->empty()) oldest = std::min(oldest, pending->front().sequence);
  }
  return oldest;
}

Task<absl::StatusOr<Snapshot>> ShardStore::TakeSnapshot() {
  if (closing_) co_return absl::UnavailableError("the store is closing");
  std::optional<Snapshot> taken = snapshots_.TryTake(last_);
  if (!taken.has_value()) {
    co_return absl::ResourceExhaustedError(
        "the shard has no memory for another snapshot (RuntimeOptions::memory_per_shard_bytes)");
  }
  Snapshot snapshot = *std::move(taken);
  co_await AwaitPending(snapshot.sequence());
  co_return snapshot;
}

Task<absl::StatusOr<Snapshot>> ShardStore::SnapshotAt(uint64_t epoch) {
  if (closing_) co_return absl::UnavailableError("the store is closing");
  const Sequence last = {epoch, UINT64_MAX};
  co_await AwaitPending(last);
  co_return SnapshotList::Borrow(last);
}

// Of those that are not visible yet a snapshot would show nothing now, and them later.
Task<> ShardStore::AwaitPending(Sequence last) {
  while (OldestPending() <= last || batches_.OldestProposal() <= last) {
    if (IsCanary("store-snapshot-does-not-wait")) break;
    co_await published_.Wait();
  }
}

bool ShardStore::IsOnItsWay(std::string_view key, uint64_t before_epoch) const {
  for (const std::deque<Pending>* const pending : {&pending_written_, &pending_durable_}) {
    for (const Pending& change : *pending) {
      if (change.sequence.epoch >= before_epoch) break;
      if (change.entry->key() == key) return true;
    }
  }
  return false;
}

Task<> ShardStore::AwaitVisible(std::string_view key) {
  while (IsOnItsWay(key, UINT64_MAX)) co_await published_.Wait();
}

// A snapshot that was taken since shows that write. Who reads now comes after it, and must not be
// shown what was before.
bool ShardStore::MustAwait(std::string_view key) const {
  const uint64_t now = clock_->now();
  const bool is_on_its_way = OldestPending().epoch < now && IsOnItsWay(key, now);
  return (is_on_its_way || batches_.IsHeldBefore(key, now)) &&
         !IsCanary("store-read-does-not-wait");
}

bool ShardStore::MustAwaitAny(const std::vector<std::string_view>& keys) const {
  if (OldestPending().epoch >= clock_->now() && batches_.active_holds() == 0) return false;
  return std::any_of(keys.begin(), keys.end(),
                     [this](std::string_view key) { return MustAwait(key); });
}

Task<absl::StatusOr<std::optional<std::string>>> ShardStore::GetLater(std::string_view key) {
  while (MustAwait(key)) co_await published_.Wait();
  co_return co_await reader_.Get(key, std::nullopt);
}

Task<absl::StatusOr<PinnedValue>> ShardStore::GetPinnedLater(std::string_view key) {
  while (MustAwait(key)) co_await published_.Wait();
  co_return co_await reader_.GetPinned(key, std::nullopt);
}

Task<absl::StatusOr<std::vector<std::optional<std::string>>>> ShardStore::MultiGetLater(
    std::vector<std::string_view> keys) {
  while (MustAwaitAny(keys)) co_await published_.Wait();
  co_return co_await reader_.MultiGet(std::move(keys), std::nullopt);
}

std::vector<Sequence> ShardStore::Moments() const {
  std::vector<Sequence> moments = snapshots_.sequences();
  if (IsCanary("compaction-ignores-clock")) return moments;
  for (const uint64_t epoch : clock_->Held()) moments.push_back({epoch, UINT64_MAX});
  std::sort(moments.begin(), moments.end());
  return moments;
}

std::shared_ptr<Memtable> ShardStore::NewMemtable() const {
  return std::make_shared<Memtable>(MemtableOptions{
      .arena_block_bytes = options_.arena_block_bytes(), .budget = &memory_.changes});
}

Task<absl::StatusOr<std::optional<std::string>>> ShardStore::Get(std::string_view key,
                                                                 std::optional<Snapshot> snapshot) {
  if (!snapshot.has_value() && MustAwait(key)) return GetLater(key);
  return reader_.Get(key, std::move(snapshot));
}

Task<absl::StatusOr<PinnedValue>> ShardStore::GetPinned(std::string_view key,
                                                        std::optional<Snapshot> snapshot) {
  if (!snapshot.has_value() && MustAwait(key)) return GetPinnedLater(key);
  return reader_.GetPinned(key, std::move(snapshot));
}

Task<absl::StatusOr<std::vector<std::optional<std::string>>>> ShardStore::MultiGet(
    std::vector<std::string_view> keys, std::optional<Snapshot> snapshot) {
  if (!snapshot.has_value() && MustAwaitAny(keys)) return MultiGetLater(std::move(keys));
  return reader_.MultiGet(std::move(keys), std::move(snapshot));
}

absl::Status ShardStore::MayRead() const {
  return closing_ ? absl::UnavailableError("the store is closing") : absl::OkStatus();
}

Task<absl::StatusOr<std::unique_ptr<StoreIterator>>> ShardStore::Scan(ScanOptions options) {
  if (!options.snapshot.has_value()) {
    const absl::StatusOr<Snapshot> now = co_await TakeSnapshot();
    if (!now.ok()) co_return now.status();
    options.snapshot = *now;
  }
  const Sequence at = options.snapshot->sequence();
  co_return std::make_unique<StoreIterator>(*this, at, std::move(options));
}

Task<absl::Status> ShardStore::Sync() {
  if (closing_) co_return absl::UnavailableError("the store is closing");
  co_return co_await wal_->Sync();
}

Task<absl::Status> ShardStore::Close() {
  if (closing_) co_return absl::UnavailableError("the store is closed already");
  closing_ = true;
  pacer_.Stop();
  batches_.Wake();
  co_await compactor_->Stop();
  co_await blob_writer_->Stop();
  absl::Status status = co_await wal_->Close();
  co_await flusher_->Stop();
  const absl::Status closed = co_await catalog_->Close();
  co_return status.ok() ? closed : status;
}

void ShardStore::Serve() {
  serves_ = true;
  flusher_->FreezeIfFull();
}

Task<absl::Status> ShardStore::Flush() {
  if (closing_) co_return absl::UnavailableError("the store is closing");
  co_return co_await flusher_->FlushAll();
}

Task<absl::Status> ShardStore::Compact() {
  absl::Status status = co_await Flush();
  if (status.ok()) status = co_await compactor_->Settle();
  co_return status;
}

const StoreStats& ShardStore::stats() {
  stats_.reads = reader_.reads();
  stats_.memtable_bytes = memory_bytes();
  stats_.paced_writes = pacer_.waits();
  stats_.flushes = flusher_->flushes();
  stats_.flushed_bytes = flusher_->flushed_bytes();
  stats_.compaction = compactor_->stats();
  stats_.log = wal_->stats();
  stats_.runs = view_->version->runs().size();
  stats_.tables = view_->version->table_count();
  stats_.table_bytes = 0;
  stats_.memory = {.changes = memory_.changes.used_bytes(),
                   .jobs = memory_.jobs.used_bytes(),
                   .readers = memory_.readers.used_bytes(),
                   .log = options_.wal.max_pending_bytes,
                   .directory = BlockCache::DirectoryBytes(options_.cache)};
  stats_.written_blob_bytes = blob_writer_->written_bytes();
  stats_.blob_files = 0;
  stats_.blob_bytes = stats_.live_blob_bytes = 0;
  for (const std::shared_ptr<BlobFile>& file : blobs().all()) {
    ++stats_.blob_files;
    stats_.blob_bytes += file->size_bytes();
    stats_.live_blob_bytes += file->table_bytes();
  }
  for (const SortedRun& run : view_->version->runs()) {
    stats_.table_bytes += run.file_bytes();
    for (const auto& table : run.tables) stats_.memory.tables += table->memory_bytes();
  }
  return stats_;
}

}  // namespace ioengine
