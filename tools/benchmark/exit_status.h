// How a suite ends.
#ifndef IOENGINE_TOOLS_BENCHMARK_EXIT_STATUS_H_
#define IOENGINE_TOOLS_BENCHMARK_EXIT_STATUS_H_

#include "absl/status/status.h"
#include "ioengine/tools/benchmark/cancel_on_signal.h"

namespace ioengine::bench {

// Says on stderr why a run did not succeed, if it did not, and gives the process's exit status: 0,
// 1, or 128 + the signal that interrupted it.
int ReportExitStatus(const absl::Status& status, const CancelOnSignal& cancel);

// The same for a command line that cannot be understood: 2.
int ReportBadUsage(const absl::Status& status);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_EXIT_STATUS_H_
