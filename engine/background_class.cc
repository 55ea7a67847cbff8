#include "ioengine/engine/background_class.h"

#include <cstddef>

#include "absl/status/status.h"
#include "ioengine/sched/class_scheduler.h"

namespace ioengine {

absl::StatusOr<ClassId> BackgroundClass(Executor& executor, const std::string& name,
                                        uint32_t shares) {
  for (size_t id = 0; id < ClassScheduler::kMaxClasses; ++id) {
    const TaskQueue* const queue = executor.FindClass(static_cast<ClassId>(id));
    if (queue == nullptr || queue->name() != name || !queue->is_background()) continue;
    if (absl::Status status = executor.SetShares(queue->id(), shares); !status.ok()) return status;
    return queue->id();
  }
  return executor.CreateClass({.name = name, .shares = shares, .background = true});
}

}  // namespace ioengine
