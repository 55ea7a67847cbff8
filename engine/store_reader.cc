#include "ioengine/engine/store_reader.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/lsm/memtable.h"
#include "ioengine/engine/lsm/version_lookup.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"

namespace ioengine {
namespace {

// A shorter value is copied: that takes less than what it would keep.
constexpr size_t kLeastPinnedBytes = 1024;

Sequence MomentOf(const std::optional<Snapshot>& snapshot) {
  return snapshot.has_value() ? snapshot->sequence() : kMaxSequence;
}

struct FoundInMemory {
  std::optional<Memtable::Found> change;
  const std::shared_ptr<const Memtable>* frozen = nullptr;  // that has it; null: the one for writes
};

FoundInMemory FindInMemory(const ReadView& view, std::string_view key, Sequence at) {
  FoundInMemory found = {view.memtable->Get(key, at)};
  for (const std::shared_ptr<const Memtable>& frozen : view.frozen) {
    if (found.change.has_value() || IsCanary("store-frozen-not-read")) break;
    found = {frozen->Get(key, at), &frozen};
  }
  return found;
}

std::optional<std::string> ValueOf(const TableFound* found) {
  std::optional<std::string> value;
  if (found != nullptr && found->kind == OperationKind::kPut) value.emplace(found->value);
  return value;
}

}  // namespace

Task<absl::StatusOr<std::optional<std::string>>> StoreReader::Get(
    std::string_view key, std::optional<Snapshot> snapshot) {
  if (absl::Status status = source_.MayRead(); !status.ok()) co_return status;
  ++reads_;
  const Sequence at = MomentOf(snapshot);
  const ReadView& now = *source_.read_view();
  const std::optional<Memtable::Found> change = FindInMemory(now, key, at).change;
  if (change.has_value()) {
    std::optional<std::string> value;
    if (change->kind == OperationKind::kPut) value.emplace(change->value);
    co_return value;
  }
  std::shared_ptr<const Version> version;  // where it waits
  VersionLookup lookup(*now.version, key, at);
  if (!lookup.TryFinish()) {
    version = now.version;
    co_await lookup.Finish();
  }
  if (!lookup.status().ok()) co_return lookup.status();
  co_return ValueOf(lookup.found());
}

Task<absl::StatusOr<PinnedValue>> StoreReader::GetPinned(std::string_view key,
                                                         std::optional<Snapshot> snapshot) {
  if (absl::Status status = source_.MayRead(); !status.ok()) co_return status;
  ++reads_;
  const Sequence at = MomentOf(snapshot);
  const ReadView& now = *source_.read_view();
  const FoundInMemory memory = FindInMemory(now, key, at);
  if (memory.change.has_value()) {
    if (memory.change->kind != OperationKind::kPut) co_return PinnedValue();
    const std::string_view value = memory.change->value;
    if (value.size() < kLeastPinnedBytes) co_return PinnedValue::Copy(value);
    if (memory.frozen != nullptr) co_return PinnedValue::In(*memory.frozen, value);
    co_return PinnedValue::In(std::shared_ptr<const Memtable>(now.memtable), value);
  }
  std::shared_ptr<const Version> version;  // where it waits
  VersionLookup lookup(*now.version, key, at);
  if (!lookup.TryFinish()) {
    version = now.version;
    co_await lookup.Finish();
  }
  if (!lookup.status().ok()) co_return lookup.status();
  TableFound* const found = lookup.found();
  if (found == nullptr || found->kind != OperationKind::kPut) co_return PinnedValue();
  if (found->value.size() < kLeastPinnedBytes || !found->pin.TryHold()) {
    co_return PinnedValue::Copy(found->value);
  }
  co_return PinnedValue::In(std::move(found->pin), found->value);
}

// The keys of a MultiGet, in turn: whoever is free takes the next one.
class StoreReader::ManyKeys {
 public:
  using Values = std::vector<std::optional<std::string>>;

  ManyKeys(std::shared_ptr<const ReadView> view, const std::vector<std::string_view>& keys,
           Sequence at)
      : view_(std::move(view)), at_(at), values_(keys.size()) {
    lookups_.reserve(keys.size());
    for (const std::string_view key : keys) lookups_.push_back({key, std::nullopt});
    view_->memtable->GetMany(lookups_, at_);
    for (const std::shared_ptr<const Memtable>& frozen : view_->frozen) {
      if (IsCanary("store-frozen-not-read")) break;
      frozen->GetMany(lookups_, at_);
    }
  }

  // A key that is not done with what is in memory and in the cache.
  struct Rest {
    size_t key;
    VersionLookup lookup;
  };

  // Nothing is left to begin with.
  bool begun_all() const { return next_ == lookups_.size() || !failure_.ok(); }
  // The next key; what is left of it to do.
  std::optional<Rest> Begin() {
    const size_t key = next_++;
    const Memtable::Lookup& in_memory = lookups_[key];
    std::optional<Rest> rest;
    if (in_memory.found.has_value()) {
      const Memtable::Found& found = *in_memory.found;
      if (found.kind == OperationKind::kPut) values_[key].emplace(found.value);
      return rest;
    }
    rest.emplace(Rest{key, VersionLookup(*view_->version, in_memory.key, at_)});
    if (rest->lookup.TryFinish()) {
      End(*rest);
      rest.reset();
    }
    return rest;
  }
  void End(Rest& rest) {
    const absl::Status& status = rest.lookup.status();
    if (status.ok()) {
      values_[rest.key] = ValueOf(rest.lookup.found());
    } else if (failure_.ok() || rest.key < failed_key_) {
      failure_ = status;
      failed_key_ = rest.key;
    }
  }

  // Reads the rest of one key, and then takes others.
  static Task<> Read(ManyKeys* keys, Rest first) {
    std::optional<Rest> rest = std::move(first);
    for (;;) {
      if (rest.has_value()) {
        co_await rest->lookup.Finish();
        keys->End(*rest);
        rest.reset();  // its pin
      }
      if (keys->begun_all()) co_return;
      co_await MaybeYield();
      if (keys->begun_all()) co_return;
      rest = keys->Begin();
    }
  }

  // Keys are begun with in their order, so all before the one that failed were.
  absl::StatusOr<Values> Take() {
    if (!failure_.ok()) return failure_;
    return std::move(values_);
  }

 private:
  const std::shared_ptr<const ReadView> view_;
  const Sequence at_;
  std::vector<Memtable::Lookup> lookups_;
  Values values_;
  size_t next_ = 0;
  size_t failed_key_ = 0;
  absl::Status failure_;
};

Task<absl::StatusOr<std::vector<std::optional<std::string>>>> StoreReader::MultiGet(
    std::vector<std::string_view> keys, std::optional<Snapshot> snapshot) {
  if (absl::Status status = source_.MayRead(); !status.ok()) co_return status;
  reads_ += keys.size();
  // What is visible in memory now, and else what was in tables before: all of this moment.
  ManyKeys all(source_.read_view(), keys, MomentOf(snapshot));
  TaskScope readers(*Executor::Current());
  while (!all.begun_all() && readers.size() < kMostReads) {
    std::optional<ManyKeys::Rest> rest = all.Begin();
    if (rest.has_value()) readers.Spawn(ManyKeys::Read(&all, *std::move(rest)));
    co_await MaybeYield();
  }
  if (absl::Status status = co_await readers.Join(); !status.ok()) co_return status;
  co_return all.Take();
}

}  // namespace ioengine
