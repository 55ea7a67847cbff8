#include "ioengine/engine/engine_calls.h"

#include <string_view>
#include <utility>

#include "ioengine/engine/snapshot.h"

namespace ioengine::internal {

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

}  // namespace ioengine::internal
