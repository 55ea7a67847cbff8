#include "ioengine/tools/benchmark/task_cost.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <coroutine>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/tools/benchmark/shard_workload.h"

namespace ioengine::bench {
namespace {

std::chrono::nanoseconds Seconds(double seconds) {
  return std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
}

double PerSecond(uint64_t count, uint64_t elapsed_ns) {
  return static_cast<double>(count) * 1e9 / static_cast<double>(elapsed_ns);
}

double NsPer(uint64_t elapsed_ns, uint64_t count) {
  return static_cast<double>(elapsed_ns) / static_cast<double>(count);
}

// The least that a coroutine can be: what a switch costs without a scheduler.
struct BareTask {
  struct promise_type {
    BareTask get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_always final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::abort(); }
  };
  std::coroutine_handle<promise_type> handle;
};

BareTask BareYield() {
  for (;;) co_await std::suspend_always();
}

double BareSwitchesPerSecond(int tasks, double duration_s) {
  std::vector<BareTask> bare;
  for (int i = 0; i < tasks; ++i) bare.push_back(BareYield());
  const auto duration_ns = static_cast<uint64_t>(duration_s * 1e9);
  const uint64_t begin_ns = WallNs();
  uint64_t elapsed_ns = 0;
  uint64_t switches = 0;
  while (elapsed_ns < duration_ns) {
    for (int round = 0; round < 10'000; round += tasks) {
      for (const BareTask& task : bare) task.handle.resume();
      switches += bare.size();
    }
    elapsed_ns = WallNs() - begin_ns;
  }
  for (const BareTask& task : bare) task.handle.destroy();
  return PerSecond(switches, elapsed_ns);
}

Task<> YieldForEver(Executor* executor) {
  for (;;) co_await executor->Yield();
}

struct Rates {
  double ours = 0;
  double bare = 0;
};

Task<Rates> MeasureSwitches(Shard& shard, int tasks, double duration_s) {
  Rates rates;
  rates.bare = BareSwitchesPerSecond(tasks, duration_s / 4);
  {
    Executor& executor = shard.executor();
    TaskScope scope(executor);
    for (int i = 0; i < tasks; ++i) scope.Spawn(YieldForEver(&executor));
    const uint64_t before = executor.stats().tasks_resumed;
    const uint64_t begin_ns = WallNs();
    co_await Sleep(Seconds(duration_s / 2));
    rates.ours = PerSecond(executor.stats().tasks_resumed - before, WallNs() - begin_ns);
  }
  rates.bare = (rates.bare + BareSwitchesPerSecond(tasks, duration_s / 4)) / 2;
  co_return rates;
}

Task<> Nothing() { co_return; }

Task<double> MeasureSpawns(Shard& shard, int batch, double duration_s) {
  Executor& executor = shard.executor();
  const auto duration_ns = static_cast<uint64_t>(duration_s * 1e9);
  const uint64_t begin_ns = WallNs();
  uint64_t elapsed_ns = 0;
  uint64_t spawned = 0;
  while (elapsed_ns < duration_ns) {
    for (int round = 0; round < 10'000; round += batch) {
      TaskScope scope(executor);
      for (int i = 0; i < batch; ++i) scope.Spawn(Nothing());
      (co_await scope.Join()).IgnoreError();
      spawned += static_cast<uint64_t>(batch);
    }
    elapsed_ns = WallNs() - begin_ns;
  }
  co_return PerSecond(spawned, elapsed_ns);
}

Task<> WaitFor(Event* event) { co_await event->Wait(); }

Task<double> MeasureParked(Shard& shard, int tasks) {
  Event event;
  // Not what the process grows by, which is in steps of 2 MiB.
  const FramePool& frames = shard.executor().frames();
  const uint64_t before_bytes = frames.slab_bytes();
  for (int i = 0; i < tasks; ++i) {
    shard.executor().Spawn(WaitFor(&event));
    if (i % 1000 == 999) co_await shard.executor().Yield();  // they get as far as the event
  }
  co_await shard.executor().Yield();
  const uint64_t bytes = frames.slab_bytes() - before_bytes;
  event.Set();
  co_await shard.executor().Yield();
  co_return static_cast<double>(bytes) / tasks;
}

// Something that a compiler can neither leave out nor do in advance.
inline void Touch(uint64_t& value) { asm volatile("" : "+r"(value)); }

Task<double> MeasureMaybeYield(Shard& shard, double duration_s) {
  constexpr uint64_t kLoop = 100'000;
  Executor& executor = shard.executor();
  const auto duration_ns = static_cast<uint64_t>(duration_s * 1e9);
  const uint64_t begin_ns = WallNs();
  uint64_t with_ns = 0;
  uint64_t without_ns = 0;
  uint64_t rounds = 0;
  uint64_t value = 0;
  while (with_ns + without_ns < duration_ns || rounds == 0) {
    uint64_t now_ns = WallNs();
    for (uint64_t i = 0; i < kLoop; ++i) Touch(value);
    without_ns += WallNs() - now_ns;
    now_ns = WallNs();
    for (uint64_t i = 0; i < kLoop; ++i) {
      Touch(value);
      co_await executor.MaybeYield();
    }
    with_ns += WallNs() - now_ns;
    ++rounds;
    if (WallNs() - begin_ns > 10 * duration_ns) break;
  }
  co_return (static_cast<double>(with_ns) - static_cast<double>(without_ns)) /
      static_cast<double>(rounds * kLoop);
}

// Not inlined, so that the frame is there and the call is one.
[[gnu::noinline]] Task<absl::Status> ThirdCall(bool fails) {
  if (fails) co_return absl::NotFoundError("");
  co_return absl::OkStatus();
}
[[gnu::noinline]] Task<absl::Status> SecondCall(bool fails) { co_return co_await ThirdCall(fails); }
[[gnu::noinline]] Task<absl::Status> FirstCall(bool fails) { co_return co_await SecondCall(fails); }

struct AwaitTimes {
  double good_ns = 0;
  double failed_ns = 0;
};

Task<AwaitTimes> MeasureAwaits(Shard& shard, double duration_s) {
  // Few enough for the stack where symmetric transfer uses it (see task.h).
  constexpr uint64_t kLoop = 1'000;
  const auto duration_ns = static_cast<uint64_t>(duration_s * 1e9);
  std::array<uint64_t, 2> elapsed_ns{};
  uint64_t calls = 0;
  while (elapsed_ns[0] + elapsed_ns[1] < duration_ns) {
    for (const bool fails : {false, true}) {
      const uint64_t begin_ns = WallNs();
      for (uint64_t i = 0; i < kLoop; ++i) {
        if ((co_await FirstCall(fails)).ok() == fails) std::abort();
      }
      elapsed_ns[fails ? 1 : 0] += WallNs() - begin_ns;
      co_await shard.executor().Yield();
    }
    calls += kLoop;
  }
  co_return AwaitTimes{NsPer(elapsed_ns[0], calls), NsPer(elapsed_ns[1], calls)};
}

Task<absl::StatusOr<double>> MeasureShares(Shard& shard, double duration_s) {
  constexpr std::array<uint32_t, 3> kShares = {100, 300, 50};
  Executor& executor = shard.executor();
  std::array<ClassId, kShares.size()> classes{};
  std::array<uint64_t, kShares.size()> before_ns{};
  double total_shares = 0;
  TaskScope scope(executor);
  for (size_t i = 0; i < kShares.size(); ++i) {
    const auto created = executor.CreateClass({.name = "measured", .shares = kShares[i]});
    if (!created.ok()) co_return created.status();
    classes[i] = *created;
    before_ns[i] = executor.FindClass(classes[i])->stats().run_ns;
    total_shares += kShares[i];
    for (int task = 0; task < 10; ++task) scope.Spawn(YieldForEver(&executor), classes[i]);
  }
  co_await Sleep(Seconds(duration_s));
  std::array<double, kShares.size()> run_ns{};
  double total_ns = 0;
  for (size_t i = 0; i < kShares.size(); ++i) {
    run_ns[i] = static_cast<double>(executor.FindClass(classes[i])->stats().run_ns - before_ns[i]);
    total_ns += run_ns[i];
  }
  double worst = 0;
  for (size_t i = 0; i < kShares.size(); ++i) {
    const double due = total_ns * kShares[i] / total_shares;
    worst = std::max(worst, std::fabs(run_ns[i] - due) / due);
  }
  co_return 100 * worst;
}

// A workload of one metric.
absl::StatusOr<std::vector<Measurement>> One(const char* metric, absl::StatusOr<double> value) {
  if (!value.ok()) return value.status();
  return std::vector<Measurement>{{metric, *value, {}}};
}

}  // namespace

WorkloadFunction Switch(int tasks) {
  return [tasks](const SuiteJob& job) -> absl::StatusOr<std::vector<Measurement>> {
    const absl::StatusOr<Rates> rates = OnNewShard(job, MeasureSwitches, tasks, job.duration_s);
    if (!rates.ok()) return rates.status();
    return std::vector<Measurement>{
        {"switches_per_s", rates->ours, {{"bare", rates->ours / rates->bare}}}};
  };
}

WorkloadFunction SpawnAndJoin(int batch) {
  return [batch](const SuiteJob& job) {
    return One("tasks_per_s", OnNewShard(job, MeasureSpawns, batch, job.duration_s));
  };
}

WorkloadFunction Parked(int tasks) {
  return [tasks](const SuiteJob& job) {
    return One("bytes_per_task", OnNewShard(job, MeasureParked, tasks));
  };
}

absl::StatusOr<std::vector<Measurement>> MaybeYieldLoop(const SuiteJob& job) {
  return One("check_ns", OnNewShard(job, MeasureMaybeYield, job.duration_s));
}

absl::StatusOr<std::vector<Measurement>> AwaitChain(const SuiteJob& job) {
  const absl::StatusOr<AwaitTimes> times = OnNewShard(job, MeasureAwaits, job.duration_s);
  if (!times.ok()) return times.status();
  return std::vector<Measurement>{{"await_ns", times->good_ns, {}},
                                  {"failed_extra_ns", times->failed_ns - times->good_ns, {}}};
}

absl::StatusOr<std::vector<Measurement>> SharesKept(const SuiteJob& job) {
  return One("share_error_percent", OnNewShard(job, MeasureShares, job.duration_s));
}

}  // namespace ioengine::bench
