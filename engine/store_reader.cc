#include "ioengine/engine/store_reader.h"

#include <algorithm>
#include <array>
#include <memory>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "ioengine/engine/blob/blob_file.h"
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

// Of a large value, which is read from its file.
template <typename Value>
Task<absl::StatusOr<Value>> TakeBlob(Task<absl::StatusOr<std::string>> read) {
  absl::StatusOr<std::string> value = co_await std::move(read);
  if (!value.ok()) co_return value.status();
  if constexpr (std::is_same_v<Value, PinnedValue>) {
    co_return PinnedValue::Own(*std::move(value));
  } else {
    co_return Value(*std::move(value));
  }
}

bool IsBlob(const TableFound* found) {
  return found != nullptr && found->kind == OperationKind::kPutBlob;
}

// Nothing is pinned while the value is read.
Task<absl::StatusOr<std::string>> ReadBlob(const BlobFiles& blobs, TableFound* found) {
  Task<absl::StatusOr<std::string>> read = blobs.Read(found->value);
  found->pin.Release();
  return read;
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
Task<absl::StatusOr<Value>> ReadFromTables(std::shared_ptr<const Version>, const BlobFiles& blobs,
                                           VersionLookup lookup) {
  co_await lookup.Finish();
  if (!lookup.status().ok()) co_return lookup.status();
  if (IsBlob(lookup.found())) {
    Task<absl::StatusOr<std::string>> read = ReadBlob(blobs, lookup.found());
    co_return co_await TakeBlob<Value>(std::move(read));
  }
  Value value;
  TakeValue(lookup.found(), &value);
  co_return value;
}

// Fills in the value if the cache has what that takes, or else the task that reads the rest. So a
// search that reads nothing is on the stack, and whoever makes it has a small frame.
template <typename Value>
absl::Status FindInTables(const ReadViewSource& source, std::string_view key, Sequence at,
                          Value* value, Task<absl::StatusOr<Value>>* rest) {
  const std::shared_ptr<const Version>& version = source.read_view()->version;
  VersionLookup lookup(*version, key, at);
  if (!lookup.TryFinish()) {
    *rest = ReadFromTables<Value>(version, source.blobs(), std::move(lookup));
    return absl::OkStatus();
  }
  if (lookup.status().ok() && IsBlob(lookup.found())) {
    *rest = TakeBlob<Value>(ReadBlob(source.blobs(), lookup.found()));
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
  Task<absl::StatusOr<std::optional<std::string>>> rest;
  absl::Status status;
  if (const std::optional<Memtable::Found> change = FindInMemory(now, key, at).change) {
    if (change->kind == OperationKind::kPut) value.emplace(change->value);
    if (change->kind != OperationKind::kPutBlob) co_return value;
    rest = TakeBlob<std::optional<std::string>>(source_.blobs().Read(change->value));
  } else {
    status = FindInTables(source_, key, at, &value, &rest);
  }
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
  Task<absl::StatusOr<PinnedValue>> rest;
  if (memory.change.has_value()) {
    if (memory.change->kind == OperationKind::kPutBlob) {
      rest = TakeBlob<PinnedValue>(source_.blobs().Read(memory.change->value));
      co_return co_await std::move(rest);
    }
    if (memory.change->kind != OperationKind::kPut) co_return PinnedValue();
    const std::string_view there = memory.change->value;
    if (there.size() < kLeastPinnedBytes) co_return PinnedValue::Copy(there);
    if (memory.frozen != nullptr) co_return PinnedValue::In(*memory.frozen, there);
    co_return PinnedValue::In(std::shared_ptr<const Memtable>(now.memtable), there);
  }
  PinnedValue value;
  const absl::Status status = FindInTables(source_, key, at, &value, &rest);
  if (rest.valid()) co_return co_await std::move(rest);
  if (!status.ok()) co_return status;
  co_return value;
}

// The keys of a MultiGet, and how far it has come with them.
class StoreReader::ManyKeys {
 public:
  using Values = std::vector<std::optional<std::string>>;

  ManyKeys(const ReadViewSource& source, const std::vector<std::string_view>& keys, Sequence at)
      : blobs_(source.blobs()),
        view_(source.read_view()),
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
    if (!status.ok()) {
      Fail(search.key, status);
    } else if (IsBlob(search.lookup.found())) {
      large_.push_back({search.key, ReadBlob(blobs_, search.lookup.found())});
    } else {
      TakeValue(search.lookup.found(), &values_[search.key]);
    }
  }

  // Reads the rest of one key.
  static Task<> Read(ManyKeys* keys, Search search, Semaphore::Units) {
    co_await search.lookup.Finish();
    keys->End(search);
  }

  // A value that is in a file of its own.
  struct Large {
    size_t key;
    Task<absl::StatusOr<std::string>> read;
  };
  // Those that were found, and are to be read; of all keys, once no search is left.
  std::vector<Large> TakeLarge() { return std::exchange(large_, {}); }

  static Task<> ReadLarge(ManyKeys* keys, Large large, Semaphore::Units) {
    absl::StatusOr<std::string> value = co_await std::move(large.read);
    if (value.ok()) {
      keys->values_[large.key] = *std::move(value);
    } else {
      keys->Fail(large.key, value.status());
    }
  }

  // Keys are begun with in their order, so all before the one that failed were.
  absl::StatusOr<Values> Take() {
    if (!failure_.ok()) return failure_;
    return std::move(values_);
  }

 private:
  static constexpr size_t kTogether = 8;
  static constexpr size_t kKeysInTurn = 64;

  void Fail(size_t key, const absl::Status& status) {
    if (!failure_.ok() && key > failed_key_) return;
    failure_ = status;
    failed_key_ = key;
  }

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
      } else if (in_memory.found->kind == OperationKind::kPutBlob) {
        large_.push_back({key, blobs_.Read(in_memory.found->value)});
      }
    }
    return false;
  }

  const BlobFiles& blobs_;
  const std::shared_ptr<const ReadView> view_;
  const Sequence at_;
  std::vector<Large> large_;
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
  ManyKeys all(source_, keys, MomentOf(snapshot));
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
  TaskScope large_readers(*Executor::Current());
  for (ManyKeys::Large& large : all.TakeLarge()) {
    Semaphore::Units units = co_await reads.Acquire();
    large_readers.Spawn(ManyKeys::ReadLarge(&all, std::move(large), std::move(units)));
  }
  if (absl::Status status = co_await large_readers.Join(); !status.ok()) co_return status;
  co_return all.Take();
}

}  // namespace ioengine
