// What all blocks of a table have in common. Every byte of a table is in a block.
//
//    0        8       12   13     16      20      24      28       32
//    ├────────┼───────┼────┼──────┼───────┼───────┼───────┼────────┼──────────────┬───────┤
//    │checksum│ magic │kind│zeros │ pages │ used  │records│ prefix │ body         │ zeros │
//    │        │       │    │      │       │ bytes │       │ bytes  │              │       │
//    ├────────┴───────┴────┴──────┴───────┴───────┴───────┴────────┴──────────────┼───────┤
//    │◄────────────────────────── used bytes ────────────────────────────────────►│       │
//    │◄────────────────────────── pages · 4096 bytes ────────────────────────────────────►│
//
// The checksum is that of all behind it, padding included. Its seed is that of the file's Uuid ^
// the offset in the file, so that a good block of another place or file is found out.
#ifndef IOENGINE_ENGINE_TABLE_BLOCK_FORMAT_H_
#define IOENGINE_ENGINE_TABLE_BLOCK_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "ioengine/engine/format/uuid.h"

namespace ioengine {

inline constexpr size_t kBlockPageBytes = 4096;
// A block has more pages only where one record of more than 48 KiB makes it so.
inline constexpr size_t kMostBlockPages = 32;
// No block is longer: 1 GiB.
inline constexpr uint32_t kMaxBlockPages = uint32_t{1} << 18;

// On disk.
enum class BlockKind : uint8_t {
  kData = 1,    // records
  kIndex = 2,   // separators and handles of blocks, of data or of index blocks
  kFilter = 3,  // buckets of a Bloom filter
  kBounds = 4,  // smallest and largest key
  kFooter = 5,
};

struct BlockHeader {
  uint64_t checksum;
  uint32_t magic;
  uint8_t kind;
  uint8_t zeros[3];
  uint32_t pages;
  uint32_t used_bytes;    // with this header
  uint32_t records;       // kData, kIndex
  uint32_t prefix_bytes;  // kData, kIndex
};
static_assert(sizeof(BlockHeader) == 32);

inline constexpr uint32_t kBlockMagic = 0x4b4c'4269;  // "iBLK"

// Where a block is.
struct BlockHandle {
  uint64_t offset_bytes = 0;
  uint32_t pages = 0;

  uint64_t size_bytes() const { return uint64_t{pages} * kBlockPageBytes; }
  uint64_t end_bytes() const { return offset_bytes + size_bytes(); }
  friend bool operator==(const BlockHandle&, const BlockHandle&) = default;
};

// The value of an index's record: offset in pages, and pages, as varints.
std::string EncodeBlockHandle(const BlockHandle& handle);
// False when it makes no sense, or leads behind `end_bytes`.
bool DecodeBlockHandle(std::string_view value, uint64_t end_bytes, BlockHandle* handle);

// What a file's checksums and its keys' hashes are seeded with.
uint64_t TableSeed(const Uuid& uuid);

// Fills in the header, and zeros behind `used_bytes`. `block` is whole pages.
struct BlockShape {
  BlockKind kind = BlockKind::kData;
  size_t used_bytes = 0;
  size_t records = 0;
  size_t prefix_bytes = 0;
};
void FillBlockHeader(std::span<std::byte> block, const BlockShape& shape);

// Computes and stores the checksum, which it gives.
uint64_t SealBlock(std::span<std::byte> block, uint64_t table_seed, uint64_t offset_bytes);

// Whether `block` is what was written at that place, and of that kind. DataLoss says what is wrong
// with it, and not where it is.
absl::Status CheckBlock(std::span<const std::byte> block, BlockKind kind, uint64_t table_seed,
                        uint64_t offset_bytes);

// Of a block that was checked.
BlockHeader LoadBlockHeader(std::span<const std::byte> block);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_TABLE_BLOCK_FORMAT_H_
