// A suite of named workloads that run on a shard and need no disk: the frame of `sched`,
// `timer` and `mesh`.
#ifndef IOENGINE_TOOLS_BENCHMARK_WORKLOAD_SUITE_H_
#define IOENGINE_TOOLS_BENCHMARK_WORKLOAD_SUITE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ioengine/numa/placement.h"

namespace ioengine::bench {

// What each workload of a run is given.
struct SuiteJob {
  double duration_s = 2;
  PlacementSpec placement = {};
  uint64_t idle_spin_us = 0;
  uint64_t seed = 1;
  const std::atomic<bool>* cancelled = nullptr;
};

struct Measurement {
  std::string metric;                    // of metrics.h
  double value = 0;                      // in the metric's unit
  std::map<std::string, double> ratios;  // "bare" → value ÷ the bare limit's, measured beside it
};

using WorkloadFunction = std::function<absl::StatusOr<std::vector<Measurement>>(const SuiteJob&)>;

struct SuiteWorkload {
  std::string name;
  std::string help;
  std::map<std::string, nlohmann::json> parameters;
  WorkloadFunction run;
};

struct WorkloadSuite {
  std::string name;
  std::string help;
  std::vector<SuiteWorkload> workloads;  // several may have one name, with other parameters
};

// Runs the suite with the flags of the command line (argv[0] is not looked at) and prints its
// table. Returns the process's exit status.
int RunWorkloadSuite(const WorkloadSuite& suite, int argc, char** argv);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_WORKLOAD_SUITE_H_
