// BackgroundClass: the class that a kind of background work has on a shard.
#ifndef IOENGINE_ENGINE_BACKGROUND_CLASS_H_
#define IOENGINE_ENGINE_BACKGROUND_CLASS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "ioengine/sched/executor.h"
#include "ioengine/sched/runnable.h"

namespace ioengine {

// The class of that name, with these shares from now on. It is made where there is none: a class
// lives as long as its shard, and stores are opened and closed there.
// Shard: the executor's. Errors: those of Executor::CreateClass.
absl::StatusOr<ClassId> BackgroundClass(Executor& executor, const std::string& name,
                                        uint32_t shares);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_BACKGROUND_CLASS_H_
