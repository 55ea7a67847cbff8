// EngineClient: how threads of the host, which are no shards, use a database.
//
//   EngineClient client = engine->NewClient({.timeout = 50ms});
//   absl::StatusOr<std::optional<std::string>> value = client.Get("key").Wait();      // blocks
//   client.PutThen(OnWritten, "key", "value");             // void OnWritten(StatusOr<WriteResult>)
//
//   EngineBatch batch(client);                             // one wake-up for all calls to a shard
//   for (const std::string& key : keys) values.push_back(batch.Get(key));
//   absl::Status sent = batch.Submit();
#ifndef IOENGINE_ENGINE_ENGINE_CLIENT_H_
#define IOENGINE_ENGINE_ENGINE_CLIENT_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/engine/batch_coordinator.h"
#include "ioengine/engine/client.h"
#include "ioengine/engine/engine_calls.h"
#include "ioengine/engine/engine_client_scan.h"
#include "ioengine/engine/engine_part.h"
#include "ioengine/engine/engine_snapshot.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/engine/wal/durability.h"
#include "ioengine/engine/write_batch.h"
#include "ioengine/sched/shard_id.h"

namespace ioengine {

class Engine;

// A thread that waits for each call pays two wake-ups for it: keep several calls in flight, or use
// an EngineBatch.
//
// Shard: any thread but a shard's; one client may be used by several threads.
// Ownership: borrows the engine. Keys and values are moved into the call; a snapshot is to be kept
// until the result is there.
// Errors, through the Future or to the callback: those of ShardStore and of Client.
class EngineClient {
 public:
  EngineClient(Engine& engine, Runtime& runtime, const ClientOptions& options)
      : engine_(&engine), client_(std::make_unique<Client>(runtime, options)) {}

  // Future<StatusOr<WriteResult>>
  auto Put(std::string key, std::string value, Durability durability = Durability::kDurable) {
    const auto [to, part] = Find(key);
    return client_->Submit(to, internal::PutOn, part, std::move(key), std::move(value), durability);
  }
  auto Delete(std::string key, Durability durability = Durability::kDurable) {
    const auto [to, part] = Find(key);
    return client_->Submit(to, internal::DeleteOn, part, std::move(key), durability);
  }
  // See Engine::Update, Engine::CompareAndSet.
  auto Update(std::string key, Updater function, Durability durability = Durability::kDurable) {
    const auto [to, part] = Find(key);
    return client_->Submit(to, internal::UpdateOn, part, std::move(key), std::move(function),
                           durability);
  }
  auto CompareAndSet(std::string key, std::optional<std::string> expected,
                     std::optional<std::string> desired,
                     Durability durability = Durability::kDurable) {
    return Update(std::move(key), internal::SetIf(std::move(expected), std::move(desired)),
                  durability);
  }
  // See Engine::Write.
  auto Write(WriteBatch batch, Durability durability = Durability::kDurable) {
    auto [to, part, changes] = Split(std::move(batch));
    return client_->Submit(to, internal::WriteOn, part, std::move(changes), durability);
  }
  // Future<StatusOr<std::optional<std::string>>>
  auto Get(std::string key, const std::optional<EngineSnapshot>& snapshot = std::nullopt) {
    const auto [to, part] = Find(key);
    return client_->Submit(to, internal::GetOn, part, std::move(key), EpochOf(snapshot));
  }

  // Future<StatusOr<std::vector<std::optional<std::string>>>>; see Engine::MultiGet.
  auto MultiGet(std::vector<std::string> keys,
                const std::optional<EngineSnapshot>& snapshot = std::nullopt) {
    const ShardId to = keys.empty() ? ShardId{0} : Find(keys.front()).shard;
    return client_->Submit(to, internal::MultiGetOver, engine_, std::move(keys), snapshot);
  }
  // Errors: those of Engine::TakeSnapshot. Ownership: the scan borrows this.
  absl::StatusOr<EngineClientScan> Scan(EngineScanOptions options = {});

  // The same with `callback(result)`: see Client::SubmitThen.
  template <typename Callback>
  void PutThen(Callback callback, std::string key, std::string value,
               Durability durability = Durability::kDurable) {
    const auto [to, part] = Find(key);
    client_->SubmitThen(to, std::move(callback), internal::PutOn, part, std::move(key),
                        std::move(value), durability);
  }
  template <typename Callback>
  void DeleteThen(Callback callback, std::string key,
                  Durability durability = Durability::kDurable) {
    const auto [to, part] = Find(key);
    client_->SubmitThen(to, std::move(callback), internal::DeleteOn, part, std::move(key),
                        durability);
  }
  template <typename Callback>
  void WriteThen(Callback callback, WriteBatch batch,
                 Durability durability = Durability::kDurable) {
    auto [to, part, changes] = Split(std::move(batch));
    client_->SubmitThen(to, std::move(callback), internal::WriteOn, part, std::move(changes),
                        durability);
  }
  template <typename Callback>
  void GetThen(Callback callback, std::string key,
               const std::optional<EngineSnapshot>& snapshot = std::nullopt) {
    const auto [to, part] = Find(key);
    client_->SubmitThen(to, std::move(callback), internal::GetOn, part, std::move(key),
                        EpochOf(snapshot));
  }

  Engine& engine() const { return *engine_; }

 private:
  friend class EngineBatch;

  struct Owner {
    ShardId shard;
    EnginePart* part;
  };
  Owner Find(const std::string& key) const;
  struct SplitBatch {
    ShardId shard;
    EnginePart* part;
    std::vector<ShardChanges> changes;
  };
  SplitBatch Split(WriteBatch batch) const;

  Engine* engine_;
  std::unique_ptr<Client> client_;
};

// Calls that are sent together: one place in the inbox, and one wake-up, for those to one shard.
// They are not one change: each has a result of its own.
//
// Shard: one thread at a time, not a shard's. Ownership: borrows the client.
class EngineBatch {
 public:
  explicit EngineBatch(EngineClient& client);

  // As those of EngineClient, but nothing is sent yet. A Future of a batch that is destroyed
  // without Submit gives Unavailable.
  auto Put(std::string key, std::string value, Durability durability = Durability::kDurable) {
    const auto [to, part] = client_.Find(key);
    return OfShard(to).Add(internal::PutOn, part, std::move(key), std::move(value), durability);
  }
  auto Delete(std::string key, Durability durability = Durability::kDurable) {
    const auto [to, part] = client_.Find(key);
    return OfShard(to).Add(internal::DeleteOn, part, std::move(key), durability);
  }
  auto Get(std::string key, const std::optional<EngineSnapshot>& snapshot = std::nullopt) {
    const auto [to, part] = client_.Find(key);
    return OfShard(to).Add(internal::GetOn, part, std::move(key), EpochOf(snapshot));
  }

  size_t size() const;

  // Sends what was added; the batch is empty then, and may be used again. The first error of a
  // shard that refused; it is also that of each Future of that shard.
  absl::Status Submit();

 private:
  Batch& OfShard(ShardId id) { return *batches_[id]; }

  EngineClient& client_;
  std::vector<std::unique_ptr<Batch>> batches_;  // by shard
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_ENGINE_CLIENT_H_
