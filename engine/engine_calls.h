// What an engine's call does on the shard that has the keys.
#ifndef IOENGINE_ENGINE_ENGINE_CALLS_H_
#define IOENGINE_ENGINE_ENGINE_CALLS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ioengine/engine/batch_coordinator.h"
#include "ioengine/engine/engine_part.h"
#include "ioengine/engine/engine_snapshot.h"
#include "ioengine/engine/shard.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/wal/durability.h"
#include "ioengine/sched/task.h"

namespace ioengine {

class Engine;

namespace internal {

// Functions to send to shards: keys and values are theirs.
Task<absl::StatusOr<WriteResult>> PutOn(Shard& shard, EnginePart* part, std::string key,
                                        std::string value, Durability durability);
Task<absl::StatusOr<WriteResult>> DeleteOn(Shard& shard, EnginePart* part, std::string key,
                                           Durability durability);
Task<absl::StatusOr<WriteResult>> UpdateOn(Shard& shard, EnginePart* part, std::string key,
                                           Updater function, Durability durability);
// Of Engine::CompareAndSet.
Updater SetIf(std::optional<std::string> expected, std::optional<std::string> desired);
// All of one shard, with the level; or over several, which is kDurable whatever was asked for, with
// parts ascending by shard, of which the shard where it runs is one.
Task<absl::StatusOr<WriteResult>> WriteOn(Shard& shard, EnginePart* part,
                                          std::vector<ShardChanges> changes, Durability durability);
// `epoch`: of a snapshot, which the caller keeps; nothing: now.
Task<absl::StatusOr<std::optional<std::string>>> GetOn(Shard& shard, EnginePart* part,
                                                       std::string key,
                                                       std::optional<uint64_t> epoch);
Task<absl::StatusOr<std::vector<std::optional<std::string>>>> MultiGetOn(
    Shard& shard, EnginePart* part, std::vector<std::string> keys, std::optional<uint64_t> epoch);

// Of keys of any shard.
Task<absl::StatusOr<std::vector<std::optional<std::string>>>> MultiGetOver(
    Shard& shard, Engine* engine, std::vector<std::string> keys,
    std::optional<EngineSnapshot> snapshot);

}  // namespace internal
}  // namespace ioengine

#endif  // IOENGINE_ENGINE_ENGINE_CALLS_H_
