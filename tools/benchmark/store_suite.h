// `ioengine-bench store`: what a store does on one shard.
#ifndef IOENGINE_TOOLS_BENCHMARK_STORE_SUITE_H_
#define IOENGINE_TOOLS_BENCHMARK_STORE_SUITE_H_

namespace ioengine::bench {

// As main: exit status. argv[0] is not looked at.
int RunStoreSuite(int argc, char** argv);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_STORE_SUITE_H_
