#include "ioengine/engine/store_reader.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "ioengine/engine/blob/blob_file.h"
#include "ioengine/engine/format/blob_format.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/lsm/memtable.h"
#include "ioengine/engine/lsm/version_lookup.h"
#include "ioengine/engine/table/block_source.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/memory_charge.h"
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

// Where a large value is, and its file.
struct LargeValue {
  Task<absl::StatusOr<std::string>> read;
  size_t bytes = 0;

  // Whoever has the pointer keeps the file; until this is called.
  static LargeValue At(const BlobFiles& blobs, std::string_view pointer) {
    BlobPointer at;
    // Blocks, and readers of the log, have looked that it makes sense.
    (void)DecodeBlobPointer(pointer, &at);
    return {blobs.Read(pointer), at.value_bytes};
  }
};

// Of a large value, which is read from its file.
Task<absl::StatusOr<std::optional<std::string>>> ReadLarge(LargeValue large, MemoryBudget*,
                                                           std::optional<std::string>*) {
  absl::StatusOr<std::string> value = co_await std::move(large.read);
  if (!value.ok()) co_return value.status();
  co_return std::optional<std::string>(*std::move(value));
}

Task<absl::StatusOr<PinnedValue>> ReadLarge(LargeValue large, MemoryBudget* memory, PinnedValue*) {
  MemoryCharge charge(memory);
  if (!charge.TryResize(large.bytes)) co_return ReadersAreFull(*memory, large.bytes);
  absl::StatusOr<std::string> value = co_await std::move(large.read);
  if (!value.ok()) co_return value.status();
  co_return PinnedValue::Own(*std::move(value), std::move(charge));
}

bool IsBlob(const TableFound* found) {
  return found != nullptr && found->kind == OperationKind::kPutBlob;
}

// Nothing is pinned while the value is read.
LargeValue TakeLarge(const BlobFiles& blobs, TableFound* found) {
  LargeValue large = LargeValue::At(blobs, found->value);
  found->pin.Release();
  return large;
}

// What is given to users as theirs is not charged.
absl::Status TakeValue(TableFound* found, MemoryBudget*, std::optional<std::string>* value) {
  if (found != nullptr && found->kind == OperationKind::kPut) value->emplace(found->value);
  return absl::OkStatus();
}

absl::Status CopyValue(std::string_view from, MemoryBudget* memory, PinnedValue* value) {
  MemoryCharge charge(memory);
  if (!charge.TryResize(from.size())) return ReadersAreFull(*memory, from.size());
  *value = PinnedValue::Copy(from, std::move(charge));
  return absl::OkStatus();
}

absl::Status TakeValue(TableFound* found, MemoryBudget* memory, PinnedValue* value) {
  if (found == nullptr || found->kind != OperationKind::kPut) return absl::OkStatus();
  const bool keeps = found->value.size() >= kLeastPinnedBytes && found->pin.TryHold();
  if (!keeps) return CopyValue(found->value, memory, value);
  *value = PinnedValue::In(std::move(found->pin), found->value);
  return absl::OkStatus();
}

// Keeps the version, and with it the tables.
template <typename Value>
Task<absl::StatusOr<Value>> ReadFromTables(std::shared_ptr<const Version>, const BlobFiles& blobs,
                                           VersionLookup lookup, MemoryBudget* memory) {
  co_await lookup.Finish();
  if (!lookup.status().ok()) co_return lookup.status();
  Value value;
  if (IsBlob(lookup.found())) {
    Task<absl::StatusOr<Value>> read = ReadLarge(TakeLarge(blobs, lookup.found()), memory, &value);
    co_return co_await std::move(read);
  }
  if (absl::Status taken = TakeValue(lookup.found(), memory, &value); !taken.ok()) co_return taken;
  co_return value;
}

// Fills in the value if the cache has what that takes, or else the task that reads the rest. So a
// search that reads nothing is on the stack, and whoever makes it has a small frame.
template <typename Value>
absl::Status FindInTables(const ReadViewSource& source, std::string_view key, Sequence at,
                          Value* value, Task<absl::StatusOr<Value>>* rest) {
  const std::shared_ptr<const Version>& version = source.read_view()->version;
  MemoryBudget* const memory = source.reader_memory().copies;
  VersionLookup lookup(*version, key, at);
  if (!lookup.TryFinish()) {
    *rest = ReadFromTables<Value>(version, source.blobs(), std::move(lookup), memory);
    return absl::OkStatus();
  }
  if (!lookup.status().ok()) return lookup.status();
  if (IsBlob(lookup.found())) {
    *rest = ReadLarge(TakeLarge(source.blobs(), lookup.found()), memory, value);
    return absl::OkStatus();
  }
  return TakeValue(lookup.found(), memory, value);
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
    rest = ReadLarge(LargeValue::At(source_.blobs(), change->value), nullptr, &value);
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
  PinnedValue value;
  Task<absl::StatusOr<PinnedValue>> rest;
  if (memory.change.has_value()) {
    if (memory.change->kind == OperationKind::kPutBlob) {
      rest = ReadLarge(LargeValue::At(source_.blobs(), memory.change->value),
                       source_.reader_memory().copies, &value);
      co_return co_await std::move(rest);
    }
    if (memory.change->kind != OperationKind::kPut) co_return PinnedValue();
    const std::string_view there = memory.change->value;
    const std::shared_ptr<const Memtable> place =
        memory.frozen != nullptr ? *memory.frozen : now.memtable;
    if (there.size() >= kLeastPinnedBytes) {
      if (std::shared_ptr<const Memtable> kept = Keep(place)) {
        co_return PinnedValue::In(std::move(kept), there);
      }
    }
    PinnedValue copy;
    absl::Status copied = CopyValue(there, source_.reader_memory().copies, &copy);
    if (!copied.ok()) co_return copied;
    co_return copy;
  }
  const absl::Status status = FindInTables(source_, key, at, &value, &rest);
  if (rest.valid()) co_return co_await std::move(rest);
  if (!status.ok()) co_return status;
  co_return value;
}

// Of what values are kept in there is one at a time, which may be a memtable of long ago: else
// somebody with a value of each would keep all that was ever written.
std::shared_ptr<const Memtable> StoreReader::Keep(const std::shared_ptr<const Memtable>& memtable) {
  std::shared_ptr<const Memtable> kept = kept_.lock();
  if (kept != nullptr) return kept.get() == memtable.get() ? kept : nullptr;
  // Of its own: it ends with the last value, and not with the memtable.
  kept = std::shared_ptr<const Memtable>(
      memtable.get(), [own = memtable](const Memtable*) mutable { own.reset(); });
  kept_ = kept;
  return kept;
}

// The keys of a MultiGet, and how far it has come with them.
class StoreReader::ManyKeys {
 public:
  using Values = std::vector<std::optional<std::string>>;

  // `charge` holds BytesFor(keys.size()).
  ManyKeys(const ReadViewSource& source, const std::vector<std::string_view>& keys, Sequence at,
           MemoryCharge charge)
      : blobs_(source.blobs()),
        view_(source.read_view()),
        at_(at),
        charge_(std::move(charge)),
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

  static size_t BytesFor(size_t keys) {
    return keys * (sizeof(Memtable::Lookup) + sizeof(std::optional<std::string>));
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
    TableFound* const found = search.lookup.found();
    if (!search.lookup.status().ok()) {
      Fail(search.key, search.lookup.status());
    } else if (IsBlob(found)) {
      large_.push_back({search.key, ioengine::TakeLarge(blobs_, found)});
    } else if (found != nullptr && found->kind == OperationKind::kPut) {
      Take(search.key, found->value);
    }
  }

  // A value that is in a file of its own.
  struct Large {
    size_t key;
    LargeValue value;
  };
  // Those that were found, and are to be read; of all keys, once no search is left.
  std::vector<Large> TakeLarge() { return std::exchange(large_, {}); }

  static Task<> ReadLarge(ManyKeys* keys, Large large, Semaphore::Units) {
    if (!keys->Reserve(large.key, large.value.bytes)) co_return;
    absl::StatusOr<std::string> value = co_await std::move(large.value.read);
    if (value.ok()) {
      keys->values_[large.key] = *std::move(value);
    } else {
      keys->Fail(large.key, value.status());
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
      if (in_memory.found->kind == OperationKind::kPut) Take(key, in_memory.found->value);
      if (in_memory.found->kind == OperationKind::kPutBlob) {
        large_.push_back({key, LargeValue::At(blobs_, in_memory.found->value)});
      }
    }
    return false;
  }

  void Take(size_t key, std::string_view value) {
    if (Reserve(key, value.size())) values_[key].emplace(value);
  }

  bool Reserve(size_t key, size_t bytes) {
    if (charge_.TryResize(charge_.bytes() + bytes)) return true;
    Fail(key, ReadersAreFull(*charge_.budget(), bytes));
    return false;
  }

  void Fail(size_t key, const absl::Status& status) {
    if (!failure_.ok() && key > failed_key_) return;
    failure_ = status;
    failed_key_ = key;
  }

  const BlobFiles& blobs_;
  const std::shared_ptr<const ReadView> view_;
  const Sequence at_;
  std::vector<Large> large_;
  MemoryCharge charge_;  // with the values, as long as they are not the caller's
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
  MemoryCharge charge(source_.reader_memory().copies);
  const size_t bytes = ManyKeys::BytesFor(keys.size());
  if (!charge.TryResize(bytes)) co_return ReadersAreFull(*charge.budget(), bytes);
  // What is visible in memory now, and else what was in tables before: all of this moment.
  ManyKeys all(source_, keys, MomentOf(snapshot), std::move(charge));
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
