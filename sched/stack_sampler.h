// StackSampler: where a thread has been lately.
#ifndef IOENGINE_SCHED_STACK_SAMPLER_H_
#define IOENGINE_SCHED_STACK_SAMPLER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace ioengine {

// The kernel notes the thread's call chain each time that it has used some more CPU
// (perf_event_open(2), a software event: it needs no hardware counters and no signal). The notes
// are kept in a small buffer that the kernel overwrites; nobody looks at it before there is a
// reason.
//
// Call chains follow frame pointers: code that was compiled without them appears cut short.
//
// Shard: the thread that it was started on.
class StackSampler {
 public:
  // Samples the calling thread each `period_ns` of its CPU time. Errors: FailedPrecondition says
  // what the kernel refused and how to allow it. Cost: two system calls; then an interrupt per
  // period.
  static absl::StatusOr<std::unique_ptr<StackSampler>> Start(uint64_t period_ns);

  StackSampler(const StackSampler&) = delete;
  StackSampler& operator=(const StackSampler&) = delete;
  ~StackSampler();

  // The newest sample between two times of CLOCK_MONOTONIC: addresses of code, from the innermost
  // function outwards. Empty when there is none: the thread did not use the CPU for long enough.
  // Cost: two system calls and a look through the buffer.
  std::vector<const void*> StackBetween(uint64_t begin_ns, uint64_t end_ns);

 private:
  StackSampler(int fd, void* memory) : fd_(fd), memory_(memory) {}

  const int fd_;
  void* const memory_;  // a page that describes the buffer, and the buffer
};

// The name of the function at `address`, with the offset into it; the bare address when it is not
// known (a stripped binary). Opens the executable: for reports, not for fast paths.
std::string DescribeAddress(const void* address);

// The name of the coroutine that `resume_function`, the first word of its frame, belongs to.
std::string DescribeCoroutine(const void* resume_function);

}  // namespace ioengine

#endif  // IOENGINE_SCHED_STACK_SAMPLER_H_
