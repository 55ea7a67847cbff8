// The limit to compare with: the least that a program can do for an operation through io_uring.
//
// One thread per shard keeps `depth` operations in flight through liburing: a ring with
// SINGLE_ISSUER | DEFER_TASKRUN, ring, file and buffers registered, buffers on huge pages,
// submission entries prepared beforehand, and one system call per turn that submits what the
// completions before it made free and waits. There is no error handling beyond noticing, no
// fairness, no task and no timer.
#ifndef IOENGINE_TOOLS_BENCHMARK_RAW_LOOP_H_
#define IOENGINE_TOOLS_BENCHMARK_RAW_LOOP_H_

#include <atomic>
#include <vector>

#include "absl/status/statusor.h"
#include "ioengine/tools/benchmark/peer.h"

namespace ioengine::bench {

struct RawLoopOptions {
  // Completions to wait for in a turn, at least 1, at most the depth. Waiting for more means fewer
  // system calls and interrupts taken at once; waiting for one reacts sooner.
  int wait_count = 1;

  // Operations of every n-th turn are timed; 0: every turn, but every 64th of `null`, whose
  // operations cost less than ten clock readings.
  int latency_sample_every = 0;
};

// The wait counts worth trying for `job`: 1, an eighth and a quarter of the depth.
std::vector<RawLoopOptions> RawLoopVariants(const PeerJob& job);

// Runs the loop and blocks until it is done, about job.duration_s. `null` reads /dev/null, which
// holds nothing: its bytes_per_s is 0.
//
// CPU time is the whole process's (RUSAGE_SELF), user and system, with the kernel's io_uring
// workers, which are threads of the process; so nothing else should run in it meanwhile. A latency
// ends when the turn that sees the completion begins, and begins when the operation is put into the
// queue.
//
// Errors: InvalidArgument for a bad job; Cancelled; the system's error with what was being done: no
// io_uring, no such file, an operation that failed.
absl::StatusOr<PeerOutcome> RunRawLoop(const PeerJob& job, const RawLoopOptions& options,
                                       const std::atomic<bool>& cancelled);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_RAW_LOOP_H_
