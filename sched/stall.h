// StallDetector: names the task that kept its shard for too long.
#ifndef IOENGINE_SCHED_STALL_H_
#define IOENGINE_SCHED_STALL_H_

#include <cstdint>
#include <functional>
#include <string>

#include "ioengine/sched/runnable.h"

namespace ioengine {

// One stall.
struct StallReport {
  std::string class_name;
  std::string task;          // its coroutine's name
  uint64_t duration_ns = 0;  // of the slice that it made too long
  std::string stack;         // where it was; empty when it is not known
  std::string no_stack;      // why it is not
};

struct StallOptions {
  // Slices that last longer are reported; 0: none. A slice should last Executor::kSliceNs.
  uint64_t threshold_ns = 0;
  // Called on the shard after the slice. Required with a threshold.
  std::function<void(const StallReport&)> report = {};
};

// Shard: one.
class StallDetector {
 public:
  explicit StallDetector(const StallOptions& options) : options_(options) {}

  // `task` is about to be resumed. Cost: a load and a store. Its frame may be gone when it is found
  // to be the one, so what is kept is the function that runs it, the frame's first word.
  void Note(Runnable& task) {
    resume_function_ = *static_cast<void* const*>(task.handle().address());
  }

  bool IsStall(uint64_t slice_ns) const {
    return options_.threshold_ns != 0 && slice_ns > options_.threshold_ns;
  }

  void Report(const std::string& class_name, uint64_t begin_ns, uint64_t end_ns);

 private:
  const StallOptions options_;
  const void* resume_function_ = nullptr;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_STALL_H_
