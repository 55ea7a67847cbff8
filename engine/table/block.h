// Block: the records of one block of a table, data or index.
//
//    0       32             32 + 8n        32 + 9n
//    ├───────┼──────────────┼──────────────┼────────┬──────────┬─────┬────────────┬───────┤
//    │header │ n slots:     │ n            │ prefix │ record 0 │  …  │ record n-1 │ zeros │
//    │       │ head,offset  │ fingerprints │        │          │     │            │       │
//    └───────┴──────────────┴──────────────┴────────┴──────────┴─────┴────────────┴───────┘
//
//    record  kind u8, epoch varint, counter varint, of a put: value size varint, suffix, value
//
// The keys of all records begin with the prefix; a record has the rest of its key, the suffix, and
// ends where the next one begins, from which the suffix's length follows. The head of a slot is
// the suffix's first 4 bytes, big-endian, with zeros behind a shorter one; its offset is from the
// block's begin. A fingerprint is the lowest byte of the key's hash (TableKeyHash): a point look-up
// goes over these and reads the records whose fingerprints fit. With 0x80 in the kind there are no
// epoch and counter, and the sequence is kMaxSequence.
//
// Records stand by key, ascending, and those of one key by sequence, the newest first.
#ifndef IOENGINE_ENGINE_TABLE_BLOCK_H_
#define IOENGINE_ENGINE_TABLE_BLOCK_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/table/block_format.h"

namespace ioengine {

struct BlockSlot {
  uint32_t head;
  uint32_t offset;
};
static_assert(sizeof(BlockSlot) == 8);

inline constexpr uint8_t kNewestSequenceMark = 0x80;

// The hash that fingerprints and filters of a table are made of.
uint64_t TableKeyHash(std::string_view key, uint64_t table_seed);
inline uint8_t Fingerprint(uint64_t key_hash) { return static_cast<uint8_t>(key_hash); }

// Ownership: refers to the block's bytes, as all that it gives does.
class Block {
 public:
  // Empty.
  Block() = default;

  // `bytes` is a block that CheckBlock found good; all lengths are checked again here, so that
  // nothing that a Block does reads outside of it. DataLoss: it makes no sense. Cost: some ns for
  // each record.
  static absl::StatusOr<Block> Parse(std::span<const std::byte> bytes);

  struct Record {
    OperationKind kind = OperationKind::kPut;
    Sequence sequence;
    std::string_view suffix;
    std::string_view value;
  };

  size_t size() const { return records_; }
  std::string_view prefix() const { return prefix_; }
  // `at` < size(), here and below.
  Record At(size_t at) const;
  std::string KeyAt(size_t at) const;

  // The first record that does not stand before (key, sequence); size() if there is none.
  size_t LowerBound(std::string_view key, Sequence sequence) const;
  // The last record that does not stand behind it; size() if there is none. What an index is
  // asked for.
  size_t Covering(std::string_view key, Sequence sequence) const;
  // The newest record of `key`, whose hash is given, with a sequence of at most `at`; size() if
  // there is none.
  size_t Find(std::string_view key, uint64_t key_hash, Sequence at) const;
  // Asks for what a search reads first: slots and fingerprints.
  void Prefetch() const;

 private:
  BlockSlot SlotAt(size_t at) const;
  std::string_view RecordBytes(size_t at) const;
  static bool Decode(std::string_view bytes, Record* record);
  // Whether record `at` stands before.
  bool IsBefore(size_t at, uint32_t head, std::string_view suffix, Sequence sequence) const;
  bool ParseRecords(const BlockHeader& header);

  const char* bytes_ = nullptr;
  size_t used_bytes_ = 0;
  size_t records_ = 0;
  std::string_view fingerprints_;
  std::string_view prefix_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_TABLE_BLOCK_H_
