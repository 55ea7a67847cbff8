// What the clients of a simulated store do, and what they tell the oracle.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/engine/shard_store.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tools/sim/world.h"

namespace ioengine::sim {
namespace {

using Value = std::optional<std::string>;

std::string KeyOf(uint64_t number) { return absl::StrCat("key", number); }

Promise PromiseOf(Durability level) {
  switch (level) {
    case Durability::kMemory:
      return Promise::kNothing;
    case Durability::kWritten:
      return Promise::kKill;
    case Durability::kDurable:
      return Promise::kPowerCut;
  }
  return Promise::kNothing;
}

std::optional<std::string_view> ViewOf(const Value& value) {
  if (!value.has_value()) return std::nullopt;
  return std::string_view(*value);
}

// One of several that work at the same time.
class Client {
 public:
  Client(World& world, ShardStore& store) : world_(world), store_(store) {}

  // One operation. An error is what no client may ever see.
  Task<absl::Status> Operate() {
    const uint64_t choice = random().Below(100);
    if (choice < 60) co_return co_await WriteSome(1);
    if (choice < 70) co_return co_await WriteSome(2 + random().Below(5));
    if (choice < 90) co_return co_await Read();
    if (choice < 93) co_return co_await ReadMany();
    if (choice < 97) co_return co_await ReadSnapshot();
    co_return co_await ScanSome();
  }

 private:
  Random& random() { return world_.simulation.random(); }
  std::string AnyKey() { return KeyOf(random().Below(world_.shape.keys)); }

  Durability AnyLevel() {
    const uint64_t percent = random().Below(100);
    if (percent < world_.shape.durable_percent) return Durability::kDurable;
    return percent < world_.shape.durable_percent + world_.shape.written_percent
               ? Durability::kWritten
               : Durability::kMemory;
  }

  Task<absl::Status> WriteSome(uint64_t count) {
    const Durability level = AnyLevel();
    std::vector<Change> changes;
    for (uint64_t i = 0; i < count; ++i) changes.push_back({AnyKey(), random().OneIn(5)});
    const Oracle::WriteId id = world_.oracle.Begin(changes, PromiseOf(level));
    const size_t value_bytes = random().Below(world_.shape.most_value_bytes);
    world_.oracle.SetValueSize(id, value_bytes);
    WriteBatch batch;
    for (const Change& change : changes) {
      if (change.is_delete) {
        batch.Delete(change.key);
      } else {
        batch.Put(change.key, Oracle::ValueOf(id, change.key, value_bytes));
      }
    }
    const absl::StatusOr<WriteResult> written = co_await store_.Write(batch, level);
    if (written.ok()) {
      const Order order = {written->sequence.epoch, written->sequence.counter};
      world_.oracle.Acknowledge(id, order, PromiseOf(written->reached));
      co_return absl::OkStatus();
    }
    world_.oracle.Fail(id);
    const bool explained = world_.hostile || absl::IsResourceExhausted(written.status());
    co_return explained ? absl::OkStatus() : written.status();
  }

  Task<absl::Status> Read() {
    const std::string key = AnyKey();
    const Oracle::ReadFloor floor = world_.oracle.BeginRead(key);
    const absl::StatusOr<Value> value = co_await store_.Get(key);
    if (!value.ok()) co_return value.status();
    world_.oracle.EndRead(floor, ViewOf(*value));
    co_return absl::OkStatus();
  }

  Task<absl::Status> ReadMany() {
    std::vector<std::string> keys(1 + random().Below(8));
    std::vector<Oracle::ReadFloor> floors;
    std::vector<std::string_view> views;
    for (std::string& key : keys) {
      key = AnyKey();
      floors.push_back(world_.oracle.BeginRead(key));
      views.push_back(key);
    }
    const absl::StatusOr<std::vector<Value>> values = co_await store_.MultiGet(views);
    if (!values.ok()) co_return values.status();
    for (size_t i = 0; i < keys.size(); ++i) {
      world_.oracle.EndRead(floors[i], ViewOf((*values)[i]));
    }
    co_return absl::OkStatus();
  }

  // Reads the same keys again and again, while others write.
  Task<absl::Status> ReadSnapshot() {
    const uint64_t floor = world_.oracle.BeginSnapshot();
    const absl::StatusOr<Snapshot> snapshot = co_await store_.TakeSnapshot();
    if (!snapshot.ok()) co_return snapshot.status();
    const Order order = {snapshot->sequence().epoch, snapshot->sequence().counter};
    const Oracle::SnapshotId id = world_.oracle.AddSnapshot(floor, order);
    std::vector<std::string> keys(1 + random().Below(4));
    for (std::string& key : keys) key = AnyKey();
    for (int round = 0; round < 3; ++round) {
      for (const std::string& key : keys) {
        const absl::StatusOr<Value> value = co_await store_.Get(key, *snapshot);
        if (!value.ok()) co_return value.status();
        world_.oracle.ReadAt(id, key, ViewOf(*value));
      }
      // Now and then for so long that flushes and compactions come between.
      const uint64_t most_us = random().OneIn(4) ? 30'000 : 300;
      co_await Sleep(std::chrono::microseconds(random().Below(most_us)));
    }
    co_return absl::OkStatus();
  }

  // A part of the keys, forward or backward; what it does not give is not there.
  Task<absl::Status> ScanSome() {
    const uint64_t floor = world_.oracle.BeginSnapshot();
    const absl::StatusOr<Snapshot> snapshot = co_await store_.TakeSnapshot();
    if (!snapshot.ok()) co_return snapshot.status();
    const Order order = {snapshot->sequence().epoch, snapshot->sequence().counter};
    const Oracle::SnapshotId id = world_.oracle.AddSnapshot(floor, order);
    ScanOptions options;
    options.snapshot = *snapshot;
    if (random().OneIn(2)) options.lower = AnyKey();
    if (random().OneIn(2)) options.upper = AnyKey();
    auto scan = co_await store_.Scan(options);
    if (!scan.ok()) co_return scan.status();
    const bool forward = random().OneIn(2);
    std::map<std::string, std::string> seen;
    std::string previous;
    absl::Status status;
    if (forward) {
      status = co_await (*scan)->SeekToFirst();
    } else {
      status = co_await (*scan)->SeekToLast();
    }
    while (status.ok() && (*scan)->Valid()) {
      const std::string key((*scan)->key());
      const bool in_order = seen.empty() || (forward ? previous < key : key < previous);
      if (!in_order) world_.oracle.Complain(absl::StrCat("a scan gives ", key, " out of order"));
      seen[key] = std::string((*scan)->value());
      previous = key;
      // Others write meanwhile.
      if (random().OneIn(4)) co_await Yield();
      if (forward) {
        status = co_await (*scan)->Next();
      } else {
        status = co_await (*scan)->Prev();
      }
    }
    if (!status.ok()) co_return status;
    CompareScan(id, options, seen);
    co_return absl::OkStatus();
  }

  void CompareScan(Oracle::SnapshotId id, const ScanOptions& options,
                   const std::map<std::string, std::string>& seen) {
    for (uint64_t i = 0; i < world_.shape.keys; ++i) {
      const std::string key = KeyOf(i);
      const auto found = seen.find(key);
      const bool within = (!options.lower.has_value() || key >= *options.lower) &&
                          (!options.upper.has_value() || key < *options.upper);
      if (!within && found != seen.end()) {
        world_.oracle.Complain(absl::StrCat("a scan gives ", key, " beyond its bounds"));
      } else if (within) {
        world_.oracle.ReadAt(
            id, key,
            found == seen.end() ? std::nullopt : std::optional<std::string_view>(found->second));
      }
    }
  }

  World& world_;
  ShardStore& store_;
};

void CountJobs(World& world, ShardStore& store) {
  const StoreStats& stats = store.stats();
  world.result.flushes += stats.flushes - world.life_flushes;
  world.life_flushes = stats.flushes;
  world.result.compactions += stats.compaction.jobs - world.life_compactions;
  world.life_compactions = stats.compaction.jobs;
}

// Whether an open or a read may fail so.
bool Explains(World& world, const absl::Status& status) {
  if (world.damaged && absl::IsDataLoss(status)) {
    ++world.result.damage_found;
    world.over = true;
    return true;
  }
  return world.hostile && !absl::IsDataLoss(status);
}

Task<absl::Status> Work(World* world, ShardStore* store) {
  Client client(*world, *store);
  while (world->life_operations > 0) {
    --world->life_operations;
    ++world->result.operations;
    absl::Status status = co_await client.Operate();
    CountJobs(*world, *store);
    if (!status.ok()) co_return status;
    // Some wait for each other, so that the log has nothing to do now and then.
    if (world->simulation.random().OneIn(20)) {
      co_await Sleep(std::chrono::microseconds(world->simulation.random().Below(30'000)));
    }
  }
  co_return absl::OkStatus();
}

// Whoever filled the disk goes: what was appended to the log waits for that.
Task<absl::Status> MakeSpace(World* world) {
  co_await Sleep(std::chrono::milliseconds(1 + world->simulation.random().Below(3000)));
  world->simulation.disk().SetCapacity(SimDiskOptions().capacity_bytes);
  co_return absl::OkStatus();
}

// All that is there.
Task<absl::StatusOr<std::map<std::string, std::string>>> ReadAll(World* world, ShardStore* store) {
  std::map<std::string, std::string> contents;
  for (uint64_t i = 0; i < world->shape.keys; ++i) {
    const std::string key = KeyOf(i);
    absl::StatusOr<Value> value = co_await store->Get(key);
    if (!value.ok()) co_return value.status();
    if (value->has_value()) contents[key] = **std::move(value);
  }
  co_return contents;
}

}  // namespace

Task<absl::Status> Live(Shard& shard, World* world) {
  auto store = co_await ShardStore::Open(shard, "/db", world->shape.store);
  if (!store.ok()) co_return Explains(*world, store.status()) ? absl::OkStatus() : store.status();
  world->life_flushes = 0;
  world->life_compactions = 0;
  const auto contents = co_await ReadAll(world, store->get());
  if (!contents.ok()) {
    co_return Explains(*world, contents.status()) ? absl::OkStatus() : contents.status();
  }
  world->oracle.Recovered(world->ending, *contents);
  world->ending = Ending::kClean;
  if (!world->oracle.complaint().empty()) co_return absl::OkStatus();

  absl::Status status;
  {
    TaskScope scope(shard.executor());
    for (uint64_t i = 0; i < world->shape.clients; ++i) scope.Spawn(Work(world, store->get()));
    if (world->filled) scope.Spawn(MakeSpace(world));
    status = co_await scope.Join();
  }
  if (!status.ok()) co_return Explains(*world, status) ? absl::OkStatus() : status;
  const bool failed = !(*store)->write_status().ok();
  world->result.failed_logs += failed ? 1 : 0;
  const absl::Status closed = co_await (*store)->Close();
  if (closed.ok() && !failed) {
    ++world->result.clean_ends;
    co_return absl::OkStatus();
  }
  // What the log did not take is as good as after a power cut.
  world->ending = Ending::kPowerCut;
  co_return world->hostile ? absl::OkStatus() : closed;
}

}  // namespace ioengine::sim
