// ForeignTask: a function that a foreign thread sends to a shard, and what becomes of its result.
#ifndef IOENGINE_ENGINE_FOREIGN_TASK_H_
#define IOENGINE_ENGINE_FOREIGN_TASK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "ioengine/engine/shard.h"
#include "ioengine/sched/future.h"
#include "ioengine/sched/inbox.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_context.h"
#include "ioengine/sched/task_result.h"
#include "ioengine/sched/timeout.h"

namespace ioengine {

// How a foreign thread's call runs on its shard.
struct ForeignCallSpec {
  ClassId class_id = 0;  // the default class, where there is none with this id
  uint64_t deadline_ns = TaskContext::kNoDeadline;
};

namespace internal {

// What `Function(shard, args…)` gives, and whether it is a coroutine.
template <typename Function, typename... Args>
using ForeignReturns = CallReturns<std::invoke_result_t<Function&, Shard&, Args...>>;
template <typename Function, typename... Args>
using ForeignResult = typename ForeignReturns<Function, Args...>::type;

inline ClassId ClassOn(Shard& shard, ClassId id) {
  return shard.executor().FindClass(id) == nullptr ? ClassId{0} : id;
}

// Calls `function` with what `args` hold.
template <typename Function, typename... Args>
auto Apply(Shard& shard, Function& function, std::tuple<Args...>& args) {
  return std::apply([&](Args&... each) { return function(shard, std::move(each)...); }, args);
}

}  // namespace internal

// On its way to a shard. `Sink` has `Set(result)`, which is called once, on the shard; a Sink that
// is destroyed without that tells whoever waits.
template <typename Sink, typename Function, typename... Args>
class ForeignTask final : public ForeignCall {
 public:
  // What is called, and with what.
  using Call = std::pair<Function, std::tuple<Args...>>;

  ForeignTask(const ForeignCallSpec& spec, Sink sink, Function function, Args... args)
      : spec_(spec),
        sink_(std::move(sink)),
        call_(std::in_place, std::move(function), std::tuple<Args...>(std::move(args)...)) {}

  Sink& sink() { return sink_; }

  void Run() override {
    Shard& shard = *Shard::Current();
    shard.executor().Spawn(Execute(shard, spec_.deadline_ns, std::move(sink_), std::move(call_)),
                           internal::ClassOn(shard, spec_.class_id));
  }

  // Runs the function and gives its result to `sink.Set(result)`. Nothing of the call is left when
  // that is called: what it refers to may be gone then.
  static Task<void> Execute(Shard& shard, uint64_t deadline_ns, Sink sink,
                            std::optional<Call> call) {
    using Returns = internal::ForeignReturns<Function, Args...>;
    using T = typename Returns::type;
    using Result = ResultOrError<T>;
    std::optional<Result> result;
    if (deadline_ns != TaskContext::kNoDeadline &&
        shard.executor().clock().NowNs() >= deadline_ns) {
      result.emplace(absl::DeadlineExceededError("the deadline passed before the call ran"));
    } else if constexpr (Returns::kIsTask) {
      Task<T> task = internal::Apply(shard, call->first, call->second);
      if (deadline_ns != TaskContext::kNoDeadline) {
        result.emplace(co_await WithDeadline(deadline_ns, std::move(task)));
      } else if constexpr (std::is_void_v<T>) {
        co_await std::move(task);
        result.emplace(absl::OkStatus());
      } else {
        result.emplace(co_await std::move(task));
      }
    } else if constexpr (std::is_void_v<T>) {
      internal::Apply(shard, call->first, call->second);
      result.emplace(absl::OkStatus());
    } else {
      result.emplace(internal::Apply(shard, call->first, call->second));
    }
    call.reset();
    sink.Set(*std::move(result));
    co_return;  // of a function, there is no await above
  }

 private:
  const ForeignCallSpec spec_;
  Sink sink_;
  std::optional<Call> call_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_FOREIGN_TASK_H_
