// ShardStore: the part of a database that one shard owns.
//
//   auto store = co_await ShardStore::Open(shard, "/data/db");
//   auto written = co_await (*store)->Put("key", "value");            // survives a power cut now
//   auto value = co_await (*store)->Get("key");                       // optional<string>
//   absl::Status closed = co_await (*store)->Close();
#ifndef IOENGINE_ENGINE_SHARD_STORE_H_
#define IOENGINE_ENGINE_SHARD_STORE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/blob/blob_writer.h"
#include "ioengine/engine/commit_keeper.h"
#include "ioengine/engine/epoch_clock.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/key_holds.h"
#include "ioengine/engine/lsm/memtable.h"
#include "ioengine/engine/lsm/read_view.h"
#include "ioengine/engine/manifest/catalog.h"
#include "ioengine/engine/pinned_value.h"
#include "ioengine/engine/shard.h"
#include "ioengine/engine/shard_batches.h"
#include "ioengine/engine/snapshot.h"
#include "ioengine/engine/space_guard.h"
#include "ioengine/engine/store_compactor.h"
#include "ioengine/engine/store_flusher.h"
#include "ioengine/engine/store_iterator.h"
#include "ioengine/engine/store_memory.h"
#include "ioengine/engine/store_options.h"
#include "ioengine/engine/store_reader.h"
#include "ioengine/engine/table/block_cache.h"
#include "ioengine/engine/wal/durability.h"
#include "ioengine/engine/wal/wal_stats.h"
#include "ioengine/engine/wal/wal_writer.h"
#include "ioengine/engine/write_batch.h"
#include "ioengine/engine/write_pacer.h"
#include "ioengine/io/file_system.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/memory_charge.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// Gives, of a key's value, what it is to be; nullopt is none, both ways. An error: it stays as it
// is.
using Updater = std::function<absl::StatusOr<std::optional<std::string>>(
    const std::optional<std::string>& value)>;

struct WriteResult {
  Sequence sequence;
  Durability reached = Durability::kMemory;
};

// Bytes that are in use, of the shard's budget.
struct StoreMemoryStats {
  size_t changes = 0;    // memtables, and writes on their way to the log
  size_t jobs = 0;       // flushes and compactions
  size_t readers = 0;    // StoreOptions::reader_bytes
  size_t tables = 0;     // what is known of them
  size_t log = 0;        // records that wait, as much as there may be
  size_t directory = 0;  // of the block cache, for as many blocks as there may be
};

struct StoreStats {
  uint64_t writes = 0;         // acknowledged
  uint64_t failed_writes = 0;  // their outcome is not known, or they were refused
  uint64_t reads = 0;          // keys
  uint64_t recovered_records = 0;
  uint64_t paced_writes = 0;  // had to wait for flushes and compactions
  uint64_t flushes = 0;
  uint64_t flushed_bytes = 0;  // of tables
  CompactionStats compaction;
  WalStats log;               // of this opening
  size_t memtable_bytes = 0;  // of changes in memory
  size_t runs = 0;
  size_t tables = 0;
  uint64_t table_bytes = 0;
  uint64_t written_blob_bytes = 0;  // of large values, in this opening
  size_t blob_files = 0;
  uint64_t blob_bytes = 0;       // of those files
  uint64_t live_blob_bytes = 0;  // of them: what tables refer to
  StoreMemoryStats memory;
};

// A write becomes visible when it has reached the level that was asked for, and not before; writes
// of one level become visible in the order of their calls, but that one with a value for a blob
// file (BlobOptions) has its place in that order when the value is durable. The first write or sync
// of the log that fails ends writing: that write and all later ones get its error, what they wrote
// is not seen, and reads go on. Whether it survives is known when the database is opened again.
//
// Shard: the one that opened it, for every call.
// Ownership: keys and values are borrowed until the call's task has ended. A task that is destroyed
// before leaves its write to go on, with an outcome that nobody is told.
// Errors: Unavailable while and after it closes; ResourceExhausted when memory, or the disk, is
// full, naming what is, and the option that bounds it; InvalidArgument for a key that is too long,
// or a batch above WalOptions::max_pending_bytes; of reads, DataLoss when what they need is
// damaged. No call may be under way when it is destroyed.
class ShardStore final : public ReadViewSource, private WalSink {
 public:
  // Opens the database in `directory`, or makes one; the directory around it must be there. Replays
  // its log; what was replayed is durable before this returns. Errors: NotFound; Unavailable, when
  // another process or store has it open; PermissionDenied, when it is not ours alone;
  // FailedPrecondition, when its format is newer; DataLoss, when what was durable is damaged; those
  // of the file system, after which it can be tried again. A deadline of the calling task is one of
  // this call, and not of the store.
  static Task<absl::StatusOr<std::unique_ptr<ShardStore>>> Open(Shard& shard, std::string directory,
                                                                StoreOptions options = {});
  // The same of a tablet, for an engine: all tablets of a database have one clock. Borrows
  // `commits`; null: there are no batches over several tablets.
  static Task<absl::StatusOr<std::unique_ptr<ShardStore>>> Open(Shard& shard, std::string directory,
                                                                StoreOptions options,
                                                                std::shared_ptr<EpochClock> clock,
                                                                CommitKeeper* commits);
  ShardStore(const ShardStore&) = delete;
  ShardStore& operator=(const ShardStore&) = delete;
  // Close it first: otherwise what was not durable may be lost, as when the process is killed.
  ~ShardStore();

  Task<absl::StatusOr<WriteResult>> Put(std::string_view key, std::string_view value,
                                        Durability durability = Durability::kDurable);
  Task<absl::StatusOr<WriteResult>> Delete(std::string_view key,
                                           Durability durability = Durability::kDurable);
  // Nothing else writes to the key between the read and the write: who wants to waits. `function`
  // runs once, on this shard, and does not suspend. Errors: its own, too, as it gave them.
  Task<absl::StatusOr<WriteResult>> Update(std::string_view key, Updater function,
                                           Durability durability = Durability::kDurable);
  // All of it or nothing, also after a crash. FailedPrecondition: what it requires is not so.
  Task<absl::StatusOr<WriteResult>> Write(const WriteBatch& batch,
                                          Durability durability = Durability::kDurable);

  // The value; nullopt when the key has none. Without a snapshot: of now.
  Task<absl::StatusOr<std::optional<std::string>>> Get(
      std::string_view key, std::optional<Snapshot> snapshot = std::nullopt);
  // The same without a copy of a value of 1 KiB or more, unless too much of the cache is held.
  Task<absl::StatusOr<PinnedValue>> GetPinned(std::string_view key,
                                              std::optional<Snapshot> snapshot = std::nullopt);
  // Result i is that of keys[i], which may repeat; all of one moment. Blocks that are not in the
  // cache are read at the same time. The first key that fails gives the error.
  Task<absl::StatusOr<std::vector<std::optional<std::string>>>> MultiGet(
      std::vector<std::string_view> keys, std::optional<Snapshot> snapshot = std::nullopt);

  // The keys in order, at one moment.
  Task<absl::StatusOr<std::unique_ptr<StoreIterator>>> Scan(ScanOptions options = {});

  // Of the moment of the call. Waits for the writes before it that are on their way to the log.
  Task<absl::StatusOr<Snapshot>> TakeSnapshot();
  // The same of a moment of the clock, which the caller keeps until all that reads at it has ended.
  Task<absl::StatusOr<Snapshot>> SnapshotAt(uint64_t epoch);

  // Makes all writes that were acknowledged durable.
  Task<absl::Status> Sync();

  // Writes what is in memory to tables, as happens by itself when there is much of it. Errors: why
  // that does not succeed; nothing is lost.
  Task<absl::Status> Flush();

  // Flushes, and waits until there are no more runs of tables, and no more space is taken, than the
  // options say. Errors: those of a flush or of the last job; nothing is lost.
  Task<absl::Status> Compact();

  // Waits for writes on their way, makes all durable, and closes the files.
  Task<absl::Status> Close();

  // The first failure of the log, the manifest or ROOT; ok while it takes writes.
  const absl::Status& write_status() const { return failed_; }
  const StoreStats& stats();
  // Of a tablet: all shards have what others had for them, and calls may come. Until then nothing
  // is flushed: what coordinators give comes in any order, which the sequences mend within a
  // memtable, and nothing between one and a table.
  void Serve();
  // For batches over several shards.
  ShardBatches& batches() { return batches_; }
  const RootState& root() const { return catalog_->root(); }
  // Unavailable once it is closed.
  absl::Status MayRead() const override;
  const std::shared_ptr<const ReadView>& read_view() const override { return view_; }
  const BlobFiles& blobs() const override { return catalog_->blobs(); }
  ReaderMemory reader_memory() const override {
    return {.copies = &memory_.readers, .buffers = &memory_.scan_buffers};
  }

 private:
  friend class ShardBatches;
  friend class StoreCompactor;
  friend class StoreFlusher;
  friend class StoreOpener;

  // What is asked for before a write.
  struct WriteSize {
    size_t bytes = 0;  // of operations, encoded
    size_t changes = 0;
  };

  // A change that is in the log's hands, and not visible yet.
  struct Pending {
    uint64_t record;
    Sequence sequence;
    Memtable* memtable;
    Memtable::Entry* entry;
  };

  ShardStore(Shard& shard, StoreOptions options, std::shared_ptr<EpochClock> clock,
             CommitKeeper* commits, FileSystem files)
      : shard_(shard),
        options_(std::move(options)),
        clock_(std::move(clock)),
        commits_(commits),
        files_(std::move(files)),
        memory_(shard.io(), options_),
        snapshots_(&memory_.shard),
        space_(shard.io(), files_, options_.ballast_bytes),
        pacer_(options_.memtable_bytes) {}

  static Task<absl::StatusOr<std::unique_ptr<ShardStore>>> OpenOnce(
      Shard& shard, std::string directory, StoreOptions options, std::shared_ptr<EpochClock> clock,
      CommitKeeper* commits, bool* gave_way);

  void OnReached(Durability level, uint64_t record) override;
  void OnFailed(const absl::Status& status) override;
  void OnNoSpace() override { space_.AskToGiveWay(); }

  void FailWrites(const absl::Status& status);
  // Readers see the catalog's tables from now on.
  void ShowTables();

  Memtable& memtable() const { return *view_->memtable; }
  std::shared_ptr<Memtable> NewMemtable() const;
  // Of all memtables that there are, also of those that only readers keep.
  size_t memory_bytes() const { return memory_.changes.used_bytes(); }
  static size_t MemoryFor(WriteSize write) {
    return write.bytes + write.changes * (Memtable::kMostEntryOverhead + sizeof(Pending));
  }
  bool HasMemoryFor(WriteSize write) const;
  bool IsLarge(size_t value_bytes) const {
    return options_.blobs.least_bytes > 0 && value_bytes >= options_.blobs.least_bytes;
  }
  absl::Status MayWrite() const;
  absl::Status MayWrite(WriteSize write) const;
  // A write of that size, with so much that users gave.
  // A write of that size, with so much that users gave. `keys`: to be free; null: they are held.
  Task<absl::Status> Admit(WriteSize write, size_t user_bytes, const WriteKeys* keys);
  // `hold`: has the key, and lets go of it when the write has its place.
  Task<absl::StatusOr<WriteResult>> WriteOne(Operation operation, Durability durability,
                                             ShardBatches::LocalHold* hold = nullptr);
  Task<absl::StatusOr<WriteResult>> WriteAll(const WriteBatch& batch, Durability durability,
                                             ShardBatches::LocalHold* hold);
  // Of which some values are for blob files.
  Task<absl::StatusOr<WriteResult>> WriteLarge(std::vector<Operation> operations,
                                               Durability durability,
                                               ShardBatches::LocalHold* hold);
  // Larger than any before.
  Sequence NextSequence();
  uint64_t Begin(Operations operations, Durability durability, WriteResult* result);
  // Counts it.
  absl::StatusOr<WriteResult> Outcome(const absl::Status& status, const WriteResult& result);
  // Of entries: what they have, and what tells whether they come before a snapshot. (The latter is
  // larger where a batch over several shards was proposed before other writes; until it is visible
  // a hold has its keys.)
  struct Order {
    Sequence entries;
    Sequence order;
  };
  void Stage(Operations operations, Order sequences, uint64_t record, Durability durability);
  // Those who wait for writes, or for keys that are held, look again.
  void WakeWaiting();
  std::deque<Pending>& PendingOf(Durability level) {
    return level == Durability::kDurable ? pending_durable_ : pending_written_;
  }
  Sequence OldestPending() const;
  // Until there is no write up to there any more that is on its way.
  Task<> AwaitPending(Sequence last);
  bool IsOnItsWay(std::string_view key, uint64_t before_epoch) const;
  // Until all writes of the key that were begun are visible, or have failed.
  Task<> AwaitVisible(std::string_view key);
  bool MustAwait(std::string_view key) const;
  bool MustAwaitAny(const std::vector<std::string_view>& keys) const;
  Task<absl::StatusOr<std::optional<std::string>>> GetLater(std::string_view key);
  Task<absl::StatusOr<PinnedValue>> GetPinnedLater(std::string_view key);
  Task<absl::StatusOr<std::vector<std::optional<std::string>>>> MultiGetLater(
      std::vector<std::string_view> keys);
  // Of all that somebody may read at, ascending.
  std::vector<Sequence> Moments() const;
  void ChargePending() {
    pending_charge_.Resize((pending_written_.size() + pending_durable_.size()) * sizeof(Pending));
  }

  Shard& shard_;
  const StoreOptions options_;
  const std::shared_ptr<EpochClock> clock_;
  CommitKeeper* const commits_;
  FileSystem files_;
  mutable StoreMemory memory_;  // who only reads takes some, too
  SnapshotList snapshots_;
  std::unique_ptr<BlockCache> cache_;
  std::unique_ptr<Catalog> catalog_;
  std::shared_ptr<const ReadView> view_;
  std::unique_ptr<WalWriter> wal_;
  std::unique_ptr<BlobWriter> blob_writer_;
  SpaceGuard space_;
  WritePacer pacer_;
  std::unique_ptr<StoreFlusher> flusher_;
  std::unique_ptr<StoreCompactor> compactor_;
  size_t max_log_segments_ = 0;

  Sequence last_;  // of the newest write
  // In the order of their records.
  std::deque<Pending> pending_written_;
  std::deque<Pending> pending_durable_;
  MemoryCharge pending_charge_{&memory_.changes};
  Event published_;  // by whoever waits for pending writes
  ShardBatches batches_{*this};
  absl::Status failed_;
  bool closing_ = false;
  bool serves_ = false;
  StoreStats stats_;
  StoreReader reader_{*this};
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_SHARD_STORE_H_
