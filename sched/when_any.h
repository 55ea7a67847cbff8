// WhenAny: several tasks side by side, and the result of the first.
#ifndef IOENGINE_SCHED_WHEN_ANY_H_
#define IOENGINE_SCHED_WHEN_ANY_H_

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <optional>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "ioengine/sched/check.h"
#include "ioengine/sched/runnable.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/when_all.h"

namespace ioengine {

// The first of several tasks of one type that returned.
template <typename T>
struct FirstResult {
  size_t index;  // of the task
  T value;       // std::monostate for void
};

namespace internal {

template <typename... T>
class [[nodiscard]] WhenAnyTuple {
 public:
  using Result = std::variant<StorableResult<T>...>;

  explicit WhenAnyTuple(Task<T>... tasks) : tasks_(std::move(tasks)...) {}

  bool await_ready() const noexcept { return false; }
  template <std::derived_from<Runnable> Promise>
  void await_suspend(std::coroutine_handle<Promise> handle) {
    group_.Wait(handle.promise(), 1);
    std::apply([this](auto&... task) { (group_.Start(TaskAccess::ToStart(task)), ...); }, tasks_);
  }
  Result await_resume() {
    std::optional<Result> result = TakeFirst(std::index_sequence_for<T...>());
    tasks_ = {};  // the others end before the awaiting task goes on
    return *std::move(result);
  }

 private:
  template <size_t... kIndex>
  std::optional<Result> TakeFirst(std::index_sequence<kIndex...> /*indices*/) {
    std::optional<Result> result;
    (Take<kIndex>(result), ...);
    return result;
  }
  template <size_t kIndex>
  void Take(std::optional<Result>& result) {
    auto& task = std::get<kIndex>(tasks_);
    if (result.has_value() || !TaskAccess::HasReturned(task)) return;
    result.emplace(std::in_place_index<kIndex>, TakeStorableResult(task));
  }

  TaskGroup group_;
  std::tuple<Task<T>...> tasks_;
};

template <typename T>
class [[nodiscard]] WhenAnyVector {
 public:
  using Result = FirstResult<StorableResult<T>>;

  explicit WhenAnyVector(std::vector<Task<T>> tasks) : tasks_(std::move(tasks)) {
    IOENGINE_CHECK(!tasks_.empty(), "WhenAny of no tasks would wait for ever");
  }

  bool await_ready() const noexcept { return false; }
  template <std::derived_from<Runnable> Promise>
  void await_suspend(std::coroutine_handle<Promise> handle) {
    group_.Wait(handle.promise(), 1);
    for (Task<T>& task : tasks_) group_.Start(TaskAccess::ToStart(task));
  }
  Result await_resume() {
    size_t index = 0;
    while (!TaskAccess::HasReturned(tasks_[index])) ++index;
    Result result{index, TakeStorableResult(tasks_[index])};
    tasks_.clear();  // the others end before the awaiting task goes on
    return result;
  }

 private:
  TaskGroup group_;
  std::vector<Task<T>> tasks_;
};

}  // namespace internal

// `auto first = co_await WhenAny(One(), Two())`: runs the tasks side by side until one returns,
// gives its result, and destroys the others where they are suspended. A std::variant whose index
// says which it was (std::monostate for void).
// Shard: the one that runs the awaiting task, whose class they have. Cost: no allocation beside the
// tasks' own.
template <typename... T>
requires(sizeof...(T) > 0) auto WhenAny(Task<T>... tasks) {
  return internal::WhenAnyTuple<T...>(std::move(tasks)...);
}

// The same for any number of tasks of one type, at least one (CHECK): a FirstResult<T>.
template <typename T>
auto WhenAny(std::vector<Task<T>> tasks) {
  return internal::WhenAnyVector<T>(std::move(tasks));
}

}  // namespace ioengine

#endif  // IOENGINE_SCHED_WHEN_ANY_H_
