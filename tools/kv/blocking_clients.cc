// The clients of a BlockingEngine.

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ioengine/sched/clock.h"
#include "ioengine/tools/kv/kv_engine.h"
#include "ioengine/tools/kv/scan_progress.h"

namespace ioengine::kv {
namespace {

class BlockingClient {
 public:
  BlockingClient(KvJob& job, KvSession& session, size_t number)
      : worker_(job, number), data_(job.data()), session_(session) {}

  absl::Status Run();
  // Until `over`.
  absl::Status RunPaced(const std::atomic<bool>& over);

 private:
  absl::Status Do(KvOperation& operation, uint64_t begin_ns);
  absl::Status Put(uint64_t index);
  absl::Status Delete(uint64_t index);
  absl::Status Get(uint64_t index);
  absl::Status GetMissing(uint64_t index);
  absl::Status MultiGet(uint64_t count);
  absl::Status Scan(KvOperation& operation, uint64_t begin_ns);

  KvWorker worker_;
  KvData& data_;
  KvSession& session_;
  std::string key_;
  std::string value_;
  std::vector<std::string> keys_;
  std::vector<KvData::Read> reads_;
};

absl::Status BlockingClient::Run() {
  const MonotonicClock& clock = MonotonicClock::Get();
  uint64_t now_ns = clock.NowNs();
  KvOperation operation;
  while (worker_.Next(now_ns, &operation)) {
    if (absl::Status status = Do(operation, now_ns); !status.ok()) return status;
    const uint64_t end_ns = clock.NowNs();
    if (!worker_.job().workload().scans_all) worker_.Done(operation, end_ns - now_ns);
    now_ns = end_ns;
  }
  return absl::OkStatus();
}

absl::Status BlockingClient::RunPaced(const std::atomic<bool>& over) {
  const MonotonicClock& clock = MonotonicClock::Get();
  Pacer pacer(worker_.job().begin_ns(), static_cast<double>(worker_.job().settings().write_rate));
  for (;;) {
    const uint64_t due_ns = pacer.NextNs();
    for (uint64_t now_ns = clock.NowNs(); now_ns < due_ns; now_ns = clock.NowNs()) {
      if (over.load(std::memory_order_relaxed)) return absl::OkStatus();
      std::this_thread::sleep_for(std::chrono::nanoseconds(due_ns - now_ns));
    }
    if (over.load(std::memory_order_relaxed)) return absl::OkStatus();
    if (absl::Status status = Put(worker_.NextIndex()); !status.ok()) return status;
    worker_.PacedPutDone();
  }
}

absl::Status BlockingClient::Do(KvOperation& operation, uint64_t begin_ns) {
  switch (operation.kind) {
    case OperationKind::kGet:
      return Get(operation.index);
    case OperationKind::kGetMissing:
      return GetMissing(operation.index);
    case OperationKind::kMultiGet:
      return MultiGet(operation.count);
    case OperationKind::kScan:
      return Scan(operation, begin_ns);
    case OperationKind::kPut:
      return Put(operation.index);
    case OperationKind::kInsert: {
      absl::Status status = Put(operation.index);
      data_.EndInsert();
      return status;
    }
    case OperationKind::kModify: {
      absl::Status status = Get(operation.index);
      return status.ok() ? Put(operation.index) : status;
    }
    case OperationKind::kDelete:
      return Delete(operation.index);
  }
  return absl::InternalError("an operation that is none");
}

absl::Status BlockingClient::Put(uint64_t index) {
  data_.keys().Format(index, &key_);
  data_.BeginPut(index, &value_);
  absl::Status status = session_.Put(key_, value_);
  data_.EndWrite(index);
  return status;
}

absl::Status BlockingClient::Delete(uint64_t index) {
  data_.keys().Format(index, &key_);
  data_.BeginDelete(index);
  absl::Status status = session_.Delete(key_);
  data_.EndWrite(index);
  return status;
}

absl::Status BlockingClient::Get(uint64_t index) {
  data_.keys().Format(index, &key_);
  const KvData::Read read = data_.BeginRead(index);
  return session_.Get(
      key_, [&](std::optional<std::string_view> value) { return data_.EndRead(read, value); });
}

absl::Status BlockingClient::GetMissing(uint64_t index) {
  data_.keys().FormatMissing(index, &key_);
  return session_.Get(key_, [&](std::optional<std::string_view> value) {
    return data_.EndMissingRead(index, value);
  });
}

absl::Status BlockingClient::MultiGet(uint64_t count) {
  keys_.resize(count);
  reads_.clear();
  for (std::string& key : keys_) {
    reads_.push_back(data_.BeginRead(worker_.NextIndex()));
    data_.keys().Format(reads_.back().index, &key);
  }
  return session_.MultiGet(keys_, [&](size_t i, std::optional<std::string_view> value) {
    return data_.EndRead(reads_[i], value);
  });
}

absl::Status BlockingClient::Scan(KvOperation& operation, uint64_t begin_ns) {
  data_.keys().Format(operation.index, &key_);
  ScanProgress progress(worker_, operation, begin_ns, data_.keys().keys());
  bool at_end = true;
  absl::Status status = session_.Scan(key_, [&](std::string_view key, std::string_view value) {
    absl::StatusOr<bool> more = progress.Add(key, value);
    at_end = more.ok() && *more;
    return more;
  });
  operation.count = progress.keys();
  return status.ok() ? progress.Finish(at_end) : status;
}

}  // namespace

absl::Status BlockingEngine::Run(KvJob& job) {
  std::vector<std::unique_ptr<KvSession>> sessions;
  for (size_t i = 0; i <= threads_; ++i) {
    absl::StatusOr<std::unique_ptr<KvSession>> session = NewSession(job);
    if (!session.ok()) return session.status();
    sessions.push_back(*std::move(session));
  }
  job.Start(threads_);
  std::atomic<bool> over{false};
  std::thread writer;
  if (job.workload().is_written_to) {
    writer = std::thread([&] {
      const absl::Status status = BlockingClient(job, *sessions[threads_], SIZE_MAX).RunPaced(over);
      if (!status.ok()) job.Fail(status);
    });
  }
  std::vector<std::thread> threads;
  for (size_t i = 0; i < threads_; ++i) {
    threads.emplace_back([&job, &session = *sessions[i], i] {
      const absl::Status status = BlockingClient(job, session, i).Run();
      if (!status.ok()) job.Fail(status);
    });
  }
  for (std::thread& thread : threads) thread.join();
  over.store(true, std::memory_order_relaxed);
  if (writer.joinable()) writer.join();
  return absl::OkStatus();
}

}  // namespace ioengine::kv
