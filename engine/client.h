// Client: how threads of the host, which are no shards, call shards.
//
//   Client client(*runtime, {.timeout = 50ms});
//   Future<Value> value = client.Submit(OwnerOf(key), Get, key);         // Task<Value> Get(Shard&,
//   Key) … value.Wait() … client.SubmitThen(OwnerOf(key), OnValue, Get, key);                  //
//   void OnValue(StatusOr<Value>)
//
//   Batch batch(client, shard);                                         // one wake-up for all
//   for (const Key& key : keys) values.push_back(batch.Add(Get, key));
//   absl::Status sent = batch.Submit();
#ifndef IOENGINE_ENGINE_CLIENT_H_
#define IOENGINE_ENGINE_CLIENT_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/engine/batch_call.h"
#include "ioengine/engine/foreign_task.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/sched/future.h"
#include "ioengine/sched/shard_id.h"

namespace ioengine {

struct ClientOptions {
  // When a shard has RuntimeOptions::inbox_capacity calls waiting.
  enum class WhenFull : uint8_t {
    kWait,    // block the calling thread until there is room, or its time is over
    kRefuse,  // ResourceExhausted at once
  };
  WhenFull when_full = WhenFull::kWait;

  // From the call on; what is not done by then gets DeadlineExceeded, and a coroutine on the shard
  // is destroyed where it is suspended. 0: no limit, but see RuntimeOptions::peer_timeout_ms.
  std::chrono::nanoseconds timeout{0};

  // Priority class of the tasks; the default one where there is none with this id.
  ClassId class_id = 0;
};

namespace internal {

// Gives a result to a function, once.
template <typename T, typename Callback>
class CallbackSink {
 public:
  explicit CallbackSink(Callback callback) : callback_(std::move(callback)) {}
  CallbackSink(CallbackSink&& other) noexcept
      : callback_(std::move(other.callback_)), waits_(std::exchange(other.waits_, false)) {}
  CallbackSink& operator=(CallbackSink&&) = delete;
  ~CallbackSink() {
    if (waits_) Set(absl::UnavailableError("the shard stopped before the task finished"));
  }

  void Set(ResultOrError<T> result) {
    waits_ = false;
    callback_(std::move(result));
  }

 private:
  // Not an optional, of whose bytes, when it is empty, g++ 12 warns in users' code.
  Callback callback_;
  bool waits_ = true;  // for the result
};

}  // namespace internal

// Shard: any thread but a shard's (CHECK where it would block it); one client may be used by
// several threads.
// Ownership: borrows the runtime.
class Client {
 public:
  explicit Client(Runtime& runtime, const ClientOptions& options = {})
      : runtime_(runtime), options_(options) {}

  // Calls `function(shard, args…)`, a function or a coroutine, on shard `to`, below
  // runtime.shard_count() (CHECK); the Future gives its result: Status and StatusOr<T> as they are,
  // T as StatusOr<T>.
  //
  // Ownership: `function` and `args` are moved into the call and destroyed on the shard, before the
  // Future is ready (on the calling thread when the call is refused).
  // Errors, through the Future: ResourceExhausted, DeadlineExceeded (ClientOptions); Unavailable
  // when the runtime stops; FailedPrecondition in a child process.
  // Cost: two allocations, and a system call when the shard sleeps.
  template <typename Function, typename... Args>
  auto Submit(ShardId to, Function function, Args... args) {
    using T = internal::ForeignResult<Function, Args...>;
    const ForeignCallSpec spec = Spec();
    Promise<T> promise;
    Future<T> future = promise.future();
    promise.set_limits(LimitsOf(to, spec));
    Send(to, spec, std::move(promise), std::move(function), std::move(args)...);
    return future;
  }

  // The same, but `callback(result)` is called with the result: on the shard, which it must not
  // block; on the calling thread, before this returns, when the call is refused.
  template <typename Callback, typename Function, typename... Args>
  void SubmitThen(ShardId to, Callback callback, Function function, Args... args) {
    using T = internal::ForeignResult<Function, Args...>;
    Send(to, Spec(), internal::CallbackSink<T, Callback>(std::move(callback)), std::move(function),
         std::move(args)...);
  }

 private:
  friend class Batch;

  template <typename Sink, typename Function, typename... Args>
  void Send(ShardId to, const ForeignCallSpec& spec, Sink sink, Function function, Args... args) {
    auto task = std::make_unique<ForeignTask<Sink, Function, Args...>>(
        spec, std::move(sink), std::move(function), std::move(args)...);
    Sink& kept = task->sink();
    std::unique_ptr<ForeignCall> call = std::move(task);
    // A call that is refused is still ours, and its sink passes the reason on.
    if (absl::Status refused = Push(to, call, spec.deadline_ns); !refused.ok()) {
      kept.Set(std::move(refused));
    }
  }

  ForeignCallSpec Spec() const;
  WaitLimits LimitsOf(ShardId to, const ForeignCallSpec& spec) const;

  // Hands `call` over, or leaves it and says why. Waits as the options say.
  absl::Status Push(ShardId to, std::unique_ptr<ForeignCall>& call, uint64_t deadline_ns) const;

  Runtime& runtime_;
  const ClientOptions options_;
};

// Calls to one shard that are sent together: one place in its inbox, and one wake-up, for all.
//
// Shard: one thread at a time, not a shard's. Ownership: borrows the client.
class Batch {
 public:
  // More are refused with ResourceExhausted.
  static constexpr size_t kMaxCalls = 4096;

  Batch(Client& client, ShardId to) : client_(client), to_(to), spec_(client.Spec()) {}
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  ~Batch();

  // Like Client::Submit, but nothing is sent yet. A Future of a batch that is destroyed without
  // Submit gives Unavailable. Cost: one allocation.
  template <typename Function, typename... Args>
  auto Add(Function function, Args... args) {
    using T = internal::ForeignResult<Function, Args...>;
    if (items_.empty()) spec_ = client_.Spec();
    auto item = std::make_shared<internal::BatchItemOf<T, Function, Args...>>(std::move(function),
                                                                              std::move(args)...);
    item->limits = client_.LimitsOf(to_, spec_);
    Future<T> future(item);
    if (items_.size() == kMaxCalls) {
      item->Fail(absl::ResourceExhaustedError("a Batch holds 4096 calls; submit it"));
    } else {
      items_.push_back(std::move(item));
    }
    return future;
  }

  size_t size() const { return items_.size(); }

  // Sends what was added; the batch is empty then, and may be used again. When all are refused the
  // error is also that of each Future. Calls of functions run in the order in which they were
  // added, coroutines begin in it.
  absl::Status Submit();

 private:
  Client& client_;
  const ShardId to_;
  ForeignCallSpec spec_;
  std::vector<std::shared_ptr<internal::BatchItem>> items_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_CLIENT_H_
