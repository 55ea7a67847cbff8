// ManifestEdit: a change of what a tablet consists of. One record of a manifest.
//
//    added: count varint, each          uuid 16 bytes, digest u64, records hash u64,
//                                       run, tier, file bytes, records, deletes, key bytes, value
//                                       bytes, largest epoch, largest counter  varints,
//                                       lower text, has upper u8, and if it is 1: upper text,
//                                       blobs: count varint, each
//                                         uuid 16 bytes, values, stored bytes  varints
//    removed: count varint, each        uuid 16 bytes
//    logs: count varint, each           stream, record, segment, frame, first record  varints,
//                                       previous hash u64
//    finished: count varint, each       stream varint
//    batches: count varint, each        coordinator, epoch, counter  varints
//
// A text is a varint of the length, and so many bytes.
#ifndef IOENGINE_ENGINE_FORMAT_MANIFEST_EDIT_H_
#define IOENGINE_ENGINE_FORMAT_MANIFEST_EDIT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ioengine/engine/format/blob_format.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/format/uuid.h"

namespace ioengine {

// By which a table is known to be the one that was written.
struct TableIdentity {
  Uuid uuid;
  uint64_t file_bytes = 0;
  uint64_t records = 0;
  uint64_t records_hash = 0;  // RecordHash
  uint64_t digest = 0;        // of its blocks' checksums

  friend bool operator==(const TableIdentity&, const TableIdentity&) = default;
};

// What a manifest says of a table.
struct TableRecord {
  TableIdentity identity;
  // Its sorted run. Tiers count from 0, the newest; in a tier the run with the larger number is
  // newer.
  uint64_t run = 0;
  uint32_t tier = 0;
  uint64_t deletes = 0;  // of the records
  uint64_t key_bytes = 0;
  uint64_t value_bytes = 0;
  Sequence largest_sequence;
  // All its keys are in [lower, upper); without an upper there is none. Short, so they may be wider
  // than they need be.
  std::string lower;
  std::optional<std::string> upper;
  // Files that have values of it, by uuid.
  std::vector<BlobReference> blobs;

  bool MayHave(std::string_view key) const {
    return key >= lower && (!upper.has_value() || key < *upper);
  }
  friend bool operator==(const TableRecord&, const TableRecord&) = default;
};

// What of a log stream tables contain: its records up to `record`, never to be applied again.
// Replay begins at the front of a segment.
struct ContainedLog {
  uint64_t stream = 0;
  uint64_t record = 0;
  uint64_t segment = 0;
  uint64_t frame = 1;          // the first one in it
  uint64_t first_record = 1;   // that ends there or later
  uint64_t previous_hash = 0;  // checksum of the frame before

  friend bool operator==(const ContainedLog&, const ContainedLog&) = default;
};

// Of the batches that another tablet has committed: all up to `place` that concern this one are in
// its tables.
struct ReceivedBatches {
  uint64_t coordinator = 0;  // number of that tablet
  Sequence place;

  friend bool operator==(const ReceivedBatches&, const ReceivedBatches&) = default;
};

struct ManifestEdit {
  std::vector<TableRecord> added;
  std::vector<Uuid> removed;
  std::vector<ContainedLog> logs;        // each in the place of what was said of the stream before
  std::vector<uint64_t> finished;        // streams: tables contain all of them
  std::vector<ReceivedBatches> batches;  // each in the place of what was said of its tablet before

  bool empty() const {
    return added.empty() && removed.empty() && logs.empty() && finished.empty() && batches.empty();
  }
  friend bool operator==(const ManifestEdit&, const ManifestEdit&) = default;
};

// The longest bound of a TableRecord.
inline constexpr size_t kMaxBoundBytes = 256;

// [lower, upper) around all keys from `smallest` to `largest`.
std::string LowerBound(std::string_view smallest);
std::optional<std::string> UpperBound(std::string_view largest);

std::string EncodeManifestEdit(const ManifestEdit& edit);
// False when it makes no sense. `record` may be anything.
bool DecodeManifestEdit(std::span<const std::byte> record, ManifestEdit* edit);

// "<uuid>.sst".
std::string TableFileName(const Uuid& uuid);
// Whose file `name` is; nothing if TableFileName gives no such name.
std::optional<Uuid> ParseTableFileName(std::string_view name);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_FORMAT_MANIFEST_EDIT_H_
