#include "ioengine/tools/benchmark/metrics.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ioengine/tests/tools/temporary_directory.h"

namespace ioengine::bench {
namespace {

// "| a | b |" -> {"a", "b"}
std::vector<std::string> Cells(std::string_view row) {
  std::vector<std::string> cells;
  row.remove_prefix(1);
  for (size_t bar = row.find('|'); bar != std::string_view::npos; bar = row.find('|')) {
    std::string_view cell = row.substr(0, bar);
    while (cell.starts_with(' ')) cell.remove_prefix(1);
    while (cell.ends_with(' ')) cell.remove_suffix(1);
    cells.emplace_back(cell);
    row.remove_prefix(bar + 1);
  }
  return cells;
}

// The rows of every table in the document whose columns are those of a metric.
std::set<std::vector<std::string>> DocumentedMetrics(const std::string& document) {
  const std::vector<std::string> header = {"suite", "metric", "unit", "better", "meaning"};
  std::set<std::vector<std::string>> rows;
  bool in_table = false;
  size_t start = 0;
  while (start < document.size()) {
    const size_t end = document.find('\n', start);
    const std::string line = document.substr(start, end - start);
    start = end == std::string::npos ? document.size() : end + 1;
    if (!line.starts_with("|")) {
      in_table = false;
    } else if (Cells(line) == header) {
      in_table = true;
    } else if (in_table && !line.starts_with("| ---")) {
      EXPECT_TRUE(rows.insert(Cells(line)).second) << "twice: " << line;
    }
  }
  return rows;
}

TEST(MetricsTest, DocumentAndCodeHoldTheSameTable) {
  const std::string document = ReadFile("docs/METRICS.md");
  ASSERT_FALSE(document.empty()) << "run from the root of the repository";
  std::set<std::vector<std::string>> in_code;
  for (const Metric& metric : Metrics()) {
    in_code.insert({std::string(metric.suite), std::string(metric.name), std::string(metric.unit),
                    metric.better == Better::kHigher ? "higher" : "lower",
                    std::string(metric.meaning)});
  }
  const std::set<std::vector<std::string>> in_document = DocumentedMetrics(document);
  for (const auto& row : in_code) {
    EXPECT_TRUE(in_document.contains(row)) << "docs/METRICS.md lacks or differs in " << row[1];
  }
  for (const auto& row : in_document) {
    EXPECT_TRUE(in_code.contains(row)) << "metrics.cc lacks or differs in " << row.at(1);
  }
}

TEST(MetricsTest, NamesAreUniqueWithinTheirSuite) {
  std::set<std::pair<std::string_view, std::string_view>> names;
  for (const Metric& metric : Metrics()) {
    EXPECT_TRUE(names.insert({metric.suite, metric.name}).second) << metric.name;
    EXPECT_GT(metric.column_divisor, 0) << metric.name;
    EXPECT_FALSE(metric.column.empty()) << metric.name;
  }
}

TEST(MetricsTest, FindsByBothNames) {
  const Metric* metric = FindMetric("io", "p99_us");
  ASSERT_NE(metric, nullptr);
  EXPECT_EQ(metric->unit, "us");
  EXPECT_EQ(metric->better, Better::kLower);
  EXPECT_EQ(FindMetric("io", "p99"), nullptr);
  EXPECT_EQ(FindMetric("nosuch", "p99_us"), nullptr);
}

}  // namespace
}  // namespace ioengine::bench
