// What the main functions of suites have in common.
#ifndef IOENGINE_TOOLS_BENCHMARK_SUITE_MAIN_H_
#define IOENGINE_TOOLS_BENCHMARK_SUITE_MAIN_H_

#include <atomic>
#include <functional>

#include "absl/status/status.h"
#include "ioengine/tools/benchmark/flags.h"

namespace ioengine::bench {

// Sets the targets of `flags`, which take no other words, from the command line, and calls
// `validate`, then `run` with a flag that Ctrl-C raises. Or prints `help` and the flags, if that is
// asked for. Gives the process's exit status, and says on stderr why it is not 0.
int RunSuite(FlagSet& flags, const char* help, int argc, char** argv,
             const std::function<absl::Status()>& validate,
             const std::function<absl::Status(const std::atomic<bool>& cancelled)>& run);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_SUITE_MAIN_H_
