#include "ioengine/tools/inspect/frame_bodies.h"

#include <cstdint>

#include "absl/status/status.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/tools/inspect/files.h"

namespace ioengine::inspect {

absl::StatusOr<std::span<const std::byte>> FrameBodies::Of(const SegmentReport& segment,
                                                           const FrameReport& frame) {
  if (segment.name != name_) {
    absl::StatusOr<std::vector<std::byte>> file = ReadFile(directory_ + "/" + segment.name);
    if (!file.ok()) return file.status();
    file_ = *std::move(file);
    name_ = segment.name;
  }
  const uint64_t begin = frame.offset_bytes + sizeof(WalFrameHeader);
  if (file_.size() < begin + frame.header.body_bytes) {
    return absl::UnavailableError(segment.name + " has changed while it was read");
  }
  return std::span<const std::byte>(file_).subspan(begin, frame.header.body_bytes);
}

}  // namespace ioengine::inspect
