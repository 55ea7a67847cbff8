#include "ioengine/tools/kv/kv_bench.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace ioengine::kv {
namespace {

double Quotient(uint64_t a, uint64_t b) {
  return static_cast<double>(a) / static_cast<double>(std::max<uint64_t>(b, 1));
}

absl::Status MakeEmpty(const std::string& directory) {
  std::error_code error;
  std::filesystem::remove_all(directory, error);
  if (!error) std::filesystem::create_directory(directory, error);
  if (!error) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(directory, ": ", error.message()));
}

}  // namespace

double KvMeasurement::cpu_us_per_op() const {
  return cpu_seconds * 1e6 / static_cast<double>(std::max<uint64_t>(tally.operations, 1));
}

std::vector<std::pair<std::string, double>> KvMeasurement::Metrics() const {
  const auto microseconds = [this](double quantile) {
    return static_cast<double>(tally.latency_ns.Quantile(quantile)) / 1e3;
  };
  std::vector<std::pair<std::string, double>> metrics = {
      {"ops_per_s", ops_per_s()},
      {"p50_us", microseconds(0.5)},
      {"p99_us", microseconds(0.99)},
      {"p999_us", microseconds(0.999)},
      {"max_us", static_cast<double>(tally.latency_ns.max()) / 1e3},
      {"cpu_us_per_op", cpu_us_per_op()},
      {"resident_bytes", static_cast<double>(resident_bytes)}};
  if (tally.read_bytes > 0) {
    metrics.emplace_back("read_amplification", Quotient(device.read, tally.read_bytes));
  }
  if (!writes) return metrics;
  metrics.emplace_back("settled_ops_per_s", settled_ops_per_s());
  metrics.emplace_back("drain_s", drain_seconds);
  metrics.emplace_back("write_amplification", Quotient(device.written, tally.written_bytes));
  metrics.emplace_back("space_amplification", Quotient(space_bytes, live_bytes));
  if (tally.paced_puts > 0) {
    metrics.emplace_back("paced_puts_per_s", static_cast<double>(tally.paced_puts) / seconds);
  }
  return metrics;
}

KvBench::KvBench(KvEngine& engine, const KvSettings& settings, std::string directory)
    : engine_(engine),
      settings_(settings),
      directory_(std::move(directory)),
      data_(settings.keys, settings.key_bytes, settings.value_bytes, settings.seed) {}

KvBench::~KvBench() { engine_.Close().IgnoreError(); }

absl::Status KvBench::OpenEmpty() {
  absl::Status status;
  if (open_) status = engine_.Close();
  open_ = false;
  if (status.ok()) status = MakeEmpty(directory_);
  if (status.ok()) status = engine_.Open(directory_);
  open_ = status.ok();
  data_.Clear();
  return status;
}

absl::Status KvBench::Prepare(const Workload& workload) {
  if (workload.begins_empty || !open_) {
    if (absl::Status status = OpenEmpty(); !status.ok()) return status;
  }
  if (workload.begins_empty || data_.IsLoaded()) return absl::OkStatus();
  KvTally tally;
  absl::Status status = Run(LoadWorkload(), settings_.seed, &tally);
  return status.ok() ? engine_.Drain() : status;
}

absl::Status KvBench::Run(const Workload& workload, uint64_t seed, KvTally* tally) {
  KvJob job(workload, settings_, data_, seed);
  absl::Status status = engine_.Run(job);
  *tally = job.tally();
  return status.ok() ? job.status() : status;
}

absl::StatusOr<KvMeasurement> KvBench::Measure(const Workload& workload, uint64_t seed) {
  absl::Status status = Prepare(workload);
  if (!status.ok()) return status;
  KvMeasurement found;
  found.writes = workload.writes();
  const double cpu = bench::ProcessCpuSeconds();
  const bench::DeviceBytes device = bench::ProcessDeviceBytes();
  const double begin = bench::WallSeconds();
  status = Run(workload, seed, &found.tally);
  const double end = bench::WallSeconds();
  found.seconds = end - begin;
  found.resident_bytes = bench::ResidentBytes();
  if (status.ok() && found.writes) status = engine_.Drain();
  if (!status.ok()) return status;
  found.cpu_seconds = bench::ProcessCpuSeconds() - cpu;
  const bench::DeviceBytes after = bench::ProcessDeviceBytes();
  found.device = {.read = after.read - device.read, .written = after.written - device.written};
  if (found.writes) {
    found.drain_seconds = bench::WallSeconds() - end;
    found.space_bytes = bench::SpaceBytes(directory_);
    found.live_bytes = data_.live_bytes();
  }
  if (!settings_.verify) return found;
  KvTally ignored;
  status = Run(VerifyWorkload(), seed, &ignored);
  if (!status.ok()) {
    return absl::Status(status.code(), absl::StrCat("after workload ", std::string(workload.name),
                                                    ": ", std::string(status.message())));
  }
  return found;
}

std::map<std::string, nlohmann::json> ParametersOf(const Workload& workload,
                                                   const KvSettings& settings) {
  std::map<std::string, nlohmann::json> parameters = {
      {"keys", settings.keys},
      {"key_bytes", settings.key_bytes},
      {"value_bytes", settings.value_bytes},
      {"shards", settings.shards},
      {"concurrency", settings.concurrency},
      {"client", std::string(ClientKindName(settings.client))},
      {"routing", std::string(RoutingName(settings.routing))},
      {"placement", std::string(PlacementName(settings.placement))},
      {"cache_bytes", settings.cache_bytes},
      {"memtable_bytes", settings.memtable_bytes},
      {"distribution",
       std::string(DistributionName(settings.distribution.value_or(workload.distribution)))}};
  if (workload.writes()) {
    parameters["durability"] = DurabilityName(workload.durability.value_or(settings.durability));
  }
  return parameters;
}

}  // namespace ioengine::kv
