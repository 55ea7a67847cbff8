#include "ioengine/tools/benchmark/comparison.h"

#include <array>
#include <cstdio>
#include <span>
#include <string>
#include <utility>

#include "ioengine/tools/benchmark/table.h"

namespace ioengine::bench {
namespace {

// Ratios are near 1 and decided by hundredths.
std::string Ratio(double ratio) {
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%.3f", ratio);
  return text.data();
}

}  // namespace

std::string FormatComparisons(std::span<const Comparison> comparisons) {
  if (comparisons.empty()) return "";
  using Align = Table::Align;
  Table table({{"workload", Align::kLeft},
               {"metric", Align::kLeft},
               {"peer", Align::kLeft},
               {"ratio"},
               {"95 % interval"},
               {"triples"},
               {"dropped"},
               {"target"},
               {"verdict", Align::kLeft}});
  for (const Comparison& row : comparisons) {
    const RatioEstimate& found = row.estimate;
    table.AddRow({row.workload, row.metric, row.peer, found.triples > 0 ? Ratio(found.median) : "-",
                  found.has_interval ? Ratio(found.low) + "–" + Ratio(found.high) : "-",
                  std::to_string(found.triples), std::to_string(found.dropped),
                  row.target.has_value() ? Ratio(*row.target) : "-",
                  row.target.has_value() ? VerdictName(row.verdict) : "-"});
  }
  return table.ToString();
}

std::string VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOpen:
      return "open";
    case Verdict::kMet:
      return "met";
    case Verdict::kMissed:
      return "missed";
    case Verdict::kTooNoisy:
      return "too noisy";
  }
  return "unknown";
}

}  // namespace ioengine::bench
