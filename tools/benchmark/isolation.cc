#include "ioengine/tools/benchmark/isolation.h"

#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include "ioengine/sched/histogram.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/tools/benchmark/process_usage.h"
#include "ioengine/tools/benchmark/shard_workload.h"

namespace ioengine::bench {
namespace {

constexpr uint64_t kPeriodNs = 1'000'000;
constexpr uint64_t kHogNs = 20'000;

double Microseconds(uint64_t ns) { return static_cast<double>(ns) / 1000; }

void Compute(uint64_t duration_ns) {
  const uint64_t begin_ns = WallNs();
  while (WallNs() - begin_ns < duration_ns) {
  }
}

Task<> Hog(Executor* executor) {
  for (;;) {
    Compute(kHogNs);
    co_await executor->Yield();
  }
}

void SpinOnTheClock(Histogram& late_ns, double duration_s) {
  uint64_t deadline_ns = WallNs();
  const uint64_t end_ns = deadline_ns + static_cast<uint64_t>(duration_s * 1e9);
  while (deadline_ns < end_ns) {
    deadline_ns += kPeriodNs;
    uint64_t now_ns = WallNs();
    while (now_ns < deadline_ns) now_ns = WallNs();
    late_ns.Record(now_ns - deadline_ns);
    deadline_ns = std::max(deadline_ns, now_ns);
  }
}

Task<> SleepAgainAndAgain(Executor* executor, Histogram* late_ns, double duration_s) {
  uint64_t deadline_ns = executor->clock().NowNs();
  const uint64_t end_ns = deadline_ns + static_cast<uint64_t>(duration_s * 1e9);
  while (deadline_ns < end_ns) {
    deadline_ns += kPeriodNs;
    co_await SleepUntil(deadline_ns);
    const uint64_t now_ns = executor->clock().NowNs();
    late_ns->Record(now_ns - deadline_ns);
    deadline_ns = std::max(deadline_ns, now_ns);
  }
}

struct Lateness {
  Histogram ours_ns;
  Histogram bare_ns;
};

Task<absl::StatusOr<Lateness>> MeasureIsolation(Shard& shard, int hogs, double duration_s) {
  Executor& executor = shard.executor();
  const auto interactive =
      executor.CreateClass({.name = "interactive", .latency_goal_ns = kPeriodNs});
  if (!interactive.ok()) co_return interactive.status();
  const auto batch = executor.CreateClass({.name = "hogs"});
  if (!batch.ok()) co_return batch.status();
  Lateness lateness;
  SpinOnTheClock(lateness.bare_ns, duration_s / 4);
  {
    TaskScope crowd(executor);
    for (int i = 0; i < hogs; ++i) crowd.Spawn(Hog(&executor), *batch);
    TaskScope sleeper(executor);
    sleeper.Spawn(SleepAgainAndAgain(&executor, &lateness.ours_ns, duration_s / 2), *interactive);
    (co_await sleeper.Join()).IgnoreError();
  }
  SpinOnTheClock(lateness.bare_ns, duration_s / 4);
  co_return std::move(lateness);
}

}  // namespace

WorkloadFunction Isolation(int hogs) {
  return [hogs](const SuiteJob& job) -> absl::StatusOr<std::vector<Measurement>> {
    const absl::StatusOr<Lateness> lateness =
        OnNewShard(job, MeasureIsolation, hogs, job.duration_s);
    if (!lateness.ok()) return lateness.status();
    return std::vector<Measurement>{
        {"late_p99_us", Microseconds(lateness->ours_ns.Quantile(0.99)), {}},
        {"late_max_us", Microseconds(lateness->ours_ns.max()), {}},
        {"bare_p99_us", Microseconds(lateness->bare_ns.Quantile(0.99)), {}},
        {"bare_max_us", Microseconds(lateness->bare_ns.max()), {}}};
  };
}

absl::StatusOr<std::vector<Measurement>> Idle(const SuiteJob& job) {
  absl::StatusOr<std::unique_ptr<Runtime>> runtime = StartRuntime(job);
  if (!runtime.ok()) return runtime.status();
  const uint64_t begin_ns = WallNs();
  const uint64_t begin_cpu_ns = ProcessCpuNs();
  std::this_thread::sleep_for(std::chrono::duration<double>(job.duration_s));
  const auto cpu_ns = static_cast<double>(ProcessCpuNs() - begin_cpu_ns);
  const auto elapsed_ns = static_cast<double>(WallNs() - begin_ns);
  return std::vector<Measurement>{{"cpu_percent", 100 * cpu_ns / elapsed_ns, {}},
                                  {"resident_bytes", static_cast<double>(ResidentBytes()), {}}};
}

}  // namespace ioengine::bench
