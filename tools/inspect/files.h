// Files as the inspection reads them: whole, but for values.
#ifndef IOENGINE_TOOLS_INSPECT_FILES_H_
#define IOENGINE_TOOLS_INSPECT_FILES_H_

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace ioengine::inspect {

// Errors: NotFound; FailedPrecondition, of a directory too; those of reading.
absl::StatusOr<std::vector<std::byte>> ReadFile(const std::string& path);

// No more than its first bytes. Errors: likewise.
absl::StatusOr<std::vector<std::byte>> ReadFront(const std::string& path, size_t most_bytes);

inline bool IsZeros(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace ioengine::inspect

#endif  // IOENGINE_TOOLS_INSPECT_FILES_H_
