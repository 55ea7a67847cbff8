// Two threads that send each other a word, with nothing around it: what a mesh cannot beat.
#ifndef IOENGINE_TOOLS_BENCHMARK_BARE_EXCHANGE_H_
#define IOENGINE_TOOLS_BENCHMARK_BARE_EXCHANGE_H_

#include <array>
#include <cstdint>

#include "ioengine/sched/histogram.h"

namespace ioengine::bench {

// CPUs that the threads are pinned to; -1: not pinned.
using CpuPair = std::array<int, 2>;

// Nanoseconds there and back, both threads spinning: a cache line with a number, and one with what
// the number stands for, as a call between shards needs.
Histogram BareRoundTrips(CpuPair cpus, uint64_t duration_ns);

// The same with both threads asleep in a read of an eventfd; a pause between the exchanges.
Histogram BareWakes(CpuPair cpus, uint64_t duration_ns, uint64_t pause_ns);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_BARE_EXCHANGE_H_
