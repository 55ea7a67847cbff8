#include "ioengine/engine/shard_batches.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/check.h"
#include "ioengine/sched/sleep.h"

namespace ioengine {
namespace {

// While the disk is full.
constexpr std::chrono::milliseconds kRetry(10);

}  // namespace

void ShardBatches::Wake() {
  changed_.Set();
  changed_.Reset();
}

Task<absl::Status> ShardBatches::AwaitFree(WriteKeys keys) {
  while (holds_.Has(keys)) {
    if (holds_.HasLeft(keys)) {
      co_return absl::UnavailableError(
          "a batch over several shards has this key, and its outcome is not known, since the log "
          "of one of them failed: open the database again");
    }
    co_await changed_.Wait();
    if (absl::Status may = store_.MayWrite(); !may.ok()) co_return may;
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<ShardBatches::Held>> ShardBatches::Hold(KeyHolds::Id id, WriteBatch batch) {
  KeyHolds::Hold hold;
  hold.batch = std::move(batch);
  const ShardStore::WriteSize size = {.bytes = hold.batch.operations().size(),
                                      .changes = hold.batch.count()};
  absl::Status status = store_.MayWrite(size);
  if (status.ok()) {
    const WriteKeys keys = WriteKeys::Of(hold.batch);
    status = co_await store_.Admit(size, size.bytes, &keys);
  }
  if (!status.ok()) co_return status;
  hold.memory = MemoryCharge(&store_.memory_.changes, ShardStore::MemoryFor(size));
  hold.proposal = {store_.clock_->now(), store_.last_.counter + 1};
  Coordinator& coordinator = coordinators_[id.owner];
  NoteDurable(coordinator);
  const Held held = {.proposal = hold.proposal, .durable = coordinator.durable};
  holds_.Take(id, std::move(hold));
  const KeyHolds::Hold& taken = *holds_.Find(id);
  if (taken.batch.condition_count() == 0) co_return held;
  status = co_await CheckConditions(taken.batch);
  if (status.ok()) co_return held;
  Release(id);
  co_return status;
}

ShardBatches::LocalHold ShardBatches::HoldHere(WriteBatch batch) {
  // Tablets are numbered from 1.
  const KeyHolds::Id id = {.owner = 0, .number = ++last_local_hold_};
  KeyHolds::Hold hold;
  hold.batch = std::move(batch);
  holds_.Take(id, std::move(hold));
  return LocalHold(*this, id);
}

Task<absl::Status> ShardBatches::CheckConditions(const WriteBatch& batch) {
  std::vector<Operation> conditions;
  std::vector<std::string_view> keys;
  OperationReader reader(AsBytes(batch.conditions()), batch.condition_count());
  Operation condition;
  while (reader.Next(&condition)) {
    conditions.push_back(condition);
    keys.push_back(condition.key);
  }
  for (const std::string_view key : keys) co_await store_.AwaitVisible(key);
  const auto values = co_await store_.reader_.MultiGet(std::move(keys), std::nullopt);
  if (!values.ok()) co_return values.status();
  for (size_t i = 0; i < conditions.size(); ++i) {
    const std::optional<std::string>& value = (*values)[i];
    const bool is_so = conditions[i].kind == OperationKind::kDelete
                           ? !value.has_value()
                           : value.has_value() && *value == conditions[i].value;
    if (is_so || IsCanary("batch-condition-not-checked")) continue;
    co_return absl::FailedPreconditionError(
        absl::StrCat("a key that the batch requires something of has ",
                     value.has_value() ? "another value" : "no value", ": nothing was written"));
  }
  co_return absl::OkStatus();
}

void ShardBatches::Release(KeyHolds::Id id) {
  if (holds_.TakeOut(id).has_value()) store_.WakeWaiting();
}

void ShardBatches::Leave(KeyHolds::Id id) {
  holds_.Leave(id);
  store_.WakeWaiting();
}

absl::Status ShardBatches::CheckCommit(size_t operation_bytes, size_t parts) const {
  return store_.wal_->CheckSize(BatchCommitBytes(parts) + operation_bytes);
}

Task<absl::Status> ShardBatches::AdmitCommit(size_t operation_bytes, size_t parts) {
  absl::Status may = store_.MayWrite();
  if (may.ok()) may = co_await store_.wal_->Admit(BatchCommitBytes(parts) + operation_bytes);
  if (may.ok()) may = store_.MayWrite();
  co_return may;
}

ShardBatches::Committed ShardBatches::AppendCommit(KeyHolds::Id own, Sequence sequence,
                                                   Sequence settled,
                                                   std::span<const BatchPart> others) {
  store_.last_ = std::max(store_.last_, sequence);
  const Sequence place = store_.NextSequence();
  const KeyHolds::Hold* const hold = holds_.Find(own);
  IOENGINE_CHECK(hold != nullptr, "a batch is committed without a hold on its keys");
  BatchCommit commit = {.place = place, .sequence = sequence, .settled = settled};
  const Operations changes = hold->operations();
  commit.parts.push_back({.tablet = 0, .count = changes.count, .operations = changes.encoded});
  commit.parts.insert(commit.parts.end(), others.begin(), others.end());
  const std::string encoded = EncodeBatchCommit(commit);
  const uint64_t record = store_.wal_->Append(AsBytes(encoded), {}, Durability::kDurable);
  store_.Stage(changes, {.entries = sequence, .order = place}, record, Durability::kDurable);
  holds_.LetGoOfMemory(own);
  store_.flusher_->FreezeIfFull();
  return {record, place};
}

uint64_t ShardBatches::AppendAgain(const BatchCommit& commit) {
  return store_.wal_->Append(AsBytes(EncodeBatchCommit(commit)), {}, Durability::kDurable);
}

uint64_t ShardBatches::durable_record() const { return store_.wal_->reached(Durability::kDurable); }

Task<absl::Status> ShardBatches::AwaitDurable(uint64_t record) {
  absl::Status durable = co_await store_.wal_->Reached(record, Durability::kDurable);
  ++(durable.ok() ? store_.stats_.writes : store_.stats_.failed_writes);
  co_return durable;
}

// Whether it may be appended now; false: the log takes nothing any more.
Task<bool> ShardBatches::AdmitCopy(size_t operation_bytes) {
  while (!is_unlogged_) {
    const absl::Status admitted = co_await store_.wal_->Admit(kCopyHeadBytes + operation_bytes);
    if (admitted.ok()) co_return store_.failed_.ok();
    // The disk is full: there may be space later.
    const bool may_become_well =
        absl::IsResourceExhausted(admitted) && store_.failed_.ok() && !store_.closing_;
    if (!may_become_well) break;
    co_await Sleep(kRetry);
  }
  co_return false;
}

void ShardBatches::AppendCopy(Operations operations, const BatchId& batch, Sequence sequence) {
  const auto head = EncodeCopyHead(sequence, operations.count, batch);
  const uint64_t record =
      store_.wal_->Append(head, AsBytes(operations.encoded), Durability::kMemory);
  Coordinator& coordinator = coordinators_[batch.coordinator];
  coordinator.received = batch.place;
  coordinator.copies.emplace_back(record, batch.place);
}

// All at once, and with the copy in one go: the log and the memtable have them in one order.
void ShardBatches::Show(Operations operations, Sequence sequence) {
  store_.last_ = std::max(store_.last_, sequence);
  store_.Stage(operations, {.entries = sequence, .order = sequence}, 0, Durability::kMemory);
  store_.flusher_->FreezeIfFull();
}

Task<> ShardBatches::Apply(Part part) {
  Coordinator& coordinator = coordinators_[part.batch.coordinator];
  while (coordinator.applied < part.previous) co_await changed_.Wait();
  const KeyHolds::Hold* const found = holds_.Find(part.hold);
  if (found == nullptr) co_return;
  if (found->batch.empty()) {
    // It was only asked whether something is so.
    Release(part.hold);
    co_return;
  }
  std::optional<KeyHolds::Hold> hold;
  const size_t operation_bytes = found->operations().encoded.size();
  if (IsCanary("batch-frees-keys-early")) {
    hold = holds_.TakeOut(part.hold);
    store_.WakeWaiting();
    co_await Sleep(kRetry);
  }
  const bool has_room = co_await AdmitCopy(operation_bytes);
  if (!hold.has_value()) hold = holds_.TakeOut(part.hold);
  IOENGINE_CHECK(hold.has_value(), "a batch's part was applied twice");
  hold->memory.Resize(0);
  if (has_room) {
    AppendCopy(hold->operations(), part.batch, part.sequence);
  } else {
    is_unlogged_ = true;
  }
  Show(hold->operations(), part.sequence);
  ++store_.stats_.writes;
  coordinator.applied = part.batch.place;
  store_.WakeWaiting();
}

Task<absl::Status> ShardBatches::Recover(BatchId batch, Sequence sequence, std::string operations,
                                         uint32_t count) {
  Coordinator& coordinator = coordinators_[batch.coordinator];
  if (coordinator.received >= batch.place && !IsCanary("batch-recovered-again")) {
    coordinator.applied = batch.place;
    co_return absl::OkStatus();
  }
  const Operations view = {operations, count};
  // Without waiting for memory: that may need a flush, which waits until all shards have done this.
  // It is no more than a coordinator has unsettled at one time.
  absl::Status admitted = co_await store_.wal_->Admit(kCopyHeadBytes + operations.size());
  if (!admitted.ok()) co_return admitted;
  AppendCopy(view, batch, sequence);
  Show(view, sequence);
  coordinator.applied = batch.place;
  co_return absl::OkStatus();
}

void ShardBatches::NoteDurable(Coordinator& coordinator) {
  const uint64_t record = store_.wal_->reached(Durability::kDurable);
  auto& copies = coordinator.copies;
  while (!copies.empty() && copies.front().first <= record) {
    coordinator.durable = copies.front().second;
    copies.pop_front();
  }
}

Task<absl::StatusOr<bool>> ShardBatches::MakeDurable(uint64_t from, Sequence place) {
  Coordinator& coordinator = coordinators_[from];
  while (coordinator.applied < place && coordinator.received < place) {
    if (store_.closing_) co_return absl::UnavailableError("the store is closing");
    co_await changed_.Wait();
  }
  if (coordinator.received < place || !store_.failed_.ok()) co_return false;
  NoteDurable(coordinator);
  if (coordinator.durable < place) {
    const absl::Status synced = co_await store_.wal_->Sync();
    if (!store_.failed_.ok()) co_return false;
    if (!synced.ok()) co_return synced;
  }
  co_return true;
}

std::vector<ReceivedBatches> ShardBatches::received() const {
  std::vector<ReceivedBatches> all;
  for (const auto& [tablet, coordinator] : coordinators_) {
    if (coordinator.received > Sequence()) all.push_back({tablet, coordinator.received});
  }
  return all;
}

void ShardBatches::SetReceived(uint64_t coordinator, Sequence place) {
  Coordinator& known = coordinators_[coordinator];
  known.received = std::max(known.received, place);
}

}  // namespace ioengine
