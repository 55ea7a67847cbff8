#include "ioengine/tools/kv/kv_suite.h"

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "ioengine/tools/benchmark/environment.h"
#include "ioengine/tools/benchmark/flags.h"
#include "ioengine/tools/benchmark/result.h"
#include "ioengine/tools/benchmark/scratch_directory.h"
#include "ioengine/tools/benchmark/suite_main.h"
#include "ioengine/tools/benchmark/table.h"
#include "ioengine/tools/kv/ioengine_engine.h"
#include "ioengine/tools/kv/kv_bench.h"
#include "ioengine/tools/kv/kv_settings.h"
#include "ioengine/tools/kv/workload.h"

namespace ioengine::kv {
namespace {

absl::Status RunWorkloads(const KvSettings& settings, int64_t repetitions) {
  if (!settings.json_path.empty()) {
    if (absl::Status status = bench::CheckWritable(settings.json_path); !status.ok()) return status;
  }
  const auto directory = bench::ScratchDirectory::Make(settings.directory);
  if (!directory.ok()) return directory.status();
  bench::Report report;
  report.environment = bench::ReadEnvironment((*directory)->path());
  std::fputs(bench::FormatEnvironment(report.environment).c_str(), stdout);
  IoengineEngine engine(settings);
  std::printf("%s\n", engine.Describe().c_str());
  std::fflush(stdout);

  KvBench bench(engine, settings, absl::StrCat((*directory)->path(), "/ioengine"));
  for (const std::string& name : settings.workloads) {
    const Workload& workload = WorkloadNamed(name);
    std::map<std::string, std::vector<double>> values;
    std::vector<std::string> order;
    for (int64_t i = 0; i < repetitions; ++i) {
      const auto found = bench.Measure(workload, settings.seed + static_cast<uint64_t>(i));
      if (!found.ok()) return found.status();
      for (const auto& [metric, value] : found->Metrics()) {
        if (!values.contains(metric)) order.push_back(metric);
        values[metric].push_back(value);
      }
    }
    for (const std::string& metric : order) {
      report.results.push_back(
          bench::MakeResult("kv", name, ParametersOf(workload, settings), metric, values[metric]));
    }
  }
  if (absl::Status status = bench.Close(); !status.ok()) return status;
  std::printf("\n%s", bench::FormatResults(report.results).c_str());
  return settings.json_path.empty() ? absl::OkStatus()
                                    : bench::WriteReport(report, settings.json_path);
}

}  // namespace

std::string WorkloadHelp() {
  std::string help;
  for (const Workload& workload : Workloads()) {
    absl::StrAppendFormat(&help, "  %-17s %s\n", std::string(workload.name),
                          std::string(workload.help));
  }
  return help;
}

int RunKvSuite(int argc, char** argv) {
  KvSettings settings;
  int64_t repetitions = 1;
  bench::FlagSet flags;
  settings.AddDataFlags(flags);
  settings.AddEngineFlags(flags);
  flags.AddInteger("repetitions", "of each workload; the table gives medians (1)", int64_t{1},
                   int64_t{1000}, &repetitions);
  const std::string help = absl::StrCat(
      "usage: ioengine-bench kv [flags]\n\n"
      "Measures a database over all shards, in a directory of its own that it makes and removes.\n"
      "Those that do not begin with an empty database find all keys there, in tables: a load that\n"
      "is not counted puts those that are missing. Each value that is read is checked in full.\n\n",
      WorkloadHelp(), "\n");
  return bench::RunSuite(
      flags, help.c_str(), argc, argv, [&] { return settings.Validate(); },
      [&](const std::atomic<bool>& cancelled) {
        settings.cancelled = &cancelled;
        return RunWorkloads(settings, repetitions);
      });
}

}  // namespace ioengine::kv
