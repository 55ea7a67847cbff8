// EpochClock: the moments of a database's snapshots, over all of its shards.
#ifndef IOENGINE_ENGINE_EPOCH_CLOCK_H_
#define IOENGINE_ENGINE_EPOCH_CLOCK_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace ioengine {

// A shared number, the epoch. Each write has the epoch of its moment in its Sequence; a snapshot
// takes the epoch e and makes it e + 1, in one step, which is its place in time: it sees the writes
// of all shards up to epoch e. So who saw a write acknowledged, on any shard, and takes a snapshot
// then, has it in the snapshot; and a write that begins when the snapshot has been taken has not.
// A clock for each shard would not do: a shard that is ahead may acknowledge a write beyond a
// snapshot that has a later write of one that is behind (tests/model, which breaks this rule).
//
//   write:       epoch ────────────────► Sequence, log and memtable: in one go
//   snapshot:    slot: at least epoch ──► e = epoch++ ──► slot: e ──► … ──► slot: free
//   compaction:  epoch ──► slots: keeps what the snapshots there see. One that is not there yet has
//                that epoch or a later one, for its slot comes before its epoch; it sees the newest
//                of what a compaction that begins now has
//
// Shard: any, and any other thread. Written only when a snapshot is taken, so a read is one of the
// shard's own cache.
class EpochClock {
 public:
  // Snapshots at one time.
  static constexpr size_t kMostSnapshots = 1024;

  EpochClock();
  EpochClock(const EpochClock&) = delete;
  EpochClock& operator=(const EpochClock&) = delete;

  // Never cached from one task to the next.
  uint64_t now() const { return epoch_.load(std::memory_order_seq_cst); }

  // It is at least so much from now on: above all that was found when a database was opened.
  void RaiseTo(uint64_t epoch) {
    uint64_t now = epoch_.load(std::memory_order_relaxed);
    while (now < epoch && !epoch_.compare_exchange_weak(now, epoch)) {
    }
  }

  // A moment that compactions keep. Move-only. Any thread. Ownership: keeps the clock.
  class Moment {
   public:
    Moment(Moment&& other) noexcept
        : clock_(std::move(other.clock_)), slot_(other.slot_), epoch_(other.epoch_) {}
    Moment& operator=(Moment&&) = delete;
    ~Moment() {
      if (clock_ != nullptr) clock_->slots_[slot_].store(kFree);
    }

    uint64_t epoch() const { return epoch_; }

   private:
    friend class EpochClock;
    Moment(std::shared_ptr<EpochClock> clock, size_t slot, uint64_t epoch)
        : clock_(std::move(clock)), slot_(slot), epoch_(epoch) {}

    std::shared_ptr<EpochClock> clock_;
    size_t slot_;
    uint64_t epoch_;
  };

  // Now. Nothing: kMostSnapshots are held. Cost: an addition that all shards see, and a search for
  // a slot.
  static std::optional<Moment> TryTake(const std::shared_ptr<EpochClock>& clock);

  // Epochs, ascending, among them those of all moments that are held and are below the epoch of
  // the call. Cost: a look at each slot.
  std::vector<uint64_t> Held() const;

 private:
  static constexpr uint64_t kFree = UINT64_MAX;
  // Of an epoch in a slot: the snapshot has that one or a later one, which is about to be known.
  static constexpr uint64_t kTaking = uint64_t{1} << 63;

  std::atomic<uint64_t> epoch_{0};
  std::array<std::atomic<uint64_t>, kMostSnapshots>
      slots_;  // kFree, or an epoch, with kTaking or without
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_EPOCH_CLOCK_H_
