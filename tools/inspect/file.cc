// A file of a database, whatever its name is.

#include <filesystem>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/tools/inspect/report.h"

namespace ioengine::inspect {
namespace {

bool HasSlot(const std::vector<SlotReport>& slots) {
  for (const SlotReport& slot : slots) {
    if (slot.begins_as_slot) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::variant<std::vector<SlotReport>, SegmentReport>> InspectFile(
    const std::string& path) {
  absl::StatusOr<SegmentReport> segment = InspectSegment(path);
  if (!segment.ok()) return segment.status();
  absl::StatusOr<std::vector<SlotReport>> slots = InspectRoot(path);
  if (!slots.ok()) return slots.status();
  // In this order: a value that stands in a frame may look like a slot.
  if (!segment->frames.empty()) return *std::move(segment);
  if (HasSlot(*slots)) return *std::move(slots);
  if (!segment->later_frames.empty()) return *std::move(segment);
  const std::string name = std::filesystem::path(path).filename().string();
  if (name == "ROOT") return *std::move(slots);
  if (ParseWalSegmentName(name).has_value()) return *std::move(segment);
  return absl::InvalidArgumentError(
      absl::StrCat(path, " has neither a slot of ROOT nor a frame of a log, nor a name of those"));
}

}  // namespace ioengine::inspect
