// The `io` suite: what the library's I/O path gives on a file, a block device, or /dev/null.
#ifndef IOENGINE_TOOLS_BENCHMARK_IO_SUITE_H_
#define IOENGINE_TOOLS_BENCHMARK_IO_SUITE_H_

namespace ioengine::bench {

// Runs `ioengine-bench io` with its flags (argv[0] is passed over). Prints the table to stdout and
// everything else to stderr. Returns the exit status: 0; 1 after an error, which was printed; 2 for
// bad flags; 128 + signal when interrupted.
int RunIoSuite(int argc, char** argv);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_IO_SUITE_H_
