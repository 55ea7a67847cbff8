// How much of a mapping the kernel backs with transparent huge pages, read from /proc/*/smaps.
#ifndef IOENGINE_NUMA_SMAPS_H_
#define IOENGINE_NUMA_SMAPS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace ioengine {

// The AnonHugePages of the mapping that is exactly [start, end), in bytes.
// Errors: NotFound when `smaps_path` shows no such mapping or not its AnonHugePages;
// InvalidArgument when its entry makes no sense; what opening and reading the file says. Cost: the
// kernel walks the page tables of all mappings below `start`: milliseconds per GiB.
absl::StatusOr<size_t> AnonHugeBytes(const std::string& smaps_path, uintptr_t start, uintptr_t end);

}  // namespace ioengine

#endif  // IOENGINE_NUMA_SMAPS_H_
