// FrameBodies: the bodies of frames, which a report has not.
#ifndef IOENGINE_TOOLS_INSPECT_FRAME_BODIES_H_
#define IOENGINE_TOOLS_INSPECT_FRAME_BODIES_H_

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "ioengine/tools/inspect/report.h"

namespace ioengine::inspect {

// Takes them from their files, and keeps the one that was read last.
class FrameBodies {
 public:
  explicit FrameBodies(std::string directory) : directory_(std::move(directory)) {}

  // Of a good frame of the report; until the next one is asked for. Errors: those of ReadFile;
  // Unavailable, the file has changed since.
  absl::StatusOr<std::span<const std::byte>> Of(const SegmentReport& segment,
                                                const FrameReport& frame);

 private:
  const std::string directory_;
  std::string name_;
  std::vector<std::byte> file_;
};

}  // namespace ioengine::inspect

#endif  // IOENGINE_TOOLS_INSPECT_FRAME_BODIES_H_
