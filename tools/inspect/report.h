// Reports: what the files of a database say, and whether that holds together.
#ifndef IOENGINE_TOOLS_INSPECT_REPORT_H_
#define IOENGINE_TOOLS_INSPECT_REPORT_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/batch_record.h"
#include "ioengine/engine/format/blob_format.h"
#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/format/root_state.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/engine/manifest/manifest_state.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/tools/inspect/blob_reader.h"
#include "ioengine/tools/inspect/blob_scan.h"
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
  RecordKind kind = RecordKind::kChanges;
  BatchId batch = {};                               // of a commit or a copy
  uint64_t others = 0;                              // parts of a commit that are of other tablets
  std::vector<BlobPointer> blobs = {};              // of those puts whose values are elsewhere
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

// What holds together, and what does not, of a stream: a log or a manifest.
struct StreamReport {
  RootStream root;
  uint64_t segments = 0;
  // Tables contain the records of a log up to this one, or all; then the rest counts alone.
  uint64_t contained_record = 0;
  bool finished = false;
  uint64_t frames = 0;  // in one chain, from where replay begins
  uint64_t last_frame = 0;
  uint64_t last_hash = 0;
  uint64_t last_record = 0;
  uint64_t records = 0;
  uint64_t puts = 0;
  uint64_t deletes = 0;
  uint64_t record_bytes = 0;
  uint64_t frame_bytes = 0;
  uint64_t newest_durable_frame = 0;
  uint64_t newest_root_epoch = 0;
  // Where the chain ends.
  std::string end_segment;
  uint64_t end_offset_bytes = 0;
};

struct ManifestReport {
  StreamReport stream;
  // What the edits come to, up to the first that is missing or makes no sense.
  ManifestState state;
  bool is_whole = false;
};

struct TableDamage {
  uint64_t offset_bytes = 0;
  uint64_t size_bytes = 0;
  std::string problem;
  std::string lost;  // keys; empty: none
};

struct TableReport {
  TableRecord record;  // as the manifest has it
  bool is_missing = false;
  uint64_t data_blocks = 0;  // good ones
  std::vector<TableDamage> damage;
};

// A blob file that is there, or that something points to.
struct BlobFileReport {
  Uuid file;
  bool is_missing = false;
  uint64_t file_bytes = 0;
  absl::Status header;  // what is wrong with it; of a file that nobody needs it is not looked at
  bool moved = false;   // if nothing is
  // What tables refer to, as the manifest has it; and log records that no table contains.
  BlobReference tables;
  BlobReference logs;
  bool is_needed = false;  // by those, or by a table of which the manifest does not say it
  // Of the values that good blocks and whole records point to.
  BlobLoss loss;

  // What nobody refers to, with the padding, without the header.
  uint64_t garbage_bytes() const {
    const uint64_t used = kBlobPageBytes + tables.stored_bytes + logs.stored_bytes;
    return file_bytes - std::min(file_bytes, used);
  }
};

struct DatabaseReport {
  std::string directory;
  std::vector<SlotReport> slots;
  std::optional<RootState> root;  // in force
  std::vector<StreamReport> streams;
  std::optional<ManifestReport> manifest;  // if ROOT names one
  std::vector<TableReport> tables;         // that the manifest names
  std::vector<BlobFileReport> blobs;       // by name
  std::vector<std::string> orphans;        // files that nobody needs: the next open removes them
  std::vector<std::string> problems;       // each names its file; empty: all can be read
  std::vector<std::string> warnings;       // what the next open makes good
  // Of a database of several shards, whose problems and warnings are those of its tablets, too.
  std::vector<DatabaseReport> tablets;
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
absl::StatusOr<std::variant<std::vector<SlotReport>, SegmentReport, TableScan, BlobScan>>
InspectFile(const std::string& path);
// Of one that is larger than memory it takes no more than its largest table, or value, and what is
// told of its log. Cost: it reads all that is needed, values too. FailedPrecondition also of a
// database that has several manifests.
absl::StatusOr<DatabaseReport> InspectDatabase(const std::string& directory);

}  // namespace ioengine::inspect

#endif  // IOENGINE_TOOLS_INSPECT_REPORT_H_
