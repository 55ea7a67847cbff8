// ShardBatches: what one store does for batches over several shards.
#ifndef IOENGINE_ENGINE_SHARD_BATCHES_H_
#define IOENGINE_ENGINE_SHARD_BATCHES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/batch_record.h"
#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/key_holds.h"
#include "ioengine/engine/write_batch.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/task.h"

namespace ioengine {

class ShardStore;

// A batch's coordinator (BatchCoordinator) is one of the shards that it concerns:
//
//   each shard, ascending   Hold ──► its keys are held, and a proposal for the batch's Sequence
//   coordinator             AppendCommit, at the largest proposal ──► durable: it is done
//   each other shard        Apply ──► a copy of its part is in its log, all of it is visible, and
//                           the keys are free
//
// The commit, one record, makes it atomic in a crash: an opening finds it, and gives those their
// parts that have no copies (Recover). The coordinator's log keeps it until all copies are durable.
// So no log ever waits for another shard's flush, and what a shard's tables hold is always what its
// own log had.
//
// The parts of one coordinator reach a shard's log in the order of their commits, so that one
// number says which of them it has: that of the last one. Decision 17 has the alternatives, and
// tests/model shows what each of these rules is for.
//
// Shard: the store's.
class ShardBatches {
 public:
  explicit ShardBatches(ShardStore& store) : store_(store) {}
  ShardBatches(const ShardBatches&) = delete;
  ShardBatches& operator=(const ShardBatches&) = delete;

  struct Held {
    Sequence proposal;
    // The copies of all the coordinator's batches up to here are durable.
    Sequence durable;
  };
  // Waits until none of the keys is held, and there is memory for what will be applied. Errors:
  // those of a write; FailedPrecondition: something that it requires is not so; nothing is held
  // then.
  Task<absl::StatusOr<Held>> Hold(KeyHolds::Id id, WriteBatch batch);
  // Nothing comes of it. Nothing, where there is no such hold.
  void Release(KeyHolds::Id id);
  // Whether something came of it is known when the database is opened again.
  void Leave(KeyHolds::Id id);
  size_t active_holds() const { return holds_.active(); }

  // Keys that an update of this shard alone holds, until it ends or lets go of them.
  class LocalHold {
   public:
    LocalHold(ShardBatches& batches, KeyHolds::Id id) : batches_(&batches), id_(id) {}
    LocalHold(LocalHold&& other) noexcept
        : batches_(std::exchange(other.batches_, nullptr)), id_(other.id_) {}
    LocalHold& operator=(LocalHold&&) = delete;
    ~LocalHold() { LetGo(); }

    void LetGo() {
      if (ShardBatches* const batches = std::exchange(batches_, nullptr)) batches->Release(id_);
    }

   private:
    ShardBatches* batches_;
    KeyHolds::Id id_;
  };
  // REQUIRES: nobody holds one of them. Reads and snapshots do not wait for it.
  LocalHold HoldHere(WriteBatch batch);
  // Whether what the batch requires is so. Its keys are held. Errors: FailedPrecondition: it is
  // not; those of reads.
  Task<absl::Status> CheckConditions(const WriteBatch& batch);

  // Whether somebody has one of the keys.
  bool Holds(const WriteKeys& keys) const { return holds_.Has(keys); }
  // See KeyHolds.
  Sequence OldestProposal() const {
    return holds_.empty() ? kMaxSequence : holds_.OldestProposal();
  }
  bool IsHeldBefore(std::string_view key, uint64_t epoch) const {
    return !holds_.empty() && holds_.IsHeldBefore(key, epoch);
  }
  // Waits until nobody has. Errors: the keys are not to be had until the database is opened again.
  Task<absl::Status> AwaitFree(WriteKeys keys);

  // InvalidArgument: a commit so large cannot be logged.
  absl::Status CheckCommit(size_t operation_bytes, size_t parts) const;
  // Waits for room in the log; what is done next without a suspension has it. Errors: those of
  // WalWriter::Admit.
  Task<absl::Status> AdmitCommit(size_t operation_bytes, size_t parts);
  struct Committed {
    uint64_t record = 0;
    Sequence place;
  };
  // After that, with this store's hold. What is held stays so, and becomes visible when the record
  // is durable. `others`: the parts of other shards.
  Committed AppendCommit(KeyHolds::Id own, Sequence sequence, Sequence settled,
                         std::span<const BatchPart> others);
  // The same commit once more, for some of the others; after AdmitCommit.
  uint64_t AppendAgain(const BatchCommit& commit);
  Task<absl::Status> AwaitDurable(uint64_t record);
  // Of this store's log, up to which all are.
  uint64_t durable_record() const;

  struct Part {
    KeyHolds::Id hold;
    BatchId batch;
    Sequence previous;  // of the coordinator's batches that concern this shard: the one before
    Sequence sequence;
  };
  // Of a batch whose commit is durable. Waits for the previous one, and for room in the log. Cannot
  // fail: where the log takes nothing any more it is shown all the same, and the next opening finds
  // the commit. Nothing, if it was done before.
  Task<> Apply(Part part);

  // What an opening has found in a coordinator's log: applied, unless it is there. Before anything
  // is served. Errors: those of WalWriter::Admit.
  Task<absl::Status> Recover(BatchId batch, Sequence sequence, std::string operations,
                             uint32_t count);

  // Makes the copies of a coordinator's batches up to `place` durable; waits until they are there.
  // False: they never will be before the next opening, since the log has failed. Errors: those of
  // WalWriter::Sync; Unavailable when it closes.
  Task<absl::StatusOr<bool>> MakeDurable(uint64_t coordinator, Sequence place);

  // What is in the log, or was found there.
  std::vector<ReceivedBatches> received() const;
  // When the store is opened.
  void SetReceived(uint64_t coordinator, Sequence place);

  // Who waits for keys, or for a batch to come, looks again.
  void Wake();

 private:
  struct Coordinator {
    Sequence applied;   // the last one of which the part is visible here
    Sequence received;  // the last one that is in the log
    Sequence durable;
    std::deque<std::pair<uint64_t, Sequence>> copies;  // records that were not durable
  };

  Task<bool> AdmitCopy(size_t operation_bytes);
  void AppendCopy(Operations operations, const BatchId& batch, Sequence sequence);
  void Show(Operations operations, Sequence sequence);
  void NoteDurable(Coordinator& coordinator);

  ShardStore& store_;
  KeyHolds holds_;
  std::map<uint64_t, Coordinator> coordinators_;  // by tablet
  uint64_t last_local_hold_ = 0;
  bool is_unlogged_ = false;  // something was applied and is not in the log: nothing will be again
  Event changed_;             // pulsed
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_SHARD_BATCHES_H_
