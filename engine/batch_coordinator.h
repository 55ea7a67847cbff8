// BatchCoordinator: makes a batch over several shards happen, on one of them.
#ifndef IOENGINE_ENGINE_BATCH_COORDINATOR_H_
#define IOENGINE_ENGINE_BATCH_COORDINATOR_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/commit_keeper.h"
#include "ioengine/engine/format/batch_record.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/key_holds.h"
#include "ioengine/engine/shard.h"
#include "ioengine/engine/shard_batches.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/write_batch.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/memory_charge.h"
#include "ioengine/sched/shard_id.h"
#include "ioengine/sched/task.h"

namespace ioengine {

class EnginePart;

// What a batch does on one shard.
struct ShardChanges {
  ShardId shard = 0;
  WriteBatch batch;
};

// See ShardBatches for what it has the shards do. A batch that has begun goes on whatever becomes
// of the task that asked for it:
//
//   holds ──► commit ──► durable ──► applied everywhere ──► answered
//     │          └─ the log fails ──► the holds stay: an opening finds the commit, or does not
//     └─ a shard cannot ──► nothing happened
//
// Shard: its own, for every call; the destructor: any thread.
class BatchCoordinator final : public CommitKeeper {
 public:
  // `tablet`: the shard's.
  BatchCoordinator(Shard& shard, uint64_t tablet) : shard_(shard), tablet_(tablet) {}
  BatchCoordinator(const BatchCoordinator&) = delete;
  BatchCoordinator& operator=(const BatchCoordinator&) = delete;
  ~BatchCoordinator() = default;

  struct Peer {
    uint64_t tablet = 0;
    EnginePart* part = nullptr;
  };
  // When all shards have opened their parts: gives the others what this one's log had for them. By
  // shard. Errors: those of a write there; DataLoss where a tablet is not known.
  Task<absl::Status> Begin(std::vector<Peer> peers);
  // Instead of that, and when it closes: who waits for others does so no more.
  void Abandon();

  // With parts of several shards, ascending, of which this is one. In a task that nobody ends.
  // Errors: those of a write on any of the shards, and nothing has happened; that of this shard's
  // log, and the outcome is not known until the database is opened again.
  Task<absl::StatusOr<WriteResult>> Write(std::vector<ShardChanges> changes);

 private:
  // What a commit has for another shard.
  struct Share {
    uint64_t tablet = 0;
    ShardId to = 0;
    uint32_t count = 0;
    std::string operations = {};
  };
  // A commit of which not all copies are known to be durable.
  struct Unsettled {
    uint64_t record = 0;  // of the log; 0: it was found when it was opened
    Sequence place;
    Sequence sequence;
    std::vector<Share> shares;
    MemoryCharge memory;  // of their operations

    size_t bytes() const;
  };
  struct Other {
    Peer peer;
    Sequence last = {};     // the last commit that concerns it
    Sequence durable = {};  // its copies up to this commit are
  };

  void OnFound(const BatchRecord& commit) override;
  Task<absl::Status> Settle(uint64_t record) override;

  Task<absl::Status> HoldAll(const std::vector<ShardChanges>& changes, KeyHolds::Id id,
                             Sequence* sequence);
  Task<> ReleaseAll(const std::vector<ShardChanges>& changes, KeyHolds::Id id);
  Task<absl::Status> Commit(std::vector<ShardChanges> changes, KeyHolds::Id id, Sequence sequence,
                            std::vector<ShardBatches::Part>* parts);
  Task<> LeaveAll(const std::vector<ShardId>& shards, KeyHolds::Id id);
  Task<absl::Status> ApplyAll(const std::vector<ShardId>& shards,
                              const std::vector<ShardBatches::Part>& parts);
  Task<absl::Status> GiveShares(Unsettled* found);

  EnginePart* PartOf(ShardId id) const { return others_[id].peer.part; }
  ShardBatches& own() const;
  std::vector<Share> SharesOf(std::vector<ShardChanges> changes) const;
  void Keep(Unsettled unsettled);
  // Has all copies of commits up to that record, which is durable, made so too, where they can be.
  Task<absl::Status> AskForCopies(uint64_t record);
  bool IsSettled(const Unsettled& unsettled) const;
  void ForgetSettled();
  Sequence NeededOf(ShardId to, uint64_t record) const;
  Unsettled* FirstUnsettled(uint64_t record);
  Task<absl::Status> CommitAgain(uint64_t record);

  Shard& shard_;
  const uint64_t tablet_;
  std::vector<Other> others_;        // by shard, with its own
  std::deque<Unsettled> unsettled_;  // in the order of their places
  size_t unsettled_bytes_ = 0;
  size_t stuck_bytes_ = 0;               // of them: what could not be settled the last time
  Sequence settled_;                     // all up to it are
  std::map<Sequence, Unsettled> found_;  // within Open
  uint64_t last_hold_ = 0;
  absl::Status abandoned_;
  Event begun_;  // or abandoned
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_BATCH_COORDINATOR_H_
