// The suite `probe`: what a device gives, found out in under a minute.
#ifndef IOENGINE_TOOLS_BENCHMARK_PROBE_SUITE_H_
#define IOENGINE_TOOLS_BENCHMARK_PROBE_SUITE_H_

namespace ioengine::bench {

// Runs `ioengine-bench probe` with its flags (argv[0] is passed over). Prints what it found to
// stdout and errors to stderr. Returns the exit status, as RunIoSuite does.
int RunProbeSuite(int argc, char** argv);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_PROBE_SUITE_H_
