// StoreIterator: the keys of a store in order, at one moment.
//
//   auto opened = co_await store.Scan(ScanOptions::Prefix("user/"));
//   if (!opened.ok()) co_return opened.status();
//   StoreIterator& scan = **opened;
//   absl::Status status = co_await scan.SeekToFirst();
//   for (; status.ok() && scan.Valid(); status = co_await scan.Next()) …
#ifndef IOENGINE_ENGINE_STORE_ITERATOR_H_
#define IOENGINE_ENGINE_STORE_ITERATOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/lsm/merge_iterator.h"
#include "ioengine/engine/lsm/read_view.h"
#include "ioengine/engine/snapshot.h"
#include "ioengine/engine/table/block_source.h"
#include "ioengine/sched/memory_charge.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// No aggregate: g++ 12 destroys twice what is made in braces within a co_await.
struct ScanOptions {
  ScanOptions() = default;

  std::optional<std::string> lower;  // the first key that may be seen
  std::optional<std::string> upper;  // the first behind it that may not
  std::optional<Snapshot> snapshot;  // without one: of the moment of the call
  // For a large scan forward: blocks are read ahead of it into buffers of its own, so many for each
  // run of tables, and the cache does not see them. Without it each block that is not in the cache
  // is a read that is waited for; so it is too while other scans have the shard's buffers that the
  // store leaves (StoreOptions::buffer_bytes).
  std::optional<ReadAheadOptions> read_ahead;

  // All keys that begin so.
  static ScanOptions Prefix(std::string prefix);
};

// It holds the memory and the files that it reads until it moves in a newer view, or the store asks
// for them (ReadViewSource); then it seeks its key again. So what it sees never changes, and it
// keeps no more than the block that its value is in.
//
//   fresh ──a move──► at a key ──a move──► at a key, or nowhere
//                        └──the store asks──► at a key, without a view
//
// Shard: the store's. One task at a time.
// Ownership: borrows the store. Keys and values that it gives are good until it moves.
// Errors, of each move: Unavailable when the store has been closed; DataLoss where what is needed
// is damaged, and those of reads; ResourceExhausted when readers keep too much, though all that can
// have let go of what they do not use (StoreOptions::reader_bytes). It is not Valid() then, and may
// Seek again.
// Cost: a move within blocks that are there is no suspension; one in a newer view, or to the other
// side than the last one, is a seek.
class StoreIterator final : private ReadViewSource::Reader {
 public:
  StoreIterator(ReadViewSource& store, Sequence at, ScanOptions options);
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
  // Where the cursor is, of the changes of key_.
  enum class CursorPlace : uint8_t {
    kElsewhere,
    kAtChange,  // at the one that counts
    kBefore,    // at the last one before all of them
  };
  // A move under way; ends with its coroutine.
  class Moving;

  void LetGo() override;
  void DropView();
  // Valid() no more; the cursor is over the view of now, or there is an error.
  absl::Status BeginMove();
  absl::Status MakeCursor();
  // Of memory, without a cursor.
  size_t own_bytes() const;
  // Whether there is room for it in own_value_, which is then that.
  bool TryOwn(std::string_view value);
  // Of a move that has come to its end.
  absl::Status Settled();

  // From where the cursor stands, to the newest change of a key that the snapshot sees; of key_
  // only if it was not passed. False: the cursor must move first, by a task; nothing is done
  // twice when it is asked again.
  bool TrySettleForward();
  Task<absl::Status> SettleForward();
  // From where the cursor stands, at the last change of a key, backwards. False: likewise.
  bool TrySettleBackward();
  Task<absl::Status> SettleBackward();
  Task<absl::Status> JumpForward();
  Task<absl::Status> JumpBackward();
  // Looks at key_ alone, when what is before it is damaged.
  Task<absl::Status> SettleAtCandidate(absl::Status damage);
  void TakeValue();
  // Backward.
  bool TryTakeCandidate();
  // Reads the value that own_value_ points to, where it is elsewhere.
  Task<absl::Status> LoadBlob();

  ReadViewSource& store_;
  const ScanOptions options_;
  std::shared_ptr<const ReadView> view_;
  std::unique_ptr<MergeIterator> cursor_;  // over view_
  CursorPlace place_ = CursorPlace::kElsewhere;
  bool moving_ = false;
  bool valid_ = false;

  std::string key_;
  std::string_view value_;
  std::string own_value_;  // if it is not in a block
  LoadedBlock own_block_;  // that it was in when the view was given up
  // While it settles.
  bool passes_key_ = false;     // forward: changes of key_ do not count any more
  bool has_candidate_ = false;  // backward: of key_ there is a change that the snapshot sees
  bool candidate_is_put_ = false;
  bool candidate_is_blob_ = false;
  bool needs_blob_ = false;  // own_value_ is the pointer to the value, and it is not Valid() yet
  size_t steps_ = 0;         // since the last task
  // So large is the value for which there was no room; 0: there was.
  size_t refused_bytes_ = 0;

  MemoryCharge charge_;   // of memory: own_bytes(), and the cursor's
  size_t key_bytes_ = 0;  // of key_, as it was charged, here and for each source
  MemoryCharge buffers_;  // that it reads ahead with
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_STORE_ITERATOR_H_
