#include "ioengine/tools/kv/kv_job.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/sched/clock.h"
#include "ioengine/tools/kv/mix.h"

namespace ioengine::kv {
namespace {

// That a worker takes of an order at once.
constexpr uint64_t kBlock = 256;

// Of each worker, of `total` in all.
uint64_t PartOf(uint64_t total, size_t number, size_t workers) {
  if (total == UINT64_MAX) return total;
  return total / workers + (number < total % workers ? 1 : 0);
}

}  // namespace

void KvTally::Merge(const KvTally& other) {
  operations += other.operations;
  read_bytes += other.read_bytes;
  written_bytes += other.written_bytes;
  paced_puts += other.paced_puts;
  latency_ns.Merge(other.latency_ns);
}

KvJob::KvJob(const Workload& workload, const KvSettings& settings, KvData& data, uint64_t seed)
    : workload_(workload),
      settings_(settings),
      data_(data),
      seed_(seed),
      picker_(settings.distribution.value_or(workload.distribution), data.keys().keys()) {}

void KvJob::Start(size_t workers) {
  workers_ = workers;
  begin_ns_ = MonotonicClock::Get().NowNs();
  if (workload_.goes_through) return;
  if (settings_.operations > 0) operations_ = settings_.operations;
  if (settings_.seconds > 0) {
    end_ns_ = begin_ns_ + static_cast<uint64_t>(settings_.seconds * 1e9);
  } else if (settings_.operations == 0) {
    operations_ = settings_.keys;
  }
}

void KvJob::Fail(const absl::Status& status) {
  failing_.store(true, std::memory_order_relaxed);
  const std::scoped_lock lock(mutex_);
  failed_.Update(status);
}

absl::Status KvJob::status() const {
  const std::scoped_lock lock(mutex_);
  if (!failed_.ok()) {
    return absl::Status(failed_.code(), absl::StrCat("workload ", std::string(workload_.name), ": ",
                                                     std::string(failed_.message())));
  }
  const bool is_cancelled =
      settings_.cancelled != nullptr && settings_.cancelled->load(std::memory_order_relaxed);
  return is_cancelled ? absl::CancelledError("interrupted") : absl::OkStatus();
}

KvWorker::KvWorker(KvJob& job, size_t number, Filter filter)
    : job_(job),
      workload_(job.workload()),
      keys_(job.data().keys().keys()),
      number_(number),
      filter_(std::move(filter)),
      random_(Mix(job.seed_ ^ Mix(number))),
      left_(PartOf(job.operations_, number, job.workers_)) {}

KvWorker::~KvWorker() {
  const std::scoped_lock lock(job_.mutex_);
  job_.tally_.Merge(tally_);
}

bool KvWorker::IsMine(uint64_t index) {
  if (filter_ == nullptr) return true;
  job_.data().keys().Format(index, &key_);
  return filter_(key_);
}

template <typename Draw>
uint64_t KvWorker::Accepted(const Draw& draw) {
  // A shard may have none of the keys that there are, if these are few.
  constexpr int kMostTries = 1000;
  uint64_t index = draw();
  for (int i = 1; i < kMostTries && !IsMine(index); ++i) index = draw();
  return index;
}

uint64_t KvWorker::NextIndex() {
  return Accepted([this] { return job_.picker_.Pick(random_, job_.data().inserts()); });
}

// Those with a filter each go through all of the order by themselves.
bool KvWorker::NextInOrder(uint64_t* index) {
  const KvData& data = job_.data();
  const bool is_load = workload_.order == KeyOrder::kPermuted;
  for (;;) {
    if (order_at_ == order_end_ && (filter_ == nullptr || order_end_ == 0)) {
      order_at_ = filter_ == nullptr ? job_.next_in_order_.fetch_add(kBlock) : 0;
      order_end_ = filter_ == nullptr ? std::min(order_at_ + kBlock, keys_) : keys_;
    }
    if (order_at_ >= order_end_) return false;
    const uint64_t at = order_at_++;
    *index = is_load ? data.keys().Permuted(at) : at;
    if (is_load && data.IsPresent(*index)) continue;
    if (IsMine(*index)) return true;
  }
}

OperationKind KvWorker::NextKind() {
  uint64_t at = random_.Below(100);
  for (size_t kind = 0; kind < kOperationKinds; ++kind) {
    if (at < workload_.mix[kind]) return static_cast<OperationKind>(kind);
    at -= workload_.mix[kind];
  }
  return OperationKind::kGet;
}

// Of this worker's part of all keys, what comes next.
void KvWorker::NextPart(KvOperation* operation) {
  const uint64_t begin = keys_ * number_ / job_.workers_;
  const uint64_t end = std::max(begin + 1, keys_ * (number_ + 1) / job_.workers_);
  if (part_at_ < begin || part_at_ >= end) part_at_ = begin;
  operation->index = part_at_;
  operation->count = std::min({end - part_at_, most_scan_keys_, left_});
  part_at_ += operation->count;
}

uint64_t KvWorker::WeightOf(const KvOperation& operation) const {
  if (operation.kind == OperationKind::kMultiGet || workload_.scans_all) return operation.count;
  return 1;
}

bool KvWorker::Next(uint64_t now_ns, KvOperation* operation) {
  if (left_ == 0 || job_.IsOver(now_ns)) return false;
  operation->kind = NextKind();
  operation->count = 1;
  switch (operation->kind) {
    case OperationKind::kInsert:
      // Of any shard: which keys are newest is the order of all inserts.
      operation->index = job_.data().BeginInsert();
      break;
    case OperationKind::kMultiGet:
      operation->count = std::min(job_.settings().multiget_keys, left_);
      break;
    case OperationKind::kScan:
      if (workload_.scans_all) {
        NextPart(operation);
        break;
      }
      operation->index = NextIndex() % keys_;
      operation->count = job_.settings().scan_keys;
      if (workload_.varies_scans) operation->count = 1 + random_.Below(operation->count);
      break;
    default:
      if (workload_.order == KeyOrder::kDrawn) {
        operation->index = NextIndex();
      } else if (!NextInOrder(&operation->index)) {
        return false;
      }
  }
  left_ -= WeightOf(*operation);
  return true;
}

void KvWorker::Done(const KvOperation& operation, uint64_t latency_ns) {
  const uint64_t pair_bytes = job_.data().pair_bytes();
  tally_.latency_ns.Record(latency_ns);
  tally_.operations += WeightOf(operation);
  switch (operation.kind) {
    case OperationKind::kGet:
    case OperationKind::kMultiGet:
    case OperationKind::kScan:
      tally_.read_bytes += operation.count * pair_bytes;
      return;
    case OperationKind::kGetMissing:
      return;
    case OperationKind::kModify:
      tally_.read_bytes += pair_bytes;
      [[fallthrough]];
    case OperationKind::kPut:
    case OperationKind::kInsert:
      tally_.written_bytes += pair_bytes;
      return;
    case OperationKind::kDelete:
      tally_.written_bytes += job_.data().keys().key_bytes();
  }
}

void KvWorker::Scanned(uint64_t keys, uint64_t latency_ns) {
  tally_.operations += keys;
  tally_.read_bytes += keys * job_.data().pair_bytes();
  tally_.latency_ns.Record(latency_ns / std::max<uint64_t>(keys, 1));
}

void KvWorker::PacedPutDone() {
  ++tally_.paced_puts;
  tally_.written_bytes += job_.data().pair_bytes();
}

}  // namespace ioengine::kv
