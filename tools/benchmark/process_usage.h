// What this process has used so far.
#ifndef IOENGINE_TOOLS_BENCHMARK_PROCESS_USAGE_H_
#define IOENGINE_TOOLS_BENCHMARK_PROCESS_USAGE_H_

#include <cstdint>
#include <string>

namespace ioengine::bench {

// CPU time of the process, with the kernel's threads for its I/O.
double ProcessCpuSeconds();
// Of a clock that goes on by itself.
double WallSeconds();

// As the kernel counts them: what went through the page cache counts when it was made dirty, or had
// to be read; what is lost in it again does not. 0 where /proc does not tell.
struct DeviceBytes {
  uint64_t read = 0;
  uint64_t written = 0;
};
DeviceBytes ProcessDeviceBytes();

// Memory of the process. 0 where /proc does not tell.
uint64_t ResidentBytes();

// What the files below a directory take of the disk.
uint64_t SpaceBytes(const std::string& directory);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_PROCESS_USAGE_H_
