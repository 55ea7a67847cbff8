// KvJob and KvWorker: one run of a workload, whoever does its operations.
#ifndef IOENGINE_TOOLS_KV_KV_JOB_H_
#define IOENGINE_TOOLS_KV_KV_JOB_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/sched/histogram.h"
#include "ioengine/sched/random.h"
#include "ioengine/tools/kv/distribution.h"
#include "ioengine/tools/kv/kv_data.h"
#include "ioengine/tools/kv/kv_settings.h"
#include "ioengine/tools/kv/workload.h"

namespace ioengine::kv {

struct KvOperation {
  OperationKind kind = OperationKind::kGet;
  uint64_t index = 0;
  uint64_t count = 1;  // keys of kScan
};

// What was done.
struct KvTally {
  uint64_t operations = 0;
  uint64_t read_bytes = 0;     // of keys and values
  uint64_t written_bytes = 0;  // likewise, also of paced puts
  uint64_t paced_puts = 0;
  Histogram latency_ns;

  void Merge(const KvTally& other);
};

// Any thread, but where it says otherwise.
class KvJob {
 public:
  // Borrows all of it. `seed` takes the place of the settings'.
  KvJob(const Workload& workload, const KvSettings& settings, KvData& data, uint64_t seed);
  KvJob(const KvJob&) = delete;
  KvJob& operator=(const KvJob&) = delete;

  const Workload& workload() const { return workload_; }
  const KvSettings& settings() const { return settings_; }
  KvData& data() const { return data_; }
  Durability durability() const { return workload_.durability.value_or(settings_.durability); }
  uint64_t begin_ns() const { return begin_ns_; }

  // Time begins. By one thread, before the first worker is made: so many there will be.
  void Start(size_t workers);

  // No more operations are to begin.
  bool IsOver(uint64_t now_ns) const {
    return now_ns >= end_ns_ || failing_.load(std::memory_order_relaxed) ||
           (settings_.cancelled != nullptr && settings_.cancelled->load(std::memory_order_relaxed));
  }
  // The first error of an operation is the run's; it ends.
  void Fail(const absl::Status& status);

  // Once all workers are gone. Errors name the workload; Cancelled: the run was interrupted.
  absl::Status status() const;
  // Of all workers that are gone.
  const KvTally& tally() const { return tally_; }

 private:
  friend class KvWorker;

  const Workload& workload_;
  const KvSettings& settings_;
  KvData& data_;
  const uint64_t seed_;
  const IndexPicker picker_;
  uint64_t operations_ = UINT64_MAX;  // of all workers
  size_t workers_ = 1;
  uint64_t begin_ns_ = 0;
  uint64_t end_ns_ = UINT64_MAX;
  std::atomic<uint64_t> next_in_order_{0};
  std::atomic<bool> failing_{false};
  mutable std::mutex mutex_;
  absl::Status failed_;  // under mutex_
  KvTally tally_;        // under mutex_
};

// Decides what the clients of one thread, or of one shard, do, and counts it.
//
// Shard: one, or one thread. Ownership: borrows the job, to which it gives its tally at its end.
class KvWorker {
 public:
  // Whether clients of this worker may ask for a key.
  using Filter = std::function<bool(std::string_view key)>;

  // `number` is below the job's workers, or UINT64_MAX for one that only does paced puts. Without a
  // filter: any key.
  KvWorker(KvJob& job, size_t number, Filter filter = nullptr);
  KvWorker(const KvWorker&) = delete;
  KvWorker& operator=(const KvWorker&) = delete;
  ~KvWorker();

  KvJob& job() const { return job_; }
  KvData& data() const { return job_.data(); }
  // Of a scan of all keys, at once; more are several operations.
  void set_most_scan_keys(uint64_t keys) { most_scan_keys_ = keys; }

  // The next operation; false: there are no more.
  bool Next(uint64_t now_ns, KvOperation* operation);
  // Of one more key of a kMultiGet; of a paced put.
  uint64_t NextIndex();

  // An operation is done that took so long. `count` of a scan: what it gave.
  void Done(const KvOperation& operation, uint64_t latency_ns);
  // So many keys of a scan of all keys are, in so long.
  void Scanned(uint64_t keys, uint64_t latency_ns);
  void PacedPutDone();

 private:
  template <typename Draw>
  uint64_t Accepted(const Draw& draw);
  bool IsMine(uint64_t index);
  bool NextInOrder(uint64_t* index);
  OperationKind NextKind();
  void NextPart(KvOperation* operation);
  uint64_t WeightOf(const KvOperation& operation) const;

  KvJob& job_;
  const Workload& workload_;
  const uint64_t keys_;
  const size_t number_;
  const Filter filter_;
  Random random_;
  uint64_t left_;  // operations
  uint64_t order_at_ = 0;
  uint64_t order_end_ = 0;
  uint64_t part_at_ = 0;
  uint64_t most_scan_keys_ = UINT64_MAX;
  std::string key_;
  KvTally tally_;
};

// When puts of a fixed rate are due.
class Pacer {
 public:
  Pacer(uint64_t begin_ns, double per_second) : begin_ns_(begin_ns), per_second_(per_second) {}

  uint64_t NextNs() {
    return begin_ns_ + static_cast<uint64_t>(static_cast<double>(count_++) * 1e9 / per_second_);
  }

 private:
  const uint64_t begin_ns_;
  const double per_second_;
  uint64_t count_ = 0;
};

}  // namespace ioengine::kv

#endif  // IOENGINE_TOOLS_KV_KV_JOB_H_
