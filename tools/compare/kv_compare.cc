#include "ioengine/tools/compare/kv_compare.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ioengine/tools/benchmark/peer.h"
#include "ioengine/tools/benchmark/ratio.h"
#include "ioengine/tools/benchmark/table.h"

namespace ioengine::compare {
namespace {

using bench::Better;
using bench::RatioEstimator;
using kv::KvMeasurement;
using kv::Workload;

// What is promised of the rate of data in cache, of RocksDB's.
constexpr std::array<std::pair<std::string_view, double>, 17> kTargets = {{
    {"fillseq", 1.0},
    {"fillrandom", 2.5},
    {"fillsync", 3.0},
    {"overwrite", 2.5},
    {"readrandom", 3.0},
    {"readmissing", 1.0},
    {"multiget", 1.5},
    {"seekrandom", 2.0},
    {"readseq", 1.0},
    {"readwhilewriting", 1.5},
    {"ycsba", 2.0},
    {"ycsbb", 1.5},
    {"ycsbc", 1.5},
    {"ycsbd", 1.2},
    {"ycsbe", 1.0},
    {"ycsbf", 2.0},
    {"deleterandom", 2.5},
}};

std::optional<double> TargetOf(const Workload& workload, bool is_uncached) {
  if (is_uncached) return std::nullopt;
  for (const auto& [name, target] : kTargets) {
    if (name == workload.name) return target;
  }
  return std::nullopt;
}

struct ComparedMetric {
  std::string_view name;
  Better better;
  double (*value)(const KvMeasurement&);
};

double RateOf(const KvMeasurement& found) { return found.ops_per_s(); }
double SettledRateOf(const KvMeasurement& found) { return found.settled_ops_per_s(); }

// The first one decides when there are enough triples; of what only writes, it is the rate with the
// compactions that are still to be done. Not latencies: ours are of many calls in
// flight, those of peers of one for each thread.
std::vector<ComparedMetric> MetricsOf(const Workload& workload) {
  const ComparedMetric rate = {"ops_per_s", Better::kHigher, RateOf};
  const ComparedMetric settled = {"settled_ops_per_s", Better::kHigher, SettledRateOf};
  const ComparedMetric cpu = {"cpu_us_per_op", Better::kLower,
                              [](const KvMeasurement& found) { return found.cpu_us_per_op(); }};
  if (workload.only_writes()) return {settled, rate, cpu};
  if (workload.writes()) return {rate, settled, cpu};
  return {rate, cpu};
}

bool WaitsForTheDisk(const Workload& workload, const CompareSettings& settings) {
  return settings.is_uncached() ||
         workload.durability.value_or(settings.kv.durability) == Durability::kDurable;
}

std::map<std::string, std::vector<double>> SeriesOf(const std::vector<KvMeasurement>& slices) {
  std::map<std::string, std::vector<double>> series;
  for (const KvMeasurement& slice : slices) {
    for (const auto& [metric, value] : slice.Metrics()) series[metric].push_back(value);
  }
  // That of the process, which has all databases open.
  series.erase("resident_bytes");
  return series;
}

double MedianOf(const std::vector<KvMeasurement>& slices, const ComparedMetric& metric) {
  std::vector<double> values;
  for (const KvMeasurement& slice : slices) values.push_back(metric.value(slice));
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

KvComparison::KvComparison(const CompareSettings& settings, std::string directory)
    : settings_(settings),
      our_engine_(settings.kv),
      ours_(our_engine_, settings.kv, absl::StrCat(directory, "/", std::string(kOurs))) {
  for (const Peer& peer : Peers()) {
    const auto& chosen = settings.engines;
    if (std::find(chosen.begin(), chosen.end(), peer.name) == chosen.end()) continue;
    PeerDatabases& databases = peers_.emplace_back();
    databases.name = peer.name;
    for (const PeerVariant& variant : peer.variants) {
      Database& database = databases.variants.emplace_back();
      database.name = variant.name;
      database.engine = variant.make(settings.kv, settings.peers);
      database.bench =
          std::make_unique<kv::KvBench>(*database.engine, settings.kv,
                                        absl::StrCat(directory, "/", peer.name, "-", variant.name));
    }
  }
}

std::vector<KvComparison::Choice> KvComparison::ChoicesOf(PeerDatabases& peer,
                                                          const Workload& workload) const {
  std::vector<Choice> choices;
  const auto shards = static_cast<size_t>(settings_.kv.shards);
  for (Database& database : peer.variants) {
    choices.push_back({&database, shards});
    if (!WaitsForTheDisk(workload, settings_)) continue;
    choices.push_back({&database, 2 * shards});
    choices.push_back({&database, 4 * shards});
  }
  return choices;
}

absl::StatusOr<KvMeasurement> KvComparison::Measure(const Choice& choice,
                                                    const Workload& workload) {
  choice.database->engine->set_threads(choice.threads);
  return choice.database->bench->Measure(workload, settings_.kv.seed + ++slices_);
}

absl::StatusOr<KvComparison::Choice> KvComparison::Choose(PeerDatabases& peer,
                                                          const Workload& workload) {
  const std::vector<Choice> choices = ChoicesOf(peer, workload);
  const auto rate = MetricsOf(workload).front().value;
  const auto run = [&](int i) -> absl::StatusOr<bench::PeerOutcome> {
    const auto found = Measure(choices[static_cast<size_t>(i)], workload);
    if (!found.ok()) return found.status();
    bench::PeerOutcome outcome;
    outcome.iops = rate(*found);
    return outcome;
  };
  const absl::StatusOr<int> best =
      bench::BestVariant(static_cast<int>(choices.size()), static_cast<int>(settings_.rounds), run);
  if (!best.ok()) return best.status();
  return choices[static_cast<size_t>(*best)];
}

absl::Status KvComparison::Compare(PeerDatabases& peer, const Workload& workload) {
  const absl::StatusOr<Choice> choice = Choose(peer, workload);
  if (!choice.ok()) return choice.status();
  const std::vector<ComparedMetric> metrics = MetricsOf(workload);
  const double width =
      WaitsForTheDisk(workload, settings_) ? bench::kDiskWidth : bench::kOtherWidth;
  std::vector<RatioEstimator> estimators(metrics.size());
  Slices slices;
  absl::StatusOr<KvMeasurement> before = Measure(*choice, workload);
  if (!before.ok()) return before.status();
  slices.theirs.push_back(*before);
  for (int64_t i = 0; i < settings_.triples && !estimators[0].Finished(width); ++i) {
    const auto ours = ours_.Measure(workload, settings_.kv.seed + ++slices_);
    if (!ours.ok()) return ours.status();
    absl::StatusOr<KvMeasurement> after = Measure(*choice, workload);
    if (!after.ok()) return after.status();
    for (size_t m = 0; m < metrics.size(); ++m) {
      const auto value = metrics[m].value;
      estimators[m].Add(value(*before), value(*ours), value(*after));
    }
    slices.ours.push_back(*ours);
    slices.theirs.push_back(*after);
    before = std::move(after);
  }
  std::vector<bench::Comparison> ratios;
  for (size_t m = 0; m < metrics.size(); ++m) {
    bench::Comparison& ratio = ratios.emplace_back();
    ratio.workload = std::string(workload.name);
    ratio.metric = std::string(metrics[m].name);
    ratio.peer = peer.name;
    ratio.estimate = estimators[m].Estimate();
    if (m > 0) continue;
    ratio.target = TargetOf(workload, settings_.is_uncached());
    if (ratio.target.has_value()) ratio.verdict = estimators[m].Judge(*ratio.target, width);
  }
  choice->database->engine->set_threads(choice->threads);
  std::printf("%s: %s %s: ours %s, theirs %s\n  %s\n", std::string(workload.name).c_str(),
              std::string(metrics[0].name).c_str(), peer.name.c_str(),
              bench::FormatNumber(MedianOf(slices.ours, metrics[0])).c_str(),
              bench::FormatNumber(MedianOf(slices.theirs, metrics[0])).c_str(),
              choice->database->engine->Describe().c_str());
  std::fflush(stdout);
  AddResults(peer, *choice, workload, slices, ratios);
  comparisons_.insert(comparisons_.end(), ratios.begin(), ratios.end());
  return absl::OkStatus();
}

void KvComparison::AddResults(const PeerDatabases& peer, const Choice& choice,
                              const Workload& workload, const Slices& slices,
                              const std::vector<bench::Comparison>& ratios) {
  auto parameters = kv::ParametersOf(workload, settings_.kv);
  parameters["engine"] = std::string(kOurs);
  for (const auto& [metric, values] : SeriesOf(slices.ours)) {
    bench::Result result =
        bench::MakeResult("kv", std::string(workload.name), parameters, metric, values);
    for (const bench::Comparison& ratio : ratios) {
      if (ratio.metric != metric || ratio.estimate.triples == 0) continue;
      result.ratios[peer.name] = ratio.estimate.median;
      if (!ratio.estimate.has_interval) continue;
      result.ratios[absl::StrCat(peer.name, "_low")] = ratio.estimate.low;
      result.ratios[absl::StrCat(peer.name, "_high")] = ratio.estimate.high;
    }
    results_.push_back(std::move(result));
  }
  for (const char* of_ours : {"shards", "concurrency", "client", "routing", "placement"}) {
    parameters.erase(of_ours);
  }
  parameters["engine"] = peer.name;
  parameters["variant"] = choice.database->name;
  parameters["threads"] = choice.threads;
  for (const auto& [metric, values] : SeriesOf(slices.theirs)) {
    results_.push_back(
        bench::MakeResult("kv", std::string(workload.name), parameters, metric, values));
  }
}

absl::Status KvComparison::Run(const Workload& workload) {
  for (PeerDatabases& peer : peers_) {
    if (absl::Status status = Compare(peer, workload); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace ioengine::compare
