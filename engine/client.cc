#include "ioengine/engine/client.h"

#include <algorithm>
#include <thread>

#include "ioengine/sched/check.h"
#include "ioengine/sched/clock.h"
#include "ioengine/sched/yield.h"

namespace ioengine {
namespace {

using std::chrono::nanoseconds;

// How long a thread waits for room in an inbox before it looks again: at first and at most.
constexpr nanoseconds kFirstPause{10'000};
constexpr nanoseconds kLongestPause{1'000'000};

}  // namespace

namespace internal {

void BatchCall::Run() {
  Shard& shard = *Shard::Current();
  // What is left of this object goes into the task; the executor destroys an empty one.
  auto batch = std::make_unique<BatchCall>(spec_, std::exchange(items_, {}));
  shard.executor().Spawn(RunAll(shard, std::move(batch)), ClassOn(shard, spec_.class_id));
}

void BatchCall::FailAll(const absl::Status& error) {
  while (next_ < items_.size()) items_[next_++]->Fail(error);
}

Task<> BatchCall::RunAll(Shard& shard, std::unique_ptr<BatchCall> batch) {
  Executor& executor = shard.executor();
  const ForeignCallSpec& spec = batch->spec_;
  while (batch->next_ < batch->items_.size()) {
    if (spec.deadline_ns != TaskContext::kNoDeadline &&
        executor.clock().NowNs() >= spec.deadline_ns) {
      batch->FailAll(absl::DeadlineExceededError("the deadline passed before the call ran"));
      break;
    }
    std::shared_ptr<BatchItem> item = std::move(batch->items_[batch->next_++]);
    BatchItem& run = *item;
    run.Run(shard, spec, std::move(item));
    co_await executor.MaybeYield();
  }
}

}  // namespace internal

ForeignCallSpec Client::Spec() const {
  ForeignCallSpec spec{.class_id = options_.class_id};
  if (options_.timeout.count() > 0) {
    spec.deadline_ns =
        MonotonicClock::Get().NowNs() + static_cast<uint64_t>(options_.timeout.count());
  }
  return spec;
}

WaitLimits Client::LimitsOf(ShardId to, const ForeignCallSpec& spec) const {
  WaitLimits limits = runtime_.LimitsOf(to);
  limits.deadline_ns = spec.deadline_ns;
  return limits;
}

absl::Status Client::Push(ShardId to, std::unique_ptr<ForeignCall>& call,
                          uint64_t deadline_ns) const {
  absl::Status status = runtime_.Call(to, call);
  if (options_.when_full == ClientOptions::WhenFull::kRefuse) return status;
  if (!absl::IsResourceExhausted(status)) return status;
  IOENGINE_CHECK(Executor::Current() == nullptr,
                 "a Client that waits for room would block the shard; use SubmitTo");
  // Producers take turns by chance: a line of those that wait would be one more bounded queue.
  const Clock& clock = MonotonicClock::Get();
  const WaitLimits limits = runtime_.LimitsOf(to);
  SilenceWatch watch(limits.pulse.get(), limits.silence_ns, clock.NowNs());
  for (nanoseconds pause = kFirstPause; absl::IsResourceExhausted(status);
       pause = std::min(2 * pause, kLongestPause)) {
    std::this_thread::sleep_for(pause);
    const uint64_t now_ns = clock.NowNs();
    if (now_ns >= deadline_ns) {
      return absl::DeadlineExceededError(status.message());
    }
    if (watch.IsSilent(now_ns)) return absl::DeadlineExceededError(status.message());
    status = runtime_.Call(to, call);
  }
  return status;
}

Batch::~Batch() {
  for (const auto& item : items_) {
    item->Fail(absl::UnavailableError("the batch was destroyed before it was submitted"));
  }
}

absl::Status Batch::Submit() {
  if (items_.empty()) return absl::OkStatus();
  auto batch = std::make_unique<internal::BatchCall>(spec_, std::exchange(items_, {}));
  internal::BatchCall& kept = *batch;
  std::unique_ptr<ForeignCall> call = std::move(batch);
  absl::Status status = client_.Push(to_, call, spec_.deadline_ns);
  if (!status.ok()) kept.FailAll(status);
  return status;
}

}  // namespace ioengine
