#include "ioengine/tools/benchmark/io_options.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace ioengine::bench {
namespace {

constexpr uint64_t kSectorBytes = 512;
constexpr uint64_t kMaxBlockBytes = uint64_t{64} << 20;
constexpr uint64_t kMaxPoolBytes = uint64_t{4} << 30;
constexpr uint64_t kClassTestLeastBytes = uint64_t{32} << 20;

absl::Status ParseCompare(std::string_view text, IoOptions* options) {
  for (absl::string_view peer : absl::StrSplit(absl::string_view(text.data(), text.size()), ',')) {
    if (peer == "fio") {
      options->compare_fio = true;
    } else if (peer == "raw") {
      options->compare_raw = true;
    } else {
      return absl::InvalidArgumentError("known peers: fio, raw (a bare io_uring loop)");
    }
  }
  return absl::OkStatus();
}

bool Verifies(Workload workload) {
  return workload == Workload::kSeqRead || workload == Workload::kRandRead ||
         workload == Workload::kMixed;
}

absl::Status ParseBackend(std::string_view text, BackendChoice* choice) {
  static constexpr std::pair<std::string_view, BackendChoice> kNames[] = {
      {"auto", BackendChoice::kAuto},
      {"uring", BackendChoice::kIoUring},
      {"threads", BackendChoice::kThreadPool}};
  for (const auto& [name, named] : kNames) {
    if (text != name) continue;
    *choice = named;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("known backends: auto, uring, threads");
}

}  // namespace

bool IoOptions::writes() const {
  return class_test || std::any_of(workloads.begin(), workloads.end(), Writes);
}

bool IoOptions::needs_file() const {
  return class_test || std::any_of(workloads.begin(), workloads.end(), NeedsFile);
}

uint64_t IoOptions::BlockSize(Workload workload) const {
  if (block_size_bytes != 0) return block_size_bytes;
  const bool sequential = workload == Workload::kSeqRead || workload == Workload::kSeqWrite;
  return sequential ? uint64_t{1} << 20 : 4096;
}

int IoOptions::Depth(Workload workload) const {
  if (depth != 0) return static_cast<int>(depth);
  switch (workload) {
    case Workload::kSeqRead:
    case Workload::kSeqWrite:
      return 8;
    case Workload::kSyncWrite:
      return 1;
    default:
      return 64;
  }
}

void IoOptions::AddTo(FlagSet& flags) {
  flags.Add("dir", "DIR", "where to make the file (/var/tmp); not in memory",
            [this](std::string_view text) {
              target.directory = std::string(text);
              dir_given = true;
              return absl::OkStatus();
            });
  flags.AddString("file", "PATH",
                  "use this file: it must not exist, or all workloads only read;\n"
                  "or this block device",
                  &target.file);
  flags.AddSwitch("destroy-data", "overwrite the block device of --file", &target.destroy_data);
  flags.AddBytes("size", "size of the file (1GiB)", &target.size_bytes);
  flags.Add("workloads", "LIST",
            "seqread,seqwrite,randread,randwrite,mixed,syncwrite,null\n"
            "(seqread,seqwrite,randread,randwrite)",
            [this](std::string_view text) {
              absl::StatusOr<std::vector<Workload>> parsed = ParseWorkloads(text);
              if (parsed.ok()) workloads = *std::move(parsed);
              workloads_given_ = true;
              return parsed.status();
            });
  flags.AddBytes("block-size", "bytes per operation (1MiB for seq*, else 4KiB)", &block_size_bytes);
  flags.AddInteger("depth", "operations in flight per shard (8 for seq*, 1 for syncwrite, else 64)",
                   1, 4096, &depth);
  flags.AddInteger("shards", "shards, each a thread (1)", 1, 1024, &shards);
  flags.Add("placement", "HOW", "unbound, pack, spread, or a list of CPUs such as 0,2-3 (pack)",
            [this](std::string_view text) { return Assign(ParsePlacement(text), &placement); });
  flags.AddSeconds("duration",
                   "of one repetition of one workload (5); see --slice for\n"
                   "comparisons",
                   &duration_s);
  flags.AddInteger("repetitions", "of each workload; the table gives medians (1)", 1, 1000,
                   &repetitions);
  flags.AddInteger("idle-spin-us", "how long an idle shard spins before it sleeps (0)", 0, 1000000,
                   &idle_spin_us);
  flags.AddInteger("seed", "of offsets and contents (1)", 0, INT64_MAX, &seed);
  flags.AddSwitch("verify", "write stamped blocks, and check every block that is read", &verify);
  flags.Add("backend", "NAME",
            "uring, threads (plain system calls), or auto: uring where it\n"
            "is to be had (auto)",
            [this](std::string_view text) { return ParseBackend(text, &backend); });
  flags.Add("compare", "PEERS", "fio, raw (a bare io_uring loop), or both: alternate with them",
            [this](std::string_view text) { return ParseCompare(text, this); });
  flags.AddSeconds("slice", "of one turn in a comparison or of --class-test (1)", &slice_s);
  flags.AddSwitch("class-test",
                  "instead of the workloads: random reads beside a background at\n"
                  "full rate, and two classes that share the disk",
                  &class_test);
  flags.AddString("json", "FILE", "write the results there too", &json_path);
}

absl::Status IoOptions::ValidateClassTest() const {
  if (workloads_given_ || block_size_bytes != 0 || depth != 0 || compares()) {
    return absl::InvalidArgumentError(
        "--class-test has its own workloads: it does not go together with --workloads, "
        "--block-size, --depth and --compare");
  }
  if (target.size_bytes / static_cast<uint64_t>(shards) < kClassTestLeastBytes) {
    return absl::InvalidArgumentError(absl::StrCat("--size=", target.size_bytes,
                                                   ": --class-test needs ", kClassTestLeastBytes,
                                                   " bytes for each shard"));
  }
  return absl::OkStatus();
}

absl::Status IoOptions::Validate() const {
  if (class_test) {
    if (absl::Status status = ValidateClassTest(); !status.ok()) return status;
  }
  if (block_size_bytes % kSectorBytes != 0 || block_size_bytes > kMaxBlockBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("--block-size=", block_size_bytes, ": give a multiple of 512 up to 64MiB"));
  }
  if (target.size_bytes % 4096 != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--size=", target.size_bytes, ": give a multiple of 4096"));
  }
  for (const Workload workload : workloads) {
    if (NeedsFile(workload) &&
        target.size_bytes / static_cast<uint64_t>(shards) < BlockSize(workload)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--size=", target.size_bytes, ": too small for ", shards,
                       " shards with blocks of ", BlockSize(workload), " bytes"));
    }
    const uint64_t pool =
        static_cast<uint64_t>(Depth(workload)) * std::bit_ceil(BlockSize(workload));
    if (pool > kMaxPoolBytes) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--depth and --block-size: ", pool, " bytes of buffers per shard; 4GiB is the most"));
    }
  }
  if (verify && compares()) {
    return absl::InvalidArgumentError(
        "--verify and --compare do not go together: the peer overwrites the stamps");
  }
  if (verify && std::none_of(workloads.begin(), workloads.end(), Verifies)) {
    return absl::InvalidArgumentError(
        "--verify: none of the workloads reads a block back; add seqread, randread or mixed");
  }
  const bool file_workload = needs_file();
  if (!target.file.empty() && dir_given) {
    return absl::InvalidArgumentError("--dir and --file: give the one or the other");
  }
  if (compare_fio && !file_workload) {
    return absl::InvalidArgumentError(
        "--compare=fio: fio has nothing like the workload null; use --compare=raw");
  }
  return absl::OkStatus();
}

}  // namespace ioengine::bench
