// KvBench: a database of one engine, and the workloads that are measured on it.
#ifndef IOENGINE_TOOLS_KV_KV_BENCH_H_
#define IOENGINE_TOOLS_KV_KV_BENCH_H_

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/tools/benchmark/process_usage.h"
#include "ioengine/tools/kv/kv_data.h"
#include "ioengine/tools/kv/kv_engine.h"
#include "ioengine/tools/kv/kv_job.h"
#include "ioengine/tools/kv/kv_settings.h"
#include "ioengine/tools/kv/workload.h"

namespace ioengine::kv {

// One run of a workload. The drain is what flushes and compactions had left to do behind it.
struct KvMeasurement {
  bool writes = false;
  KvTally tally;
  double seconds = 0;
  double cpu_seconds = 0;       // with the drain
  bench::DeviceBytes device;    // likewise
  double drain_seconds = 0;     // of a workload that writes, as what follows
  uint64_t space_bytes = 0;     // of the files
  uint64_t live_bytes = 0;      // of keys that there are, and their values
  uint64_t resident_bytes = 0;  // of the process

  double ops_per_s() const { return static_cast<double>(tally.operations) / seconds; }
  double settled_ops_per_s() const {
    return static_cast<double>(tally.operations) / (seconds + drain_seconds);
  }
  double cpu_us_per_op() const;

  // By name, as docs/METRICS.md has them: those that mean something for the workload.
  std::vector<std::pair<std::string, double>> Metrics() const;
};

// One thread. Ownership: borrows the engine and the settings; its directory is its own.
class KvBench {
 public:
  // `directory` is there, and is made empty for each database.
  KvBench(KvEngine& engine, const KvSettings& settings, std::string directory);
  KvBench(const KvBench&) = delete;
  KvBench& operator=(const KvBench&) = delete;
  ~KvBench();

  KvEngine& engine() { return engine_; }

  // Makes the database what the workload begins with, and drains it. Not part of what is measured.
  absl::Status Prepare(const Workload& workload);
  // Prepares, runs, and drains if it writes; with --verify reads all keys then. Errors: the
  // engine's; DataLoss of a value that is wrong or missing, with workload and key.
  absl::StatusOr<KvMeasurement> Measure(const Workload& workload, uint64_t seed);
  absl::Status Close() { return engine_.Close(); }

 private:
  absl::Status OpenEmpty();
  absl::Status Run(const Workload& workload, uint64_t seed, KvTally* tally);

  KvEngine& engine_;
  const KvSettings& settings_;
  const std::string directory_;
  KvData data_;
  bool open_ = false;
};

// What a workload was run with, for its results.
std::map<std::string, nlohmann::json> ParametersOf(const Workload& workload,
                                                   const KvSettings& settings);

}  // namespace ioengine::kv

#endif  // IOENGINE_TOOLS_KV_KV_BENCH_H_
