// StoreFlusher: writes what a store has in memory to tables.
#ifndef IOENGINE_ENGINE_STORE_FLUSHER_H_
#define IOENGINE_ENGINE_STORE_FLUSHER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/engine/lsm/memtable.h"
#include "ioengine/engine/lsm/version.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_scope.h"

namespace ioengine {

class ShardStore;

// A memtable that is full gives its place to a new one, and goes on being read until a table has
// what it holds:
//
//   takes writes ──Freeze──► frozen ──► the log is durable up to its last record, and other shards
//   have what it committed for them ──► the table is, with its name ──► the manifest's edit is ──►
//   readers see the table instead ──► the log is let go
//
// A crash at any point leaves either the log or the table, and the edit says which. So a table
// never holds what the log might still lose, and the log goes only when the edit is durable.
//
//   idle ──Freeze──► flushing ──► idle
//                       ├─ no space, a file that cannot be written ──► the same again, later
//                       └─ the log, the manifest or ROOT fails ──► ended: memory is read as it is
//
// Shard: the store's.
class StoreFlusher {
 public:
  explicit StoreFlusher(ShardStore& store);
  StoreFlusher(const StoreFlusher&) = delete;
  StoreFlusher& operator=(const StoreFlusher&) = delete;
  ~StoreFlusher() { scope_.Cancel(); }

  // Begins, with flushes in that class. What was replayed from the log streams `replayed`, whose
  // files are `segments`, is in the memtable.
  void Start(ClassId class_id, std::vector<uint64_t> replayed, std::vector<std::string> segments);

  // Freezes the store's memtable if it is large, or pins much of the log, and no other one is on
  // its way. Cost: a comparison.
  void FreezeIfFull();
  // Likewise, if there is anything in it.
  void Freeze();

  // Waits until there may be room in memory. Errors: ResourceExhausted, with the reason, where
  // flushes do not succeed.
  Task<absl::Status> MakeRoom();

  // Waits until what was in memory at the call is in tables. Errors: why it is not.
  Task<absl::Status> FlushAll();

  // Ends; waits for a flush that is under way.
  Task<> Stop();

  size_t frozen_bytes() const;
  uint64_t flushes() const { return flushes_; }
  uint64_t flushed_bytes() const { return flushed_bytes_; }
  // Why the last attempt did not succeed.
  const absl::Status& status() const { return status_; }

 private:
  struct Frozen {
    std::shared_ptr<Memtable> memtable;
    uint64_t last_record = 0;  // of the log: all up to it are in tables, this one and older ones
    std::vector<ReceivedBatches> received;  // up to there
  };

  Task<> Run();
  Task<absl::Status> FlushOldest();
  Task<absl::Status> MakeLogDurable(uint64_t record);
  Task<absl::Status> ReachDurable(uint64_t record);
  Task<absl::Status> WriteTable(const Memtable* memtable, std::shared_ptr<Table>* table);
  Task<absl::StatusOr<std::shared_ptr<Table>>> BuildTable(const Memtable* memtable, Uuid uuid);
  Task<> CleanUp();
  Task<absl::Status> ForgetReplayed();
  bool IsOver() const;

  ShardStore& store_;
  std::deque<Frozen> frozen_;  // oldest first
  std::vector<uint64_t> replayed_;
  std::vector<std::string> replayed_segments_;
  WalStart release_;  // of the log: the front of what is needed
  uint64_t flushes_ = 0;
  uint64_t flushed_bytes_ = 0;
  uint64_t frozen_blob_bytes_ = 0;  // that had been written at the last Freeze
  absl::Status status_;
  bool stopping_ = false;
  Event work_;
  Event progress_;  // pulsed
  TaskScope scope_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_STORE_FLUSHER_H_
