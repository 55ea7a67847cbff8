#include "ioengine/tools/benchmark/raw_loop.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/sched/histogram.h"
#include "ioengine/tools/benchmark/raw_worker.h"

namespace ioengine::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kNullSampleEvery = 64;

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double ProcessCpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
}

// One per shard, written by its thread and read after the join.
struct Shard {
  std::unique_ptr<RawWorker> worker;
  absl::Status set_up;
  absl::Status ran;
};

std::string Describe(const PeerJob& job, const RawWorker& worker, int wait_count) {
  std::string cpus;
  for (const int cpu : job.cpus) cpus += (cpus.empty() ? " on CPU " : ",") + std::to_string(cpu);
  return "bare io_uring loop, " + std::to_string(job.shards) + " thread(s)" + cpus + ", depth " +
         std::to_string(job.depth) + ", " + worker.ring_flags() + ", waits for " +
         std::to_string(wait_count);
}

// Sleeps out the duration. Returns false if it was cut short.
bool Wait(double duration_s, const std::atomic<bool>& cancelled, const std::atomic<bool>& stop) {
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                      std::chrono::duration<double>(duration_s));
  while (Clock::now() < end && !stop.load(std::memory_order_relaxed)) {
    if (cancelled.load(std::memory_order_relaxed)) return false;
    std::this_thread::sleep_for(
        std::min<Clock::duration>(std::chrono::milliseconds(20), end - Clock::now()));
  }
  return true;
}

PeerOutcome Merge(const PeerJob& job, const std::vector<Shard>& shards, double cpu_s,
                  int wait_count) {
  PeerOutcome outcome;
  auto latencies = std::make_unique<Histogram>();
  uint64_t operations = 0;
  for (const Shard& shard : shards) {
    const RawWorker& worker = *shard.worker;
    outcome.iops += static_cast<double>(worker.operations()) / worker.elapsed_s();
    outcome.bytes_per_s += static_cast<double>(worker.bytes()) / worker.elapsed_s();
    operations += worker.operations();
    latencies->Merge(worker.latencies());
  }
  const auto microseconds = [&](double percent) {
    return static_cast<double>(latencies->Quantile(percent / 100)) / 1000;
  };
  outcome.p50_us = microseconds(50);
  outcome.p99_us = microseconds(99);
  outcome.p999_us = microseconds(99.9);
  outcome.max_us = static_cast<double>(latencies->max()) / 1000;
  if (operations > 0) outcome.cpu_us_per_op = cpu_s * 1e6 / static_cast<double>(operations);
  outcome.command = Describe(job, *shards.front().worker, wait_count);
  outcome.degraded = shards.front().worker->degraded();
  return outcome;
}

}  // namespace

std::vector<RawLoopOptions> RawLoopVariants(const PeerJob& job) {
  std::vector<RawLoopOptions> variants;
  for (const int wait_count : {1, job.depth / 8, job.depth / 4}) {
    const bool known = std::any_of(variants.begin(), variants.end(), [&](const auto& variant) {
      return variant.wait_count >= wait_count;
    });
    if (!known) variants.push_back({.wait_count = wait_count});
  }
  return variants;
}

absl::StatusOr<PeerOutcome> RunRawLoop(const PeerJob& job, const RawLoopOptions& options,
                                       const std::atomic<bool>& cancelled) {
  if (absl::Status status = CheckJob(job); !status.ok()) return status;
  const int wait_count = std::clamp(options.wait_count, 1, job.depth);
  int sample_every = options.latency_sample_every;
  if (sample_every <= 0) sample_every = job.workload == Workload::kNull ? kNullSampleEvery : 1;

  std::vector<Shard> shards(static_cast<size_t>(job.shards));
  // `stop` is set by this thread at the end, or by a worker that failed.
  std::atomic<bool> stop = false;
  std::latch ready(job.shards);
  std::latch go(1);
  std::vector<std::thread> threads;
  for (int i = 0; i < job.shards; ++i) {
    threads.emplace_back([&, i] {
      Shard& shard = shards[static_cast<size_t>(i)];
      shard.worker = std::make_unique<RawWorker>(job, i, static_cast<unsigned>(wait_count),
                                                 static_cast<unsigned>(sample_every));
      shard.set_up = shard.worker->SetUp();
      if (!shard.set_up.ok()) stop.store(true, std::memory_order_relaxed);
      ready.count_down();
      go.wait();  // nobody starts before every shard can
      if (!stop.load(std::memory_order_relaxed)) shard.ran = shard.worker->Run(stop);
      if (!shard.ran.ok()) stop.store(true, std::memory_order_relaxed);
    });
  }
  ready.wait();
  const double cpu_before_s = ProcessCpuSeconds();
  go.count_down();
  const bool completed = Wait(job.duration_s, cancelled, stop);
  stop.store(true, std::memory_order_relaxed);
  const double cpu_s = ProcessCpuSeconds() - cpu_before_s;
  for (std::thread& thread : threads) thread.join();

  for (const Shard& shard : shards) {
    if (!shard.set_up.ok()) return shard.set_up;
    if (!shard.ran.ok()) return shard.ran;
  }
  if (!completed) return absl::CancelledError("the bare loop was stopped");
  return Merge(job, shards, cpu_s, wait_count);
}

}  // namespace ioengine::bench
