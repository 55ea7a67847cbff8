// One measured figure, and the file that holds a run's figures. docs/METRICS.md describes the form.
#ifndef IOENGINE_TOOLS_BENCHMARK_RESULT_H_
#define IOENGINE_TOOLS_BENCHMARK_RESULT_H_

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/tools/benchmark/environment.h"

namespace ioengine::bench {

struct Result {
  std::string suite;                                 // "io"
  std::string workload;                              // "randread"
  std::map<std::string, nlohmann::json> parameters;  // "depth" -> 64; numbers, strings or booleans
  std::string metric;                                // one of metrics.h
  double value = 0;                                  // the median over the repetitions
  std::string unit;                                  // as metrics.h has it
  double min = 0;
  double max = 0;
  int repetitions = 1;
  std::map<std::string, double> ratios;  // peer -> ours / peer's, for example "fio" -> 1.01
};

struct Report {
  Environment environment;
  std::vector<Result> results;
};

// A Result of `metric` with its unit from the table and value, min and max from `values`, one per
// repetition: the median (of an even number, the mean of the middle two), the least, the greatest.
// `values` must not be empty. An unknown metric keeps an empty unit, and CheckResult refuses it.
Result MakeResult(const std::string& suite, const std::string& workload,
                  const std::map<std::string, nlohmann::json>& parameters,
                  const std::string& metric, std::vector<double> values);

// Errors: InvalidArgument names the result and what is wrong with it: a metric that is not in the
// table or has another unit there, a number that is not finite, a value outside [min, max], no
// repetition, an empty workload.
absl::Status CheckResult(const Result& result);

// {"environment": …, "results": […]}.
nlohmann::json ToJson(const Report& report);

// Whether WriteReport could write to `path`, as far as can be told without touching it. Errors: the
// system's, with the name of the file or its folder.
absl::Status CheckWritable(const std::string& path);

// Writes the report to `path` through a temporary file beside it and a rename, so that a reader
// sees the old file or the whole new one. What is not a regular file (a pipe, /dev/stdout) is
// written into. Errors: InvalidArgument of the first bad result, before anything is written;
// otherwise the system's error with the file's name. The temporary file is removed then.
absl::Status WriteReport(const Report& report, const std::string& path);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_RESULT_H_
