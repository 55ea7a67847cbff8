// EngineSnapshot: a moment of a database over all shards, to read at.
#ifndef IOENGINE_ENGINE_ENGINE_SNAPSHOT_H_
#define IOENGINE_ENGINE_ENGINE_SNAPSHOT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "ioengine/engine/epoch_clock.h"

namespace ioengine {

// Reads at it see all writes that were acknowledged before it was taken, on any shard, none that
// began later, and of those between some, always the same. Each shard keeps what it can see until
// the last copy of it is gone: let go of it soon.
//
// Shard: any, and any other thread, for copies too. May outlive the engine.
class EngineSnapshot {
 public:
  explicit EngineSnapshot(EpochClock::Moment moment)
      : moment_(std::make_shared<const EpochClock::Moment>(std::move(moment))) {}

  uint64_t epoch() const { return moment_->epoch(); }

 private:
  std::shared_ptr<const EpochClock::Moment> moment_;
};

// As calls to shards carry it; nothing: now.
inline std::optional<uint64_t> EpochOf(const std::optional<EngineSnapshot>& snapshot) {
  if (!snapshot.has_value()) return std::nullopt;
  return snapshot->epoch();
}

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_ENGINE_SNAPSHOT_H_
