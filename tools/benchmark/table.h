// Plain aligned text, for a terminal of 100 columns and for a log file.
#ifndef IOENGINE_TOOLS_BENCHMARK_TABLE_H_
#define IOENGINE_TOOLS_BENCHMARK_TABLE_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ioengine/tools/benchmark/result.h"

namespace ioengine::bench {

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string header;  // with the unit of the numbers below
    Align align = Align::kRight;
  };

  explicit Table(std::vector<Column> columns);

  // `cells` are UTF-8, one per column; missing ones at the end are empty, more are an error
  // (CHECK).
  void AddRow(std::vector<std::string> cells);

  bool empty() const { return rows_.empty(); }

  // Header, rule and rows, two spaces between columns, no space at the end of a line.
  std::string ToString() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// The results as one table per suite, in their order: a row for each workload and set of
// parameters, a column for each metric that occurs. Parameters that are the same in all rows are
// written above the table, the others are columns. A parameter whose name ends in "_bytes" is
// printed in binary units.
std::string FormatResults(std::span<const Result> results);

// The results as one table with a row for each metric: workload, its parameters, metric, value,
// least, greatest, and the ratio to each peer. For suites whose workloads have few metrics in
// common.
std::string FormatMetricRows(std::span<const Result> results);

// Three significant digits or more, never an exponent: "0.42", "17.3", "264916"; "-" if not finite.
std::string FormatNumber(double value);

// "512 B", "4 KiB", "1.5 GiB": the largest binary unit, one decimal where it is needed.
std::string FormatBytes(uint64_t bytes);

// How many columns UTF-8 text takes on a terminal, if every character takes one.
int DisplayWidth(std::string_view text);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_TABLE_H_
