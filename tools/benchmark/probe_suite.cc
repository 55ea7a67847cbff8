#include "ioengine/tools/benchmark/probe_suite.h"

#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ioengine/engine/runtime.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/tools/benchmark/environment.h"
#include "ioengine/tools/benchmark/flags.h"
#include "ioengine/tools/benchmark/io_runner.h"
#include "ioengine/tools/benchmark/probe_result.h"
#include "ioengine/tools/benchmark/probe_sync.h"
#include "ioengine/tools/benchmark/progress.h"
#include "ioengine/tools/benchmark/result.h"
#include "ioengine/tools/benchmark/suite_main.h"
#include "ioengine/tools/benchmark/target_file.h"

namespace ioengine::bench {
namespace {

constexpr std::array<int, 5> kDepths = {1, 4, 16, 64, 256};
constexpr std::array<uint64_t, 3> kBlocks = {uint64_t{64} << 10, uint64_t{256} << 10,
                                             uint64_t{1} << 20};
constexpr uint64_t kSyncFileBytes = uint64_t{64} << 20;
constexpr std::array<std::pair<const char*, SyncKind>, 4> kSyncs = {{
    {"dsync_written", SyncKind::kDsyncWritten},
    {"dsync_preallocated", SyncKind::kDsyncPreallocated},
    {"dsync_extending", SyncKind::kDsyncExtending},
    {"fdatasync_written", SyncKind::kFdatasync},
}};

struct ProbeOptions {
  TargetRequest target;
  std::string json_path;
  double slice_s = 0.8;  // of each figure
};

Task<absl::StatusOr<FileStat>> StatFile(Shard& shard, std::string path) {
  auto file = co_await DmaFile::Open(shard.io(), std::move(path), {});
  if (!file.ok()) co_return file.status();
  auto stat = co_await file->Stat();
  absl::Status closed = co_await file->Close();
  if (!closed.ok()) co_return closed;
  co_return stat;
}

class Probe {
 public:
  Probe(const ProbeOptions& options, const std::atomic<bool>& cancelled)
      : options_(options), cancelled_(cancelled) {}

  absl::Status Run();

 private:
  absl::Status Prepare();
  absl::Status Measure();
  absl::StatusOr<PeerOutcome> Rate(Workload workload, uint64_t block_size_bytes, int depth);
  absl::Status MeasureRates();
  absl::Status MeasureSyncs();
  absl::Status WriteJson() const;

  const ProbeOptions& options_;
  const std::atomic<bool>& cancelled_;
  std::optional<TargetFile> target_;
  std::unique_ptr<Runtime> runtime_;
  std::optional<IoRunner> runner_;
  ProbeResult result_;
};

absl::Status Probe::Run() {
  absl::Status status = Prepare();
  if (!status.ok()) return status;
  std::fputs(FormatEnvironment(ReadEnvironment(target_->path())).c_str(), stdout);
  std::fflush(stdout);
  {
    Progress progress([this] { return runner_->ProgressLine(); });
    status = Measure();
  }
  if (!status.ok()) return status;
  std::printf("\n%s", FormatProbe(result_).c_str());
  if (!options_.json_path.empty()) status = WriteJson();
  status.Update(target_->Remove());
  return status;
}

absl::Status Probe::Prepare() {
  if (!options_.json_path.empty()) {
    if (absl::Status status = CheckWritable(options_.json_path); !status.ok()) return status;
  }
  absl::StatusOr<TargetFile> target = TargetFile::Open(options_.target);
  if (!target.ok()) return target.status();
  target_.emplace(*std::move(target));
  RuntimeOptions runtime_options;
  runtime_options.placement.policy = PlacementPolicy::kPack;
  absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Start(runtime_options);
  if (!runtime.ok()) return runtime.status();
  runtime_ = *std::move(runtime);
  runner_.emplace(*runtime_, cancelled_);
  return absl::OkStatus();
}

absl::Status Probe::Measure() {
  absl::Status status = runner_->LayOut(target_->path(), target_->size_bytes(), 1);
  if (!status.ok()) return status;
  const absl::StatusOr<FileStat> stat = runtime_->Submit(0, StatFile, target_->path()).Wait();
  if (!stat.ok()) return stat.status();
  // TargetFile refuses what cannot be opened with it.
  result_.direct = true;
  result_.memory_alignment_bytes = stat->memory_alignment_bytes;
  result_.offset_alignment_bytes = stat->offset_alignment_bytes;
  struct stat info;
  if (::stat(target_->path().c_str(), &info) == 0) {
    result_.facts = ReadDeviceFacts(S_ISBLK(info.st_mode) ? info.st_rdev : info.st_dev);
  }
  status = MeasureRates();
  if (status.ok()) status = MeasureSyncs();
  return status;
}

absl::StatusOr<PeerOutcome> Probe::Rate(Workload workload, uint64_t block_size_bytes, int depth) {
  PeerJob job;
  job.workload = workload;
  job.path = target_->path();
  job.size_bytes = target_->size_bytes();
  job.block_size_bytes = block_size_bytes;
  job.depth = depth;
  job.duration_s = options_.slice_s;
  return runner_->Run(job, 1);
}

absl::Status Probe::MeasureRates() {
  for (const int depth : kDepths) {
    const absl::StatusOr<PeerOutcome> read = Rate(Workload::kRandRead, 4096, depth);
    if (!read.ok()) return read.status();
    const absl::StatusOr<PeerOutcome> write = Rate(Workload::kRandWrite, 4096, depth);
    if (!write.ok()) return write.status();
    result_.random.push_back({static_cast<uint64_t>(depth), read->iops, write->iops});
  }
  for (const uint64_t block : kBlocks) {
    const auto depth = static_cast<int>(result_.sequential_depth);
    const absl::StatusOr<PeerOutcome> read = Rate(Workload::kSeqRead, block, depth);
    if (!read.ok()) return read.status();
    const absl::StatusOr<PeerOutcome> write = Rate(Workload::kSeqWrite, block, depth);
    if (!write.ok()) return write.status();
    result_.sequential.push_back({block, read->bytes_per_s, write->bytes_per_s});
  }
  return absl::OkStatus();
}

absl::Status Probe::MeasureSyncs() {
  runner_->SetProgress("making 4 KiB durable");
  // A file of its own, beside the other, for what is about files that grow; none on a bare device.
  std::optional<TargetFile> growing;
  if (target_->kind() == TargetFile::Kind::kCreated) {
    TargetRequest request;
    request.directory = std::filesystem::path(target_->path()).parent_path().string();
    if (request.directory.empty()) request.directory.push_back('.');
    request.size_bytes = kSyncFileBytes;
    absl::StatusOr<TargetFile> made = TargetFile::Open(request);
    if (!made.ok()) return made.status();
    growing.emplace(*std::move(made));
  }
  for (const auto& [name, kind] : kSyncs) {
    const bool grows = kind == SyncKind::kDsyncPreallocated || kind == SyncKind::kDsyncExtending;
    if (grows && !growing.has_value()) continue;
    const std::string& path = grows ? growing->path() : target_->path();
    const uint64_t size_bytes = grows ? kSyncFileBytes : target_->size_bytes();
    absl::StatusOr<double> found =
        MeasureSync(path, kind, size_bytes, options_.slice_s, cancelled_);
    // Some file systems cannot reserve space.
    if (kind == SyncKind::kDsyncPreallocated && absl::IsUnimplemented(found.status())) continue;
    if (!found.ok()) return found.status();
    result_.sync_us.emplace_back(name, *found);
  }
  return growing.has_value() ? growing->Remove() : absl::OkStatus();
}

absl::Status Probe::WriteJson() const {
  std::ofstream file(options_.json_path, std::ios::trunc);
  file << ToJson(result_).dump(2) << '\n';
  file.close();
  if (file) return absl::OkStatus();
  return absl::UnknownError(absl::StrCat(options_.json_path, ": cannot be written"));
}

constexpr const char* kHelp =
    "usage: ioengine-bench probe [flags]\n"
    "Finds out in under a minute what a device gives. It makes a file, and removes it.\n"
    "A runtime takes what is written with --json: see RuntimeOptions::device.\n\n";

}  // namespace

int RunProbeSuite(int argc, char** argv) {
  ProbeOptions options;
  FlagSet flags;
  flags.AddString("dir", "DIR", "where to make the file (/var/tmp); not in memory",
                  &options.target.directory);
  flags.AddString("file", "PATH", "make this file; or the block device to probe",
                  &options.target.file);
  flags.AddSwitch("destroy-data", "overwrite the block device of --file",
                  &options.target.destroy_data);
  flags.AddBytes("size", "size of the file (1GiB)", &options.target.size_bytes);
  flags.AddSeconds("slice", "of each figure (0.8)", &options.slice_s);
  flags.AddString("json", "FILE", "write what was found there too", &options.json_path);
  const auto validate = [&] {
    if (flags.given("dir") && flags.given("file")) {
      return absl::InvalidArgumentError("--dir and --file: give the one or the other");
    }
    if (options.target.size_bytes < (uint64_t{1} << 20)) {
      return absl::InvalidArgumentError("--size: 1 MiB is the least");
    }
    return absl::OkStatus();
  };
  return RunSuite(flags, kHelp, argc, argv, validate, [&](const std::atomic<bool>& cancelled) {
    return Probe(options, cancelled).Run();
  });
}

}  // namespace ioengine::bench
