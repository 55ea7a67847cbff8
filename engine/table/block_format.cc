#include "ioengine/engine/table/block_format.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/checksum.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/sched/canary.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

uint64_t BlockChecksum(std::span<const std::byte> block, uint64_t table_seed,
                       uint64_t offset_bytes) {
  return Checksum(block.subspan(sizeof(uint64_t)), table_seed ^ offset_bytes);
}

}  // namespace

std::string EncodeBlockHandle(const BlockHandle& handle) {
  std::string value;
  AppendVarint(value, handle.offset_bytes / kBlockPageBytes);
  AppendVarint(value, handle.pages);
  return value;
}

bool DecodeBlockHandle(std::string_view value, uint64_t end_bytes, BlockHandle* handle) {
  Decoder decoder(AsBytes(value));
  const uint64_t first_page = decoder.Varint();
  const uint64_t pages = decoder.Varint();
  const uint64_t end_page = end_bytes / kBlockPageBytes;
  if (!decoder.done() || pages == 0 || pages > kMaxBlockPages) return false;
  if (first_page > end_page || pages > end_page - first_page) return false;
  *handle = {first_page * kBlockPageBytes, static_cast<uint32_t>(pages)};
  return true;
}

uint64_t TableSeed(const Uuid& uuid) { return SeedOf(uuid); }

void FillBlockHeader(std::span<std::byte> block, const BlockShape& shape) {
  IOENGINE_CHECK(!block.empty() && block.size() % kBlockPageBytes == 0 &&
                     block.size() / kBlockPageBytes <= kMaxBlockPages,
                 "a block is whole pages");
  IOENGINE_CHECK(shape.used_bytes >= sizeof(BlockHeader) && shape.used_bytes <= block.size(),
                 "a block holds more than it has room for");
  BlockHeader header = {};
  header.magic = kBlockMagic;
  header.kind = static_cast<uint8_t>(shape.kind);
  header.pages = static_cast<uint32_t>(block.size() / kBlockPageBytes);
  header.used_bytes = static_cast<uint32_t>(shape.used_bytes);
  header.records = static_cast<uint32_t>(shape.records);
  header.prefix_bytes = static_cast<uint32_t>(shape.prefix_bytes);
  std::memcpy(block.data(), &header, sizeof(header));
  std::fill(block.begin() + static_cast<ptrdiff_t>(shape.used_bytes), block.end(), std::byte{0});
}

uint64_t SealBlock(std::span<std::byte> block, uint64_t table_seed, uint64_t offset_bytes) {
  const uint64_t checksum = BlockChecksum(block, table_seed, offset_bytes);
  StoreFixed(block.data(), checksum);
  return checksum;
}

absl::Status CheckBlock(std::span<const std::byte> block, BlockKind kind, uint64_t table_seed,
                        uint64_t offset_bytes) {
  if (block.size() < kBlockPageBytes || block.size() % kBlockPageBytes != 0) {
    return absl::DataLossError(absl::StrCat("it is cut short, to ", block.size(), " bytes"));
  }
  const BlockHeader header = LoadBlockHeader(block);
  if (!IsCanary("table-skip-checksum") &&
      header.checksum != BlockChecksum(block, table_seed, offset_bytes)) {
    return absl::DataLossError("its checksum does not fit its bytes, or they are another block's");
  }
  if (header.magic != kBlockMagic || header.kind != static_cast<uint8_t>(kind) ||
      header.pages != block.size() / kBlockPageBytes || header.used_bytes < sizeof(header) ||
      header.used_bytes > block.size()) {
    return absl::DataLossError("its checksum is good, and its header makes no sense");
  }
  return absl::OkStatus();
}

BlockHeader LoadBlockHeader(std::span<const std::byte> block) {
  BlockHeader header;
  std::memcpy(&header, block.data(), sizeof(header));
  return header;
}

}  // namespace ioengine
