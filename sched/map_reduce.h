// Broadcast and MapReduce: one function on all shards at once.
#ifndef IOENGINE_SCHED_MAP_REDUCE_H_
#define IOENGINE_SCHED_MAP_REDUCE_H_

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/sched/mesh_port.h"
#include "ioengine/sched/shard_id.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// `co_await Broadcast(shard, function, args…)`: calls `function(args…)` on each shard, this one
// included, as `from.SubmitTo` does; `from` is a Shard or a MeshPort. Each gets copies of function
// and arguments. The function returns nothing or a Status (or is a coroutine that does). Gives the
// first error in the order of the shards, when all have ended.
//
// Shard: that of `from`, which is borrowed. Errors: those of SubmitTo, and the function's.
template <typename From, typename Function, typename... Args>
Task<absl::Status> Broadcast(From& from, Function function, Args... args) {
  using Call = decltype(from.SubmitTo(ShardId{0}, function, args...));
  std::vector<Call> calls;
  calls.reserve(from.shard_count());
  for (size_t i = 0; i < from.shard_count(); ++i) {
    calls.push_back(from.SubmitTo(static_cast<ShardId>(i), function, args...));
  }
  absl::Status first_error;
  for (Call& call : calls) first_error.Update(co_await call);
  co_return first_error;
}

// `co_await MapReduce(shard, initial, reduce, map, args…)`: calls `map(args…)` on each shard, and
// gives `reduce(… reduce(reduce(initial, of shard 0), of shard 1) …)`, which is worked out on this
// shard, in that order. An error of any shard is given instead, when all have ended.
//
// Shard, errors: as Broadcast.
template <typename From, typename Result, typename Reduce, typename Map, typename... Args>
Task<absl::StatusOr<Result>> MapReduce(From& from, Result initial, Reduce reduce, Map map,
                                       Args... args) {
  using Call = decltype(from.SubmitTo(ShardId{0}, map, args...));
  std::vector<Call> calls;
  calls.reserve(from.shard_count());
  for (size_t i = 0; i < from.shard_count(); ++i) {
    calls.push_back(from.SubmitTo(static_cast<ShardId>(i), map, args...));
  }
  Result result = std::move(initial);
  absl::Status first_error;
  for (Call& call : calls) {
    auto mapped = co_await call;
    first_error.Update(mapped.status());
    if (first_error.ok()) result = reduce(std::move(result), *std::move(mapped));
  }
  if (!first_error.ok()) co_return first_error;
  co_return std::move(result);
}

}  // namespace ioengine

#endif  // IOENGINE_SCHED_MAP_REDUCE_H_
