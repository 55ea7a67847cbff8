#include "ioengine/engine/engine_client.h"

#include "ioengine/engine/engine.h"

namespace ioengine {

EngineClient::Owner EngineClient::Find(const std::string& key) const {
  const ShardId shard = engine_->ShardOf(key);
  return {shard, engine_->part(shard)};
}

EngineClient::SplitBatch EngineClient::Split(WriteBatch batch) const {
  std::vector<ShardChanges> changes = engine_->ByShard(std::move(batch));
  const ShardId shard = changes.front().shard;
  return {shard, engine_->part(shard), std::move(changes)};
}

absl::StatusOr<EngineClientScan> EngineClient::Scan(EngineScanOptions options) {
  if (!options.snapshot.has_value()) {
    absl::StatusOr<EngineSnapshot> now = engine_->TakeSnapshot();
    if (!now.ok()) return now.status();
    options.snapshot = *std::move(now);
  }
  return EngineClientScan(*engine_, *client_, std::move(options));
}

EngineBatch::EngineBatch(EngineClient& client) : client_(client) {
  for (size_t i = 0; i < client.engine().shard_count(); ++i) {
    batches_.push_back(std::make_unique<Batch>(*client.client_, static_cast<ShardId>(i)));
  }
}

size_t EngineBatch::size() const {
  size_t sum = 0;
  for (const auto& batch : batches_) sum += batch->size();
  return sum;
}

absl::Status EngineBatch::Submit() {
  absl::Status status;
  for (const auto& batch : batches_) {
    if (batch->size() > 0) status.Update(batch->Submit());
  }
  return status;
}

}  // namespace ioengine
