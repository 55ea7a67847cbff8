// A file of a database, whatever its name is.

#include <filesystem>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/blob_format.h"
#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/table/block_format.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/tools/inspect/blob_scan.h"
#include "ioengine/tools/inspect/report.h"
#include "ioengine/tools/inspect/table_scan.h"

namespace ioengine::inspect {
namespace {

bool HasSlot(const std::vector<SlotReport>& slots) {
  for (const SlotReport& slot : slots) {
    if (slot.begins_as_slot) return true;
  }
  return false;
}

// Its first block says nothing of whose it is, but that it is one.
bool HasBlock(const TableScan& scan) {
  return scan.footer.ok() ||
         (!scan.blocks.empty() && scan.blocks.front().handle.offset_bytes == 0) ||
         (scan.file.size() >= kBlockPageBytes && LoadBlockHeader(scan.file).magic == kBlockMagic);
}

}  // namespace

absl::StatusOr<std::variant<std::vector<SlotReport>, SegmentReport, TableScan, BlobScan>>
InspectFile(const std::string& path) {
  const absl::StatusOr<bool> begins_as_blobs = BeginsAsBlobFile(path);
  if (!begins_as_blobs.ok()) return begins_as_blobs.status();
  // Where its magic is no other file has anything that is chosen by whoever writes values.
  if (*begins_as_blobs) return InspectBlobs(path);
  absl::StatusOr<SegmentReport> segment = InspectSegment(path);
  if (!segment.ok()) return segment.status();
  absl::StatusOr<std::vector<SlotReport>> slots = InspectRoot(path);
  if (!slots.ok()) return slots.status();
  absl::StatusOr<TableScan> table = InspectTable(path);
  if (!table.ok()) return table.status();
  // In this order: a value that stands in a frame or in a table may look like a slot.
  if (!segment->frames.empty()) return *std::move(segment);
  if (HasBlock(*table)) return *std::move(table);
  if (HasSlot(*slots)) return *std::move(slots);
  if (!segment->later_frames.empty()) return *std::move(segment);
  if (!table->blocks.empty()) return *std::move(table);
  const std::string name = std::filesystem::path(path).filename().string();
  if (name == "ROOT") return *std::move(slots);
  if (ParseWalSegmentName(name).has_value()) return *std::move(segment);
  if (ParseTableFileName(name).has_value()) return *std::move(table);
  if (ParseBlobFileName(name).has_value()) return InspectBlobs(path);
  return absl::InvalidArgumentError(
      absl::StrCat(path, " has neither a slot of ROOT, nor a frame of a log or a manifest, nor a ",
                   "block of a table, nor a blob file's header, nor a name of those"));
}

}  // namespace ioengine::inspect
