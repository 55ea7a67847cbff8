// Files as the inspection reads them: whole.
#ifndef IOENGINE_TOOLS_INSPECT_FILES_H_
#define IOENGINE_TOOLS_INSPECT_FILES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace ioengine::inspect {

absl::StatusOr<std::vector<std::byte>> ReadFile(const std::string& path);

}  // namespace ioengine::inspect

#endif  // IOENGINE_TOOLS_INSPECT_FILES_H_
