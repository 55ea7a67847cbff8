#include "ioengine/tools/benchmark/exit_status.h"

#include <cerrno>
#include <cstdio>
#include <string>

namespace ioengine::bench {
namespace {

void Print(const absl::Status& status) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name,
               std::string(status.message()).c_str());
}

}  // namespace

int ReportExitStatus(const absl::Status& status, const CancelOnSignal& cancel) {
  if (cancel.signal() != 0) {
    std::fprintf(stderr, "%s: interrupted\n", program_invocation_short_name);
    return 128 + cancel.signal();
  }
  if (status.ok()) return 0;
  Print(status);
  return 1;
}

int ReportBadUsage(const absl::Status& status) {
  Print(status);
  return 2;
}

}  // namespace ioengine::bench
