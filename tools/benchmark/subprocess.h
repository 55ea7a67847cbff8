// Another program, run to its end.
#ifndef IOENGINE_TOOLS_BENCHMARK_SUBPROCESS_H_
#define IOENGINE_TOOLS_BENCHMARK_SUBPROCESS_H_

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace ioengine::bench {

struct ProcessResult {
  int exit_status = 0;  // as a shell gives it: 128 + n if signal n killed the program
  std::string output;   // of each stream at most 16 MiB; the rest is read and thrown away
  std::string errors;
};

// Runs argv[0] (looked up in PATH) without a shell, with nothing on its standard input and
// `environment` added to ours, and waits for its end. An exit status other than 0 is no error here.
// Blocks the calling thread.
//
// When `cancelled` becomes true, or after `timeout_s`, the program gets SIGTERM, and SIGKILL two
// seconds later; it is reaped in every case.
//
// Errors: NotFound if there is no such program; Cancelled; DeadlineExceeded; the system's error if
// it could not be started.
absl::StatusOr<ProcessResult> RunProcess(
    const std::vector<std::string>& argv,
    const std::vector<std::pair<std::string, std::string>>& environment, double timeout_s,
    const std::atomic<bool>& cancelled);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_SUBPROCESS_H_
