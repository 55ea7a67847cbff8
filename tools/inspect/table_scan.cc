#include "ioengine/tools/inspect/table_scan.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <utility>

#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/tools/inspect/files.h"

namespace ioengine::inspect {
namespace {

// The block at the front of `bytes`, which stand at `offset_bytes`.
absl::StatusOr<TableBlock> BlockAt(std::span<const std::byte> bytes, uint64_t seed,
                                   uint64_t offset_bytes) {
  if (bytes.size() < kBlockPageBytes) return absl::DataLossError("it is less than a page");
  const BlockHeader header = LoadBlockHeader(bytes);
  if (header.magic != kBlockMagic || header.pages == 0 || header.pages > kMaxBlockPages ||
      header.kind < static_cast<uint8_t>(BlockKind::kData) ||
      header.kind > static_cast<uint8_t>(BlockKind::kFooter)) {
    return absl::DataLossError("there is no header of a block");
  }
  TableBlock found;
  found.handle = {offset_bytes, header.pages};
  found.kind = static_cast<BlockKind>(header.kind);
  const std::span<const std::byte> block =
      bytes.first(std::min<uint64_t>(bytes.size(), found.handle.size_bytes()));
  if (block.size() < found.handle.size_bytes()) return absl::DataLossError("it is cut short");
  if (absl::Status good = CheckBlock(block, found.kind, seed, offset_bytes); !good.ok()) {
    return good;
  }
  if (found.kind != BlockKind::kData && found.kind != BlockKind::kIndex) return found;
  absl::StatusOr<Block> parsed = Block::Parse(block);
  if (!parsed.ok()) return parsed.status();
  found.block = *parsed;
  return found;
}

void ReadFooter(TableScan& scan, const std::optional<Uuid>& named) {
  const std::span<const std::byte> file(scan.file);
  std::span<const std::byte> page;
  if (!file.empty() && file.size() % kBlockPageBytes == 0) page = file.last(kBlockPageBytes);
  absl::StatusOr<TableDescription> description = DecodeTableFooter(page, file.size());
  scan.footer = description.status();
  if (description.ok()) {
    scan.description = *std::move(description);
    scan.seed = TableSeed(scan.description.info.uuid);
  } else if (named.has_value()) {
    scan.seed = TableSeed(*named);
  } else if (!page.empty()) {
    // What else of the footer is damaged, its identity may be good.
    Uuid uuid;
    const auto at = page.subspan(sizeof(BlockHeader) + offsetof(TableFooter, uuid));
    std::copy_n(at.begin(), uuid.bytes.size(), uuid.bytes.begin());
    scan.seed = TableSeed(uuid);
  }
}

void ReadBounds(TableScan& scan) {
  for (const TableBlock& block : scan.blocks) {
    if (block.kind != BlockKind::kBounds || !(block.handle == scan.description.layout.bounds)) {
      continue;
    }
    const std::span<const std::byte> bytes =
        std::span<const std::byte>(scan.file).subspan(block.handle.offset_bytes);
    const size_t body_bytes = LoadBlockHeader(bytes).used_bytes - sizeof(BlockHeader);
    scan.has_bounds =
        DecodeTableBounds(bytes.subspan(sizeof(BlockHeader), body_bytes), &scan.description.info);
  }
}

}  // namespace

TableScan ScanTable(std::string name, std::vector<std::byte> file, std::optional<Uuid> named) {
  TableScan scan;
  scan.name = std::move(name);
  scan.file = std::move(file);
  ReadFooter(scan, named);
  const std::span<const std::byte> bytes(scan.file);
  bool in_damage = false;
  for (uint64_t offset = 0; offset < bytes.size();) {
    absl::StatusOr<TableBlock> block = BlockAt(bytes.subspan(offset), scan.seed, offset);
    if (block.ok()) {
      in_damage = false;
      offset = block->handle.end_bytes();
      scan.blocks.push_back(*std::move(block));
      continue;
    }
    if (!in_damage) scan.damaged.push_back({offset, 0, std::string(block.status().message())});
    in_damage = true;
    const uint64_t page_bytes = std::min<uint64_t>(kBlockPageBytes, bytes.size() - offset);
    scan.damaged.back().size_bytes += page_bytes;
    offset += page_bytes;
  }
  if (scan.footer.ok()) ReadBounds(scan);
  return scan;
}

absl::StatusOr<TableScan> InspectTable(const std::string& path) {
  absl::StatusOr<std::vector<std::byte>> file = ReadFile(path);
  if (!file.ok()) return file.status();
  const std::string name = std::filesystem::path(path).filename().string();
  TableScan scan = ScanTable(name, *std::move(file), ParseTableFileName(name));
  if (absl::IsFailedPrecondition(scan.footer)) {
    return absl::FailedPreconditionError(path + ": " + std::string(scan.footer.message()));
  }
  return scan;
}

const char* BlockKindName(BlockKind kind) {
  switch (kind) {
    case BlockKind::kData:
      return "data";
    case BlockKind::kIndex:
      return "index";
    case BlockKind::kFilter:
      return "filter";
    case BlockKind::kBounds:
      return "bounds";
    case BlockKind::kFooter:
      return "footer";
  }
  return "unknown";
}

}  // namespace ioengine::inspect
