#include "ioengine/tools/benchmark/io_suite.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/tools/benchmark/environment.h"
#include "ioengine/tools/benchmark/flags.h"
#include "ioengine/tools/benchmark/io_classes.h"
#include "ioengine/tools/benchmark/io_compare.h"
#include "ioengine/tools/benchmark/io_options.h"
#include "ioengine/tools/benchmark/io_runner.h"
#include "ioengine/tools/benchmark/progress.h"
#include "ioengine/tools/benchmark/result.h"
#include "ioengine/tools/benchmark/suite_main.h"
#include "ioengine/tools/benchmark/table.h"
#include "ioengine/tools/benchmark/target_file.h"

namespace ioengine::bench {
namespace {

// One run of the suite, step by step.
class IoSuite {
 public:
  IoSuite(const IoOptions& options, const std::atomic<bool>& cancelled)
      : options_(options), cancelled_(cancelled) {}

  // Errors: the first of any step. The file is removed in any case.
  absl::Status Run();

 private:
  absl::Status Prepare();
  absl::Status StartRuntime();
  absl::Status PrepareFile();
  absl::Status Measure(Workload workload);
  absl::Status Compare(const PeerJob& job, bool with_fio);
  absl::Status TestClasses();
  void AddResults(const PeerJob& job, const std::vector<PeerOutcome>& outcomes,
                  const std::vector<Comparison>& comparisons);
  PeerJob JobFor(Workload workload) const;

  const IoOptions& options_;
  const std::atomic<bool>& cancelled_;
  std::optional<TargetFile> target_;
  std::unique_ptr<Runtime> runtime_;
  std::optional<IoRunner> runner_;
  Report report_;
  std::vector<Comparison> comparisons_;
  std::vector<std::string> commands_;  // of peers, as they were run
};

absl::Status IoSuite::Run() {
  absl::Status status = Prepare();
  if (!status.ok()) return status;
  std::fputs(FormatEnvironment(report_.environment).c_str(), stdout);
  std::fflush(stdout);
  {
    Progress progress([this] { return runner_->ProgressLine(); });
    status = PrepareFile();
    if (options_.class_test && status.ok()) status = TestClasses();
    for (size_t i = 0; i < options_.workloads.size() && !options_.class_test && status.ok(); ++i) {
      status = Measure(options_.workloads[i]);
    }
  }
  if (!status.ok()) return status;

  std::printf("\n%s", FormatResults(report_.results).c_str());
  if (!comparisons_.empty()) {
    std::printf("\n%s", FormatComparisons(comparisons_).c_str());
    for (const std::string& command : commands_) std::printf("%s\n", command.c_str());
  }
  if (options_.verify) {
    std::printf("\nverify: %llu reads checked: each block was the one last written.\n",
                static_cast<unsigned long long>(runner_->verified_reads()));
  }
  if (!options_.json_path.empty()) status = WriteReport(report_, options_.json_path);
  if (target_.has_value()) status.Update(target_->Remove());
  return status;
}

absl::Status IoSuite::Prepare() {
  if (options_.needs_file()) {
    TargetRequest request = options_.target;
    request.writes = options_.writes();
    absl::StatusOr<TargetFile> target = TargetFile::Open(request);
    if (!target.ok()) return target.status();
    target_.emplace(*std::move(target));
    if (options_.verify && target_->kind() == TargetFile::Kind::kExisting) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--verify: ", target_->path(), " was not written by this run, so nothing is known of ",
          "its contents; leave out --file, or name a new one"));
    }
    if (options_.verify && target_->kind() == TargetFile::Kind::kBlockDevice &&
        !options_.target.destroy_data) {
      return absl::InvalidArgumentError(
          absl::StrCat("--verify: ", target_->path(), " must be written first: --destroy-data"));
    }
  }
  if (!options_.json_path.empty()) {
    // Now, not after an hour of measuring.
    if (absl::Status status = CheckWritable(options_.json_path); !status.ok()) return status;
  }
  report_.environment = ReadEnvironment(target_.has_value() ? target_->path() : "");
  return StartRuntime();
}

absl::Status IoSuite::StartRuntime() {
  RuntimeOptions runtime_options;
  runtime_options.shard_count = static_cast<int>(options_.shards);
  runtime_options.placement = options_.placement;
  runtime_options.backend = options_.backend;
  runtime_options.idle_spin_us = static_cast<uint32_t>(options_.idle_spin_us);
  uint64_t pool_bytes = uint64_t{8} << 20;  // the layout's buffers
  for (const Workload workload : options_.workloads) {
    const auto depth = static_cast<uint64_t>(options_.Depth(workload));
    pool_bytes = std::max(pool_bytes, depth * std::bit_ceil(options_.BlockSize(workload)));
    runtime_options.queue_depth = std::max<size_t>(runtime_options.queue_depth, depth);
  }
  if (options_.class_test) {
    pool_bytes = kClassTestPoolBytes;
    runtime_options.classes = ClassTestClasses();
  }
  runtime_options.buffer_pool_bytes = pool_bytes;
  absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Start(runtime_options);
  if (!runtime.ok()) return runtime.status();
  runtime_ = *std::move(runtime);
  runner_.emplace(*runtime_, cancelled_);

  const RuntimeInfo& info = runtime_->Info();
  std::string& backend = report_.environment.backend;
  backend = info.shards[0].backend.name;
  for (const std::string& feature : info.shards[0].backend.features) {
    absl::StrAppend(&backend, ", ", feature);
  }
  absl::StrAppend(&backend, "; ", info.placement, "; buffers: ", info.shards[0].memory);
  for (const Degradation& one : info.Degraded()) {
    report_.environment.degraded.push_back(
        absl::StrCat(one.feature, ": ", one.reason, "; ", one.consequence));
  }
  return absl::OkStatus();
}

absl::Status IoSuite::PrepareFile() {
  if (!target_.has_value()) return absl::OkStatus();
  const bool ours =
      target_->kind() == TargetFile::Kind::kCreated ||
      (target_->kind() == TargetFile::Kind::kBlockDevice && options_.target.destroy_data);
  if (!ours) return absl::OkStatus();
  if (options_.verify) {
    // A device may be smaller than what was asked for and checked.
    if (absl::Status status = CheckJob(JobFor(options_.workloads[0])); !status.ok()) return status;
    uint64_t unit_bytes = 4096;
    for (const Workload workload : options_.workloads) {
      // The largest power of two that divides the block, so that blocks are whole units.
      const uint64_t block_bytes = options_.BlockSize(workload);
      unit_bytes = std::min(unit_bytes, block_bytes & (~block_bytes + 1));
    }
    runner_->KeepVersions(JobFor(options_.workloads[0]), unit_bytes);
  }
  return runner_->LayOut(target_->path(), target_->size_bytes(),
                         static_cast<uint64_t>(options_.seed));
}

PeerJob IoSuite::JobFor(Workload workload) const {
  PeerJob job;
  job.workload = workload;
  job.path = NeedsFile(workload) ? target_->path() : "/dev/null";
  job.size_bytes = target_.has_value() ? target_->size_bytes() : options_.target.size_bytes;
  // Whole blocks of every workload in every shard's region: so all workloads of a run have the same
  // regions, and --verify knows each block's version from one to the next. The block sizes of a run
  // are all equal, or 1 MiB and 4 KiB, so the largest is a multiple of each.
  uint64_t granule_bytes = 1;
  for (const Workload other : options_.workloads) {
    granule_bytes = std::max(granule_bytes, options_.BlockSize(other));
  }
  if (options_.class_test) granule_bytes = kClassTestGranuleBytes;
  job.size_bytes -= job.size_bytes % (granule_bytes * static_cast<uint64_t>(options_.shards));
  job.block_size_bytes = options_.BlockSize(workload);
  job.shards = static_cast<int>(options_.shards);
  job.depth = options_.Depth(workload);
  for (const ShardInfo& shard : runtime_->Info().shards) {
    if (shard.cpu >= 0) job.cpus.push_back(shard.cpu);
  }
  job.duration_s = options_.duration_s;
  job.seed = static_cast<uint64_t>(options_.seed);
  job.direct = NeedsFile(workload);
  return job;
}

absl::Status IoSuite::Measure(Workload workload) {
  PeerJob job = JobFor(workload);
  if (options_.compares()) {
    job.duration_s = options_.slice_s;
    absl::Status status;
    if (options_.compare_fio && NeedsFile(workload)) status = Compare(job, true);
    if (options_.compare_raw && status.ok()) status = Compare(job, false);
    return status;
  }
  std::vector<PeerOutcome> outcomes;
  for (int64_t i = 0; i < options_.repetitions; ++i) {
    job.seed = static_cast<uint64_t>(options_.seed + i);
    absl::StatusOr<PeerOutcome> outcome = runner_->Run(job, static_cast<uint64_t>(options_.seed));
    if (!outcome.ok()) return outcome.status();
    outcomes.push_back(*std::move(outcome));
  }
  AddResults(job, outcomes, {});
  return absl::OkStatus();
}

absl::Status IoSuite::Compare(const PeerJob& job, bool with_fio) {
  runner_->SetProgress(absl::StrCat(DescribeJob(job), ": looking for the best variant of ",
                                    with_fio ? "fio" : "the bare loop"));
  absl::StatusOr<ComparedPeer> peer =
      with_fio ? ChooseFio(job, cancelled_) : ChooseRawLoop(job, cancelled_);
  if (!peer.ok()) return peer.status();
  uint64_t slice_number = 0;
  const SliceRunner ours = [&](const PeerJob& slice) {
    PeerJob seeded = slice;
    seeded.seed += ++slice_number;
    return runner_->RunSlice(seeded, static_cast<uint64_t>(options_.seed));
  };
  runner_->SetProgress(absl::StrCat(DescribeJob(job), " beside ", peer->name));
  absl::StatusOr<PeerComparison> found = CompareWithPeer(job, *peer, ours);
  if (!found.ok()) return found.status();
  AddResults(job, found->ours, found->metrics);
  comparisons_.insert(comparisons_.end(), found->metrics.begin(), found->metrics.end());
  commands_.push_back(absl::StrCat(DescribeJob(job), ", ", peer->name, " (", peer->variant,
                                   "): ", found->peers.back().command));
  return absl::OkStatus();
}

absl::Status IoSuite::TestClasses() {
  PeerJob job = JobFor(Workload::kRandRead);
  job.duration_s = options_.slice_s;
  runner_->SetProgress("classes");
  absl::StatusOr<ClassTestOutcome> outcome =
      RunClassTest(job, [this](const std::vector<IoStream>& streams) {
        return runner_->RunStreams(streams, static_cast<uint64_t>(options_.seed));
      });
  if (!outcome.ok()) return outcome.status();
  report_.results = std::move(outcome->results);
  comparisons_ = std::move(outcome->comparisons);
  return absl::OkStatus();
}

void IoSuite::AddResults(const PeerJob& job, const std::vector<PeerOutcome>& outcomes,
                         const std::vector<Comparison>& comparisons) {
  static constexpr std::pair<const char*, double PeerOutcome::*> kMetrics[] = {
      {"bytes_per_s", &PeerOutcome::bytes_per_s},
      {"iops", &PeerOutcome::iops},
      {"p50_us", &PeerOutcome::p50_us},
      {"p99_us", &PeerOutcome::p99_us},
      {"p999_us", &PeerOutcome::p999_us},
      {"max_us", &PeerOutcome::max_us},
      {"cpu_us_per_op", &PeerOutcome::cpu_us_per_op}};
  std::map<std::string, nlohmann::json> parameters = {{"block_size_bytes", job.block_size_bytes},
                                                      {"depth", job.depth},
                                                      {"shards", job.shards},
                                                      {"duration_s", job.duration_s},
                                                      {"seed", options_.seed},
                                                      {"verify", options_.verify}};
  if (NeedsFile(job.workload)) parameters["size_bytes"] = job.size_bytes;
  for (const auto& [name, value] : kMetrics) {
    std::vector<double> values;
    for (const PeerOutcome& outcome : outcomes) values.push_back(outcome.*value);
    Result result =
        MakeResult("io", std::string(WorkloadName(job.workload)), parameters, name, values);
    for (const Comparison& comparison : comparisons) {
      if (comparison.metric == name && comparison.estimate.triples > 0) {
        result.ratios[comparison.peer] = comparison.estimate.median;
      }
    }
    report_.results.push_back(std::move(result));
  }
}

constexpr const char* kHelp =
    "usage: ioengine-bench [io] [flags]\n"
    "Measures sequential and random reads and writes through a shard of the library.\n"
    "It makes a file, and removes it; --file and block devices are for those who want that.\n\n";

}  // namespace

int RunIoSuite(int argc, char** argv) {
  IoOptions options;
  FlagSet flags;
  options.AddTo(flags);
  return RunSuite(
      flags, kHelp, argc, argv, [&] { return options.Validate(); },
      [&](const std::atomic<bool>& cancelled) { return IoSuite(options, cancelled).Run(); });
}

}  // namespace ioengine::bench
