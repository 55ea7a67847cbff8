// ResultOrError<T>: what becomes of a task's result when something else than the task may fail.
#ifndef IOENGINE_SCHED_TASK_RESULT_H_
#define IOENGINE_SCHED_TASK_RESULT_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ioengine {

template <typename T>
class Task;

namespace internal {

template <typename T>
struct ResultOrErrorOf {
  using type = absl::StatusOr<T>;
};
template <>
struct ResultOrErrorOf<void> {
  using type = absl::Status;
};
template <>
struct ResultOrErrorOf<absl::Status> {
  using type = absl::Status;
};
template <typename T>
struct ResultOrErrorOf<absl::StatusOr<T>> {
  using type = absl::StatusOr<T>;
};

// What a function that may be a coroutine gives.
template <typename R>
struct CallReturns {
  using type = R;
  static constexpr bool kIsTask = false;
};
template <typename R>
struct CallReturns<Task<R>> {
  using type = R;
  static constexpr bool kIsTask = true;
};

}  // namespace internal

// A Status or StatusOr stays what it is, so that errors of the task and errors of the way to it (a
// timeout, a shard that stopped) are handled in one place.
template <typename T>
using ResultOrError = typename internal::ResultOrErrorOf<T>::type;

}  // namespace ioengine

#endif  // IOENGINE_SCHED_TASK_RESULT_H_
