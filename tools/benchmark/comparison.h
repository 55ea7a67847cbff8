// What a comparison with a peer found, for the reader of the run.
#ifndef IOENGINE_TOOLS_BENCHMARK_COMPARISON_H_
#define IOENGINE_TOOLS_BENCHMARK_COMPARISON_H_

#include <optional>
#include <span>
#include <string>

#include "ioengine/tools/benchmark/ratio.h"

namespace ioengine::bench {

struct Comparison {
  std::string workload;  // as the reader shall see it: "randread 4 KiB × 64"
  std::string metric;    // "iops"
  std::string peer;      // "fio"
  RatioEstimate estimate;
  std::optional<double> target;
  Verdict verdict = Verdict::kOpen;  // printed if there is a target
};

// A table: workload, metric, peer, ratio, interval, triples counted and dropped, target, verdict.
// Empty for no comparisons.
std::string FormatComparisons(std::span<const Comparison> comparisons);

// "open", "met", "missed" or "too noisy".
std::string VerdictName(Verdict verdict);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_COMPARISON_H_
