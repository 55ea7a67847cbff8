// The last page of a table, from which everything else in it is found.
//
//    file     │ data blocks │ index blocks │ root │ filter pages │ bounds │ footer │
//             0         data_bytes                                            file_bytes
//
//    footer   a block of kind kFooter and one page: the header (block_format.h), TableFooter,
//             zeros
//    bounds   a block of kind kBounds: smallest key, largest key, each a varint of the length and
//             the key
//    index    records (block.h) whose keys separate blocks: nothing in a block stands before its
//             separator, or at or behind that of the next one. The value is a handle: offset in
//             pages varint, pages varint. Index blocks lead to data blocks, the root to those.
#ifndef IOENGINE_ENGINE_TABLE_TABLE_FOOTER_H_
#define IOENGINE_ENGINE_TABLE_TABLE_FOOTER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/blob_format.h"
#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/engine/table/block_format.h"
#include "ioengine/engine/table/bloom_filter.h"

namespace ioengine {

// What others must know of a table.
struct TableInfo {
  Uuid uuid;
  uint64_t file_bytes = 0;
  uint64_t records = 0;
  uint64_t deletes = 0;  // of the records
  uint64_t keys = 0;     // that differ
  uint64_t key_bytes = 0;
  uint64_t value_bytes = 0;
  std::string smallest_key;
  std::string largest_key;
  Sequence smallest_sequence = kMaxSequence;
  Sequence largest_sequence;
  uint64_t records_hash = 0;         // RecordHash
  uint64_t digest = 0;               // of the checksums of all blocks before the footer
  std::vector<BlobReference> blobs;  // of its values; not in the file

  friend bool operator==(const TableInfo&, const TableInfo&) = default;
};

inline TableIdentity IdentityOf(const TableInfo& info) {
  return {info.uuid, info.file_bytes, info.records, info.records_hash, info.digest};
}

// And what leads through the file.
struct TableLayout {
  uint64_t data_bytes = 0;
  BlockHandle root;
  BlockHandle bounds;
  uint64_t filter_offset_bytes = 0;
  BloomFilterShape filter;
};

struct TableFooter {
  uint32_t format_version;
  uint32_t filter_probes;
  uint8_t uuid[16];
  uint64_t file_bytes;
  uint64_t data_bytes;
  uint64_t root_offset_bytes;
  uint64_t bounds_offset_bytes;
  uint32_t root_pages;
  uint32_t bounds_pages;
  uint64_t filter_offset_bytes;
  uint64_t filter_buckets;
  uint64_t records;
  uint64_t deletes;
  uint64_t keys;
  uint64_t key_bytes;
  uint64_t value_bytes;
  uint64_t smallest_epoch;
  uint64_t smallest_counter;
  uint64_t largest_epoch;
  uint64_t largest_counter;
  uint64_t records_hash;
  uint64_t digest;
};
static_assert(sizeof(TableFooter) == 168);

struct TableDescription {
  TableInfo info;
  TableLayout layout;
};

// Fills `page`, the last one of the file, with its checksum.
void EncodeTableFooter(const TableDescription& table, std::span<std::byte> page);

// Reads the last page of a file of `file_bytes`; without the bounds' keys. DataLoss: damaged, or of
// a file of another size. FailedPrecondition: of a newer format.
absl::StatusOr<TableDescription> DecodeTableFooter(std::span<const std::byte> page,
                                                   uint64_t file_bytes);

// The body of the block of bounds, and back; false when it makes no sense.
std::string EncodeTableBounds(const TableInfo& info);
bool DecodeTableBounds(std::span<const std::byte> body, TableInfo* info);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_TABLE_TABLE_FOOTER_H_
