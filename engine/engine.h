// Engine: a database over all shards of a runtime.
//
//   auto engine = Engine::Open(*runtime, "/data/db");                 // from a thread of the host
//   EngineClient client = (*engine)->NewClient();
//   absl::StatusOr<WriteResult> written = client.Put("key", "value").Wait();
//
//   Task<absl::Status> OnAShard(Engine* engine) {                     // in a task, on any shard
//     auto value = co_await engine->Get("key");                       // optional<string>
//     …
//   }
//
//   absl::Status closed = (*engine)->CloseAndWait();
#ifndef IOENGINE_ENGINE_ENGINE_H_
#define IOENGINE_ENGINE_ENGINE_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/batch_coordinator.h"
#include "ioengine/engine/client.h"
#include "ioengine/engine/engine_client.h"
#include "ioengine/engine/engine_options.h"
#include "ioengine/engine/engine_part.h"
#include "ioengine/engine/engine_scan.h"
#include "ioengine/engine/engine_snapshot.h"
#include "ioengine/engine/epoch_clock.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/engine/key_router.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/engine/shard.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/engine/wal/durability.h"
#include "ioengine/engine/write_batch.h"
#include "ioengine/sched/shard_id.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// Each shard has one tablet, a ShardStore in a directory of its own, and serves the keys of that:
// a call for a key of another shard travels there over the mesh, and its answer back. What is said
// at ShardStore of each call (order, durability, errors) holds here for the keys of one shard.
// Without a snapshot there is no order between shards: who reads several may see a later write on
// one and not yet an earlier one on another.
//
//   <directory>/ROOT      which tablets there are, and how keys find them
//              /T-1/ …    the store of the first tablet: its own ROOT, log, manifest and tables
//
// Shard: any of the runtime, for what returns a Task; any thread for the rest.
// Ownership: keys and values are borrowed until the call's task has ended, or copied into a call to
// another shard. All calls must have ended when the engine is destroyed.
// Errors: those of ShardStore; those of MeshPort::SubmitTo for keys of other shards; Unavailable
// when it closes.
class Engine {
 public:
  using Value = std::optional<std::string>;

  // Opens the database in `directory`, or makes one; the directory around it must be there. All
  // shards open their tablets at once. Errors: those of ShardStore::Open, of the first shard that
  // cannot, and no shard has it open then; InvalidArgument, naming the option; FailedPrecondition
  // when the database has another number of shards, or is that of a single ShardStore.
  //
  // From a thread of the host; blocks. Borrows `runtime`.
  static absl::StatusOr<std::unique_ptr<Engine>> Open(Runtime& runtime, std::string directory,
                                                      const EngineOptions& options = {});
  // From a task, on the shard that keeps the directory's ROOT and lock. A task that is destroyed
  // before leaves nothing open.
  static Task<absl::StatusOr<std::unique_ptr<Engine>>> Open(Shard& shard, std::string directory,
                                                            EngineOptions options = {});

  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  // Close it first: otherwise the shards keep it open until they stop, as if killed.
  ~Engine();

  // Refuses new calls, waits for those under way, makes all durable, and closes the files. Errors:
  // the first of a shard; it is closed all the same. Once; no call may begin afterwards.
  Task<absl::Status> Close();
  // The same from a thread of the host; of an engine that was opened from one.
  absl::Status CloseAndWait();

  Task<absl::StatusOr<WriteResult>> Put(std::string_view key, std::string_view value,
                                        Durability durability = Durability::kDurable);
  Task<absl::StatusOr<WriteResult>> Delete(std::string_view key,
                                           Durability durability = Durability::kDurable);
  // See ShardStore::Update; `function` runs on the key's shard.
  Task<absl::StatusOr<WriteResult>> Update(std::string_view key, Updater function,
                                           Durability durability = Durability::kDurable);
  // Writes `desired` if the key has the value `expected`; nullopt is none, of both.
  // FailedPrecondition: it has another one.
  Task<absl::StatusOr<WriteResult>> CompareAndSet(std::string_view key, Value expected,
                                                  Value desired,
                                                  Durability durability = Durability::kDurable);
  // All of it or nothing, on all shards, also after a crash and for snapshots. (Who reads several
  // shards without a snapshot may see it on one, and not yet on another.) One that concerns several
  // shards is always kDurable, and goes on when this task is destroyed; until it has ended, other
  // writes to its keys wait. Its values stand in the log and in tables whatever their size, not in
  // blob files. When the log of the shard that coordinates it fails (the caller's, or the first
  // that it concerns), its outcome is known when the database is opened again, and until then
  // writes to its keys are refused. FailedPrecondition: what it requires is not so. Cost: a call to
  // each shard, one after the other; a write of the log; a call to each shard, all at once.
  Task<absl::StatusOr<WriteResult>> Write(WriteBatch batch,
                                          Durability durability = Durability::kDurable);
  // Without a snapshot: of now.
  Task<absl::StatusOr<Value>> Get(std::string_view key,
                                  std::optional<EngineSnapshot> snapshot = std::nullopt);
  // Result i is that of keys[i]. With a snapshot all are of its moment, without one those of each
  // shard are of one. The first shard that fails gives the error. Cost: one call to each shard that
  // has some, all at once.
  Task<absl::StatusOr<std::vector<Value>>> MultiGet(
      std::vector<std::string_view> keys, std::optional<EngineSnapshot> snapshot = std::nullopt);

  // The keys of all shards in order. See EngineScan. Errors: those of TakeSnapshot.
  absl::StatusOr<std::unique_ptr<EngineScan>> Scan(EngineScanOptions options = {});

  // Of the moment of the call. Any thread. Errors: ResourceExhausted, there are
  // EpochClock::kMostSnapshots. Cost: a write to memory that all shards read, and no message: a
  // read at it waits for the writes before it that are on their way.
  absl::StatusOr<EngineSnapshot> TakeSnapshot();

  // On all shards at once: see ShardStore. The first shard's error.
  Task<absl::Status> Sync();
  Task<absl::Status> Flush();
  Task<absl::Status> Compact();
  // Of each shard.
  Task<absl::StatusOr<std::vector<StoreStats>>> Stats();

  // Who has the key. Cost: as KeyRouter::TabletOf.
  ShardId ShardOf(std::string_view key) const {
    return static_cast<ShardId>(router_.TabletOf(key));
  }
  size_t shard_count() const { return parts_.size(); }
  const KeyPlacement& placement() const { return router_.placement(); }
  const std::string& directory() const { return directory_; }
  const Uuid& database() const { return database_; }

  // For threads of the host; of an engine that was opened from one.
  EngineClient NewClient(const ClientOptions& options = {});

  // For what is built on it, as EngineClient: a batch by shards, ascending, and at least one (for
  // one that cannot be written that is the first); of shard `id`, what is to be used there.
  std::vector<ShardChanges> ByShard(WriteBatch batch) const;
  EnginePart* part(ShardId id) const { return parts_[id].get(); }

 private:
  friend class EngineOpener;

  Engine(std::string directory, Uuid database, KeyRouter router, std::shared_ptr<EpochClock> clock,
         std::vector<std::shared_ptr<EnginePart>> parts)
      : clock_(std::move(clock)),
        directory_(std::move(directory)),
        database_(database),
        router_(std::move(router)),
        parts_(std::move(parts)) {}

  template <typename Function>
  Task<absl::Status> OnAll(Function function);

  // The shards that may have keys of the range, in the order of tablets.
  std::vector<std::pair<ShardId, EnginePart*>> ShardsOf(const EngineScanOptions& options) const;

  const std::shared_ptr<EpochClock> clock_;
  const std::string directory_;
  const Uuid database_;
  const KeyRouter router_;
  const std::vector<std::shared_ptr<EnginePart>> parts_;  // by shard
  Runtime* runtime_ = nullptr;                            // null: it was opened from a task
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_ENGINE_H_
