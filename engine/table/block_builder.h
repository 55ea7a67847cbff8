// BlockBuilder: collects records until they make a good block.
#ifndef IOENGINE_ENGINE_TABLE_BLOCK_BUILDER_H_
#define IOENGINE_ENGINE_TABLE_BLOCK_BUILDER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/table/block_format.h"

namespace ioengine {

struct BlockRecord {
  OperationKind kind = OperationKind::kPut;
  std::string_view key;
  Sequence sequence;
  std::string_view value;  // of a kPut
};

// A block ends before the record that would need another page, if at most a twentieth of its own
// pages is empty then; else it takes the page. So blocks of small records have the least number of
// pages, those of larger records as many as it takes, and from 20 pages on any number is good. It
// also ends before a record that shares so little with those before it that all the bytes which the
// shorter prefix costs are more than what is empty.
class BlockBuilder {
 public:
  // Blocks have so many pages at least, except the last one.
  explicit BlockBuilder(size_t least_pages) : least_pages_(least_pages) {}

  bool empty() const { return records_.empty(); }
  size_t records() const { return records_.size(); }

  // Whether the block should be written, and begun anew, before `record` is added.
  bool IsFullBefore(const BlockRecord& record) const;
  // Copies it. It stands behind those that were added.
  void Add(const BlockRecord& record, uint8_t fingerprint);

  // Pages that Encode needs.
  size_t pages() const { return PagesFor(used_bytes_); }
  // Writes all but the checksum into `block`, which is so many pages.
  void Encode(BlockKind kind, std::span<std::byte> block) const;
  void Clear();

  // That were taken.
  size_t memory_bytes() const { return heap_.capacity() + records_.capacity() * sizeof(Pending); }

  // Of what was added; not empty().
  std::string_view first_key() const;
  Sequence first_sequence() const { return first_sequence_; }

 private:
  struct Pending {
    uint32_t head_bytes;  // of kind, sequence and value's size
    uint32_t key_bytes;
    uint32_t value_bytes;
    uint8_t fingerprint;
  };

  static size_t PagesFor(size_t used_bytes) {
    return (used_bytes + kBlockPageBytes - 1) / kBlockPageBytes;
  }
  size_t PrefixWith(std::string_view key) const;
  size_t UsedBytesWith(const BlockRecord& record) const;

  const size_t least_pages_;
  std::string heap_;  // heads, keys and values of all, as they were added
  std::vector<Pending> records_;
  Sequence first_sequence_;
  size_t prefix_bytes_ = 0;
  size_t used_bytes_ = sizeof(BlockHeader);
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_TABLE_BLOCK_BUILDER_H_
