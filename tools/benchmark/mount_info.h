// Which file system a path lies on, as the kernel's mountinfo tells it.
#ifndef IOENGINE_TOOLS_BENCHMARK_MOUNT_INFO_H_
#define IOENGINE_TOOLS_BENCHMARK_MOUNT_INFO_H_

#include <optional>
#include <string>
#include <string_view>

namespace ioengine::bench {

struct Mount {
  unsigned device_major = 0;  // 0 for file systems without a device of their own (tmpfs, btrfs)
  unsigned device_minor = 0;
  std::string mount_point;
  std::string type;     // "ext4"
  std::string source;   // "/dev/vda1"
  std::string options;  // of the mount and of the file system, "rw,relatime,discard"
};

// The mount that holds `absolute_path` (without links in it), from the text of a mountinfo file:
// the longest mount point that contains the path, and of equal ones the last, which hides the
// others. Lines that do not parse are passed over.
std::optional<Mount> FindMount(std::string_view mountinfo, std::string_view absolute_path);

// The value of `key=value` in a mount's options; nullopt if it is not there.
std::optional<std::string> MountOption(const Mount& mount, std::string_view key);

}  // namespace ioengine::bench

#endif  // IOENGINE_TOOLS_BENCHMARK_MOUNT_INFO_H_
