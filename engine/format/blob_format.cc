#include "ioengine/engine/format/blob_format.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/checksum.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

constexpr char kBlobSuffix[] = ".blob";

uint64_t ChecksumOf(const BlobPointer& at, std::string_view value) {
  std::byte size[sizeof(uint32_t)];
  StoreFixed(size, static_cast<uint32_t>(value.size()));
  return Checksum(AsBytes(value), Checksum(size, SeedOf(at.file) ^ at.offset_bytes));
}

uint64_t ChecksumOf(std::span<const std::byte> header_page, const Uuid& file) {
  return Checksum(header_page.subspan(sizeof(uint64_t)), SeedOf(file));
}

}  // namespace

std::string EncodeBlobPointer(const BlobPointer& pointer) {
  std::string bytes(AsText(pointer.file.bytes));
  AppendVarint(bytes, pointer.offset_bytes);
  AppendVarint(bytes, pointer.value_bytes);
  return bytes;
}

bool DecodeBlobPointer(std::string_view bytes, BlobPointer* pointer) {
  Decoder decoder(AsBytes(bytes));
  const std::span<const std::byte> file = decoder.Bytes(pointer->file.bytes.size());
  std::copy(file.begin(), file.end(), pointer->file.bytes.begin());
  pointer->offset_bytes = decoder.Varint();
  const uint64_t value_bytes = decoder.Varint();
  pointer->value_bytes = static_cast<uint32_t>(value_bytes);
  // Offsets of a file that a kernel can have.
  return decoder.done() && value_bytes <= kMaxBlobBytes && pointer->offset_bytes <= INT64_MAX / 2;
}

std::array<std::byte, kBlobHeadBytes> EncodeBlobHead(const BlobPointer& at,
                                                     std::string_view value) {
  std::array<std::byte, kBlobHeadBytes> head;
  StoreFixed(head.data(), ChecksumOf(at, value));
  StoreFixed(head.data() + sizeof(uint64_t), static_cast<uint32_t>(value.size()));
  return head;
}

absl::Status CheckBlob(const BlobPointer& at, std::span<const std::byte> head,
                       std::string_view value) {
  IOENGINE_CHECK(head.size() == kBlobHeadBytes, "a blob's head is cut");
  if (PeekBlobBytes(head) == value.size() &&
      LoadFixed<uint64_t>(head.data()) == ChecksumOf(at, value)) {
    return absl::OkStatus();
  }
  return absl::DataLossError("its checksum does not fit its bytes, or they are another value's");
}

uint32_t PeekBlobBytes(std::span<const std::byte> head) {
  return LoadFixed<uint32_t>(head.data() + sizeof(uint64_t));
}

void EncodeBlobFileHeader(const BlobFileInfo& info, std::span<std::byte> page) {
  IOENGINE_CHECK(page.size() == kBlobPageBytes, "a header is a page");
  BlobFileHeader header = {};
  header.magic = kBlobMagic;
  header.format_version = kBlobFormatVersion;
  header.moved = info.moved ? 1 : 0;
  std::memcpy(header.file, info.file.bytes.data(), sizeof(header.file));
  std::memcpy(header.database, info.database.bytes.data(), sizeof(header.database));
  std::fill(page.begin(), page.end(), std::byte{0});
  std::memcpy(page.data(), &header, sizeof(header));
  StoreFixed(page.data(), ChecksumOf(page, info.file));
}

absl::StatusOr<BlobFileInfo> DecodeBlobFileHeader(std::span<const std::byte> page,
                                                  const Uuid& file) {
  if (page.size() != kBlobPageBytes) {
    return absl::DataLossError("it is cut short: it has no header");
  }
  BlobFileHeader header;
  std::memcpy(&header, page.data(), sizeof(header));
  if (header.magic != kBlobMagic) return absl::DataLossError("it is no blob file of ioengine's");
  if (header.checksum != ChecksumOf(page, file)) {
    return absl::DataLossError("its header is damaged, or it is another file's");
  }
  if (header.format_version > kBlobFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("it has format ", header.format_version, ", and this version reads up to ",
                     kBlobFormatVersion, ": use a newer ioengine"));
  }
  BlobFileInfo info;
  info.file = file;
  std::memcpy(info.database.bytes.data(), header.database, sizeof(header.database));
  info.moved = header.moved != 0;
  return info;
}

std::string BlobFileName(const Uuid& uuid) { return absl::StrCat(uuid.ToString(), kBlobSuffix); }

std::optional<Uuid> ParseBlobFileName(std::string_view name) {
  return ParseUuidName(name, kBlobSuffix);
}

}  // namespace ioengine
