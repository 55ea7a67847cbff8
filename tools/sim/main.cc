// ioengine-sim: runs a store in simulated time through power cuts, kills and faults, and compares
// all that it answers with what it may answer.

#include <atomic>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/clock.h"
#include "ioengine/tools/benchmark/cancel_on_signal.h"
#include "ioengine/tools/benchmark/exit_status.h"
#include "ioengine/tools/benchmark/flags.h"
#include "ioengine/tools/benchmark/progress.h"
#include "ioengine/tools/sim/canaries.h"
#include "ioengine/tools/sim/run.h"

namespace ioengine::sim {
namespace {

constexpr char kHelp[] =
    "usage: ioengine-sim [flags]\n"
    "Runs a store in simulated time. A seed decides everything: what clients do, when the power\n"
    "goes, what it leaves, what fails. Everything that the store answers is checked. The first\n"
    "seed that finds something ends the run, with status 1, the end of the trace, and the command\n"
    "that replays it.\n\n";

struct Options {
  std::string program;  // as it was started
  uint64_t first_seed = 1;
  uint64_t last_seed = 1000;
  double duration_s = 0;
  int64_t operations = 1000;
  int64_t trace_events = 256;
  bool no_faults = false;
  std::string canary;
  bool list_canaries = false;
};

// "7" or "1..1000".
absl::Status ParseSeeds(std::string_view text, Options& options) {
  const size_t dots = text.find("..");
  const std::string first(text.substr(0, dots));
  const std::string last(dots == std::string_view::npos ? text : text.substr(dots + 2));
  if (!absl::SimpleAtoi(first, &options.first_seed) ||
      !absl::SimpleAtoi(last, &options.last_seed) || options.last_seed < options.first_seed) {
    return absl::InvalidArgumentError("give a number, or two as in 1..1000");
  }
  return absl::OkStatus();
}

absl::Status CheckCanary(const std::string& name) {
  if (name.empty()) return absl::OkStatus();
  std::string known;
  for (const std::string_view canary : kCanaries) {
    if (canary == name) return absl::OkStatus();
    absl::StrAppend(&known, known.empty() ? "" : ", ", std::string(canary));
  }
  return absl::InvalidArgumentError(absl::StrCat("--canary=", name, ": the names are ", known));
}

struct Totals {
  std::atomic<uint64_t> seed{0};
  std::atomic<uint64_t> operations{0};
  std::atomic<uint64_t> crashes{0};
  RunResult sum;
  uint64_t hash = 0;
};

void Add(Totals& totals, const RunResult& result) {
  totals.sum.operations += result.operations;
  totals.sum.acknowledged += result.acknowledged;
  totals.sum.power_cuts += result.power_cuts;
  totals.sum.kills += result.kills;
  totals.sum.clean_ends += result.clean_ends;
  totals.sum.failed_logs += result.failed_logs;
  totals.sum.damage_found += result.damage_found;
  totals.sum.flushes += result.flushes;
  totals.sum.compactions += result.compactions;
  totals.hash = totals.hash * 0x100'0000'01b3 ^ result.trace_hash;
  totals.operations = totals.sum.operations;
  totals.crashes = totals.sum.power_cuts + totals.sum.kills;
}

void PrintFailure(const Options& options, uint64_t seed, const RunResult& result) {
  std::string flags = absl::StrCat("--seed=", seed, " --ops=", options.operations);
  if (options.no_faults) flags += " --no-faults";
  if (!options.canary.empty()) absl::StrAppend(&flags, " --canary=", options.canary);
  absl::StrAppend(&flags, " --trace-events=", options.trace_events);
  // How a run ended is said with its seed already.
  const bool has_seed = result.complaint.rfind("seed ", 0) == 0;
  const std::string complaint =
      has_seed ? result.complaint : absl::StrCat("seed ", seed, ": ", result.complaint);
  std::printf("%s\n%s\ntrace hash %016" PRIx64
              "\nreplay: %s %s\nor: bazel run //tools:ioengine-sim -- %s\n",
              result.trace.c_str(), complaint.c_str(), result.trace_hash, options.program.c_str(),
              flags.c_str(), flags.c_str());
}

void PrintTotals(const Totals& totals, uint64_t seeds, double seconds) {
  const RunResult& sum = totals.sum;
  std::printf("%" PRIu64 " seeds, %" PRIu64 " operations, %" PRIu64 " writes acknowledged, %" PRIu64
              " power cuts, %" PRIu64 " kills, %" PRIu64 " clean ends, %" PRIu64
              " failed logs, %" PRIu64 " times damage found, %" PRIu64 " flushes, %" PRIu64
              " compactions; nothing lost, %.0f operations/s\n",
              seeds, sum.operations, sum.acknowledged, sum.power_cuts, sum.kills, sum.clean_ends,
              sum.failed_logs, sum.damage_found, sum.flushes, sum.compactions,
              static_cast<double>(sum.operations) / (seconds > 0 ? seconds : 1));
  std::printf("trace hash %016" PRIx64 "\n", totals.hash);
}

absl::Status RunSeeds(const Options& options, const std::atomic<bool>& cancelled) {
  SetCanary(options.canary);
  Totals totals;
  const uint64_t start_ns = MonotonicClock::Get().NowNs();
  const auto elapsed_s = [&] {
    return static_cast<double>(MonotonicClock::Get().NowNs() - start_ns) / 1e9;
  };
  bench::Progress progress([&] {
    return absl::StrCat("seed ", totals.seed.load(), ", ", totals.operations.load(),
                        " operations, ", totals.crashes.load(), " crashes, ",
                        static_cast<int64_t>(elapsed_s()), " s");
  });
  uint64_t seeds = 0;
  for (uint64_t seed = options.first_seed;; ++seed) {
    if (cancelled.load()) return absl::CancelledError("interrupted");
    if (options.duration_s > 0 && elapsed_s() > options.duration_s) break;
    totals.seed = seed;
    const RunResult result = RunSeed({.seed = seed,
                                      .operations = static_cast<uint64_t>(options.operations),
                                      .faults = !options.no_faults,
                                      .trace_events = static_cast<size_t>(options.trace_events)});
    if (!result.complaint.empty()) {
      progress.Stop();
      PrintFailure(options, seed, result);
      return absl::DataLossError(absl::StrCat("seed ", seed, " found something"));
    }
    Add(totals, result);
    ++seeds;
    if (seed == options.last_seed) break;
  }
  progress.Stop();
  PrintTotals(totals, seeds, elapsed_s());
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Options options;
  options.program = argv[0];
  bench::FlagSet flags;
  const auto set_seeds = [&](std::string_view text) { return ParseSeeds(text, options); };
  flags.Add("seed", "N", "run this one alone", set_seeds);
  flags.Add("seeds", "A..B", "run these (1..1000)", set_seeds);
  flags.AddSeconds("duration", "end with the seed that is running then", &options.duration_s);
  flags.AddInteger("ops", "operations of each seed (1000)", 1, 1'000'000'000, &options.operations);
  flags.AddInteger("trace-events", "events of the trace that are kept and printed (256)", 1,
                   1'000'000, &options.trace_events);
  flags.AddSwitch("no-faults", "only power cuts and kills", &options.no_faults);
  flags.AddString("canary", "NAME", "plant this bug, which is to be found", &options.canary);
  flags.AddSwitch("list-canaries", "name the bugs that can be planted", &options.list_canaries);
  const absl::StatusOr<std::vector<std::string>> words = flags.Parse(argc, argv);
  absl::Status status = words.status();
  if (status.ok() && flags.help_wanted()) {
    std::printf("%s%s", kHelp, flags.Help().c_str());
    return 0;
  }
  if (status.ok() && !words->empty()) {
    status = absl::InvalidArgumentError(absl::StrCat("unexpected word: ", words->front()));
  }
  if (status.ok()) status = CheckCanary(options.canary);
  if (!status.ok()) return bench::ReportBadUsage(status);
  if (options.list_canaries) {
    for (const std::string_view canary : kCanaries) {
      std::printf("%s\n", std::string(canary).c_str());
    }
    return 0;
  }
  // With a time and no seeds the time decides.
  if (flags.given("duration") && !flags.given("seeds") && !flags.given("seed")) {
    options.last_seed = UINT64_MAX - 1;
  }
  const bench::CancelOnSignal cancel;
  return bench::ReportExitStatus(RunSeeds(options, cancel.flag()), cancel);
}

}  // namespace
}  // namespace ioengine::sim

int main(int argc, char** argv) { return ioengine::sim::Main(argc, argv); }
