// What the user asked of the `io` suite.
#ifndef IOENGINE_TOOLS_BENCHMARK_IO_OPTIONS_H_
#define IOENGINE_TOOLS_BENCHMARK_IO_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/engine/runtime_options.h"
#include "ioengine/numa/placement.h"
#include "ioengine/tools/benchmark/flags.h"
#include "ioengine/tools/benchmark/target_file.h"
#include "ioengine/tools/benchmark/workload.h"

namespace ioengine::bench {

struct IoOptions {
  TargetRequest target;
  bool dir_given = false;
  std::vector<Workload> workloads = {Workload::kSeqRead, Workload::kSeqWrite, Workload::kRandRead,
                                     Workload::kRandWrite};
  uint64_t block_size_bytes = 0;  // 0: BlockSize() chooses by workload
  int64_t depth = 0;              // 0: Depth() chooses by workload
  int64_t shards = 1;
  PlacementSpec placement{.policy = PlacementPolicy::kPack, .custom_cpus = {}};
  double duration_s = 5;
  int64_t repetitions = 1;
  int64_t idle_spin_us = RuntimeOptions().idle_spin_us;
  int64_t seed = 1;
  BackendChoice backend = BackendChoice::kAuto;
  bool verify = false;
  std::string json_path;
  bool compare_fio = false;
  bool compare_raw = false;
  double slice_s = 1;  // of a comparison
  // Instead of the workloads: what classes do to each other (see io_classes.h).
  bool class_test = false;

  bool compares() const { return compare_fio || compare_raw; }
  bool writes() const;
  bool needs_file() const;

  // Of a workload, with the defaults filled in: 1 MiB and 8 in flight for sequential ones, 4 KiB
  // and 64 for random ones, 4 KiB and 1 for syncwrite.
  uint64_t BlockSize(Workload workload) const;
  int Depth(Workload workload) const;

  // Adds the suite's flags. Borrows this.
  void AddTo(FlagSet& flags);

  // Errors: InvalidArgument names the flag, or the two that do not go together.
  absl::Status Validate() const;

 private:
  absl::Status ValidateClassTest() const;

  bool workloads_given_ = false;
};

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_IO_OPTIONS_H_
