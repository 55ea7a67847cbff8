// ioengine-bench SUITE [flags]: what the library does on this machine.

#include <cstdio>
#include <string_view>

#include "ioengine/tools/benchmark/io_suite.h"
#include "ioengine/tools/benchmark/probe_suite.h"
#include "ioengine/tools/benchmark/sched_suite.h"
#include "ioengine/tools/benchmark/store_suite.h"
#include "ioengine/tools/kv/kv_suite.h"
#include "ioengine/version.h"

namespace {

constexpr const char* kHelp =
    "usage: ioengine-bench [SUITE] [flags]\n\n"
    "suites:\n"
    "  io        reads and writes of a file through a shard; the default\n"
    "  probe     what a device gives, for RuntimeOptions::device\n"
    "  sched     what tasks cost: switches, spawns, memory, shares, latency beside hogs\n"
    "  timer     sleeping tasks, and the timer wheel\n"
    "  mesh      calls between shards, and from other threads\n"
    "  store     puts, gets, scans and recovery of a store on one shard\n"
    "  kv        puts, gets and scans of a database over all shards\n"
    "  sim       how fast simulations go\n\n"
    "`ioengine-bench SUITE --help` lists a suite's flags, `--version` gives the version.\n";

}  // namespace

int main(int argc, char** argv) {
  const std::string_view first = argc > 1 ? argv[1] : "";
  if (first == "--version") {
    std::printf("ioengine-bench %s\n", ioengine::kVersion);
    return 0;
  }
  if (first == "help" || first == "suites") {
    std::fputs(kHelp, stdout);
    return 0;
  }
  // The first word names the suite; flags alone mean the default one.
  if (first.empty() || first.front() == '-') return ioengine::bench::RunIoSuite(argc, argv);
  if (first == "io") return ioengine::bench::RunIoSuite(argc - 1, argv + 1);
  if (first == "probe") return ioengine::bench::RunProbeSuite(argc - 1, argv + 1);
  if (first == "sched") return ioengine::bench::RunSchedSuite(argc - 1, argv + 1);
  if (first == "timer") return ioengine::bench::RunTimerSuite(argc - 1, argv + 1);
  if (first == "mesh") return ioengine::bench::RunMeshSuite(argc - 1, argv + 1);
  if (first == "store") return ioengine::bench::RunStoreSuite(argc - 1, argv + 1);
  if (first == "kv") return ioengine::kv::RunKvSuite(argc - 1, argv + 1);
  if (first == "sim") return ioengine::bench::RunSimSuite(argc - 1, argv + 1);
  std::fprintf(stderr, "ioengine-bench: there is no suite '%s'\n\n%s", argv[1], kHelp);
  return 2;
}
