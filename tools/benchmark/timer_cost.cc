#include "ioengine/tools/benchmark/timer_cost.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "ioengine/sched/histogram.h"
#include "ioengine/sched/random.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/timer_wheel.h"
#include "ioengine/tools/benchmark/shard_workload.h"

namespace ioengine::bench {
namespace {

constexpr uint64_t kLongestSleepNs = 1'000'000'000;

double Milliseconds(uint64_t ns) { return static_cast<double>(ns) / 1e6; }

Task<> SleepOnce(Executor* executor, Histogram* late_ns, uint64_t duration_ns) {
  const uint64_t deadline_ns = executor->clock().NowNs() + duration_ns;
  co_await SleepUntil(deadline_ns);
  late_ns->Record(executor->clock().NowNs() - deadline_ns);
}

struct SleepResult {
  uint64_t cpu_ns = 0;
  Histogram late_ns;
};

Task<SleepResult> MeasureSleeps(Shard& shard, int tasks, uint64_t seed) {
  SleepResult result;
  Random random(seed);
  const uint64_t begin_ns = ThreadCpuNs();
  {
    TaskScope scope(shard.executor());
    for (int i = 0; i < tasks; ++i) {
      scope.Spawn(SleepOnce(&shard.executor(), &result.late_ns, random.Below(kLongestSleepNs)));
    }
    (co_await scope.Join()).IgnoreError();
  }
  result.cpu_ns = ThreadCpuNs() - begin_ns;
  co_return result;
}

class NoTimer final : public Timer {
  void OnTimer() override {}
};

}  // namespace

WorkloadFunction Sleeps(int tasks) {
  return [tasks](const SuiteJob& job) -> absl::StatusOr<std::vector<Measurement>> {
    const absl::StatusOr<SleepResult> result = OnNewShard(job, MeasureSleeps, tasks, job.seed);
    if (!result.ok()) return result.status();
    return std::vector<Measurement>{
        {"cpu_s", static_cast<double>(result->cpu_ns) / 1e9, {}},
        {"late_p99_ms", Milliseconds(result->late_ns.Quantile(0.99)), {}},
        {"late_max_ms", Milliseconds(result->late_ns.max()), {}}};
  };
}

WorkloadFunction ArmAndCancel(int timers) {
  return [timers](const SuiteJob& job) -> absl::StatusOr<std::vector<Measurement>> {
    Random random(job.seed);
    TimerWheel wheel(0);
    std::vector<NoTimer> all(static_cast<size_t>(timers));
    std::vector<uint64_t> deadlines_ns;
    for (int i = 0; i < timers; ++i) deadlines_ns.push_back(random.Below(60 * kLongestSleepNs));
    const uint64_t begin_ns = ThreadCpuNs();
    for (size_t i = 0; i < all.size(); ++i) wheel.Arm(all[i], deadlines_ns[i]);
    const uint64_t armed_ns = ThreadCpuNs();
    for (NoTimer& timer : all) wheel.Cancel(timer);
    const uint64_t cancelled_ns = ThreadCpuNs();
    return std::vector<Measurement>{
        {"arm_ns", static_cast<double>(armed_ns - begin_ns) / timers, {}},
        {"cancel_ns", static_cast<double>(cancelled_ns - armed_ns) / timers, {}}};
  };
}

}  // namespace ioengine::bench
