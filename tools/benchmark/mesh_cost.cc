#include "ioengine/tools/benchmark/mesh_cost.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "ioengine/engine/client.h"
#include "ioengine/sched/histogram.h"
#include "ioengine/sched/shard_channel.h"
#include "ioengine/sched/sleep.h"
#include "ioengine/sched/task_scope.h"
#include "ioengine/sched/yield.h"
#include "ioengine/tools/benchmark/bare_exchange.h"
#include "ioengine/tools/benchmark/shard_workload.h"

namespace ioengine::bench {
namespace {

constexpr ShardId kOther = 1;
constexpr uint64_t kValuesBetweenLooks = 64;
// Long enough that a shard which waits for an answer is awake when it comes.
constexpr uint64_t kAwakeUs = 100'000;

SuiteJob Awake(SuiteJob job) {
  job.idle_spin_us = kAwakeUs;
  return job;
}

uint64_t AddOne(Shard& /*shard*/, uint64_t value) { return value + 1; }

uint64_t DurationNs(double seconds) { return static_cast<uint64_t>(seconds * 1e9); }

// Runs `function(shard, args…)` on shard 0 of two new ones.
template <typename Function, typename... Args>
auto OnFirstOfTwo(const SuiteJob& job, Function function, Args... args)
    -> decltype(std::declval<Runtime&>().Submit(0, function, args...).Wait()) {
  absl::StatusOr<std::unique_ptr<Runtime>> runtime = StartRuntime(job, 2);
  if (!runtime.ok()) return runtime.status();
  return (*runtime)->Submit(0, std::move(function), std::move(args)...).Wait();
}

Task<absl::StatusOr<Histogram>> MeasureRoundTrips(Shard& shard, uint64_t duration_ns,
                                                  std::chrono::nanoseconds pause) {
  Histogram latency_ns;
  const uint64_t end_ns = WallNs() + duration_ns;
  for (uint64_t begin_ns = WallNs(); begin_ns < end_ns; begin_ns = WallNs()) {
    const absl::StatusOr<uint64_t> answer = co_await shard.SubmitTo(kOther, AddOne, begin_ns);
    if (!answer.ok()) co_return answer.status();
    latency_ns.Record(WallNs() - begin_ns);
    if (pause.count() > 0) co_await Sleep(pause);
  }
  co_return latency_ns;
}

Task<absl::Status> CallUntil(Shard* shard, uint64_t end_ns, uint64_t* calls) {
  while (shard->executor().TurnTimeNs() < end_ns) {
    const absl::StatusOr<uint64_t> answer = co_await shard->SubmitTo(kOther, AddOne, *calls);
    if (!answer.ok()) co_return answer.status();
    ++*calls;
  }
  co_return absl::OkStatus();
}

struct CallResult {
  uint64_t calls = 0;
  uint64_t elapsed_ns = 0;
};

Task<absl::StatusOr<CallResult>> MeasureCalls(Shard& shard, int depth, uint64_t duration_ns) {
  CallResult result;
  const uint64_t begin_ns = WallNs();
  TaskScope scope(shard.executor());
  for (int i = 0; i < depth; ++i) {
    scope.Spawn(CallUntil(&shard, begin_ns + duration_ns, &result.calls));
  }
  const absl::Status status = co_await scope.Join();
  if (!status.ok()) co_return status;
  result.elapsed_ns = WallNs() - begin_ns;
  co_return result;
}

Task<uint64_t> CountAll(Shard& /*shard*/, ShardReceiver<uint64_t> receiver) {
  uint64_t count = 0;
  while (const std::optional<uint64_t> value = co_await receiver.Receive()) {
    ++count;
    if (count % kValuesBetweenLooks == 0) co_await MaybeYield();
  }
  co_return count;
}

Task<absl::StatusOr<CallResult>> MeasureOneWay(Shard& shard, uint64_t duration_ns) {
  CallResult result;
  auto [sender, receiver] = MakeShardChannel<uint64_t>(shard.mesh(), kOther, 1024);
  auto counted = shard.SubmitTo(kOther, CountAll, std::move(receiver));
  const uint64_t begin_ns = WallNs();
  for (uint64_t i = 0; shard.executor().TurnTimeNs() < begin_ns + duration_ns; ++i) {
    const absl::Status sent = co_await sender.Send(i);
    if (!sent.ok()) co_return sent;
    if (i % kValuesBetweenLooks == 0) co_await MaybeYield();
  }
  sender.Close();
  const absl::StatusOr<uint64_t> count = co_await counted;
  if (!count.ok()) co_return count.status();
  result.calls = *count;
  result.elapsed_ns = WallNs() - begin_ns;
  co_return result;
}

// Round trips of two shards, and of two threads on the same CPUs.
struct Exchange {
  Histogram ours_ns;
  Histogram bare_ns;
};

template <typename Bare>
absl::StatusOr<Exchange> MeasureExchange(const SuiteJob& job, std::chrono::nanoseconds pause,
                                         Bare bare) {
  Exchange exchange;
  CpuPair cpus;
  const uint64_t duration_ns = DurationNs(job.duration_s / 2);
  {
    absl::StatusOr<std::unique_ptr<Runtime>> runtime = StartRuntime(job, 2);
    if (!runtime.ok()) return runtime.status();
    for (const size_t id : {0, 1}) cpus[id] = (*runtime)->Info().shards[id].cpu;
    absl::StatusOr<Histogram> ours_ns =
        (*runtime)->Submit(0, MeasureRoundTrips, duration_ns, pause).Wait();
    if (!ours_ns.ok()) return ours_ns.status();
    exchange.ours_ns = *std::move(ours_ns);
  }
  exchange.bare_ns = bare(cpus, duration_ns);
  return exchange;
}

Measurement Of(const char* metric, const Exchange& exchange, double quantile, double unit_ns) {
  const auto ours_ns = static_cast<double>(exchange.ours_ns.Quantile(quantile));
  const auto bare_ns = static_cast<double>(exchange.bare_ns.Quantile(quantile));
  return {metric, ours_ns / unit_ns, {{"bare", ours_ns / bare_ns}}};
}

double PerSecond(const CallResult& result) {
  return static_cast<double>(result.calls) * 1e9 / static_cast<double>(result.elapsed_ns);
}

}  // namespace

absl::StatusOr<std::vector<Measurement>> RoundTrip(const SuiteJob& job) {
  const absl::StatusOr<Exchange> exchange =
      MeasureExchange(Awake(job), std::chrono::nanoseconds(0), BareRoundTrips);
  if (!exchange.ok()) return exchange.status();
  return std::vector<Measurement>{Of("p50_ns", *exchange, 0.5, 1),
                                  Of("p99_ns", *exchange, 0.99, 1)};
}

WorkloadFunction Calls(int depth) {
  return [depth](const SuiteJob& job) -> absl::StatusOr<std::vector<Measurement>> {
    const auto result = OnFirstOfTwo(Awake(job), MeasureCalls, depth, DurationNs(job.duration_s));
    if (!result.ok()) return result.status();
    return std::vector<Measurement>{{"calls_per_s", PerSecond(*result), {}}};
  };
}

absl::StatusOr<std::vector<Measurement>> OneWay(const SuiteJob& job) {
  const auto result = OnFirstOfTwo(Awake(job), MeasureOneWay, DurationNs(job.duration_s));
  if (!result.ok()) return result.status();
  return std::vector<Measurement>{{"messages_per_s", PerSecond(*result), {}}};
}

WorkloadFunction Foreign(int batch_size) {
  return [batch_size](const SuiteJob& job) -> absl::StatusOr<std::vector<Measurement>> {
    absl::StatusOr<std::unique_ptr<Runtime>> runtime = StartRuntime(Awake(job));
    if (!runtime.ok()) return runtime.status();
    Client client(**runtime);
    Histogram latency_ns;
    CallResult result;
    const uint64_t begin_ns = WallNs();
    const uint64_t end_ns = begin_ns + DurationNs(job.duration_s);
    std::vector<Future<uint64_t>> futures;
    for (uint64_t now_ns = begin_ns; now_ns < end_ns;) {
      Batch batch(client, 0);
      for (int i = 0; i < batch_size; ++i) futures.push_back(batch.Add(AddOne, result.calls));
      if (const absl::Status sent = batch.Submit(); !sent.ok()) return sent;
      for (Future<uint64_t>& future : futures) {
        const absl::StatusOr<uint64_t> answer = future.Wait();
        if (!answer.ok()) return answer.status();
        ++result.calls;
      }
      futures.clear();
      const uint64_t done_ns = WallNs();
      latency_ns.Record(done_ns - now_ns);
      now_ns = done_ns;
    }
    result.elapsed_ns = WallNs() - begin_ns;
    return std::vector<Measurement>{
        {"calls_per_s", PerSecond(result), {}},
        {"p50_us", static_cast<double>(latency_ns.Quantile(0.5)) / 1000, {}}};
  };
}

absl::StatusOr<std::vector<Measurement>> Asleep(const SuiteJob& job) {
  SuiteJob asleep = job;
  asleep.idle_spin_us = 0;
  constexpr std::chrono::nanoseconds kPause = std::chrono::microseconds(500);
  const absl::StatusOr<Exchange> exchange =
      MeasureExchange(asleep, kPause, [kPause](CpuPair cpus, uint64_t duration_ns) {
        return BareWakes(cpus, duration_ns, static_cast<uint64_t>(kPause.count()));
      });
  if (!exchange.ok()) return exchange.status();
  return std::vector<Measurement>{Of("p50_us", *exchange, 0.5, 1000)};
}

}  // namespace ioengine::bench
