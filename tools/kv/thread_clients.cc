#include "ioengine/tools/kv/thread_clients.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "ioengine/engine/client.h"
#include "ioengine/engine/engine_client.h"
#include "ioengine/engine/engine_scan.h"
#include "ioengine/sched/clock.h"
#include "ioengine/tools/kv/scan_pairs.h"
#include "ioengine/tools/kv/scan_progress.h"

namespace ioengine::kv {
namespace {

// Of a scan of all keys, at once.
constexpr uint64_t kScanKeys = 1000;

using WriteFuture = decltype(std::declval<EngineBatch&>().Put("", ""));
using GetFuture = decltype(std::declval<EngineBatch&>().Get(""));
using ScanFuture = Future<absl::StatusOr<Pairs>>;

// An operation that is on its way.
struct Pending {
  KvOperation operation;
  uint64_t begin_ns = 0;
  std::vector<KvData::Read> reads;
  std::vector<GetFuture> gets;
  std::optional<WriteFuture> write;
  std::optional<ScanFuture> scan;

  bool ready() const {
    return (gets.empty() || gets.back().ready()) && (!write.has_value() || write->ready()) &&
           (!scan.has_value() || scan->ready());
  }
};

class ThreadClient {
 public:
  ThreadClient(Runtime& runtime, Engine& engine, KvJob& job, size_t number)
      : worker_(job, number),
        data_(job.data()),
        engine_(engine),
        scans_(runtime),
        client_(engine.NewClient()),
        batch_(client_),
        durability_(job.durability()) {
    worker_.set_most_scan_keys(kScanKeys);
  }

  absl::Status Run();
  // Until `over`.
  absl::Status RunPaced(const std::atomic<bool>& over);

 private:
  void Begin(Pending& pending);
  void Get(Pending& pending, uint64_t index, std::string key);
  void Scan(Pending& pending, std::string from);
  void Put(Pending& pending);
  absl::Status Finish(Pending& pending);
  absl::Status FinishGets(Pending& pending);
  absl::Status FinishScan(Pending& pending);
  absl::Status WaitForSome(size_t keep);

  KvWorker worker_;
  KvData& data_;
  Engine& engine_;
  Client scans_;
  EngineClient client_;
  EngineBatch batch_;
  const Durability durability_;
  std::deque<Pending> pending_;
};

absl::Status ThreadClient::Run() {
  const auto window = static_cast<size_t>(worker_.job().settings().concurrency);
  const MonotonicClock& clock = MonotonicClock::Get();
  absl::Status status;
  for (bool more = true; status.ok() && (more || !pending_.empty());) {
    const uint64_t now_ns = clock.NowNs();
    KvOperation operation;
    while (more && pending_.size() < window && (more = worker_.Next(now_ns, &operation))) {
      Pending& pending = pending_.emplace_back();
      pending.operation = operation;
      pending.begin_ns = now_ns;
      Begin(pending);
    }
    status = batch_.Submit();
    if (status.ok()) status = WaitForSome(more ? window / 2 : 0);
  }
  return status;
}

// For the oldest, and all that are done, until no more than `keep` are in flight.
absl::Status ThreadClient::WaitForSome(size_t keep) {
  size_t unsent = 0;  // at the end: puts of what has been read
  while (pending_.size() > unsent && (pending_.size() > keep || pending_.front().ready())) {
    Pending& oldest = pending_.front();
    if (absl::Status status = Finish(oldest); !status.ok()) return status;
    const bool puts_now =
        oldest.operation.kind == OperationKind::kModify && !oldest.write.has_value();
    if (puts_now) {
      Put(oldest);
      pending_.push_back(std::move(oldest));
      ++unsent;
    } else if (!worker_.job().workload().scans_all) {
      worker_.Done(oldest.operation, MonotonicClock::Get().NowNs() - oldest.begin_ns);
    }
    pending_.pop_front();
  }
  return unsent > 0 ? batch_.Submit() : absl::OkStatus();
}

void ThreadClient::Get(Pending& pending, uint64_t index, std::string key) {
  pending.reads.push_back(data_.BeginRead(index));
  pending.gets.push_back(batch_.Get(std::move(key)));
}

// Where its first key is.
void ThreadClient::Scan(Pending& pending, std::string from) {
  const ShardId shard = engine_.ShardOf(from);
  EngineScanOptions options;
  options.lower = std::move(from);
  pending.scan =
      scans_.Submit(shard, ScanPairs, &engine_, std::move(options), pending.operation.count);
}

void ThreadClient::Put(Pending& pending) {
  std::string value;
  data_.BeginPut(pending.operation.index, &value);
  pending.write =
      batch_.Put(data_.keys().Key(pending.operation.index), std::move(value), durability_);
}

void ThreadClient::Begin(Pending& pending) {
  const KeySpace& keys = data_.keys();
  const uint64_t index = pending.operation.index;
  switch (pending.operation.kind) {
    case OperationKind::kGet:
    case OperationKind::kModify:
      return Get(pending, index, keys.Key(index));
    case OperationKind::kGetMissing: {
      std::string key;
      keys.FormatMissing(index, &key);
      return Get(pending, index, std::move(key));
    }
    case OperationKind::kMultiGet:
      for (uint64_t i = 0; i < pending.operation.count; ++i) {
        const uint64_t one = worker_.NextIndex();
        Get(pending, one, keys.Key(one));
      }
      return;
    case OperationKind::kScan:
      return Scan(pending, keys.Key(index));
    case OperationKind::kPut:
    case OperationKind::kInsert:
      return Put(pending);
    case OperationKind::kDelete:
      data_.BeginDelete(index);
      pending.write = batch_.Delete(keys.Key(index), durability_);
  }
}

absl::Status ThreadClient::FinishGets(Pending& pending) {
  for (size_t i = 0; i < pending.gets.size(); ++i) {
    const absl::StatusOr<Engine::Value> value = pending.gets[i].Wait();
    if (!value.ok()) return value.status();
    std::optional<std::string_view> view;
    if (value->has_value()) view = **value;
    absl::Status status = pending.operation.kind == OperationKind::kGetMissing
                              ? data_.EndMissingRead(pending.operation.index, view)
                              : data_.EndRead(pending.reads[i], view);
    if (!status.ok()) return status;
  }
  pending.gets.clear();
  return absl::OkStatus();
}

absl::Status ThreadClient::FinishScan(Pending& pending) {
  const absl::StatusOr<Pairs> pairs = pending.scan->Wait();
  if (!pairs.ok()) return pairs.status();
  ScanProgress progress(worker_, pending.operation, pending.begin_ns, data_.keys().keys());
  for (const auto& [key, value] : *pairs) {
    const absl::StatusOr<bool> more = progress.Add(key, value);
    if (!more.ok()) return more.status();
  }
  const bool at_end = pairs->size() < pending.operation.count;
  pending.operation.count = pairs->size();
  return progress.Finish(at_end);
}

absl::Status ThreadClient::Finish(Pending& pending) {
  if (pending.scan.has_value()) return FinishScan(pending);
  if (pending.write.has_value()) {
    const absl::Status status = pending.write->Wait().status();
    data_.EndWrite(pending.operation.index);
    if (pending.operation.kind == OperationKind::kInsert) data_.EndInsert();
    return status;
  }
  return FinishGets(pending);
}

// Those that are due go together.
absl::Status ThreadClient::RunPaced(const std::atomic<bool>& over) {
  const KvJob& job = worker_.job();
  const MonotonicClock& clock = MonotonicClock::Get();
  Pacer pacer(job.begin_ns(), static_cast<double>(job.settings().write_rate));
  uint64_t due_ns = pacer.NextNs();
  while (!over.load(std::memory_order_relaxed)) {
    for (const uint64_t now_ns = clock.NowNs(); due_ns <= now_ns; due_ns = pacer.NextNs()) {
      Pending& pending = pending_.emplace_back();
      pending.operation.kind = OperationKind::kPut;
      pending.operation.index = worker_.NextIndex();
      Put(pending);
      if (pending_.size() == static_cast<size_t>(job.settings().concurrency)) break;
    }
    absl::Status status = batch_.Submit();
    for (; status.ok() && !pending_.empty(); pending_.pop_front()) {
      status = Finish(pending_.front());
      worker_.PacedPutDone();
    }
    if (!status.ok()) return status;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RunThreadClients(Runtime& runtime, Engine& engine, KvJob& job) {
  const size_t count = runtime.shard_count();
  job.Start(count);
  std::atomic<bool> over{false};
  const auto run = [&](size_t number) {
    ThreadClient client(runtime, engine, job, number);
    const absl::Status status = number == SIZE_MAX ? client.RunPaced(over) : client.Run();
    if (!status.ok()) job.Fail(status);
  };
  std::thread writer;
  if (job.workload().is_written_to) writer = std::thread(run, SIZE_MAX);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < count; ++i) threads.emplace_back(run, i);
  for (std::thread& thread : threads) thread.join();
  over.store(true, std::memory_order_relaxed);
  if (writer.joinable()) writer.join();
  return absl::OkStatus();
}

}  // namespace ioengine::kv
