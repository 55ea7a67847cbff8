#include "ioengine/engine/shard_store.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/batch_record.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/check.h"

namespace ioengine {

ShardStore::~ShardStore() = default;

Task<absl::StatusOr<WriteResult>> ShardStore::Put(std::string_view key, std::string_view value,
                                                  Durability durability) {
  WriteBatch batch;
  batch.Put(key, value);
  co_return co_await Write(batch, durability);
}

Task<absl::StatusOr<WriteResult>> ShardStore::Delete(std::string_view key, Durability durability) {
  WriteBatch batch;
  batch.Delete(key);
  co_return co_await Write(batch, durability);
}

Task<absl::StatusOr<WriteResult>> ShardStore::Write(const WriteBatch& batch,
                                                    Durability durability) {
  const std::span<const std::byte> operations = AsBytes(batch.operations());
  absl::Status status = MayWrite(batch);
  if (status.ok()) status = co_await wal_->Admit(kBatchHeadBytes + operations.size());
  // Others may have written while it waited.
  if (status.ok()) status = MayWrite(batch);
  if (!status.ok()) {
    ++stats_.failed_writes;
    co_return status;
  }
  // Up to the next suspension nobody comes in between: the log has the records in the order of
  // their sequences, and each is on its way to the memtable when it is on its way to the log.
  ++last_.counter;
  const WriteResult result = {.sequence = last_, .reached = durability};
  const auto head = EncodeBatchHead(result.sequence, batch.count());
  const uint64_t record = wal_->Append(head, operations, durability);
  Stage(batch, result.sequence, record, durability);
  status = co_await wal_->Reached(record, durability);
  if (!status.ok()) {
    ++stats_.failed_writes;
    co_return status;
  }
  ++stats_.writes;
  co_return result;
}

absl::Status ShardStore::MayWrite(const WriteBatch& batch) const {
  if (!batch.status().ok()) return batch.status();
  if (closing_) return absl::UnavailableError("the store is closing");
  if (!failed_.ok()) return failed_;
  if (memtable_->used_bytes() + batch.operations().size() > options_.memtable_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the changes in memory take ", memtable_->used_bytes(), " bytes, and may take ",
        options_.memtable_bytes, " (StoreOptions::memtable_bytes)"));
  }
  return absl::OkStatus();
}

void ShardStore::Stage(const WriteBatch& batch, Sequence sequence, uint64_t record,
                       Durability durability) {
  OperationReader reader(AsBytes(batch.operations()), batch.count());
  Operation operation;
  while (reader.Next(&operation)) {
    Memtable::Entry* const entry =
        memtable_->Stage(operation.kind, operation.key, sequence, operation.value);
    if (durability == Durability::kMemory || IsCanary("store-publish-at-append")) {
      memtable_->Publish(entry);
    } else {
      PendingOf(durability).push_back({record, sequence, entry});
    }
  }
  IOENGINE_CHECK(reader.good(), "a WriteBatch does not read as it was written");
}

void ShardStore::OnReached(Durability level, uint64_t record) {
  std::deque<Pending>& pending = PendingOf(level);
  while (!pending.empty() && pending.front().record <= record) {
    memtable_->Publish(pending.front().entry);
    pending.pop_front();
  }
  if (!published_.has_waiters()) return;
  published_.Set();
  published_.Reset();
}

void ShardStore::OnFailed(const absl::Status& status) {
  failed_ = status;
  if (IsCanary("store-publish-failed-writes")) {
    OnReached(Durability::kWritten, UINT64_MAX);
    OnReached(Durability::kDurable, UINT64_MAX);
  }
  pending_written_.clear();
  pending_durable_.clear();
  published_.Set();
  published_.Reset();
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
  const Snapshot snapshot = {last_};
  // Of those before it that are not visible yet it would show nothing now, and them later.
  while (OldestPending() <= snapshot.sequence && !IsCanary("store-snapshot-does-not-wait")) {
    co_await published_.Wait();
  }
  co_return snapshot;
}

Task<absl::StatusOr<std::optional<std::string>>> ShardStore::Get(std::string_view key,
                                                                 std::optional<Snapshot> snapshot) {
  if (absl::Status status = MayRead(); !status.ok()) co_return status;
  ++stats_.reads;
  const Sequence at = snapshot.has_value() ? snapshot->sequence : kMaxSequence;
  const std::optional<Memtable::Found> found = memtable_->Get(key, at);
  std::optional<std::string> value;
  if (found.has_value() && found->kind == OperationKind::kPut) value.emplace(found->value);
  co_return value;
}

Task<absl::StatusOr<std::vector<std::optional<std::string>>>> ShardStore::MultiGet(
    std::vector<std::string_view> keys, std::optional<Snapshot> snapshot) {
  std::vector<std::optional<std::string>> values;
  values.reserve(keys.size());
  for (const std::string_view key : keys) {
    auto value = co_await Get(key, snapshot);
    if (!value.ok()) co_return value.status();
    values.push_back(*std::move(value));
  }
  co_return values;
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
  const Sequence at = options.snapshot->sequence;
  co_return std::make_unique<StoreIterator>(*this, at, std::move(options));
}

Task<absl::Status> ShardStore::Sync() {
  if (closing_) co_return absl::UnavailableError("the store is closing");
  co_return co_await wal_->Sync();
}

Task<absl::Status> ShardStore::Close() {
  if (closing_) co_return absl::UnavailableError("the store is closed already");
  closing_ = true;
  co_return co_await wal_->Close();
}

const StoreStats& ShardStore::stats() {
  stats_.memtable_bytes = memtable_->used_bytes();
  return stats_;
}

}  // namespace ioengine
