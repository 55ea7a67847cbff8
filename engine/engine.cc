#include "ioengine/engine/engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/engine_calls.h"
#include "ioengine/engine/engine_opener.h"
#include "ioengine/engine/format/batch_record.h"
#include "ioengine/engine/snapshot.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

Shard& ThisShard() {
  Shard* const shard = Shard::Current();
  IOENGINE_CHECK(shard != nullptr,
                 "a call of Engine that gives a Task, on a thread that is no shard: use a client");
  return *shard;
}

// Of keys that begin so, the first that does not; nothing: there is none.
std::optional<std::string> BehindPrefix(std::string_view prefix) {
  return EngineScanOptions::Prefix(std::string(prefix)).upper;
}

Task<absl::Status> SyncOn(Shard&, EnginePart* part) {
  EnginePart::Call call(*part);
  if (!call.status().ok()) co_return call.status();
  co_return co_await call.store().Sync();
}

Task<absl::Status> FlushOn(Shard&, EnginePart* part) {
  EnginePart::Call call(*part);
  if (!call.status().ok()) co_return call.status();
  co_return co_await call.store().Flush();
}

Task<absl::Status> CompactOn(Shard&, EnginePart* part) {
  EnginePart::Call call(*part);
  if (!call.status().ok()) co_return call.status();
  co_return co_await call.store().Compact();
}

absl::StatusOr<StoreStats> StatsOn(Shard&, EnginePart* part) {
  EnginePart::Call call(*part);
  if (!call.status().ok()) return call.status();
  return call.store().stats();
}

Task<absl::StatusOr<std::unique_ptr<Engine>>> OpenOnShard(Shard& shard, std::string directory,
                                                          EngineOptions options) {
  return Engine::Open(shard, std::move(directory), std::move(options));
}

Task<absl::Status> CloseOnShard(Shard&, Engine* engine) { return engine->Close(); }

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Open(Runtime& runtime, std::string directory,
                                                     const EngineOptions& options) {
  auto engine = runtime.Submit(0, OpenOnShard, std::move(directory), options).Wait();
  if (engine.ok()) (*engine)->runtime_ = &runtime;
  return engine;
}

Task<absl::StatusOr<std::unique_ptr<Engine>>> Engine::Open(Shard& shard, std::string directory,
                                                           EngineOptions options) {
  return EngineOpener::Open(shard, std::move(directory), std::move(options));
}

Engine::~Engine() = default;

template <typename Function>
Task<absl::Status> Engine::OnAll(Function function) {
  Shard& shard = ThisShard();
  using Answer = decltype(shard.SubmitTo(0, function, part(0)));
  std::vector<Answer> answers;
  answers.reserve(parts_.size());
  for (size_t id = 0; id < parts_.size(); ++id) {
    answers.push_back(
        shard.SubmitTo(static_cast<ShardId>(id), function, part(static_cast<ShardId>(id))));
  }
  absl::Status status;
  for (Answer& answer : answers) {
    const absl::Status one = co_await answer;
    status.Update(one);
  }
  co_return status;
}

Task<absl::Status> Engine::Close() { return OnAll(EnginePart::Close); }

absl::Status Engine::CloseAndWait() {
  IOENGINE_CHECK(runtime_ != nullptr, "an engine that a task has opened is to be closed by a task");
  return runtime_->Submit(0, CloseOnShard, this).Wait();
}

EngineClient Engine::NewClient(const ClientOptions& options) {
  IOENGINE_CHECK(runtime_ != nullptr, "an engine that a task has opened has no clients");
  return EngineClient(*this, *runtime_, options);
}

Task<absl::StatusOr<WriteResult>> Engine::Put(std::string_view key, std::string_view value,
                                              Durability durability) {
  Shard& shard = ThisShard();
  const ShardId owner = ShardOf(key);
  if (owner != shard.id()) {
    co_return co_await shard.SubmitTo(owner, internal::PutOn, part(owner), std::string(key),
                                      std::string(value), durability);
  }
  EnginePart::Call call(*parts_[owner]);
  if (!call.status().ok()) co_return call.status();
  co_return co_await call.store().Put(key, value, durability);
}

Task<absl::StatusOr<WriteResult>> Engine::Delete(std::string_view key, Durability durability) {
  Shard& shard = ThisShard();
  const ShardId owner = ShardOf(key);
  if (owner != shard.id()) {
    co_return co_await shard.SubmitTo(owner, internal::DeleteOn, part(owner), std::string(key),
                                      durability);
  }
  EnginePart::Call call(*parts_[owner]);
  if (!call.status().ok()) co_return call.status();
  co_return co_await call.store().Delete(key, durability);
}

std::vector<ShardChanges> Engine::ByShard(WriteBatch batch) const {
  std::vector<ShardChanges> all(parts_.size());
  if (!batch.status().ok() || batch.count() + batch.condition_count() == 0) {
    all[0].batch = std::move(batch);
    all.resize(1);
    return all;
  }
  OperationReader reader(AsBytes(batch.operations()), batch.count());
  Operation operation;
  while (reader.Next(&operation)) all[ShardOf(operation.key)].batch.Add(operation);
  OperationReader conditions(AsBytes(batch.conditions()), batch.condition_count());
  while (conditions.Next(&operation)) all[ShardOf(operation.key)].batch.AddCondition(operation);
  std::vector<ShardChanges> changes;
  for (size_t id = 0; id < all.size(); ++id) {
    if (all[id].batch.count() + all[id].batch.condition_count() == 0) continue;
    all[id].shard = static_cast<ShardId>(id);
    changes.push_back(std::move(all[id]));
  }
  return changes;
}

Task<absl::StatusOr<WriteResult>> Engine::Write(WriteBatch batch, Durability durability) {
  Shard& shard = ThisShard();
  std::vector<ShardChanges> changes = ByShard(std::move(batch));
  const auto is_here = [&](const ShardChanges& change) { return change.shard == shard.id(); };
  const bool concerns_this = std::any_of(changes.begin(), changes.end(), is_here);
  const ShardId to = concerns_this ? shard.id() : changes.front().shard;
  co_return co_await shard.SubmitTo(to, internal::WriteOn, part(to), std::move(changes),
                                    durability);
}

Task<absl::StatusOr<WriteResult>> Engine::Update(std::string_view key, Updater function,
                                                 Durability durability) {
  Shard& shard = ThisShard();
  const ShardId owner = ShardOf(key);
  co_return co_await shard.SubmitTo(owner, internal::UpdateOn, part(owner), std::string(key),
                                    std::move(function), durability);
}

Task<absl::StatusOr<WriteResult>> Engine::CompareAndSet(std::string_view key, Value expected,
                                                        Value desired, Durability durability) {
  Updater set = internal::SetIf(std::move(expected), std::move(desired));
  co_return co_await Update(key, std::move(set), durability);
}

Task<absl::StatusOr<Engine::Value>> Engine::Get(std::string_view key,
                                                std::optional<EngineSnapshot> snapshot) {
  Shard& shard = ThisShard();
  const ShardId owner = ShardOf(key);
  const std::optional<uint64_t> epoch = EpochOf(snapshot);
  if (owner != shard.id()) {
    co_return co_await shard.SubmitTo(owner, internal::GetOn, part(owner), std::string(key), epoch);
  }
  EnginePart::Call call(*parts_[owner]);
  if (!call.status().ok()) co_return call.status();
  if (!epoch.has_value()) co_return co_await call.store().Get(key);
  const absl::StatusOr<Snapshot> at = co_await call.store().SnapshotAt(*epoch);
  if (!at.ok()) co_return at.status();
  co_return co_await call.store().Get(key, *at);
}

Task<absl::StatusOr<std::vector<Engine::Value>>> Engine::MultiGet(
    std::vector<std::string_view> keys, std::optional<EngineSnapshot> snapshot) {
  Shard& shard = ThisShard();
  std::vector<std::vector<size_t>> places(parts_.size());
  for (size_t i = 0; i < keys.size(); ++i) places[ShardOf(keys[i])].push_back(i);
  const std::optional<uint64_t> epoch = EpochOf(snapshot);
  using Answer =
      decltype(shard.SubmitTo(0, internal::MultiGetOn, part(0), std::vector<std::string>(), epoch));
  std::vector<std::pair<size_t, Answer>> answers;
  for (size_t id = 0; id < parts_.size(); ++id) {
    if (places[id].empty()) continue;
    std::vector<std::string> mine;
    mine.reserve(places[id].size());
    for (const size_t place : places[id]) mine.emplace_back(keys[place]);
    answers.emplace_back(id, shard.SubmitTo(static_cast<ShardId>(id), internal::MultiGetOn,
                                            parts_[id].get(), std::move(mine), epoch));
  }
  std::vector<Value> values(keys.size());
  absl::Status status;
  for (auto& [id, answer] : answers) {
    absl::StatusOr<std::vector<Value>> found = co_await answer;
    status.Update(found.status());
    if (!found.ok()) continue;
    for (size_t i = 0; i < found->size(); ++i) values[places[id][i]] = std::move((*found)[i]);
  }
  if (!status.ok()) co_return status;
  co_return values;
}

absl::StatusOr<EngineSnapshot> Engine::TakeSnapshot() {
  std::optional<EpochClock::Moment> moment = EpochClock::TryTake(clock_);
  if (moment.has_value()) return EngineSnapshot(*std::move(moment));
  return absl::ResourceExhaustedError(
      absl::StrCat("there are ", EpochClock::kMostSnapshots,
                   " snapshots of the database already: let go of some"));
}

absl::StatusOr<std::unique_ptr<EngineScan>> Engine::Scan(EngineScanOptions options) {
  if (!options.snapshot.has_value()) {
    absl::StatusOr<EngineSnapshot> now = TakeSnapshot();
    if (!now.ok()) return now.status();
    options.snapshot = *std::move(now);
  }
  auto shards = ShardsOf(options);
  const bool in_turn = placement().kind == KeyPlacement::Kind::kRange;
  return std::unique_ptr<EngineScan>(
      new EngineScan(std::move(options), std::move(shards), in_turn));
}

std::vector<std::pair<ShardId, EnginePart*>> Engine::ShardsOf(
    const EngineScanOptions& options) const {
  size_t first = 0;
  size_t last = parts_.size() - 1;
  const std::string lower = options.lower.value_or("");
  if (placement().kind == KeyPlacement::Kind::kRange) {
    first = router_.TabletOf(lower);
    if (options.upper.has_value()) last = std::max(first, router_.TabletOf(*options.upper));
  } else if (const size_t bytes = placement().prefix_bytes; bytes > 0 && lower.size() >= bytes) {
    // All keys of the range may begin alike, and then one shard has them.
    const std::string_view prefix = std::string_view(lower).substr(0, bytes);
    const std::optional<std::string> behind = BehindPrefix(prefix);
    const bool is_within =
        options.upper.has_value() && (!behind.has_value() || *options.upper <= *behind);
    if (is_within) first = last = router_.TabletOf(lower);
  }
  std::vector<std::pair<ShardId, EnginePart*>> shards;
  for (size_t id = first; id <= last; ++id) {
    shards.emplace_back(static_cast<ShardId>(id), parts_[id].get());
  }
  return shards;
}

Task<absl::Status> Engine::Sync() { return OnAll(SyncOn); }

Task<absl::Status> Engine::Flush() { return OnAll(FlushOn); }

Task<absl::Status> Engine::Compact() { return OnAll(CompactOn); }

Task<absl::StatusOr<std::vector<StoreStats>>> Engine::Stats() {
  Shard& shard = ThisShard();
  std::vector<StoreStats> all;
  for (size_t id = 0; id < parts_.size(); ++id) {
    const absl::StatusOr<StoreStats> one =
        co_await shard.SubmitTo(static_cast<ShardId>(id), StatsOn, parts_[id].get());
    if (!one.ok()) co_return one.status();
    all.push_back(*one);
  }
  co_return all;
}

}  // namespace ioengine
