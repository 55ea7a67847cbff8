#include "ioengine/tools/kv/native_clients.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ioengine/engine/engine_part.h"
#include "ioengine/engine/engine_scan.h"
#include "ioengine/engine/store_iterator.h"
#include "ioengine/sched/clock.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tools/kv/scan_progress.h"

namespace ioengine::kv {
namespace {

// Paced puts that each shard has in flight at most.
constexpr size_t kPacedPuts = 16;

// What the clients of a shard have in common.
struct ShardClients {
  ShardId id;
  KvWorker worker;
  Engine& engine;
  Durability durability;
  Pacer pacer;
  bool over = false;  // of paced puts
};

std::optional<std::string_view> ViewOf(const Engine::Value& value) {
  if (!value.has_value()) return std::nullopt;
  return std::string_view(*value);
}

// One client.
class NativeClient {
 public:
  explicit NativeClient(ShardClients& shard) : shard_(shard), data_(shard.worker.data()) {}

  Task<absl::Status> Run();
  Task<absl::Status> RunPaced();

 private:
  Task<absl::Status> Do(KvOperation* operation, uint64_t begin_ns);
  Task<absl::Status> Put(uint64_t index);
  Task<absl::Status> Insert(uint64_t index);
  Task<absl::Status> Delete(uint64_t index);
  Task<absl::Status> Get(uint64_t index);
  Task<absl::Status> GetMissing(uint64_t index);
  Task<absl::Status> MultiGet(uint64_t count);
  Task<absl::Status> Modify(uint64_t index);
  // A scan, and whether there were no more keys.
  struct Scanning {
    ScanProgress progress;
    bool at_end = true;
  };
  template <typename Cursor>
  Task<absl::Status> Follow(Cursor* cursor, Task<absl::Status> first, Scanning* to);
  Task<absl::Status> ScanEngine(Scanning* to);
  Task<absl::Status> ScanStore(Scanning* to);
  Task<absl::Status> Scan(KvOperation* operation, uint64_t begin_ns);

  ShardClients& shard_;
  KvData& data_;
  std::string key_;
  std::string value_;
  std::vector<std::string> keys_;
  std::vector<KvData::Read> reads_;
};

Task<absl::Status> NativeClient::Run() {
  KvWorker& worker = shard_.worker;
  const bool scans_all = worker.job().workload().scans_all;
  const MonotonicClock& clock = MonotonicClock::Get();
  uint64_t now_ns = clock.NowNs();
  KvOperation operation;
  while (worker.Next(now_ns, &operation)) {
    const absl::Status status = co_await Do(&operation, now_ns);
    if (!status.ok()) co_return status;
    const uint64_t end_ns = clock.NowNs();
    if (!scans_all) worker.Done(operation, end_ns - now_ns);
    now_ns = end_ns;
    // What is in memory is found without a suspension.
    co_await MaybeYield();
  }
  co_return absl::OkStatus();
}

// When many are due at once, others of them run meanwhile.
Task<absl::Status> NativeClient::RunPaced() {
  const MonotonicClock& clock = MonotonicClock::Get();
  while (!shard_.over) {
    const uint64_t due_ns = shard_.pacer.NextNs();
    const uint64_t now_ns = clock.NowNs();
    if (due_ns > now_ns) co_await Sleep(std::chrono::nanoseconds(due_ns - now_ns));
    if (shard_.over) break;
    const absl::Status status = co_await Put(shard_.worker.NextIndex());
    if (!status.ok()) co_return status;
    shard_.worker.PacedPutDone();
    co_await MaybeYield();
  }
  co_return absl::OkStatus();
}

Task<absl::Status> NativeClient::Do(KvOperation* operation, uint64_t begin_ns) {
  switch (operation->kind) {
    case OperationKind::kGet:
      return Get(operation->index);
    case OperationKind::kGetMissing:
      return GetMissing(operation->index);
    case OperationKind::kMultiGet:
      return MultiGet(operation->count);
    case OperationKind::kScan:
      return Scan(operation, begin_ns);
    case OperationKind::kPut:
      return Put(operation->index);
    case OperationKind::kInsert:
      return Insert(operation->index);
    case OperationKind::kModify:
      return Modify(operation->index);
    case OperationKind::kDelete:
      break;
  }
  return Delete(operation->index);
}

Task<absl::Status> NativeClient::Put(uint64_t index) {
  data_.keys().Format(index, &key_);
  data_.BeginPut(index, &value_);
  const auto written = co_await shard_.engine.Put(key_, value_, shard_.durability);
  data_.EndWrite(index);
  co_return written.status();
}

Task<absl::Status> NativeClient::Insert(uint64_t index) {
  const absl::Status status = co_await Put(index);
  data_.EndInsert();
  co_return status;
}

Task<absl::Status> NativeClient::Delete(uint64_t index) {
  data_.keys().Format(index, &key_);
  data_.BeginDelete(index);
  const auto written = co_await shard_.engine.Delete(key_, shard_.durability);
  data_.EndWrite(index);
  co_return written.status();
}

Task<absl::Status> NativeClient::Get(uint64_t index) {
  data_.keys().Format(index, &key_);
  const KvData::Read read = data_.BeginRead(index);
  const auto value = co_await shard_.engine.Get(key_);
  if (!value.ok()) co_return value.status();
  co_return data_.EndRead(read, ViewOf(*value));
}

Task<absl::Status> NativeClient::GetMissing(uint64_t index) {
  data_.keys().FormatMissing(index, &key_);
  const auto value = co_await shard_.engine.Get(key_);
  if (!value.ok()) co_return value.status();
  co_return data_.EndMissingRead(index, ViewOf(*value));
}

Task<absl::Status> NativeClient::Modify(uint64_t index) {
  const absl::Status status = co_await Get(index);
  if (!status.ok()) co_return status;
  co_return co_await Put(index);
}

Task<absl::Status> NativeClient::MultiGet(uint64_t count) {
  keys_.resize(count);
  reads_.clear();
  std::vector<std::string_view> views;
  views.reserve(count);
  for (std::string& key : keys_) {
    reads_.push_back(data_.BeginRead(shard_.worker.NextIndex()));
    data_.keys().Format(reads_.back().index, &key);
    views.push_back(key);
  }
  const auto values = co_await shard_.engine.MultiGet(std::move(views));
  if (!values.ok()) co_return values.status();
  for (size_t i = 0; i < count; ++i) {
    const absl::Status status = data_.EndRead(reads_[i], ViewOf((*values)[i]));
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

// From where it stands to the end, or until it is enough.
template <typename Cursor>
Task<absl::Status> NativeClient::Follow(Cursor* cursor, Task<absl::Status> first, Scanning* to) {
  absl::Status status = co_await std::move(first);
  while (status.ok() && cursor->Valid()) {
    const absl::StatusOr<bool> more = to->progress.Add(cursor->key(), cursor->value());
    if (!more.ok()) co_return more.status();
    to->at_end = *more;
    if (!*more) break;
    if (to->progress.keys() % ScanProgress::kKeysPerLook == 0) co_await MaybeYield();
    status = co_await cursor->Next();
  }
  co_return status;
}

// Of all shards.
Task<absl::Status> NativeClient::ScanEngine(Scanning* to) {
  EngineScanOptions options;
  options.lower = key_;
  auto scan = shard_.engine.Scan(std::move(options));
  if (!scan.ok()) co_return scan.status();
  EngineScan* const cursor = scan->get();
  co_return co_await Follow(cursor, cursor->Next(), to);
}

// Of the shard's own part.
Task<absl::Status> NativeClient::ScanStore(Scanning* to) {
  EnginePart::Call call(*shard_.engine.part(shard_.id));
  if (!call.status().ok()) co_return call.status();
  const auto scan = co_await call.store().Scan();
  if (!scan.ok()) co_return scan.status();
  StoreIterator* const cursor = scan->get();
  co_return co_await Follow(cursor, cursor->Seek(key_), to);
}

Task<absl::Status> NativeClient::Scan(KvOperation* operation, uint64_t begin_ns) {
  data_.keys().Format(operation->index, &key_);
  const KvSettings& settings = shard_.worker.job().settings();
  const bool is_of_shard =
      settings.routing == Routing::kOwn && settings.placement == KeyPlacement::Kind::kRange;
  const uint64_t end_place = is_of_shard ? settings.FirstOfShard(shard_.id + 1) : settings.keys;
  Scanning scanning{.progress = ScanProgress(shard_.worker, *operation, begin_ns, end_place)};
  Task<absl::Status> scan = is_of_shard ? ScanStore(&scanning) : ScanEngine(&scanning);
  const absl::Status status = co_await std::move(scan);
  operation->count = scanning.progress.keys();
  if (!status.ok()) co_return status;
  co_return scanning.progress.Finish(scanning.at_end);
}

Task<absl::Status> RunClient(ShardClients* shard) {
  NativeClient client(*shard);
  co_return co_await client.Run();
}

Task<absl::Status> RunPacedClient(ShardClients* shard) {
  NativeClient client(*shard);
  co_return co_await client.RunPaced();
}

KvWorker::Filter FilterOf(const KvJob& job, Engine& engine, ShardId id) {
  if (job.settings().routing == Routing::kAny) return nullptr;
  return [&engine, id](std::string_view key) { return engine.ShardOf(key) == id; };
}

Task<absl::Status> RunClients(Shard& shard, Engine* engine, KvJob* job) {
  const KvSettings& settings = job->settings();
  const double rate =
      static_cast<double>(settings.write_rate) / static_cast<double>(shard.shard_count());
  ShardClients clients{.id = shard.id(),
                       .worker = KvWorker(*job, shard.id(), FilterOf(*job, *engine, shard.id())),
                       .engine = *engine,
                       .durability = job->durability(),
                       .pacer = Pacer(job->begin_ns(), rate)};
  TaskScope beside(shard.executor());
  if (job->workload().is_written_to) {
    for (size_t i = 0; i < kPacedPuts; ++i) beside.Spawn(RunPacedClient(&clients));
  }
  TaskScope scope(shard.executor());
  const int64_t count = job->workload().scans_all ? 1 : settings.concurrency;
  for (int64_t i = 0; i < count; ++i) scope.Spawn(RunClient(&clients));
  absl::Status status = co_await scope.Join();
  clients.over = true;
  status.Update(co_await beside.Join());
  if (!status.ok()) job->Fail(status);
  co_return absl::OkStatus();
}

}  // namespace

absl::Status RunNativeClients(Runtime& runtime, Engine& engine, KvJob& job) {
  job.Start(runtime.shard_count());
  std::vector<Future<absl::Status>> running;
  for (size_t id = 0; id < runtime.shard_count(); ++id) {
    running.push_back(runtime.Submit(static_cast<ShardId>(id), RunClients, &engine, &job));
  }
  absl::Status status;
  for (auto& one : running) status.Update(one.Wait());
  return status;
}

}  // namespace ioengine::kv
