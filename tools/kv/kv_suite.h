// The suite `kv`: puts, gets and scans of a database over all shards.
#ifndef IOENGINE_TOOLS_KV_KV_SUITE_H_
#define IOENGINE_TOOLS_KV_KV_SUITE_H_

#include <string>

namespace ioengine::kv {

// `ioengine-bench kv`: argv[0] is not looked at. Gives the process's exit status.
int RunKvSuite(int argc, char** argv);

// One line for each workload, for --help.
std::string WorkloadHelp();

}  // namespace ioengine::kv

#endif  // IOENGINE_TOOLS_KV_KV_SUITE_H_
