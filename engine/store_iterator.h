// StoreIterator: the keys of a store in order, at one moment.
//
//   auto opened = co_await store.Scan(ScanOptions::Prefix("user/"));
//   if (!opened.ok()) co_return opened.status();
//   StoreIterator& scan = **opened;
//   absl::Status status = co_await scan.SeekToFirst();
//   for (; status.ok() && scan.Valid(); status = co_await scan.Next()) …
#ifndef IOENGINE_ENGINE_STORE_ITERATOR_H_
#define IOENGINE_ENGINE_STORE_ITERATOR_H_

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/lsm/memtable.h"
#include "ioengine/sched/task.h"

namespace ioengine {

class ShardStore;

// A moment of a store. Reads at it see the writes up to it that did not fail, whatever comes later.
struct Snapshot {
  Sequence sequence;
};

// No aggregate: g++ 12 destroys twice what is made in braces within a co_await.
struct ScanOptions {
  ScanOptions() = default;

  std::optional<std::string> lower;  // the first key that may be seen
  std::optional<std::string> upper;  // the first behind it that may not
  std::optional<Snapshot> snapshot;  // without one: of the moment of the call

  // All keys that begin so.
  static ScanOptions Prefix(std::string prefix);
};

// Shard: the store's.
// Ownership: borrows the store. Keys and values that it gives are good until it moves.
// Errors, of each move: Unavailable when the store has been closed; DataLoss where what is needed
// is damaged. It is not Valid() then.
class StoreIterator {
 public:
  StoreIterator(const ShardStore& store, const Memtable& memtable, Sequence at, ScanOptions options)
      : store_(store), cursor_(memtable), at_(at), options_(std::move(options)) {}
  StoreIterator(const StoreIterator&) = delete;
  StoreIterator& operator=(const StoreIterator&) = delete;

  // False behind the last key within the bounds, before the first, and at first.
  bool Valid() const { return valid_; }
  // REQUIRES: Valid().
  std::string_view key() const { return key_; }
  std::string_view value() const { return value_; }

  Task<absl::Status> SeekToFirst();
  Task<absl::Status> SeekToLast();
  // To the first key that is not before `key`, or the last that is not behind it.
  Task<absl::Status> Seek(std::string_view key);
  Task<absl::Status> SeekForPrev(std::string_view key);
  // REQUIRES: Valid().
  Task<absl::Status> Next();
  Task<absl::Status> Prev();

 private:
  bool WithinUpper(std::string_view key) const {
    return !options_.upper.has_value() || key < *options_.upper;
  }
  bool WithinLower(std::string_view key) const {
    return !options_.lower.has_value() || key >= *options_.lower;
  }
  absl::Status Check() const;
  void SettleForward();
  void SettleBackward();
  void SkipKeyBackward(const std::string& key);

  const ShardStore& store_;
  Memtable::Iterator cursor_;
  const Sequence at_;
  const ScanOptions options_;
  bool valid_ = false;
  std::string key_;
  std::string_view value_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_STORE_ITERATOR_H_
