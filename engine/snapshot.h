// Snapshot: a moment of a store, to read at.
#ifndef IOENGINE_ENGINE_SNAPSHOT_H_
#define IOENGINE_ENGINE_SNAPSHOT_H_

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "ioengine/engine/format/sequence.h"
#include "ioengine/sched/memory_budget.h"
#include "ioengine/sched/memory_charge.h"

namespace ioengine {

// Reads at it see the writes up to it that did not fail, whatever comes later. The store keeps what
// it can see, on disk too, until the last copy of it is gone: let go of it soon.
//
// Shard: the store's, for copies too. May outlive the store.
class Snapshot {
 public:
  Sequence sequence() const { return pin_->sequence; }

 private:
  friend class SnapshotList;

  // How many snapshots there are of each moment.
  using Counts = std::map<Sequence, size_t>;

  struct Pin {
    Pin(std::shared_ptr<Counts> all, Sequence at, MemoryCharge taken)
        : counts(std::move(all)), sequence(at), charge(std::move(taken)) {
      if (counts != nullptr) ++(*counts)[sequence];
    }
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;
    ~Pin() {
      if (counts == nullptr) return;
      const auto found = counts->find(sequence);
      if (--found->second == 0) counts->erase(found);
    }

    const std::shared_ptr<Counts> counts;  // null: it is kept elsewhere
    const Sequence sequence;
    const MemoryCharge charge;
  };

  explicit Snapshot(std::shared_ptr<const Pin> pin) : pin_(std::move(pin)) {}

  std::shared_ptr<const Pin> pin_;
};

// The snapshots of a store.
//
// Shard: one.
class SnapshotList {
 public:
  // `memory` outlives the snapshots, also where they outlive this.
  explicit SnapshotList(MemoryBudget* memory) : memory_(memory) {}

  // Nothing: there is no memory for it. Cost: two allocations.
  std::optional<Snapshot> TryTake(Sequence at) {
    // With its place in the lists of two compactions.
    constexpr size_t kBytes = 256;
    MemoryCharge charge(memory_);
    if (!charge.TryResize(kBytes)) return std::nullopt;
    return Snapshot(std::make_shared<const Snapshot::Pin>(counts_, at, std::move(charge)));
  }

  // A moment that somebody else keeps, for longer than it is used: one of an EpochClock.
  static Snapshot Borrow(Sequence at) {
    return Snapshot(std::make_shared<const Snapshot::Pin>(nullptr, at, MemoryCharge()));
  }

  // Of those that there are, ascending.
  std::vector<Sequence> sequences() const {
    std::vector<Sequence> all;
    for (const auto& [sequence, count] : *counts_) all.push_back(sequence);
    return all;
  }

 private:
  MemoryBudget* const memory_;
  const std::shared_ptr<Snapshot::Counts> counts_ = std::make_shared<Snapshot::Counts>();
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_SNAPSHOT_H_
