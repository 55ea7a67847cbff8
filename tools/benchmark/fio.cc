#include "ioengine/tools/benchmark/fio.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/tools/benchmark/subprocess.h"

namespace ioengine::bench {
namespace {

using nlohmann::json;

// From here on the device is busy with each operation for so long that batches hardly matter.
constexpr uint64_t kLargeBlockBytes = 64 << 10;

// What fio needs beside the job's duration: threads, buffers, statistics.
constexpr double kSpareSeconds = 30;

// Large mallocs get transparent huge pages. fio's own --mem=mmaphuge and shmhuge need pages that
// the administrator has set aside, and fail without.
std::pair<std::string, std::string> HugePages() {
  return {"GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"};
}

std::string FioPattern(Workload workload) {
  switch (workload) {
    case Workload::kSeqRead:
      return "read";
    case Workload::kSeqWrite:
    case Workload::kSyncWrite:
      return "write";
    case Workload::kRandRead:
      return "randread";
    case Workload::kRandWrite:
      return "randwrite";
    case Workload::kMixed:
      return "randrw";
    case Workload::kNull:
      break;
  }
  return "";
}

std::string JoinCpus(const std::vector<int>& cpus) {
  std::string joined;
  for (const int cpu : cpus) {
    if (!joined.empty()) joined += ',';
    joined += std::to_string(cpu);
  }
  return joined;
}

std::string ShellText(const std::vector<std::string>& argv) {
  const auto [variable, value] = HugePages();
  std::string text = variable + "=" + value;
  for (const std::string& argument : argv) {
    text += ' ';
    if (argument.find_first_of(" '\"\\$&;|<>()*?") == std::string::npos) {
      text += argument;
      continue;
    }
    text += '\'';
    for (const char c : argument) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    text += '\'';
  }
  return text;
}

// fio's message, not its usage text: the first lines are enough to act on.
std::string FirstLines(const std::string& text) {
  const size_t second = text.find('\n', text.find('\n') + 1);
  std::string lines = text.substr(0, std::min<size_t>(second, 400));
  std::replace(lines.begin(), lines.end(), '\n', ' ');
  return lines;
}

// fio would fill a file that is too small; what we measure is overwriting.
absl::Status CheckFile(const PeerJob& job) {
  struct stat file;
  if (stat(job.path.c_str(), &file) != 0) return absl::ErrnoToStatus(errno, job.path);
  if (S_ISREG(file.st_mode) && static_cast<uint64_t>(file.st_size) < job.size_bytes) {
    return absl::InvalidArgumentError(job.path + " holds " + std::to_string(file.st_size) +
                                      " bytes, fewer than the " + std::to_string(job.size_bytes) +
                                      " that fio shall use; write the file first");
  }
  return absl::OkStatus();
}

double Microseconds(double ns) { return ns / 1000; }

// The figures of an object whose form is known to be right; throws json::exception otherwise.
PeerOutcome ReadOutcome(const json& job) {
  const json& io = job.at("mixed");
  const json& latency = io.at("lat_ns");
  const json& percentiles = latency.at("percentile");
  PeerOutcome outcome;
  outcome.iops = io.at("iops").get<double>();
  outcome.bytes_per_s = io.at("bw_bytes").get<double>();
  outcome.p50_us = Microseconds(percentiles.at("50.000000").get<double>());
  outcome.p99_us = Microseconds(percentiles.at("99.000000").get<double>());
  outcome.p999_us = Microseconds(percentiles.at("99.900000").get<double>());
  outcome.max_us = Microseconds(latency.at("max").get<double>());
  // The shares are of the run times of all threads together.
  const double cpu_share =
      (job.at("usr_cpu").get<double>() + job.at("sys_cpu").get<double>()) / 100;
  const double run_us = job.at("job_runtime").get<double>() * 1000;
  outcome.cpu_us_per_op = cpu_share * run_us / io.at("total_ios").get<double>();
  return outcome;
}

}  // namespace

std::string_view FioVariantName(FioVariant variant) {
  return variant == FioVariant::kBatched ? "batched" : "one by one";
}

std::vector<FioVariant> FioVariants(const PeerJob& job) {
  if (job.depth == 1) return {FioVariant::kOneByOne};
  if (job.block_size_bytes >= kLargeBlockBytes) {
    return {FioVariant::kOneByOne, FioVariant::kBatched};
  }
  return {FioVariant::kBatched, FioVariant::kOneByOne};
}

std::vector<std::string> FioCommand(const PeerJob& job, FioVariant variant) {
  const uint64_t region = ShardRegion(job, 0).size_bytes;
  // The path may hold a colon, which fio takes for the end of a name.
  std::string path;
  for (const char c : job.path) path += c == ':' ? std::string("\\:") : std::string(1, c);

  std::vector<std::string> argv = {
      "fio",
      "--name=ioengine-bench",
      "--filename=" + path,
      "--rw=" + FioPattern(job.workload),
      "--bs=" + std::to_string(job.block_size_bytes),
      "--iodepth=" + std::to_string(job.depth),
      "--numjobs=" + std::to_string(job.shards),
      "--size=" + std::to_string(region),
      "--offset_increment=" + std::to_string(region),
      "--runtime=" + std::to_string(std::llround(job.duration_s * 1000)) + "ms",
      "--time_based",
      // The engine, with all that makes it fast.
      "--ioengine=io_uring",
      job.direct ? "--direct=1" : "--direct=0",
      "--hipri=0",
      "--fixedbufs",
      "--registerfiles",
      "--iomem_align=2m",
      "--thread",
      // Nothing but the I/O: no map of blocks seen, no change of the data, one clock reading less.
      "--norandommap",
      "--randrepeat=0",
      "--randseed=" + std::to_string(job.seed),
      "--scramble_buffers=0",
      "--disable_clat=1",
      "--disable_slat=1",
      "--lat_percentiles=1",
      "--clat_percentiles=0",
      "--percentile_list=50:99:99.9",
      // The file is there, and stays as long as it is.
      "--allow_file_create=0",
      "--fallocate=none",
      "--overwrite=1",
      "--group_reporting",
      "--unified_rw_reporting=mixed",
      "--eta=never",
      "--output-format=json",
  };
  if (variant == FioVariant::kBatched) {
    argv.push_back("--iodepth_batch_submit=" + std::to_string(std::max(1, job.depth / 8)));
    argv.push_back("--iodepth_batch_complete_max=" + std::to_string(job.depth));
  }
  if (job.workload == Workload::kMixed) {
    argv.push_back("--rwmixread=" + std::to_string(std::lround(kMixedReadShare * 100)));
  }
  if (job.workload == Workload::kSyncWrite) argv.push_back("--sync=dsync");
  if (!job.cpus.empty()) {
    argv.push_back("--cpus_allowed=" + JoinCpus(job.cpus));
    argv.push_back("--cpus_allowed_policy=split");
  }
  return argv;
}

absl::StatusOr<PeerOutcome> ParseFioOutput(std::string_view output) {
  const size_t start = output.find('{');
  if (start == std::string_view::npos) return absl::InternalError("fio printed no JSON");
  const json parsed = json::parse(output.substr(start), nullptr, false);
  if (parsed.is_discarded()) return absl::InternalError("fio's JSON does not parse");
  try {
    const json& job = parsed.at("jobs").at(0);
    if (const int error = job.at("error").get<int>(); error != 0) {
      return absl::InternalError("fio's job failed: " +
                                 std::string(absl::ErrnoToStatus(error, "I/O").message()));
    }
    if (job.at("mixed").at("total_ios").get<uint64_t>() == 0) {
      return absl::InternalError("fio did no I/O");
    }
    return ReadOutcome(job);
  } catch (const json::exception& missing) {
    return absl::InternalError(std::string("fio's JSON is not as expected: ") + missing.what());
  }
}

absl::StatusOr<PeerOutcome> RunFio(const PeerJob& job, FioVariant variant,
                                   const std::atomic<bool>& cancelled) {
  if (job.workload == Workload::kNull) {
    return absl::UnimplementedError("fio has no workload like 'null'; compare it with raw");
  }
  if (absl::Status status = CheckJob(job); !status.ok()) return status;
  if (absl::Status status = CheckFile(job); !status.ok()) return status;

  const std::vector<std::string> argv = FioCommand(job, variant);
  const absl::StatusOr<ProcessResult> result =
      RunProcess(argv, {HugePages()}, job.duration_s + kSpareSeconds, cancelled);
  if (absl::IsNotFound(result.status())) {
    return absl::NotFoundError(
        "fio is not installed; apt-get install fio, or leave out --compare=fio");
  }
  if (!result.ok()) return result.status();
  if (result->exit_status != 0) {
    return absl::InternalError(
        "fio ended with status " + std::to_string(result->exit_status) + ": " +
        FirstLines(result->errors.empty() ? result->output : result->errors) + " (" +
        ShellText(argv) + ")");
  }
  absl::StatusOr<PeerOutcome> outcome = ParseFioOutput(result->output);
  if (!outcome.ok()) {
    return absl::Status(outcome.status().code(),
                        std::string(outcome.status().message()) + " (" + ShellText(argv) + ")");
  }
  outcome->command = ShellText(argv);
  return outcome;
}

}  // namespace ioengine::bench
