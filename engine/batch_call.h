// BatchCall: many calls of a foreign thread that go to a shard together.
#ifndef IOENGINE_ENGINE_BATCH_CALL_H_
#define IOENGINE_ENGINE_BATCH_CALL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/engine/foreign_task.h"
#include "ioengine/engine/shard.h"
#include "ioengine/sched/future.h"
#include "ioengine/sched/inbox.h"
#include "ioengine/sched/task.h"

namespace ioengine {
namespace internal {

// One call of a batch: what is called, and its result, in one object, which shard and Future share.
class BatchItem {
 public:
  virtual ~BatchItem() = default;

  // On the shard, in a task: runs the function, or starts the coroutine. `self` is this.
  virtual void Run(Shard& shard, const ForeignCallSpec& spec, std::shared_ptr<BatchItem> self) = 0;

  // Instead of that: its Future gets an error.
  virtual void Fail(absl::Status error) = 0;
};

template <typename T, typename Function, typename... Args>
class BatchItemOf final : public BatchItem, public Future<T>::State {
 public:
  using Result = typename Future<T>::Result;

  explicit BatchItemOf(Function function, Args... args)
      : call_(std::in_place, std::move(function), std::tuple<Args...>(std::move(args)...)) {}

  void Run(Shard& shard, const ForeignCallSpec& spec, std::shared_ptr<BatchItem> self) override {
    using Returns = ForeignReturns<Function, Args...>;
    if constexpr (Returns::kIsTask) {
      // The result is given through the same object.
      Promise<T> promise(std::shared_ptr<typename Future<T>::State>(std::move(self), this));
      shard.executor().Spawn(ForeignTask<Promise<T>, Function, Args...>::Execute(
          shard, spec.deadline_ns, std::move(promise), std::exchange(call_, std::nullopt)));
    } else if constexpr (std::is_void_v<T>) {
      Apply(shard, call_->first, call_->second);
      Finish(absl::OkStatus());
    } else {
      Finish(Apply(shard, call_->first, call_->second));
    }
  }

  void Fail(absl::Status error) override { Finish(std::move(error)); }

 private:
  void Finish(Result given) {
    call_.reset();
    this->result.emplace(std::move(given));
    this->done.Set();
  }

  std::optional<std::pair<Function, std::tuple<Args...>>> call_;
};

// On its way to the shard.
class BatchCall final : public ForeignCall {
 public:
  BatchCall(const ForeignCallSpec& spec, std::vector<std::shared_ptr<BatchItem>> items)
      : spec_(spec), items_(std::move(items)) {}
  // Items that have not run fail: the shard has stopped.
  ~BatchCall() override {
    FailAll(absl::UnavailableError("the shard stopped before the call ran"));
  }

  void Run() override;
  void FailAll(const absl::Status& error);

 private:
  static Task<> RunAll(Shard& shard, std::unique_ptr<BatchCall> batch);

  const ForeignCallSpec spec_;
  std::vector<std::shared_ptr<BatchItem>> items_;
  size_t next_ = 0;
};

}  // namespace internal
}  // namespace ioengine

#endif  // IOENGINE_ENGINE_BATCH_CALL_H_
