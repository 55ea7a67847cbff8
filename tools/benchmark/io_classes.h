// What classes do to each other on a disk: `ioengine-bench io --class-test`.
#ifndef IOENGINE_TOOLS_BENCHMARK_IO_CLASSES_H_
#define IOENGINE_TOOLS_BENCHMARK_IO_CLASSES_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "ioengine/sched/task_queue.h"
#include "ioengine/tools/benchmark/comparison.h"
#include "ioengine/tools/benchmark/io_runner.h"
#include "ioengine/tools/benchmark/peer.h"
#include "ioengine/tools/benchmark/result.h"

namespace ioengine::bench {

// Runs one slice of several streams.
using StreamRunner =
    std::function<absl::StatusOr<std::vector<PeerOutcome>>(const std::vector<IoStream>&)>;

// The classes that the runtime of a class test must have beside the default one.
std::vector<TaskQueueOptions> ClassTestClasses();

// What each shard needs: of buffers, and a multiple of it in its region of the file.
inline constexpr uint64_t kClassTestPoolBytes = uint64_t{32} << 20;
inline constexpr uint64_t kClassTestGranuleBytes = uint64_t{4} << 20;

// How much worse the foreground's p99 may be beside a background, and how far the operations of
// classes may be from their shares.
inline constexpr double kBackgroundTarget = 1.5;
inline constexpr double kShareTolerance = 0.05;

struct ClassTestOutcome {
  std::vector<Result> results;
  std::vector<Comparison> comparisons;
};

// Two tests, in slices of `job.duration_s`; `job` says on which file and shards.
//
// A foreground of random reads (the first half of each shard's region) alternates between being
// alone and being beside a background that writes the third quarter and reads the last one; in
// turn the background is in a class of the background and in an ordinary one. Triples are
// alone–beside–alone; one whose two p99 alone differ too much is dropped for all metrics.
//
// Then two ordinary classes, both with twice as many tasks as the queue is deep, share the disk.
//
// Errors: the first of any slice.
absl::StatusOr<ClassTestOutcome> RunClassTest(const PeerJob& job, const StreamRunner& run);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_IO_CLASSES_H_
