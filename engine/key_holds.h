// KeyHolds: keys that somebody is about to change, and that nobody else may until then.
#ifndef IOENGINE_ENGINE_KEY_HOLDS_H_
#define IOENGINE_ENGINE_KEY_HOLDS_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "ioengine/engine/format/batch_record.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/write_batch.h"
#include "ioengine/sched/memory_charge.h"

namespace ioengine {

// Encoded operations, so many of them. Ownership: borrows.
struct Operations {
  std::string_view encoded;
  uint32_t count = 0;

  OperationReader reader() const { return {AsBytes(encoded), count}; }
};

// The keys of a write: one, or those of a batch's operations and conditions.
struct WriteKeys {
  std::string_view key = {};
  Operations batch = {};  // none, and no conditions either: it is the one key
  Operations conditions = {};

  static WriteKeys Of(const WriteBatch& batch) {
    return {.batch = {batch.operations(), batch.count()},
            .conditions = {batch.conditions(), batch.condition_count()}};
  }
};

// A batch over several shards holds its keys on each of them from before its commit until its part
// is there; an update holds its key from the read to the write.
//
//   Take ──► held ──Take it out──► free
//              └──Leave──► left: its outcome is known when the database is opened again
//
// Shard: the store's.
class KeyHolds {
 public:
  // Whose hold, and which of them.
  struct Id {
    uint64_t owner = 0;
    uint64_t number = 0;

    friend constexpr auto operator<=>(const Id&, const Id&) = default;
  };

  struct Hold {
    WriteBatch batch;  // whose keys are held
    // What is done with it has this one or a larger one. kMaxSequence: one of later.
    Sequence proposal = kMaxSequence;
    MemoryCharge memory;
    bool is_left = false;

    Operations operations() const { return {batch.operations(), batch.count()}; }
  };

  bool empty() const { return keys_.empty(); }
  // Cost: a look-up for each key.
  bool Has(const WriteKeys& keys) const;
  // Whether one whose outcome is not known has one of them.
  bool HasLeft(const WriteKeys& keys) const;

  // Of keys none of which is held. Ownership: `hold` is kept. Cost: an allocation for each key.
  void Take(Id id, Hold hold);
  // Its keys are free. Nothing: there is no such hold.
  std::optional<Hold> TakeOut(Id id);
  // Null: there is no such hold.
  const Hold* Find(Id id) const;
  // It has no memory any more: that is somewhere else.
  void LetGoOfMemory(Id id);
  // Nobody who reads waits for it any more, and nobody who writes gets the keys.
  void Leave(Id id);

  // Those that are not left.
  size_t active() const { return holds_.size() - left_; }
  // The smallest proposal of those; kMaxSequence where there is none. Cost: a look at each.
  Sequence OldestProposal() const;
  // Whether a hold that is not left, with a proposal of an epoch before that one, has the key.
  bool IsHeldBefore(std::string_view key, uint64_t epoch) const;

 private:
  std::unordered_map<std::string_view, Id> keys_;  // in the batches of their holds
  std::map<Id, Hold> holds_;
  size_t left_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_KEY_HOLDS_H_
