#include "ioengine/tools/benchmark/io_runner.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "ioengine/tools/benchmark/table.h"

namespace ioengine::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

double SecondsSince(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

// User and system time of the whole process: the kernel's io_uring workers are threads of it, so
// what the kernel hands to them is counted too.
double ProcessCpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

PeerOutcome Summarize(const std::vector<ShardOutcome>& shards, double cpu_s) {
  PeerOutcome outcome;
  Histogram latency_ns;
  uint64_t operations = 0;
  for (const ShardOutcome& shard : shards) {
    outcome.iops += static_cast<double>(shard.operations) / shard.elapsed_s;
    outcome.bytes_per_s += static_cast<double>(shard.bytes) / shard.elapsed_s;
    operations += shard.operations;
    latency_ns.Merge(shard.latency_ns);
  }
  const auto quantile_us = [&](double quantile) {
    return static_cast<double>(latency_ns.Quantile(quantile)) * 1e-3;
  };
  outcome.p50_us = quantile_us(0.5);
  outcome.p99_us = quantile_us(0.99);
  outcome.p999_us = quantile_us(0.999);
  outcome.max_us = static_cast<double>(latency_ns.max()) * 1e-3;
  outcome.cpu_us_per_op = operations == 0 ? 0 : cpu_s * 1e6 / static_cast<double>(operations);
  return outcome;
}

}  // namespace

struct IoRunner::Started {
  std::string what;
  double duration_s;     // 0: not known
  uint64_t total_bytes;  // 0: not known
  SteadyClock::time_point start;
};

IoRunner::IoRunner(Runtime& runtime, const std::atomic<bool>& cancelled)
    : runtime_(runtime), cancelled_(cancelled), progress_(runtime.shard_count()) {}

void IoRunner::KeepVersions(const PeerJob& job, uint64_t unit_bytes) {
  versions_.clear();
  for (int shard = 0; shard < job.shards; ++shard) {
    const Region region = ShardRegion(job, shard);
    versions_.push_back(
        std::make_unique<VersionMap>(region.offset_bytes, region.size_bytes, unit_bytes));
  }
}

absl::Status IoRunner::LayOut(const std::string& path, uint64_t size_bytes, uint64_t stamp_seed) {
  StartProgress("writing the file", 0, size_bytes);
  return runtime_.Submit(0, LayOutFile, path, size_bytes, stamp_seed, &cancelled_, &progress_[0])
      .Wait();
}

absl::StatusOr<PeerOutcome> IoRunner::Run(const PeerJob& job, uint64_t stamp_seed) {
  StartProgress(std::string(WorkloadName(job.workload)), job.duration_s, 0);
  return RunSlice(job, stamp_seed);
}

absl::StatusOr<PeerOutcome> IoRunner::RunSlice(const PeerJob& job, uint64_t stamp_seed) {
  if (absl::Status status = CheckJob(job); !status.ok()) return status;
  std::atomic<bool> stop{false};
  const double cpu_before_s = ProcessCpuSeconds();
  std::vector<Future<absl::StatusOr<ShardOutcome>>> running;
  for (int i = 0; i < job.shards; ++i) {
    const auto shard = static_cast<size_t>(i);
    ShardJob shard_job;
    shard_job.workload = job.workload;
    shard_job.path = NeedsFile(job.workload) ? job.path : "/dev/null";
    shard_job.region = ShardRegion(job, i);
    shard_job.block_size_bytes = job.block_size_bytes;
    shard_job.depth = job.depth;
    shard_job.seed = job.seed * 1'000'003 + shard;
    shard_job.stamp_seed = stamp_seed;
    shard_job.versions =
        versions_.empty() || !NeedsFile(job.workload) ? nullptr : versions_[shard].get();
    shard_job.stop = &stop;
    shard_job.progress = &progress_[shard];
    running.push_back(runtime_.Submit(static_cast<ShardId>(i), RunShardJob, std::move(shard_job)));
  }

  const auto start = SteadyClock::now();
  const auto all_done = [&] {
    return std::all_of(running.begin(), running.end(), [](auto& one) { return one.ready(); });
  };
  while (SecondsSince(start) < job.duration_s && !cancelled_.load(std::memory_order_relaxed) &&
         !all_done()) {
    const double left_s = job.duration_s - SecondsSince(start);
    std::this_thread::sleep_for(std::chrono::duration<double>(std::clamp(left_s, 0.0, 0.05)));
  }
  stop.store(true, std::memory_order_relaxed);

  std::vector<ShardOutcome> outcomes;
  absl::Status status;
  for (auto& future : running) {
    absl::StatusOr<ShardOutcome> outcome = future.Wait();
    status.Update(outcome.status());
    if (!outcome.ok()) continue;
    verified_reads_ += outcome->verified_reads;
    outcomes.push_back(*std::move(outcome));
  }
  if (!status.ok()) return status;
  if (cancelled_.load(std::memory_order_relaxed)) return absl::CancelledError("interrupted");
  return Summarize(outcomes, ProcessCpuSeconds() - cpu_before_s);
}

void IoRunner::SetProgress(std::string what) { StartProgress(std::move(what), 0, 0); }

void IoRunner::StartProgress(std::string what, double duration_s, uint64_t total_bytes) {
  for (ShardProgress& progress : progress_) {
    progress.operations.store(0, std::memory_order_relaxed);
    progress.bytes.store(0, std::memory_order_relaxed);
  }
  started_.store(std::make_shared<const Started>(
      Started{std::move(what), duration_s, total_bytes, SteadyClock::now()}));
}

std::string IoRunner::ProgressLine() const {
  const std::shared_ptr<const Started> started = started_.load();
  if (started == nullptr) return "";
  if (started->duration_s == 0 && started->total_bytes == 0) {
    return absl::StrFormat("%s, %.0f s", started->what, SecondsSince(started->start));
  }
  uint64_t operations = 0;
  uint64_t bytes = 0;
  for (const ShardProgress& progress : progress_) {
    operations += progress.operations.load(std::memory_order_relaxed);
    bytes += progress.bytes.load(std::memory_order_relaxed);
  }
  const double elapsed_s = std::max(SecondsSince(started->start), 1e-3);
  const double megabytes_per_s = static_cast<double>(bytes) / elapsed_s * 1e-6;
  if (started->total_bytes > 0) {
    return absl::StrFormat("%s: %s of %s, %.0f MB/s", started->what, FormatBytes(bytes),
                           FormatBytes(started->total_bytes), megabytes_per_s);
  }
  return absl::StrFormat("%s: %.1f of %.1f s, %.0f operations/s, %.0f MB/s", started->what,
                         elapsed_s, started->duration_s,
                         static_cast<double>(operations) / elapsed_s, megabytes_per_s);
}

}  // namespace ioengine::bench
