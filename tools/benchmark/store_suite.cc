#include "ioengine/tools/benchmark/store_suite.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ioengine/tools/benchmark/environment.h"
#include "ioengine/tools/benchmark/flags.h"
#include "ioengine/tools/benchmark/process_usage.h"
#include "ioengine/tools/benchmark/result.h"
#include "ioengine/tools/benchmark/scratch_directory.h"
#include "ioengine/tools/benchmark/store_run.h"
#include "ioengine/tools/benchmark/suite_main.h"
#include "ioengine/tools/benchmark/table.h"

namespace ioengine::bench {
namespace {

constexpr std::array<const char*, 8> kWorkloads = {
    "fillseq", "fillrandom", "overwrite", "readcold", "readwarm", "readseq", "recovery", "log"};
constexpr std::initializer_list<Durability> kDurabilities = {
    Durability::kMemory, Durability::kWritten, Durability::kDurable};
constexpr std::array<uint64_t, 3> kLogDepths = {1, 16, 64};
// Nothing is flushed meanwhile.
constexpr uint64_t kEndlessMemtableBytes = uint64_t{1} << 40;

constexpr const char* kHelp =
    "usage: ioengine-bench store [flags]\n\n"
    "Measures a store on one shard, in a directory of its own that it makes and removes.\n\n"
    "  fillseq     puts of ascending keys into an empty store\n"
    "  fillrandom  puts of random keys, with repetition, into an empty store\n"
    "  overwrite   the same again, into what fillrandom has made\n"
    "  readcold    gets of random keys of that, opened anew\n"
    "  readwarm    the same again\n"
    "  readseq     a scan of all of it\n"
    "  recovery    the opening of a store whose log holds what fillrandom puts\n"
    "  log         puts while nothing is flushed, at each durability and depth 1, 16 and 64\n\n";

struct StoreSuiteOptions {
  StoreSettings settings;
  std::string directory = "/var/tmp";
  std::string json_path;
  std::set<std::string> chosen = {kWorkloads.begin(), kWorkloads.end()};
  int64_t keys = 1'000'000;
  int64_t operations = 0;
  int64_t depth = 64;
  int64_t repetitions = 1;
  int64_t seed = 1;

  bool has(const char* workload) const { return chosen.contains(workload); }
  void AddTo(FlagSet& flags);
  absl::Status Validate();
};

absl::Status ParseWorkloads(std::string_view text, std::set<std::string>* chosen) {
  absl::StatusOr<std::vector<std::string>> parsed =
      ParseChoices(text, {kWorkloads.begin(), kWorkloads.end()});
  if (!parsed.ok()) return parsed.status();
  *chosen = {parsed->begin(), parsed->end()};
  return absl::OkStatus();
}

void StoreSuiteOptions::AddTo(FlagSet& flags) {
  flags.Add("workloads", "LIST", absl::StrCat(absl::StrJoin(kWorkloads, ","), " (all)"),
            [this](std::string_view text) { return ParseWorkloads(text, &chosen); });
  flags.AddInteger("keys", "that there may be, of 16 bytes each (1000000)", 1, int64_t{1} << 40,
                   &keys);
  flags.AddBytes("value", "of each key (100)", &settings.value_bytes);
  flags.AddInteger("ops", "puts or gets of a workload; 0: as many as keys (0)", 0, int64_t{1} << 40,
                   &operations);
  flags.AddInteger("depth", "tasks that put or get at the same time (64)", 1, 100'000, &depth);
  flags.Add("durability", "LEVEL", "of puts but those of `log`: memory, written, durable (written)",
            [this](std::string_view text) {
              return Assign(ParseNamed(text, kDurabilities, DurabilityName), &settings.durability);
            });
  flags.AddBytes("memtable", "StoreOptions::memtable_bytes (64M)", &settings.memtable_bytes);
  flags.AddBytes("cache", "of tables in memory (32M)", &settings.cache_bytes);
  flags.AddSeconds("log-duration", "of each part of `log` (1)", &settings.log_seconds);
  flags.AddString("dir", "DIR", "where to make the store's directory (/var/tmp)", &directory);
  flags.Add(
      "placement", "HOW", "unbound, pack, spread, or a list of CPUs such as 0,2-3 (pack)",
      [this](std::string_view text) { return Assign(ParsePlacement(text), &settings.placement); });
  flags.AddInteger("repetitions", "of all; the table gives medians (1)", 1, 1000, &repetitions);
  flags.AddInteger("seed", "of what is random (1)", 0, INT64_MAX, &seed);
  flags.AddString("json", "FILE", "write the results there too", &json_path);
}

absl::Status StoreSuiteOptions::Validate() {
  if (settings.value_bytes > uint64_t{1} << 20) {
    return absl::InvalidArgumentError("--value: at most 1 MiB");
  }
  if (settings.memtable_bytes == 0) return absl::InvalidArgumentError("--memtable: at least 1");
  if (settings.cache_bytes < uint64_t{1} << 20) {
    return absl::InvalidArgumentError("--cache: at least 1 MiB");
  }
  settings.keys = static_cast<uint64_t>(keys);
  settings.operations = static_cast<uint64_t>(operations);
  settings.depth = static_cast<uint64_t>(depth);
  return absl::OkStatus();
}

class StoreSuite {
 public:
  StoreSuite(StoreSuiteOptions options, const std::atomic<bool>& cancelled)
      : options_(std::move(options)) {
    options_.settings.cancelled = &cancelled;
  }

  absl::Status Run();

 private:
  using Parameters = std::map<std::string, nlohmann::json>;
  // The values of one metric of one workload, one for each repetition.
  struct Series {
    std::string workload;
    Parameters parameters;
    std::string metric;
    std::vector<double> values;
    std::vector<double> bare_ratios;
  };

  absl::StatusOr<std::unique_ptr<StoreRun>> NewStore(uint64_t memtable_bytes = 0);
  absl::Status RunOnce();
  absl::Status Fill(StoreRun& run, const char* workload, KeyOrder order);
  absl::Status RandomWorkloads();
  absl::Status Read(StoreRun& run, const char* workload);
  absl::Status ReadAll(StoreRun& run);
  absl::Status Recover();
  absl::Status Log(Durability durability, uint64_t depth);

  Series& SeriesOf(const std::string& workload, const Parameters& parameters,
                   const std::string& metric);
  void Add(const std::string& workload, const Parameters& parameters, const std::string& metric,
           double value) {
    SeriesOf(workload, parameters, metric).values.push_back(value);
  }
  void AddOutcome(const std::string& workload, const Parameters& parameters,
                  const StoreOutcome& outcome);
  StoreLoad LoadOf(KeyOrder order) const;
  Report MakeReport(bool with_settings) const;

  StoreSuiteOptions options_;
  Environment environment_;
  std::unique_ptr<ScratchDirectory> directory_;  // of all stores of a run
  std::string store_directory_;
  uint64_t stores_ = 0;
  int64_t repetition_ = 0;
  std::vector<Series> series_;
};

absl::Status StoreSuite::Run() {
  if (!options_.json_path.empty()) {
    if (absl::Status status = CheckWritable(options_.json_path); !status.ok()) return status;
  }
  absl::StatusOr<std::unique_ptr<ScratchDirectory>> directory =
      ScratchDirectory::Make(options_.directory);
  if (!directory.ok()) return directory.status();
  directory_ = *std::move(directory);
  environment_ = ReadEnvironment(directory_->path());
  std::fputs(FormatEnvironment(environment_).c_str(), stdout);
  std::fflush(stdout);
  for (repetition_ = 0; repetition_ < options_.repetitions; ++repetition_) {
    options_.settings.seed = static_cast<uint64_t>(options_.seed + repetition_);
    if (absl::Status status = RunOnce(); !status.ok()) return status;
  }
  const StoreSettings& settings = options_.settings;
  std::printf("\n%zu keys, values of %s, %zu operations, memtable %s, cache %s\n\n%s",
              static_cast<size_t>(settings.keys), FormatBytes(settings.value_bytes).c_str(),
              static_cast<size_t>(settings.operation_count()),
              FormatBytes(settings.memtable_bytes).c_str(),
              FormatBytes(settings.cache_bytes).c_str(),
              FormatMetricRows(MakeReport(false).results).c_str());
  return options_.json_path.empty() ? absl::OkStatus()
                                    : WriteReport(MakeReport(true), options_.json_path);
}

absl::Status StoreSuite::RunOnce() {
  absl::Status status;
  if (options_.has("fillseq")) {
    absl::StatusOr<std::unique_ptr<StoreRun>> run = NewStore();
    status = run.status();
    if (status.ok()) status = Fill(**run, "fillseq", KeyOrder::kAscending);
  }
  if (status.ok()) status = RandomWorkloads();
  if (status.ok() && options_.has("recovery")) status = Recover();
  if (!options_.has("log")) return status;
  for (const Durability durability : {Durability::kWritten, Durability::kDurable}) {
    for (const uint64_t depth : kLogDepths) {
      if (status.ok()) status = Log(durability, depth);
    }
  }
  return status;
}

// Open, in a new directory; what the last one was in is removed.
absl::StatusOr<std::unique_ptr<StoreRun>> StoreSuite::NewStore(uint64_t memtable_bytes) {
  std::error_code ignored;
  if (!store_directory_.empty()) std::filesystem::remove_all(store_directory_, ignored);
  store_directory_ = absl::StrCat(directory_->path(), "/", ++stores_);
  auto run = StoreRun::Start(options_.settings, store_directory_, memtable_bytes);
  if (!run.ok()) return run.status();
  if (absl::Status opened = (*run)->Open(); !opened.ok()) return opened;
  return run;
}

StoreLoad StoreSuite::LoadOf(KeyOrder order) const {
  StoreLoad load;
  load.order = order;
  load.operations = options_.settings.operation_count();
  load.depth = options_.settings.depth;
  load.durability = options_.settings.durability;
  load.seed = options_.settings.seed;
  return load;
}

absl::Status StoreSuite::Fill(StoreRun& run, const char* workload, KeyOrder order) {
  const absl::StatusOr<StoreStats> before = run.Stats();
  if (!before.ok()) return before.status();
  StoreLoad load = LoadOf(order);
  if (std::string_view(workload) == "overwrite") ++load.seed;
  StoreOutcome outcome;
  absl::Status status = run.Put(load, &outcome);
  if (!status.ok()) return status;
  const double begin = WallSeconds();
  const double cpu = ProcessCpuSeconds();
  status = run.Compact();
  if (!status.ok()) return status;
  const double settled_seconds = outcome.seconds + WallSeconds() - begin;
  outcome.cpu_seconds += ProcessCpuSeconds() - cpu;
  const absl::StatusOr<StoreStats> after = run.Stats();
  if (!after.ok()) return after.status();
  const Parameters parameters = {{"durability", DurabilityName(load.durability)},
                                 {"depth", load.depth}};
  AddOutcome(workload, parameters, outcome);
  const auto operations = static_cast<double>(outcome.operations);
  const auto bytes = static_cast<double>(outcome.bytes);
  const uint64_t to_tables = after->flushed_bytes - before->flushed_bytes +
                             after->compaction.written_bytes - before->compaction.written_bytes;
  const uint64_t to_blobs = after->written_blob_bytes - before->written_blob_bytes +
                            after->compaction.moved_value_bytes -
                            before->compaction.moved_value_bytes;
  const uint64_t to_log = after->log.frame_bytes - before->log.frame_bytes;
  Add(workload, parameters, "settled_ops_per_s", operations / settled_seconds);
  Add(workload, parameters, "write_amplification",
      static_cast<double>(to_tables + to_blobs + to_log) / bytes);
  Add(workload, parameters, "table_write_amplification", static_cast<double>(to_tables) / bytes);
  Add(workload, parameters, "space_amplification",
      static_cast<double>(after->table_bytes + after->blob_bytes) /
          static_cast<double>(run.live_bytes()));
  Add(workload, parameters, "runs", static_cast<double>(after->runs));
  Add(workload, parameters, "tables", static_cast<double>(after->tables));
  return absl::OkStatus();
}

// Those on what fillrandom makes.
absl::Status StoreSuite::RandomWorkloads() {
  const bool is_read = options_.has("readcold") || options_.has("readwarm");
  if (!options_.has("fillrandom") && !options_.has("overwrite") && !options_.has("readseq") &&
      !is_read) {
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<StoreRun>> made = NewStore();
  if (!made.ok()) return made.status();
  StoreRun& run = **made;
  absl::Status status = Fill(run, "fillrandom", KeyOrder::kRandom);
  if (status.ok() && options_.has("overwrite")) status = Fill(run, "overwrite", KeyOrder::kRandom);
  if (status.ok() && (is_read || options_.has("readseq"))) {
    status = run.Close();
    if (status.ok()) status = run.Open();
    // The first gets are what the second ones need.
    if (status.ok() && is_read) status = Read(run, "readcold");
    if (status.ok() && options_.has("readwarm")) status = Read(run, "readwarm");
    if (status.ok() && options_.has("readseq")) status = ReadAll(run);
  }
  if (status.ok()) status = run.Close();
  return status;
}

absl::Status StoreSuite::Read(StoreRun& run, const char* workload) {
  StoreLoad load = LoadOf(KeyOrder::kRandom);
  StoreOutcome outcome;
  absl::Status status = run.Get(load, &outcome);
  if (status.ok()) AddOutcome(workload, {{"depth", load.depth}}, outcome);
  return status;
}

absl::Status StoreSuite::ReadAll(StoreRun& run) {
  StoreOutcome outcome;
  absl::Status status = run.Scan(&outcome);
  if (status.ok()) AddOutcome("readseq", {{"depth", 1}}, outcome);
  return status;
}

absl::Status StoreSuite::Recover() {
  {
    absl::StatusOr<std::unique_ptr<StoreRun>> made = NewStore(kEndlessMemtableBytes);
    if (!made.ok()) return made.status();
    StoreLoad load = LoadOf(KeyOrder::kRandom);
    load.durability = Durability::kWritten;
    StoreOutcome outcome;
    absl::Status status = (*made)->Put(load, &outcome);
    if (status.ok()) status = (*made)->Kill();
    if (!status.ok()) return status;
  }
  auto run = StoreRun::Start(options_.settings, store_directory_, kEndlessMemtableBytes);
  if (!run.ok()) return run.status();
  // The first one is for the device and the memory: both others find what it has brought.
  double bare_seconds = 0;
  uint64_t bytes = 0;
  for (int i = 0; i < 2; ++i) {
    const double begin = WallSeconds();
    if (absl::Status read = (*run)->ReadLogFiles(&bytes); !read.ok()) return read;
    bare_seconds = WallSeconds() - begin;
  }
  const double begin = WallSeconds();
  const double cpu = ProcessCpuSeconds();
  if (absl::Status opened = (*run)->Open(); !opened.ok()) return opened;
  const double seconds = WallSeconds() - begin;
  const double cpu_seconds = ProcessCpuSeconds() - cpu;
  const absl::StatusOr<StoreStats> stats = (*run)->Stats();
  if (!stats.ok()) return stats.status();
  if (stats->recovered_records != options_.settings.operation_count()) {
    return absl::DataLossError("what was written is not recovered");
  }
  const auto records = static_cast<double>(stats->recovered_records);
  Add("recovery", {}, "open_ms", seconds * 1e3);
  SeriesOf("recovery", {}, "open_ms").bare_ratios.push_back(seconds / bare_seconds);
  Add("recovery", {}, "log_bytes", static_cast<double>(bytes));
  Add("recovery", {}, "ops_per_s", records / seconds);
  Add("recovery", {}, "cpu_s_per_million_ops", cpu_seconds / records * 1e6);
  return (*run)->Close();
}

absl::Status StoreSuite::Log(Durability durability, uint64_t depth) {
  absl::StatusOr<std::unique_ptr<StoreRun>> run = NewStore(kEndlessMemtableBytes);
  if (!run.ok()) return run.status();
  StoreLoad load = LoadOf(KeyOrder::kRandom);
  load.operations = options_.operations == 0 ? UINT64_MAX : load.operations;
  load.seconds = options_.settings.log_seconds;
  load.depth = depth;
  load.durability = durability;
  StoreOutcome outcome;
  absl::Status status = (*run)->Put(load, &outcome);
  if (!status.ok()) return status;
  AddOutcome("log", {{"durability", DurabilityName(durability)}, {"depth", depth}}, outcome);
  return (*run)->Close();
}

StoreSuite::Series& StoreSuite::SeriesOf(const std::string& workload, const Parameters& parameters,
                                         const std::string& metric) {
  for (Series& series : series_) {
    if (series.workload == workload && series.parameters == parameters && series.metric == metric) {
      return series;
    }
  }
  return series_.emplace_back(Series{workload, parameters, metric, {}, {}});
}

void StoreSuite::AddOutcome(const std::string& workload, const Parameters& parameters,
                            const StoreOutcome& outcome) {
  const auto operations = static_cast<double>(outcome.operations);
  const auto microseconds = [&outcome](double quantile) {
    return static_cast<double>(outcome.latency_ns.Quantile(quantile)) / 1e3;
  };
  Add(workload, parameters, "ops_per_s", operations / outcome.seconds);
  Add(workload, parameters, "bytes_per_s", static_cast<double>(outcome.bytes) / outcome.seconds);
  Add(workload, parameters, "p50_us", microseconds(0.5));
  Add(workload, parameters, "p99_us", microseconds(0.99));
  Add(workload, parameters, "p999_us", microseconds(0.999));
  Add(workload, parameters, "cpu_s_per_million_ops",
      outcome.cpu_seconds / std::max(operations, 1.0) * 1e6);
}

// The settings are the same for all results.
Report StoreSuite::MakeReport(bool with_settings) const {
  Report report;
  report.environment = environment_;
  const StoreSettings& settings = options_.settings;
  for (const Series& series : series_) {
    // What another one needs is not asked for.
    if (!options_.chosen.contains(series.workload)) continue;
    Parameters parameters = series.parameters;
    if (with_settings) {
      parameters["keys"] = settings.keys;
      parameters["value_bytes"] = settings.value_bytes;
      parameters["operations"] = settings.operation_count();
      parameters["memtable_bytes"] = settings.memtable_bytes;
      parameters["cache_bytes"] = settings.cache_bytes;
    }
    Result result = MakeResult("store", series.workload, parameters, series.metric, series.values);
    if (!series.bare_ratios.empty()) {
      result.ratios["bare"] =
          MakeResult("store", series.workload, {}, series.metric, series.bare_ratios).value;
    }
    report.results.push_back(std::move(result));
  }
  return report;
}

}  // namespace

int RunStoreSuite(int argc, char** argv) {
  StoreSuiteOptions options;
  options.settings.placement.policy = PlacementPolicy::kPack;
  FlagSet flags;
  options.AddTo(flags);
  return RunSuite(
      flags, kHelp, argc, argv, [&] { return options.Validate(); },
      [&](const std::atomic<bool>& cancelled) { return StoreSuite(options, cancelled).Run(); });
}

}  // namespace ioengine::bench
