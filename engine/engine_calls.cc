#include "ioengine/engine/engine_calls.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "ioengine/engine/engine.h"
#include "ioengine/engine/snapshot.h"
#include "ioengine/sched/event.h"

namespace ioengine::internal {
namespace {

// Shared by the task that writes and the one that waits for it.
struct WriteOutcome {
  Event done;
  absl::StatusOr<WriteResult> result = absl::UnknownError("");
};

Task<> WriteOver(EnginePart* part, std::vector<ShardChanges> changes,
                 std::shared_ptr<WriteOutcome> outcome) {
  EnginePart::Call call(*part);
  if (call.status().ok()) {
    outcome->result = co_await part->coordinator().Write(std::move(changes));
  } else {
    outcome->result = call.status();
  }
  outcome->done.Set();
}

}  // namespace

Task<absl::StatusOr<WriteResult>> PutOn(Shard&, EnginePart* part, std::string key,
                                        std::string value, Durability durability) {
  EnginePart::Call call(*part);
  if (!call.status().ok()) co_return call.status();
  co_return co_await call.store().Put(key, value, durability);
}

Task<absl::StatusOr<WriteResult>> DeleteOn(Shard&, EnginePart* part, std::string key,
                                           Durability durability) {
  EnginePart::Call call(*part);
  if (!call.status().ok()) co_return call.status();
  co_return co_await call.store().Delete(key, durability);
}

Task<absl::StatusOr<WriteResult>> UpdateOn(Shard&, EnginePart* part, std::string key,
                                           Updater function, Durability durability) {
  EnginePart::Call call(*part);
  if (!call.status().ok()) co_return call.status();
  co_return co_await call.store().Update(key, std::move(function), durability);
}

Updater SetIf(std::optional<std::string> expected, std::optional<std::string> desired) {
  return
      [expected = std::move(expected), desired = std::move(desired)](
          const std::optional<std::string>& value) -> absl::StatusOr<std::optional<std::string>> {
        if (value == expected) return desired;
        return absl::FailedPreconditionError(value.has_value() ? "the key has another value"
                                                               : "the key has no value");
      };
}

Task<absl::StatusOr<WriteResult>> WriteOn(Shard& shard, EnginePart* part,
                                          std::vector<ShardChanges> changes,
                                          Durability durability) {
  const auto changes_some = [](const ShardChanges& change) {
    return !change.batch.status().ok() || !change.batch.empty();
  };
  if (std::none_of(changes.begin(), changes.end(), changes_some)) {
    co_return absl::InvalidArgumentError("a batch without a change: there is nothing to write");
  }
  if (changes.size() == 1) {
    EnginePart::Call call(*part);
    if (!call.status().ok()) co_return call.status();
    co_return co_await call.store().Write(changes[0].batch, durability);
  }
  // Whatever becomes of this task: what has begun on several shards has to end on all of them.
  auto outcome = std::make_shared<WriteOutcome>();
  shard.executor().Spawn(WriteOver(part, std::move(changes), outcome));
  co_await outcome->done.Wait();
  co_return std::move(outcome->result);
}

Task<absl::StatusOr<std::optional<std::string>>> GetOn(Shard&, EnginePart* part, std::string key,
                                                       std::optional<uint64_t> epoch) {
  EnginePart::Call call(*part);
  if (!call.status().ok()) co_return call.status();
  if (!epoch.has_value()) co_return co_await call.store().Get(key);
  const absl::StatusOr<Snapshot> snapshot = co_await call.store().SnapshotAt(*epoch);
  if (!snapshot.ok()) co_return snapshot.status();
  co_return co_await call.store().Get(key, *snapshot);
}

Task<absl::StatusOr<std::vector<std::optional<std::string>>>> MultiGetOn(
    Shard&, EnginePart* part, std::vector<std::string> keys, std::optional<uint64_t> epoch) {
  EnginePart::Call call(*part);
  if (!call.status().ok()) co_return call.status();
  std::vector<std::string_view> views(keys.begin(), keys.end());
  if (!epoch.has_value()) co_return co_await call.store().MultiGet(std::move(views));
  const absl::StatusOr<Snapshot> snapshot = co_await call.store().SnapshotAt(*epoch);
  if (!snapshot.ok()) co_return snapshot.status();
  co_return co_await call.store().MultiGet(std::move(views), *snapshot);
}

Task<absl::StatusOr<std::vector<std::optional<std::string>>>> MultiGetOver(
    Shard&, Engine* engine, std::vector<std::string> keys, std::optional<EngineSnapshot> snapshot) {
  std::vector<std::string_view> views(keys.begin(), keys.end());
  co_return co_await engine->MultiGet(std::move(views), std::move(snapshot));
}

}  // namespace ioengine::internal
