#include "ioengine/tools/benchmark/table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "ioengine/tools/benchmark/metrics.h"

namespace ioengine::bench {
namespace {

using nlohmann::json;
using Parameters = std::map<std::string, json>;

constexpr std::string_view kBytesSuffix = "_bytes";

void AppendCell(std::string_view text, int width, Table::Align align, std::string* line) {
  const std::string padding(static_cast<size_t>(std::max(0, width - DisplayWidth(text))), ' ');
  if (align == Table::Align::kRight) *line += padding;
  *line += text;
  if (align == Table::Align::kLeft) *line += padding;
}

void AppendLine(std::string line, std::string* out) {
  line.erase(line.find_last_not_of(' ') + 1);
  *out += line;
  *out += '\n';
}

std::string FormatParameter(const std::string& name, const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (name.ends_with(kBytesSuffix) && value.is_number_unsigned()) {
    return FormatBytes(value.get<uint64_t>());
  }
  if (name.ends_with(kBytesSuffix) && value.is_number_integer() && value.get<int64_t>() >= 0) {
    return FormatBytes(static_cast<uint64_t>(value.get<int64_t>()));
  }
  return value.dump();
}

// "block_size_bytes" -> "block size": the value carries the unit.
std::string ParameterLabel(std::string name) {
  if (name.ends_with(kBytesSuffix)) name.resize(name.size() - kBytesSuffix.size());
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

// One row of the table: what was run, and the results it gave.
struct Run {
  std::string workload;
  Parameters parameters;
  std::map<std::string, double> values;
};

std::vector<Run> GroupBySuite(std::span<const Result> results, const std::string& suite) {
  std::vector<Run> runs;
  for (const Result& result : results) {
    if (result.suite != suite) continue;
    auto run = std::find_if(runs.begin(), runs.end(), [&](const Run& known) {
      return known.workload == result.workload && known.parameters == result.parameters;
    });
    if (run == runs.end()) {
      run = runs.insert(runs.end(), Run{result.workload, result.parameters, {}});
    }
    run->values[result.metric] = result.value;
  }
  return runs;
}

bool SameInAll(const std::vector<Run>& runs, const std::string& name) {
  const auto first = runs.front().parameters.find(name);
  return std::all_of(runs.begin(), runs.end(), [&](const Run& run) {
    const auto found = run.parameters.find(name);
    return found != run.parameters.end() && first != runs.front().parameters.end() &&
           found->second == first->second;
  });
}

std::string FormatSuite(const std::string& suite, const std::vector<Run>& runs) {
  std::set<std::string> names;
  for (const Run& run : runs) {
    for (const auto& [name, value] : run.parameters) names.insert(name);
  }
  std::string heading = suite;
  std::vector<std::string> varying;
  for (const std::string& name : names) {
    if (SameInAll(runs, name)) {
      heading += (heading == suite ? ": " : ", ") + ParameterLabel(name) + " " +
                 FormatParameter(name, runs.front().parameters.at(name));
    } else {
      varying.push_back(name);
    }
  }

  std::vector<Table::Column> columns = {{"workload", Table::Align::kLeft}};
  for (const std::string& name : varying) columns.push_back({ParameterLabel(name)});
  std::vector<const Metric*> metrics;
  for (const Metric& metric : Metrics()) {
    const std::string name(metric.name);
    if (metric.suite != suite || std::none_of(runs.begin(), runs.end(), [&](const Run& run) {
          return run.values.contains(name);
        })) {
      continue;
    }
    metrics.push_back(&metric);
    columns.push_back({std::string(metric.column)});
  }

  Table table(std::move(columns));
  for (const Run& run : runs) {
    std::vector<std::string> cells = {run.workload};
    for (const std::string& name : varying) {
      const auto found = run.parameters.find(name);
      cells.push_back(found == run.parameters.end() ? "-" : FormatParameter(name, found->second));
    }
    for (const Metric* metric : metrics) {
      const auto found = run.values.find(std::string(metric->name));
      cells.push_back(
          found == run.values.end() ? "-" : FormatNumber(found->second / metric->column_divisor));
    }
    table.AddRow(std::move(cells));
  }
  return heading + "\n\n" + table.ToString();
}

}  // namespace

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

void Table::AddRow(std::vector<std::string> cells) {
  if (cells.size() > columns_.size()) {
    std::fprintf(stderr, "Table: a row of %zu cells for %zu columns\n", cells.size(),
                 columns_.size());
    std::abort();
  }
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::ToString() const {
  std::vector<int> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    int width = DisplayWidth(columns_[i].header);
    for (const auto& row : rows_) width = std::max(width, DisplayWidth(row[i]));
    widths.push_back(width);
  }
  std::string out, header, rule;
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (i > 0) header += "  ", rule += "  ";
    AppendCell(columns_[i].header, widths[i], columns_[i].align, &header);
    rule.append(static_cast<size_t>(widths[i]), '-');
  }
  AppendLine(std::move(header), &out);
  AppendLine(std::move(rule), &out);
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (i > 0) line += "  ";
      AppendCell(row[i], widths[i], columns_[i].align, &line);
    }
    AppendLine(std::move(line), &out);
  }
  return out;
}

std::string FormatResults(std::span<const Result> results) {
  std::string out;
  std::set<std::string> done;
  for (const Result& result : results) {
    if (!done.insert(result.suite).second) continue;
    if (!out.empty()) out += '\n';
    out += FormatSuite(result.suite, GroupBySuite(results, result.suite));
  }
  return out;
}

std::string FormatMetricRows(std::span<const Result> results) {
  Table table({{"workload", Table::Align::kLeft},
               {"parameters", Table::Align::kLeft},
               {"metric", Table::Align::kLeft},
               {"median"},
               {"min"},
               {"max"},
               {"÷ limit"}});
  for (const Result& result : results) {
    std::string parameters;
    for (const auto& [name, value] : result.parameters) {
      if (name == "duration_s") continue;  // the same for all
      parameters += (parameters.empty() ? "" : ", ") + ParameterLabel(name) + " " +
                    FormatParameter(name, value);
    }
    std::string ratios;
    for (const auto& [peer, ratio] : result.ratios) {
      ratios += (ratios.empty() ? "" : ", ") + FormatNumber(ratio) + " (" + peer + ")";
    }
    const Metric* const metric = FindMetric(result.suite, result.metric);
    const double divisor = metric == nullptr ? 1 : metric->column_divisor;
    table.AddRow({result.workload, parameters,
                  metric == nullptr ? result.metric : std::string(metric->column),
                  FormatNumber(result.value / divisor), FormatNumber(result.min / divisor),
                  FormatNumber(result.max / divisor), ratios});
  }
  return table.ToString();
}

std::string FormatNumber(double value) {
  if (!std::isfinite(value)) return "-";
  const double magnitude = std::fabs(value);
  // The thresholds are where rounding would add a digit: 99.96 is "100", not "100.0".
  const int decimals = magnitude >= 99.95 ? 0 : magnitude >= 9.995 ? 1 : magnitude == 0 ? 0 : 2;
  std::array<char, 400> text;
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

std::string FormatBytes(uint64_t bytes) {
  constexpr std::array<const char*, 7> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  size_t unit = 0;
  double value = static_cast<double>(bytes);
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 64> text;
  const double tenths = std::round(value * 10);
  const bool whole = std::fmod(tenths, 10) == 0;
  std::snprintf(text.data(), text.size(), "%.*f %s", whole ? 0 : 1, tenths / 10, kUnits[unit]);
  return text.data();
}

int DisplayWidth(std::string_view text) {
  // Bytes 10xxxxxx continue a character.
  return static_cast<int>(
      std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xC0) != 0x80; }));
}

}  // namespace ioengine::bench
