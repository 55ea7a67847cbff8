// What `ioengine-bench probe` found, and the forms in which it is written.
#ifndef IOENGINE_TOOLS_BENCHMARK_PROBE_RESULT_H_
#define IOENGINE_TOOLS_BENCHMARK_PROBE_RESULT_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "ioengine/io/device_profile.h"
#include "ioengine/tools/benchmark/probe_device.h"

namespace ioengine::bench {

// Where 95 % of the best rate is reached.
inline constexpr double kUsefulPart = 0.95;

struct ProbeRate {
  uint64_t scale = 0;  // operations in flight, or bytes of a block; rising
  double read = 0;
  double write = 0;
};

struct ProbeResult {
  DeviceFacts facts;
  bool direct = false;  // O_DIRECT works
  // Of O_DIRECT; 0 where the kernel does not tell.
  uint32_t memory_alignment_bytes = 0;
  uint32_t offset_alignment_bytes = 0;
  uint64_t sequential_depth = 8;
  std::vector<ProbeRate> random;      // 4 KiB, by depth: operations per second
  std::vector<ProbeRate> sequential;  // by block size, sequential_depth of them: bytes per second
  std::vector<std::pair<std::string, double>> sync_us;  // "dsync_written" → µs
};

// The least scale at which reads (or writes) have kUsefulPart of their best rate. `rates` is not
// empty.
uint64_t UsefulScale(const std::vector<ProbeRate>& rates, double ProbeRate::*rate);

// What the library is to know of it.
DeviceProfile ProfileOf(const ProbeResult& result);

// One flat object, "ioengine.probe/1" of docs/METRICS.md, which DeviceProfile::Parse reads.
nlohmann::ordered_json ToJson(const ProbeResult& result);

// Tables and lines for people.
std::string FormatProbe(const ProbeResult& result);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_PROBE_RESULT_H_
