#include "ioengine/sched/stall.h"

namespace ioengine {

void StallDetector::Report(const std::string& class_name, uint64_t begin_ns, uint64_t end_ns) {
  StallReport report;
  report.class_name = class_name;
  report.duration_ns = end_ns - begin_ns;
  if (options_.report) options_.report(report);
}

}  // namespace ioengine
