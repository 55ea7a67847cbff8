// Blob files: values that are too large for the log and for tables, each written once.
//
//    file       │ header page │ value │ value │ … │ zeros │ value │ …
//               0           4096
//
//    value      0        8      12
//               ├────────┼───────┼────────────┐
//               │checksum│ bytes │ the value  │      what is written together begins at a page, and
//               └────────┴───────┴────────────┘      has zeros behind it to the end of its last one
//
//    pointer    file's uuid 16 bytes, offset varint, value's bytes varint
//
// A value's checksum is that of its bytes, seeded by that of its size, seeded by the file's Uuid ^
// the offset: a good value of another place or file does not pass. The pointer is what log, memory
// and tables have in the value's place.
#ifndef IOENGINE_ENGINE_FORMAT_BLOB_FORMAT_H_
#define IOENGINE_ENGINE_FORMAT_BLOB_FORMAT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/uuid.h"

namespace ioengine {

inline constexpr size_t kBlobPageBytes = 4096;
// Before each value.
inline constexpr size_t kBlobHeadBytes = 12;
// A value's longest form, which is in memory as a whole for whoever reads it.
inline constexpr size_t kMaxBlobBytes = size_t{256} << 20;
inline constexpr uint32_t kBlobFormatVersion = 1;

// Where a value is.
struct BlobPointer {
  Uuid file;
  uint64_t offset_bytes = 0;  // of its head
  uint32_t value_bytes = 0;

  uint64_t stored_bytes() const { return kBlobHeadBytes + value_bytes; }
  uint64_t end_bytes() const { return offset_bytes + stored_bytes(); }
  friend bool operator==(const BlobPointer&, const BlobPointer&) = default;
};

std::string EncodeBlobPointer(const BlobPointer& pointer);
// False when it makes no sense.
bool DecodeBlobPointer(std::string_view bytes, BlobPointer* pointer);

// What of a blob file a table refers to.
struct BlobReference {
  Uuid file;
  uint64_t values = 0;
  uint64_t stored_bytes = 0;  // with their heads

  friend bool operator==(const BlobReference&, const BlobReference&) = default;
};

// What a value is preceded by, at that place.
std::array<std::byte, kBlobHeadBytes> EncodeBlobHead(const BlobPointer& at, std::string_view value);
// Whether `head` and `value` are what was written there. DataLoss says what is wrong.
absl::Status CheckBlob(const BlobPointer& at, std::span<const std::byte> head,
                       std::string_view value);
// The size that a head says; it may be anything.
uint32_t PeekBlobBytes(std::span<const std::byte> head);

// The first page of a file.
struct BlobFileHeader {
  uint64_t checksum;  // of the page behind it, seeded by the file's Uuid
  uint64_t magic;
  uint32_t format_version;
  uint32_t moved;  // 1: all values come from other blob files; else 0
  uint8_t file[16];
  uint8_t database[16];
};
static_assert(sizeof(BlobFileHeader) == 56);
inline constexpr uint64_t kBlobMagic = 0x3142'4f4c'4245'4f49;  // "IOEBLOB1"

// What a header says.
struct BlobFileInfo {
  Uuid file;
  Uuid database;  // as in ROOT
  bool moved = false;

  friend bool operator==(const BlobFileInfo&, const BlobFileInfo&) = default;
};

// Fills the page.
void EncodeBlobFileHeader(const BlobFileInfo& info, std::span<std::byte> page);
// That of `file`. DataLoss: it is damaged, or another file's; FailedPrecondition: of a newer
// format.
absl::StatusOr<BlobFileInfo> DecodeBlobFileHeader(std::span<const std::byte> page,
                                                  const Uuid& file);

// "<uuid>.blob".
std::string BlobFileName(const Uuid& uuid);
// Whose file `name` is; nothing if BlobFileName gives no such name.
std::optional<Uuid> ParseBlobFileName(std::string_view name);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_FORMAT_BLOB_FORMAT_H_
