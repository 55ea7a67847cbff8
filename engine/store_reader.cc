#include "ioengine/engine/store_reader.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/lsm/memtable.h"
#include "ioengine/engine/lsm/version_lookup.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/semaphore.h"
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

void TakeValue(TableFound* found, std::optional<std::string>* value) {
  if (found != nullptr && found->kind == OperationKind::kPut) value->emplace(found->value);
}

void TakeValue(TableFound* found, PinnedValue* value) {
  if (found == nullptr || found->kind != OperationKind::kPut) return;
  const bool keeps = found->value.size() >= kLeastPinnedBytes && found->pin.TryHold();
  *value = keeps ? PinnedValue::In(std::move(found->pin), found->value)
                 : PinnedValue::Copy(found->value);
}

// Keeps the version, and with it the tables.
template <typename Value>
Task<absl::StatusOr<Value>> ReadFromTables(std::shared_ptr<const Version>, VersionLookup lookup) {
  co_await lookup.Finish();
  if (!lookup.status().ok()) co_return lookup.status();
  Value value;
  TakeValue(lookup.found(), &value);
  co_return value;
}

// Fills in the value if the cache has what that takes, or else the task that reads the rest. So a
// search that reads nothing is on the stack, and whoever makes it has a small frame.
template <typename Value>
absl::Status FindInTables(const std::shared_ptr<const Version>& version, std::string_view key,
                          Sequence at, Value* value, Task<absl::StatusOr<Value>>* rest) {
  VersionLookup lookup(*version, key, at);
  if (!lookup.TryFinish()) {
    *rest = ReadFromTables<Value>(version, std::move(lookup));
    return absl::OkStatus();
  }
  TakeValue(lookup.found(), value);
  return lookup.status();
}

}  // namespace

Task<absl::StatusOr<std::optional<std::string>>> StoreReader::Get(
    std::string_view key, std::optional<Snapshot> snapshot) {
  if (absl::Status status = source_.MayRead(); !status.ok()) co_return status;
  ++reads_;
  const Sequence at = MomentOf(snapshot);
  const ReadView& now = *source_.read_view();
  std::optional<std::string> value;
  if (const std::optional<Memtable::Found> change = FindInMemory(now, key, at).change) {
    if (change->kind == OperationKind::kPut) value.emplace(change->value);
    co_return value;
  }
  Task<absl::StatusOr<std::optional<std::string>>> rest;
  const absl::Status status = FindInTables(now.version, key, at, &value, &rest);
  if (rest.valid()) co_return co_await std::move(rest);
  if (!status.ok()) co_return status;
  co_return value;
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
    const std::string_view there = memory.change->value;
    if (there.size() < kLeastPinnedBytes) co_return PinnedValue::Copy(there);
    if (memory.frozen != nullptr) co_return PinnedValue::In(*memory.frozen, there);
    co_return PinnedValue::In(std::shared_ptr<const Memtable>(now.memtable), there);
  }
  PinnedValue value;
  Task<absl::StatusOr<PinnedValue>> rest;
  const absl::Status status = FindInTables(now.version, key, at, &value, &rest);
  if (rest.valid()) co_return co_await std::move(rest);
  if (!status.ok()) co_return status;
  co_return value;
}

// The keys of a MultiGet, and how far it has come with them.
class StoreReader::ManyKeys {
 public:
  using Values = std::vector<std::optional<std::string>>;

  ManyKeys(std::shared_ptr<const ReadView> view, const std::vector<std::string_view>& keys,
           Sequence at)
      : view_(std::move(view)),
        at_(at),
        values_(keys.size()),
        searches_(std::min(kTogether, keys.size())) {
    lookups_.reserve(keys.size());
    for (const std::string_view key : keys) lookups_.push_back({key, std::nullopt});
    view_->memtable->GetMany(lookups_, at_);
    for (const std::shared_ptr<const Memtable>& frozen : view_->frozen) {
      if (IsCanary("store-frozen-not-read")) break;
      frozen->GetMany(lookups_, at_);
    }
  }

  // A key that is looked for in tables.
  struct Search {
    size_t key;
    VersionLookup lookup;
    BlockCache::Pin pin;  // from step to step
  };

  // Nothing is left to begin with.
  bool begun_all() const { return next_ == lookups_.size() || !failure_.ok(); }
  // Searches that Begin left.
  std::vector<std::optional<Search>>& searches() { return searches_; }

  // Takes the next keys, and leaves searches where what is in memory and in the cache does not
  // do. They take turns, so that they wait for memory together. REQUIRES: those that it left
  // before are gone.
  void Begin() {
    size_t left = kKeysInTurn;
    std::array<std::optional<Search>*, kTogether> walking;
    size_t count = 0;
    for (std::optional<Search>& search : searches_) {
      if (BeginNext(search, left)) walking[count++] = &search;
    }
    while (count > 0) {
      for (size_t i = 0; i < count; ++i) {
        std::optional<Search>& search = *walking[i];
        if (search->lookup.Step(search->pin)) continue;
        if (search->lookup.done()) {
          End(*search);
          search.reset();
          if (BeginNext(search, left)) continue;
        }
        walking[i--] = walking[--count];
      }
    }
  }

  void End(Search& search) {
    const absl::Status& status = search.lookup.status();
    if (status.ok()) {
      TakeValue(search.lookup.found(), &values_[search.key]);
    } else if (failure_.ok() || search.key < failed_key_) {
      failure_ = status;
      failed_key_ = search.key;
    }
  }

  // Reads the rest of one key.
  static Task<> Read(ManyKeys* keys, Search search, Semaphore::Units) {
    co_await search.lookup.Finish();
    keys->End(search);
  }

  // Keys are begun with in their order, so all before the one that failed were.
  absl::StatusOr<Values> Take() {
    if (!failure_.ok()) return failure_;
    return std::move(values_);
  }

 private:
  static constexpr size_t kTogether = 8;
  static constexpr size_t kKeysInTurn = 64;

  // The next key that is not in memory, if it comes within `left` keys.
  bool BeginNext(std::optional<Search>& search, size_t& left) {
    for (; left > 0 && !begun_all(); --left) {
      const size_t key = next_++;
      const Memtable::Lookup& in_memory = lookups_[key];
      if (!in_memory.found.has_value()) {
        search.emplace(Search{key, VersionLookup(*view_->version, in_memory.key, at_), {}});
        return true;
      }
      if (in_memory.found->kind == OperationKind::kPut) {
        values_[key].emplace(in_memory.found->value);
      }
    }
    return false;
  }

  const std::shared_ptr<const ReadView> view_;
  const Sequence at_;
  std::vector<Memtable::Lookup> lookups_;
  Values values_;
  std::vector<std::optional<Search>> searches_;
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
  Semaphore reads(kMostReads);
  TaskScope readers(*Executor::Current());
  while (!all.begun_all()) {
    all.Begin();
    for (std::optional<ManyKeys::Search>& search : all.searches()) {
      if (!search.has_value()) continue;
      Semaphore::Units units = co_await reads.Acquire();
      readers.Spawn(ManyKeys::Read(&all, *std::move(search), std::move(units)));
      search.reset();
    }
    co_await MaybeYield();
  }
  if (absl::Status status = co_await readers.Join(); !status.ok()) co_return status;
  co_return all.Take();
}

}  // namespace ioengine
