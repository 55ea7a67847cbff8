// The one table of what the benchmarks measure. A name that is not in it cannot be reported, and
// docs/METRICS.md says the same in prose: a test holds the two together.
#ifndef IOENGINE_TOOLS_BENCHMARK_METRICS_H_
#define IOENGINE_TOOLS_BENCHMARK_METRICS_H_

#include <span>
#include <string_view>

namespace ioengine::bench {

enum class Better { kHigher, kLower };

struct Metric {
  std::string_view suite;
  std::string_view name;  // unique within its suite; ends in its unit where it has one
  std::string_view unit;  // of the value in the JSON: "1/s", "B/s", "us"
  Better better;
  std::string_view meaning;

  // How the text table prints it: the head of the column, and what a value is divided by.
  std::string_view column;
  double column_divisor;
};

// Every metric, suite by suite, in the order of the text table's columns.
std::span<const Metric> Metrics();

// nullptr if there is no such metric.
const Metric* FindMetric(std::string_view suite, std::string_view name);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_METRICS_H_
