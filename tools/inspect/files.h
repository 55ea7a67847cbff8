// Files as the inspection reads them: whole, and by their names.
#ifndef IOENGINE_TOOLS_INSPECT_FILES_H_
#define IOENGINE_TOOLS_INSPECT_FILES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace ioengine::inspect {

absl::StatusOr<std::vector<std::byte>> ReadFile(const std::string& path);

struct SegmentName {
  uint64_t stream = 0;
  uint64_t segment = 0;
};
// "W-<stream>-<segment>".
std::optional<SegmentName> ParseSegmentName(std::string_view name);

}  // namespace ioengine::inspect

#endif  // IOENGINE_TOOLS_INSPECT_FILES_H_
