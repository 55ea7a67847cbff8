// Reports: what the files of a database say, and whether that holds together.
#ifndef IOENGINE_TOOLS_INSPECT_REPORT_H_
#define IOENGINE_TOOLS_INSPECT_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/format/root_state.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/tools/inspect/table_scan.h"

namespace ioengine::inspect {

struct SlotReport {
  size_t slot = 0;
  absl::Status status;  // what is wrong with it
  RootState state;      // if nothing is
  bool is_zeros = false;
  bool begins_as_slot = false;  // whatever of it is damaged
};

struct RecordReport {
  uint64_t number = 0;
  uint64_t epoch = 0;
  uint64_t counter = 0;
  uint64_t puts = 0;
  uint64_t deletes = 0;
  uint64_t bytes = 0;
  std::optional<ManifestEdit> edit = std::nullopt;  // of a manifest, instead of those
};

struct FrameReport {
  uint64_t offset_bytes = 0;
  WalFrameHeader header;
  std::vector<RecordReport> records;  // that end in it
};

// One segment by itself, of a log or of a manifest.
struct SegmentReport {
  std::string name;
  WalKind kind = WalKind::kLog;
  uint64_t file_bytes = 0;
  std::vector<FrameReport> frames;  // good ones, from the front
  // Pages behind them that are not zeros: torn, damaged, or of an earlier life of the file.
  uint64_t other_pages = 0;
  // Good frames among those.
  std::vector<WalFrameHeader> later_frames;
  // What stands where a frame has its salt, of all those pages: a torn frame leaves it there.
  std::vector<uint64_t> other_salts;
};

// What holds together, and what does not.
struct StreamReport {
  RootStream root;
  uint64_t segments = 0;
  uint64_t frames = 0;  // in one chain from the front
  uint64_t last_frame = 0;
  uint64_t last_hash = 0;
  uint64_t last_record = 0;
  uint64_t records = 0;
  uint64_t puts = 0;
  uint64_t deletes = 0;
  uint64_t record_bytes = 0;
  uint64_t frame_bytes = 0;
  uint64_t newest_durable_frame = 0;
};

struct DatabaseReport {
  std::string directory;
  std::vector<SlotReport> slots;
  std::optional<RootState> root;  // in force
  std::vector<StreamReport> streams;
  std::vector<std::string> orphans;   // segments that ROOT does not name
  std::vector<std::string> problems;  // each names its file; empty: it opens
  std::vector<std::string> warnings;  // damage that opening it makes good
};

// Reads; changes nothing, and takes no lock: of a database that is open it may see half a change.
// Errors: NotFound (no such file; no database); others of reading the files;
// FailedPrecondition, of a database whose format is newer.
absl::StatusOr<std::vector<SlotReport>> InspectRoot(const std::string& path);
// Every frame by itself, by the salt that the first one has. Whether its records are batches or
// edits the first of them tells, and else the file's name.
absl::StatusOr<SegmentReport> InspectSegment(const std::string& path);
// What it is is told by what is in it, and by its name where that tells nothing. InvalidArgument:
// neither does.
absl::StatusOr<std::variant<std::vector<SlotReport>, SegmentReport, TableScan>> InspectFile(
    const std::string& path);
absl::StatusOr<DatabaseReport> InspectDatabase(const std::string& directory);

}  // namespace ioengine::inspect

#endif  // IOENGINE_TOOLS_INSPECT_REPORT_H_
