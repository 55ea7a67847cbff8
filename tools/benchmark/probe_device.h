// What the kernel says of the block device behind a file.
#ifndef IOENGINE_TOOLS_BENCHMARK_PROBE_DEVICE_H_
#define IOENGINE_TOOLS_BENCHMARK_PROBE_DEVICE_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace ioengine::bench {

// What could not be read is nullopt: the file's device is no block device, or /sys is not there.
struct DeviceFacts {
  std::optional<std::string> name;     // "vda": the whole disk, not the partition
  std::optional<bool> volatile_cache;  // a write is durable only after a flush, or with FUA
  std::optional<bool> fua;             // it takes single writes that are durable by themselves
  std::optional<bool> rotational;
  std::optional<uint64_t> max_sectors_kb;  // of one request, in KiB
};

// Of the device with this number. `root` stands before /sys, for tests.
DeviceFacts ReadDeviceFacts(dev_t device, const std::string& root = "");

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_PROBE_DEVICE_H_
