// StoreCompactor: keeps the tables of a store few and its space small.
#ifndef IOENGINE_ENGINE_STORE_COMPACTOR_H_
#define IOENGINE_ENGINE_STORE_COMPACTOR_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/engine/blob/blob_writer.h"
#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/engine/lsm/blob_garbage.h"
#include "ioengine/engine/lsm/blob_move.h"
#include "ioengine/engine/lsm/compaction.h"
#include "ioengine/engine/lsm/compaction_picker.h"
#include "ioengine/engine/lsm/version.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/memory_charge.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_scope.h"

namespace ioengine {

class ShardStore;

struct CompactionStats {
  uint64_t jobs = 0;
  uint64_t failed_jobs = 0;
  uint64_t read_bytes = 0;
  uint64_t written_bytes = 0;
  uint64_t dropped_records = 0;
  uint64_t moved_tables = 0;  // without being written again
  uint64_t moved_values = 0;  // from one blob file to another
  uint64_t moved_value_bytes = 0;
};

// Three jobs at most run at one time, on tables of their own: one on what flushes made, one on what
// is below, and one that moves values out of blob files that are mostly garbage.
//
//   idle ──there is something to pick──► the new tables are durable, with their names ──► the
//     ▲          manifest's edit is ──► readers see them ──► the old files go with their last
//     reader └───────────────────────────────────────┘
//
// A job that fails has changed nothing, and is tried again later; damage in a table that it reads
// takes that table, which is found by reading all of them, out of all later jobs. When writes have
// failed no job begins any more.
//
// The memory for one job is set aside (StoreOptions::job_bytes). The other one begins when there is
// some for it, too.
//
// A table that is only to be elsewhere is not written again: one edit removes and adds it.
//
// Shard: the store's.
class StoreCompactor {
 public:
  explicit StoreCompactor(ShardStore& store);
  StoreCompactor(const StoreCompactor&) = delete;
  StoreCompactor& operator=(const StoreCompactor&) = delete;
  ~StoreCompactor() { scope_.Cancel(); }

  // Begins, with jobs in that class.
  void Start(ClassId class_id);
  // There are other tables than before.
  void Wake();
  // Ends. A job that merges has changed nothing; one that installs what it made goes on to its end.
  Task<> Stop();

  // Waits until there is nothing to pick and no job runs. Errors: of the last job, if it failed.
  Task<absl::Status> Settle();

  const CompactionStats& stats() const { return stats_; }

 private:
  enum class Part : uint8_t { kFlushed, kDeep, kBlobs };
  static constexpr size_t kParts = 3;
  // What a part does next.
  struct Job {
    CompactionPick tables;
    std::optional<BlobPick> values;  // to be moved, instead
  };

  Task<> Begin(ClassId class_id);
  void ShowDebt();
  Task<> Run(Part part);
  std::optional<Job> Pick(Part part);
  // Pick, if another part does not use any of the tables.
  std::optional<Job> Take(Part part);
  bool IsBusy(const Table& table) const { return busy_.count(table.record().identity.uuid) > 0; }
  bool IsSettled();
  Task<absl::Status> Do(Job job);
  // Whether the job has its memory, beside one that runs: in `extra`, if not in what is set aside.
  bool HasMemoryFor(const Job& job, MemoryCharge* extra) const;
  Task<absl::Status> Compact(CompactionPick pick);
  Task<absl::Status> MoveValues(BlobPick pick);
  CompactionJob JobFor(const CompactionPick& pick, uint64_t run);
  Task<absl::Status> Move(const CompactionPick* pick, uint64_t run);
  Task<absl::Status> Install(CompactionPick* pick, CompactionResult result);
  Task<absl::Status> Change(ManifestEdit edit, std::vector<std::shared_ptr<Table>> added);
  Task<> FindDamage(const CompactionPick* pick);

  ShardStore& store_;
  CompactionPicker picker_;
  BlobGarbagePicker garbage_;
  std::unique_ptr<BlobWriter> writer_;  // of values that are moved
  std::set<Uuid> busy_;                 // tables of jobs that run
  bool waits_[kParts] = {};             // a part, for tables that another one uses
  CompactionStats stats_;
  absl::Status status_;
  size_t running_ = 0;  // jobs
  size_t idle_ = 0;     // parts that have found nothing to do
  bool stopping_ = false;
  Event work_[kParts];
  Event settled_;  // pulsed
  Event ended_;    // pulsed, when a job has
  TaskScope scope_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_STORE_COMPACTOR_H_
