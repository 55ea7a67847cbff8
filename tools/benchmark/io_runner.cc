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
  IoStream stream;
  stream.job = job;
  absl::StatusOr<std::vector<PeerOutcome>> outcomes = RunStreams({stream}, stamp_seed);
  if (!outcomes.ok()) return outcomes.status();
  return std::move(outcomes->front());
}

absl::StatusOr<std::vector<PeerOutcome>> IoRunner::RunStreams(const std::vector<IoStream>& streams,
                                                              uint64_t stamp_seed) {
  for (const IoStream& stream : streams) {
    if (absl::Status status = CheckJob(stream.job); !status.ok()) return status;
  }
  constexpr double kSettleS = 0.02;
  std::atomic<bool> stop{false};
  std::atomic<bool> counting{false};
  const double cpu_before_s = ProcessCpuSeconds();
  std::vector<Running> running;
  double begun_s = 0;
  const double duration_s = streams.front().job.duration_s;
  for (const IoStream& stream : streams) {
    const double begin_s = std::min(stream.delay_s, duration_s / 2);
    WaitFor(begin_s - begun_s, running);
    begun_s = begin_s;
    const std::atomic<bool>* const counts = streams.size() > 1 ? &counting : nullptr;
    running.push_back(StartStream(stream, stamp_seed, stop, counts));
  }
  if (streams.size() > 1) {
    const double settle_s = std::min(kSettleS, (duration_s - begun_s) / 4);
    WaitFor(settle_s, running);
    begun_s += settle_s;
    counting.store(true, std::memory_order_relaxed);
  }
  WaitFor(duration_s - begun_s, running);
  counting.store(false, std::memory_order_relaxed);
  stop.store(true, std::memory_order_relaxed);

  std::vector<std::vector<ShardOutcome>> outcomes;
  absl::Status status;
  for (Running& stream : running) {
    outcomes.emplace_back();
    for (auto& future : stream) {
      absl::StatusOr<ShardOutcome> outcome = future.Wait();
      status.Update(outcome.status());
      if (!outcome.ok()) continue;
      verified_reads_ += outcome->verified_reads;
      outcomes.back().push_back(*std::move(outcome));
    }
  }
  if (!status.ok()) return status;
  if (cancelled_.load(std::memory_order_relaxed)) return absl::CancelledError("interrupted");
  const double cpu_s = ProcessCpuSeconds() - cpu_before_s;
  std::vector<PeerOutcome> summaries;
  for (const auto& shards : outcomes) summaries.push_back(Summarize(shards, cpu_s));
  return summaries;
}

IoRunner::Running IoRunner::StartStream(const IoStream& stream, uint64_t stamp_seed,
                                        const std::atomic<bool>& stop,
                                        const std::atomic<bool>* counting) {
  const PeerJob& job = stream.job;
  Running running;
  for (int i = 0; i < job.shards; ++i) {
    const auto shard = static_cast<size_t>(i);
    ShardJob shard_job;
    shard_job.workload = job.workload;
    shard_job.path = NeedsFile(job.workload) ? job.path : "/dev/null";
    shard_job.region = ShardRegion(job, i);
    if (stream.quarters < 4) {
      const uint64_t quarter_bytes = shard_job.region.size_bytes / 4;
      shard_job.region.offset_bytes += stream.first_quarter * quarter_bytes;
      shard_job.region.size_bytes = stream.quarters * quarter_bytes;
    }
    shard_job.block_size_bytes = job.block_size_bytes;
    shard_job.depth = job.depth;
    shard_job.seed = job.seed * 1'000'003 + shard;
    shard_job.stamp_seed = stamp_seed;
    const bool stamped = stream.stamped && !versions_.empty() && NeedsFile(job.workload);
    shard_job.versions = stamped ? versions_[shard].get() : nullptr;
    shard_job.class_id = stream.class_id;
    shard_job.stop = &stop;
    shard_job.counting = counting;
    shard_job.progress = &progress_[shard];
    running.push_back(runtime_.Submit(static_cast<ShardId>(i), RunShardJob, std::move(shard_job)));
  }
  return running;
}

// Until the time is up, the run is cancelled, or the shards have ended by themselves.
void IoRunner::WaitFor(double duration_s, std::vector<Running>& running) {
  const auto start = SteadyClock::now();
  const auto all_done = [&] {
    return std::all_of(running.begin(), running.end(), [](Running& stream) {
      return std::all_of(stream.begin(), stream.end(), [](auto& one) { return one.ready(); });
    });
  };
  while (SecondsSince(start) < duration_s && !cancelled_.load(std::memory_order_relaxed) &&
         !all_done()) {
    const double left_s = duration_s - SecondsSince(start);
    std::this_thread::sleep_for(std::chrono::duration<double>(std::clamp(left_s, 0.0, 0.05)));
  }
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
