#include "ioengine/tools/benchmark/workload_suite.h"

#include <cstdio>
#include <set>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ioengine/tools/benchmark/cancel_on_signal.h"
#include "ioengine/tools/benchmark/environment.h"
#include "ioengine/tools/benchmark/exit_status.h"
#include "ioengine/tools/benchmark/flags.h"
#include "ioengine/tools/benchmark/metrics.h"
#include "ioengine/tools/benchmark/result.h"
#include "ioengine/tools/benchmark/table.h"

namespace ioengine::bench {
namespace {

class SuiteRun {
 public:
  SuiteRun(const WorkloadSuite& suite, const std::atomic<bool>& cancelled)
      : suite_(suite), cancelled_(cancelled) {
    job_.cancelled = &cancelled;
    job_.placement.policy = PlacementPolicy::kPack;
  }

  // False: only help was wanted, and printed.
  absl::StatusOr<bool> ParseFlags(int argc, char** argv);
  absl::Status Run();

 private:
  void AddFlags(FlagSet& flags);
  absl::Status ChooseWorkloads(std::string_view text);
  absl::Status Measure(const SuiteWorkload& workload);
  std::vector<std::string> WorkloadNames() const;

  const WorkloadSuite& suite_;
  const std::atomic<bool>& cancelled_;
  SuiteJob job_;
  std::set<std::string> chosen_;
  int64_t repetitions_ = 5;
  int64_t seed_ = 1;
  int64_t idle_spin_us_ = 0;
  std::string json_path_;
  Report report_;
};

std::vector<std::string> SuiteRun::WorkloadNames() const {
  std::vector<std::string> names;
  for (const SuiteWorkload& workload : suite_.workloads) {
    if (names.empty() || names.back() != workload.name) names.push_back(workload.name);
  }
  return names;
}

absl::Status SuiteRun::ChooseWorkloads(std::string_view text) {
  absl::StatusOr<std::vector<std::string>> parsed = ParseChoices(text, WorkloadNames());
  if (!parsed.ok()) return parsed.status();
  chosen_ = {parsed->begin(), parsed->end()};
  return absl::OkStatus();
}

void SuiteRun::AddFlags(FlagSet& flags) {
  flags.Add("workloads", "LIST", absl::StrCat(absl::StrJoin(WorkloadNames(), ","), " (all)"),
            [this](std::string_view text) { return ChooseWorkloads(text); });
  flags.AddSeconds("duration", "of one repetition of one workload (2)", &job_.duration_s);
  flags.AddInteger("repetitions", "of each workload; the table gives medians (5)", 1, 1000,
                   &repetitions_);
  flags.Add(
      "placement", "HOW", "unbound, pack, spread, or a list of CPUs such as 0,2-3 (pack)",
      [this](std::string_view text) { return Assign(ParsePlacement(text), &job_.placement); });
  flags.AddInteger("idle-spin-us", "how long an idle shard spins before it sleeps (0)", 0, 1000000,
                   &idle_spin_us_);
  flags.AddInteger("seed", "of what is random (1)", 0, INT64_MAX, &seed_);
  flags.AddString("json", "FILE", "write the results there too", &json_path_);
}

absl::StatusOr<bool> SuiteRun::ParseFlags(int argc, char** argv) {
  FlagSet flags;
  AddFlags(flags);
  const absl::StatusOr<std::vector<std::string>> words = flags.Parse(argc, argv);
  if (!words.ok()) return words.status();
  if (flags.help_wanted()) {
    std::printf("usage: ioengine-bench %s [flags]\n%s\n", suite_.name.c_str(), suite_.help.c_str());
    std::string known;
    for (const SuiteWorkload& workload : suite_.workloads) {
      if (std::exchange(known, workload.name) == workload.name) continue;
      std::printf("  %-10s %s\n", workload.name.c_str(), workload.help.c_str());
    }
    std::printf("\n%s", flags.Help().c_str());
    return false;
  }
  if (!words->empty()) {
    return absl::InvalidArgumentError(absl::StrCat("unexpected word: ", words->front()));
  }
  job_.seed = static_cast<uint64_t>(seed_);
  job_.idle_spin_us = static_cast<uint64_t>(idle_spin_us_);
  return true;
}

absl::Status SuiteRun::Measure(const SuiteWorkload& workload) {
  std::map<std::string, std::vector<double>> values;
  std::map<std::string, std::map<std::string, std::vector<double>>> ratios;
  std::vector<std::string> order;
  for (int64_t i = 0; i < repetitions_; ++i) {
    if (cancelled_.load(std::memory_order_relaxed)) return absl::CancelledError("interrupted");
    SuiteJob job = job_;
    job.seed += static_cast<uint64_t>(i);
    absl::StatusOr<std::vector<Measurement>> measured = workload.run(job);
    if (!measured.ok()) return measured.status();
    for (const Measurement& one : *measured) {
      if (!values.contains(one.metric)) order.push_back(one.metric);
      values[one.metric].push_back(one.value);
      for (const auto& [peer, ratio] : one.ratios) ratios[one.metric][peer].push_back(ratio);
    }
  }
  std::map<std::string, nlohmann::json> parameters = workload.parameters;
  parameters["duration_s"] = job_.duration_s;
  for (const std::string& metric : order) {
    Result result = MakeResult(suite_.name, workload.name, parameters, metric, values[metric]);
    for (const auto& [peer, found] : ratios[metric]) {
      result.ratios[peer] = MakeResult(suite_.name, workload.name, {}, metric, found).value;
    }
    report_.results.push_back(std::move(result));
  }
  return absl::OkStatus();
}

absl::Status SuiteRun::Run() {
  if (!json_path_.empty()) {
    if (absl::Status status = CheckWritable(json_path_); !status.ok()) return status;
  }
  report_.environment = ReadEnvironment("");
  std::fputs(FormatEnvironment(report_.environment).c_str(), stdout);
  std::fflush(stdout);
  for (const SuiteWorkload& workload : suite_.workloads) {
    if (!chosen_.empty() && !chosen_.contains(workload.name)) continue;
    if (absl::Status status = Measure(workload); !status.ok()) return status;
  }
  std::printf("\n%s", FormatMetricRows(report_.results).c_str());
  return json_path_.empty() ? absl::OkStatus() : WriteReport(report_, json_path_);
}

}  // namespace

int RunWorkloadSuite(const WorkloadSuite& suite, int argc, char** argv) {
  const CancelOnSignal cancel;
  SuiteRun run(suite, cancel.flag());
  const absl::StatusOr<bool> wanted = run.ParseFlags(argc, argv);
  if (!wanted.ok()) return ReportBadUsage(wanted.status());
  return *wanted ? ReportExitStatus(run.Run(), cancel) : 0;
}

}  // namespace ioengine::bench
