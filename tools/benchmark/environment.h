// Where a figure comes from. Nothing here can fail: what could not be read is left empty, and is
// then missing from the table and from the JSON.
#ifndef IOENGINE_TOOLS_BENCHMARK_ENVIRONMENT_H_
#define IOENGINE_TOOLS_BENCHMARK_ENVIRONMENT_H_

#include <sys/types.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace ioengine::bench {

struct BlockDevice {
  std::string name;   // of the disk, not of a partition: "nvme0n1"
  std::string model;  // as the disk names itself, or its driver: "virtio_blk"
  std::optional<bool> rotational;
  std::string scheduler;  // "none", "mq-deadline"
  std::optional<uint64_t> logical_block_bytes;
  std::optional<uint64_t> size_bytes;
};

struct Environment {
  std::string kernel;  // "Linux 6.1.0 x86_64"
  std::string cpu_model;
  std::optional<int> cpu_count;
  std::optional<uint64_t> memory_bytes;
  std::optional<int> numa_node_count;

  std::string path;  // the directory, file or block device that was measured
  std::optional<BlockDevice> device;
  std::string file_system;  // "ext4"; empty for a block device
  std::string mount_point;
  std::string mount_options;

  std::string transparent_hugepages;      // "always", "madvise" or "never"
  std::optional<int> io_uring_disabled;   // 0 allowed, 1 for a group only, 2 off; since Linux 6.6
  std::optional<uint64_t> memlock_bytes;  // RLIMIT_MEMLOCK; UINT64_MAX is unlimited

  std::string version;   // of the library
  std::string compiler;  // "g++ 12.2.0"

  // For the caller to fill in: what the shards run on, and each fast path they had to do without.
  std::string backend;
  std::vector<std::string> degraded;
};

// Everything about this machine, with the disk under `path` (an existing directory, file or block
// device; empty for none). `root` is put before /proc and /sys, so that a test can point elsewhere.
Environment ReadEnvironment(const std::string& path, const std::string& root = "");

// The disk of block device number `device`; a partition is followed to its disk.
std::optional<BlockDevice> ReadBlockDevice(dev_t device, const std::string& root = "");

// The object of docs/METRICS.md.
nlohmann::json ToJson(const Environment& environment);

// A block of lines for a person, each of at most `width` columns, ending in a newline.
std::string FormatEnvironment(const Environment& environment, int width = 100);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_ENVIRONMENT_H_
