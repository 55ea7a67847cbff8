#include "ioengine/tools/benchmark/shard_workload.h"

#include <time.h>

namespace ioengine::bench {
namespace {

uint64_t ReadNs(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Runtime>> StartRuntime(const SuiteJob& job, int shards) {
  RuntimeOptions options;
  options.shard_count = shards;
  options.placement = job.placement;
  options.buffer_pool_bytes = size_t{2} << 20;
  options.idle_spin_us = static_cast<uint32_t>(job.idle_spin_us);
  return Runtime::Start(options);
}

uint64_t WallNs() { return ReadNs(CLOCK_MONOTONIC); }
uint64_t ThreadCpuNs() { return ReadNs(CLOCK_THREAD_CPUTIME_ID); }
uint64_t ProcessCpuNs() { return ReadNs(CLOCK_PROCESS_CPUTIME_ID); }

}  // namespace ioengine::bench
