#include "ioengine/tools/benchmark/io_compare.h"

#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/tools/benchmark/fio.h"
#include "ioengine/tools/benchmark/raw_loop.h"
#include "ioengine/tools/benchmark/table.h"

namespace ioengine::bench {
namespace {

constexpr int kRoundsPerVariant = 3;

// The metrics that are compared. A target, where there is one, is a promise of the library's.
struct ComparedMetric {
  const char* name;
  double PeerOutcome::*value;
  Better better;
  std::optional<double> fio_target;
  std::optional<double> raw_target;
};

constexpr std::array<ComparedMetric, 4> kCompared = {{
    {"iops", &PeerOutcome::iops, Better::kHigher, 0.97, 0.90},
    {"p50_us", &PeerOutcome::p50_us, Better::kLower, std::nullopt, std::nullopt},
    {"p99_us", &PeerOutcome::p99_us, Better::kLower, std::nullopt, std::nullopt},
    {"cpu_us_per_op", &PeerOutcome::cpu_us_per_op, Better::kLower, std::nullopt, 1.1},
}};

}  // namespace

absl::StatusOr<ComparedPeer> ChooseFio(const PeerJob& job, const std::atomic<bool>& cancelled) {
  const std::vector<FioVariant> variants = FioVariants(job);
  const auto run = [&job, &variants, &cancelled](int index) {
    return RunFio(job, variants[static_cast<size_t>(index)], cancelled);
  };
  const absl::StatusOr<int> best =
      BestVariant(static_cast<int>(variants.size()), kRoundsPerVariant, run);
  if (!best.ok()) return best.status();
  const FioVariant variant = variants[static_cast<size_t>(*best)];
  return ComparedPeer{
      "fio", std::string(FioVariantName(variant)),
      [variant, &cancelled](const PeerJob& slice) { return RunFio(slice, variant, cancelled); }};
}

absl::StatusOr<ComparedPeer> ChooseRawLoop(const PeerJob& job, const std::atomic<bool>& cancelled) {
  const std::vector<RawLoopOptions> variants = RawLoopVariants(job);
  const auto run = [&job, &variants, &cancelled](int index) {
    return RunRawLoop(job, variants[static_cast<size_t>(index)], cancelled);
  };
  const absl::StatusOr<int> best =
      BestVariant(static_cast<int>(variants.size()), kRoundsPerVariant, run);
  if (!best.ok()) return best.status();
  const RawLoopOptions options = variants[static_cast<size_t>(*best)];
  return ComparedPeer{"raw", absl::StrCat("waits for ", options.wait_count, " at once"),
                      [options, &cancelled](const PeerJob& slice) {
                        return RunRawLoop(slice, options, cancelled);
                      }};
}

absl::StatusOr<PeerComparison> CompareWithPeer(const PeerJob& job, const ComparedPeer& peer,
                                               const SliceRunner& ours) {
  // Not the disk but the software is measured where there is no file.
  const double width = NeedsFile(job.workload) ? kDiskWidth : kOtherWidth;
  std::array<RatioEstimator, kCompared.size()> estimators;
  PeerComparison comparison;
  absl::StatusOr<PeerOutcome> before = peer.run(job);
  if (!before.ok()) return before.status();
  comparison.peers.push_back(*before);
  while (!estimators[0].Finished(width)) {
    absl::StatusOr<PeerOutcome> own = ours(job);
    if (!own.ok()) return own.status();
    absl::StatusOr<PeerOutcome> after = peer.run(job);
    if (!after.ok()) return after.status();
    for (size_t i = 0; i < kCompared.size(); ++i) {
      const auto value = kCompared[i].value;
      estimators[i].Add(*before.*value, *own.*value, *after.*value);
    }
    comparison.ours.push_back(*own);
    comparison.peers.push_back(*after);
    before = std::move(after);
  }

  for (size_t i = 0; i < kCompared.size(); ++i) {
    const ComparedMetric& metric = kCompared[i];
    Comparison result;
    result.workload = DescribeJob(job);
    result.metric = metric.name;
    result.peer = peer.name;
    result.estimate = estimators[i].Estimate();
    // What is promised of the bare loop is promised of real I/O.
    if (NeedsFile(job.workload)) {
      result.target = peer.name == "fio" ? metric.fio_target : metric.raw_target;
    }
    if (result.target.has_value()) {
      // The run ends when the first metric is decided; the others are judged as wide as they are.
      result.verdict = estimators[i].Judge(*result.target, i == 0 ? width : 1, metric.better);
    }
    comparison.metrics.push_back(std::move(result));
  }
  return comparison;
}

std::string DescribeJob(const PeerJob& job) {
  return absl::StrCat(std::string(WorkloadName(job.workload)), " ",
                      FormatBytes(job.block_size_bytes), " × ", job.depth);
}

}  // namespace ioengine::bench
