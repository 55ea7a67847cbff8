// StallDetector: names the task that kept its shard for too long.
#ifndef IOENGINE_SCHED_STALL_H_
#define IOENGINE_SCHED_STALL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "ioengine/sched/runnable.h"
#include "ioengine/sched/stack_sampler.h"

namespace ioengine {

// One stall.
struct StallReport {
  std::string class_name;
  std::string task;          // its coroutine's name; its address in a stripped binary
  uint64_t duration_ns = 0;  // of the slice that it made too long
  // Where it was, a line for each function, from the innermost one outwards; from the last sample
  // within the slice.
  std::string stack;
  std::string no_stack;           // why it is not known, where `stack` is empty
  uint64_t stalls_not_shown = 0;  // since the last report, see max_reports_per_minute
};

struct StallOptions {
  // Slices that last longer are stalls: counted, and reported. 0: none. A slice should last
  // Executor::kSliceNs; Seastar reports from 25 ms on.
  uint64_t threshold_ns = 0;
  // Called on the shard, after the slice. Its time is not part of any slice.
  std::function<void(const StallReport&)> report = {};
  // Naming a function takes milliseconds: a shard that stalls for ever must not do only that.
  uint32_t max_reports_per_minute = 5;
};

// Takes over no signals. Shard: one.
class StallDetector {
 public:
  explicit StallDetector(StallOptions options) : options_(std::move(options)) {}

  // The thread that calls runs the executor from now on, until Stop; `real_time` as Clock::is_real.
  void Start(bool real_time);
  void Stop() { sampler_.reset(); }

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
  bool MayReport(uint64_t now_ns);

  const StallOptions options_;
  const void* resume_function_ = nullptr;
  std::unique_ptr<StackSampler> sampler_;
  std::string no_sampler_;  // why there is none
  uint64_t minute_begin_ns_ = 0;
  uint32_t reports_in_minute_ = 0;
  uint64_t not_shown_ = 0;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_STALL_H_
