// ioengine-compare kv [flags]: our database beside other engines, which no other program links.

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ioengine/tools/benchmark/comparison.h"
#include "ioengine/tools/benchmark/environment.h"
#include "ioengine/tools/benchmark/flags.h"
#include "ioengine/tools/benchmark/ratio.h"
#include "ioengine/tools/benchmark/result.h"
#include "ioengine/tools/benchmark/scratch_directory.h"
#include "ioengine/tools/benchmark/suite_main.h"
#include "ioengine/tools/compare/kv_compare.h"
#include "ioengine/tools/compare/peers.h"
#include "ioengine/tools/kv/kv_settings.h"
#include "ioengine/tools/kv/workload.h"
#include "ioengine/version.h"

namespace ioengine::compare {
namespace {

constexpr const char* kHelp =
    "usage: ioengine-compare kv [flags]\n\n"
    "Runs each workload of `ioengine-bench kv` on our database and on those of other engines, "
    "with\n"
    "the same keys and values and the same checks, in alternating slices, and gives the median of\n"
    "the ratios with its 95 % interval. Of another engine the best of its variants counts.\n"
    "--duration or --ops is of one slice; without either, a second.\n\n";

absl::Status RunComparison(const CompareSettings& settings) {
  if (!settings.kv.json_path.empty()) {
    const absl::Status status = bench::CheckWritable(settings.kv.json_path);
    if (!status.ok()) return status;
  }
  const auto directory = bench::ScratchDirectory::Make(settings.kv.directory);
  if (!directory.ok()) return directory.status();
  bench::Report report;
  report.environment = bench::ReadEnvironment((*directory)->path());
  std::printf("%s%s\n\n", bench::FormatEnvironment(report.environment).c_str(),
              kv::IoengineEngine(settings.kv).Describe().c_str());
  std::fflush(stdout);
  KvComparison comparison(settings, (*directory)->path());
  for (const std::string& name : settings.kv.workloads) {
    const absl::Status status = comparison.Run(kv::WorkloadNamed(name));
    if (!status.ok()) return status;
  }
  std::printf("\n%s", bench::FormatComparisons(comparison.comparisons()).c_str());
  report.results = comparison.results();
  return settings.kv.json_path.empty() ? absl::OkStatus()
                                       : bench::WriteReport(report, settings.kv.json_path);
}

absl::Status Validate(CompareSettings& settings) {
  const auto& engines = settings.engines;
  const bool has_ours = std::find(engines.begin(), engines.end(), kOurs) != engines.end();
  if (!has_ours || engines.size() < 2) {
    return absl::InvalidArgumentError(absl::StrCat("--engines: ", std::string(kOurs),
                                                   " and at least one other of ",
                                                   absl::StrJoin(EngineNames(), ",")));
  }
  if (settings.kv.operations == 0 && settings.kv.seconds == 0) settings.kv.seconds = 1;
  return settings.kv.Validate();
}

int RunKvComparison(int argc, char** argv) {
  CompareSettings settings;
  bench::FlagSet flags;
  flags.Add("engines", "LIST", absl::StrJoin(EngineNames(), ",") + " (all)",
            [&settings](std::string_view text) {
              return bench::Assign(bench::ParseChoices(text, EngineNames()), &settings.engines);
            });
  settings.kv.AddDataFlags(flags);
  settings.kv.AddEngineFlags(flags);
  flags.AddSwitch("direct", "peers use O_DIRECT, as ours always does", &settings.peers.direct);
  flags.AddInteger("triples", "at most, of each workload (60)", int64_t{1},
                   int64_t{bench::RatioEstimator::kMaxTriples}, &settings.triples);
  flags.AddInteger("rounds", "of each variant of a peer, to find the best one (2)", int64_t{1},
                   int64_t{100}, &settings.rounds);
  return bench::RunSuite(
      flags, kHelp, argc, argv, [&] { return Validate(settings); },
      [&](const std::atomic<bool>& cancelled) {
        settings.kv.cancelled = &cancelled;
        return RunComparison(settings);
      });
}

}  // namespace
}  // namespace ioengine::compare

int main(int argc, char** argv) {
  const std::string_view first = argc > 1 ? argv[1] : "";
  if (first == "kv") return ioengine::compare::RunKvComparison(argc - 1, argv + 1);
  if (first == "--version") {
    std::printf("ioengine-compare %s\n", ioengine::kVersion);
    return 0;
  }
  const bool wants_help = first == "--help" || first == "help";
  std::fputs("usage: ioengine-compare kv [flags]; `ioengine-compare kv --help` lists them\n",
             wants_help ? stdout : stderr);
  return wants_help ? 0 : 2;
}
