#include "ioengine/tools/benchmark/io_classes.h"

#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "ioengine/tools/benchmark/ratio.h"

namespace ioengine::bench {
namespace {

// As the runtime numbers them.
enum TestClass : ClassId { kBackground = 1, kOrdinary, kSmall, kLarge };

constexpr uint32_t kSmallShares = 100;
constexpr uint32_t kLargeShares = 300;
constexpr int kForegroundDepth = 4;
constexpr size_t kShareSlices = 9;
// Of each of two classes. Twice the queue's depth: even if all that was in flight completes at
// once, both have tasks that wait.
constexpr int kShareDepth = 512;

struct ForegroundMetric {
  const char* name;
  double PeerOutcome::*value;
};

// p99 decides which triples count and when there are enough.
constexpr std::array<ForegroundMetric, 3> kForegroundMetrics = {{
    {"p99_us", &PeerOutcome::p99_us},
    {"p50_us", &PeerOutcome::p50_us},
    {"iops", &PeerOutcome::iops},
}};

// The foreground beside one kind of background, or alone.
struct Beside {
  std::string name;
  std::array<RatioEstimator, kForegroundMetrics.size()> estimators = {};
  std::array<std::vector<double>, kForegroundMetrics.size()> values = {};
  std::vector<double> background_bytes_per_s = {};

  bool finished() const { return estimators[0].Finished(kOtherWidth); }

  void Keep(const PeerOutcome& foreground) {
    for (size_t i = 0; i < values.size(); ++i) {
      values[i].push_back(foreground.*kForegroundMetrics[i].value);
    }
  }

  void AddTriple(const PeerOutcome& before, const PeerOutcome& beside, const PeerOutcome& after) {
    for (size_t i = 0; i < estimators.size(); ++i) {
      const auto value = kForegroundMetrics[i].value;
      const bool counts = estimators[i].Add(before.*value, beside.*value, after.*value);
      if (i == 0 && !counts) return;
    }
  }
};

class ClassTest {
 public:
  ClassTest(const PeerJob& job, const StreamRunner& run) : job_(job), run_(run) {}

  absl::Status TestBackground();
  absl::Status TestShares();
  ClassTestOutcome& outcome() { return outcome_; }

 private:
  IoStream Foreground() const;
  IoStream BackgroundStream(Workload workload, ClassId class_id) const;
  IoStream Sharer(ClassId class_id) const;
  absl::StatusOr<PeerOutcome> Alone();
  absl::Status RunBeside(ClassId class_id, PeerOutcome* alone, Beside* beside);
  void Report(const Beside& beside, std::optional<double> target);
  std::map<std::string, nlohmann::json> Parameters(int depth) const;

  const PeerJob& job_;
  const StreamRunner& run_;
  ClassTestOutcome outcome_;
  uint64_t slices_ = 0;
};

IoStream ClassTest::Foreground() const {
  IoStream stream;
  stream.job = job_;
  stream.job.workload = Workload::kRandRead;
  stream.job.block_size_bytes = 4096;
  stream.job.depth = kForegroundDepth;
  stream.job.seed += slices_;
  stream.quarters = 2;
  return stream;
}

IoStream ClassTest::BackgroundStream(Workload workload, ClassId class_id) const {
  IoStream stream;
  stream.job = job_;
  stream.job.workload = workload;
  stream.job.block_size_bytes = uint64_t{1} << 20;
  stream.job.depth = 8;
  stream.class_id = class_id;
  stream.first_quarter = workload == Workload::kSeqWrite ? 2 : 3;
  stream.quarters = 1;
  stream.stamped = false;
  // Beside a foreground from the first operation on: without one it may have all.
  stream.delay_s = 0.05;
  return stream;
}

IoStream ClassTest::Sharer(ClassId class_id) const {
  IoStream stream = Foreground();
  stream.job.depth = kShareDepth;
  stream.job.seed += uint64_t{class_id} << 32;
  stream.class_id = class_id;
  return stream;
}

absl::StatusOr<PeerOutcome> ClassTest::Alone() {
  ++slices_;
  absl::StatusOr<std::vector<PeerOutcome>> outcomes = run_({Foreground()});
  if (!outcomes.ok()) return outcomes.status();
  return std::move(outcomes->front());
}

// The second and third slice of a triple; `alone` is the first, and becomes the third.
absl::Status ClassTest::RunBeside(ClassId class_id, PeerOutcome* alone, Beside* beside) {
  ++slices_;
  const std::vector<IoStream> streams = {Foreground(),
                                         BackgroundStream(Workload::kSeqWrite, class_id),
                                         BackgroundStream(Workload::kSeqRead, class_id)};
  const absl::StatusOr<std::vector<PeerOutcome>> found = run_(streams);
  if (!found.ok()) return found.status();
  absl::StatusOr<PeerOutcome> after = Alone();
  if (!after.ok()) return after.status();
  beside->Keep((*found)[0]);
  beside->background_bytes_per_s.push_back((*found)[1].bytes_per_s + (*found)[2].bytes_per_s);
  beside->AddTriple(*alone, (*found)[0], *after);
  *alone = *std::move(after);
  return absl::OkStatus();
}

absl::Status ClassTest::TestBackground() {
  Beside none{.name = "none"};
  Beside background{.name = "background"};
  Beside ordinary{.name = "ordinary"};
  absl::StatusOr<PeerOutcome> alone = Alone();
  if (!alone.ok()) return alone.status();
  none.Keep(*alone);
  // Ordinary classes only set the scale: they have no target, and end with the others.
  while (!background.finished()) {
    for (const auto& [class_id, beside] :
         {std::pair(kBackground, &background), std::pair(kOrdinary, &ordinary)}) {
      if (absl::Status status = RunBeside(class_id, &*alone, beside); !status.ok()) return status;
      none.Keep(*alone);
    }
  }
  Report(none, std::nullopt);
  Report(background, kBackgroundTarget);
  Report(ordinary, std::nullopt);
  return absl::OkStatus();
}

void ClassTest::Report(const Beside& beside, std::optional<double> target) {
  std::map<std::string, nlohmann::json> parameters = Parameters(kForegroundDepth);
  parameters["background"] = beside.name;
  for (size_t i = 0; i < kForegroundMetrics.size(); ++i) {
    const std::string metric = kForegroundMetrics[i].name;
    Result result = MakeResult("io", "foreground", parameters, metric, beside.values[i]);
    const RatioEstimate estimate = beside.estimators[i].Estimate();
    if (estimate.triples + estimate.dropped > 0) {
      Comparison comparison;
      comparison.workload = "foreground beside " + beside.name;
      comparison.metric = metric;
      comparison.peer = "alone";
      comparison.estimate = estimate;
      if (i == 0 && target.has_value()) {
        comparison.target = target;
        comparison.verdict = beside.estimators[i].Judge(*target, kOtherWidth, Better::kLower);
      }
      outcome_.comparisons.push_back(std::move(comparison));
    }
    if (estimate.triples > 0) result.ratios["alone"] = estimate.median;
    if (estimate.has_interval) {
      result.ratios["alone_low"] = estimate.low;
      result.ratios["alone_high"] = estimate.high;
    }
    outcome_.results.push_back(std::move(result));
  }
  if (!beside.background_bytes_per_s.empty()) {
    outcome_.results.push_back(MakeResult("io", "foreground", parameters, "background_bytes_per_s",
                                          beside.background_bytes_per_s));
  }
}

absl::Status ClassTest::TestShares() {
  constexpr double kWanted = static_cast<double>(kLargeShares) / kSmallShares;
  RatioEstimator ratio;
  std::vector<double> small_iops;
  std::vector<double> large_iops;
  std::vector<double> errors;
  // A disk that answers nothing for a whole slice says nothing about shares.
  for (size_t i = 0; i < 4 * kShareSlices && errors.size() < kShareSlices; ++i) {
    ++slices_;
    const auto found = run_({Sharer(kSmall), Sharer(kLarge)});
    if (!found.ok()) return found.status();
    if ((*found)[0].iops <= 0 || (*found)[1].iops <= 0) continue;
    small_iops.push_back((*found)[0].iops);
    large_iops.push_back((*found)[1].iops);
    // Both come from one slice, so there is no drift between them.
    ratio.Add(small_iops.back(), large_iops.back(), small_iops.back());
    errors.push_back(std::fabs(large_iops.back() / small_iops.back() / kWanted - 1) * 100);
  }
  if (errors.empty()) {
    return absl::FailedPreconditionError(
        "no slice was long enough for both classes to complete a read; make --slice longer");
  }
  std::map<std::string, nlohmann::json> parameters = Parameters(kShareDepth);
  parameters["class_shares"] = kSmallShares;
  outcome_.results.push_back(MakeResult("io", "shares", parameters, "iops", small_iops));
  parameters["class_shares"] = kLargeShares;
  outcome_.results.push_back(MakeResult("io", "shares", parameters, "iops", large_iops));
  outcome_.results.push_back(
      MakeResult("io", "shares", Parameters(kShareDepth), "share_error_percent", errors));

  Comparison comparison;
  comparison.workload = "class of 300 shares";
  comparison.metric = "iops";
  comparison.peer = "of 100";
  comparison.estimate = ratio.Estimate();
  comparison.target = kWanted;
  // Here a target is to be hit, from either side.
  const bool hit = comparison.estimate.high >= kWanted * (1 - kShareTolerance) &&
                   comparison.estimate.low <= kWanted * (1 + kShareTolerance);
  comparison.verdict = hit ? Verdict::kMet : Verdict::kMissed;
  outcome_.comparisons.push_back(std::move(comparison));
  return absl::OkStatus();
}

std::map<std::string, nlohmann::json> ClassTest::Parameters(int depth) const {
  return {{"block_size_bytes", 4096},      {"depth", depth},
          {"shards", job_.shards},         {"duration_s", job_.duration_s},
          {"size_bytes", job_.size_bytes}, {"seed", job_.seed}};
}

}  // namespace

std::vector<TaskQueueOptions> ClassTestClasses() {
  return {{.name = "background", .background = true},
          {.name = "ordinary"},
          {.name = "small", .shares = kSmallShares},
          {.name = "large", .shares = kLargeShares}};
}

absl::StatusOr<ClassTestOutcome> RunClassTest(const PeerJob& job, const StreamRunner& run) {
  ClassTest test(job, run);
  if (absl::Status status = test.TestBackground(); !status.ok()) return status;
  if (absl::Status status = test.TestShares(); !status.ok()) return status;
  return std::move(test.outcome());
}

}  // namespace ioengine::bench
