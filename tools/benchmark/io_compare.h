// A workload of the `io` suite beside a peer, in alternating slices (see ratio.h).
#ifndef IOENGINE_TOOLS_BENCHMARK_IO_COMPARE_H_
#define IOENGINE_TOOLS_BENCHMARK_IO_COMPARE_H_

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ioengine/tools/benchmark/comparison.h"
#include "ioengine/tools/benchmark/peer.h"

namespace ioengine::bench {

// Runs one slice of ours or of a peer.
using SliceRunner = std::function<absl::StatusOr<PeerOutcome>(const PeerJob&)>;

// Which peer, at its best on this device, and how to run it.
struct ComparedPeer {
  std::string name;     // "fio" or "raw"
  std::string variant;  // what was found best
  SliceRunner run;
};

// Tries the variants of the peer briefly, and keeps the best. Errors: those of the peer's runs.
absl::StatusOr<ComparedPeer> ChooseFio(const PeerJob& job, const std::atomic<bool>& cancelled);
absl::StatusOr<ComparedPeer> ChooseRawLoop(const PeerJob& job, const std::atomic<bool>& cancelled);

struct PeerComparison {
  // iops, p50_us, p99_us and cpu_us_per_op, in this order; each ratio is ours / peer's.
  std::vector<Comparison> metrics;
  std::vector<PeerOutcome> ours;
  std::vector<PeerOutcome> peers;
};

// Alternates peer, ours, peer, … until the ratio of iops is decided. Errors: the first of any
// slice.
absl::StatusOr<PeerComparison> CompareWithPeer(const PeerJob& job, const ComparedPeer& peer,
                                               const SliceRunner& ours);

// What a workload's name looks like in a comparison: "randread 4 KiB × 64".
std::string DescribeJob(const PeerJob& job);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_IO_COMPARE_H_
