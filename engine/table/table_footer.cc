#include "ioengine/engine/table/table_footer.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/coding.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/root_state.h"
#include "ioengine/sched/check.h"

namespace ioengine {
namespace {

constexpr size_t kUsedBytes = sizeof(BlockHeader) + sizeof(TableFooter);

// Whether all of it lies within the file, in its order.
bool IsSensible(const TableLayout& layout, uint64_t file_bytes) {
  const uint64_t end_bytes = file_bytes - kBlockPageBytes;
  for (const uint64_t offset_bytes : {layout.data_bytes, layout.root.offset_bytes,
                                      layout.filter_offset_bytes, layout.bounds.offset_bytes}) {
    if (offset_bytes > end_bytes || offset_bytes % kBlockPageBytes != 0) return false;
  }
  for (const BlockHandle& handle : {layout.root, layout.bounds}) {
    if (handle.pages == 0 || handle.pages > kMaxBlockPages) return false;
  }
  // Before it is multiplied.
  if (layout.filter.buckets > file_bytes / kFilterBucketBytes) return false;
  if (layout.filter.probes > kMaxFilterProbes) return false;
  return layout.data_bytes <= layout.root.offset_bytes &&
         layout.root.end_bytes() == layout.filter_offset_bytes &&
         layout.filter_offset_bytes + layout.filter.pages() * kBlockPageBytes ==
             layout.bounds.offset_bytes &&
         layout.bounds.end_bytes() == end_bytes;
}

TableDescription FromFooter(const TableFooter& footer) {
  TableDescription table;
  std::copy_n(reinterpret_cast<const std::byte*>(footer.uuid), sizeof(footer.uuid),
              table.info.uuid.bytes.begin());
  table.info.file_bytes = footer.file_bytes;
  table.info.records = footer.records;
  table.info.deletes = footer.deletes;
  table.info.keys = footer.keys;
  table.info.key_bytes = footer.key_bytes;
  table.info.value_bytes = footer.value_bytes;
  table.info.smallest_sequence = {footer.smallest_epoch, footer.smallest_counter};
  table.info.largest_sequence = {footer.largest_epoch, footer.largest_counter};
  table.info.records_hash = footer.records_hash;
  table.info.digest = footer.digest;
  table.layout.data_bytes = footer.data_bytes;
  table.layout.root = {footer.root_offset_bytes, footer.root_pages};
  table.layout.bounds = {footer.bounds_offset_bytes, footer.bounds_pages};
  table.layout.filter_offset_bytes = footer.filter_offset_bytes;
  table.layout.filter = {footer.filter_buckets, footer.filter_probes};
  return table;
}

TableFooter ToFooter(const TableInfo& info, const TableLayout& layout) {
  TableFooter footer = {};
  footer.format_version = kFormatVersion;
  footer.filter_probes = layout.filter.probes;
  std::memcpy(footer.uuid, info.uuid.bytes.data(), sizeof(footer.uuid));
  footer.file_bytes = info.file_bytes;
  footer.data_bytes = layout.data_bytes;
  footer.root_offset_bytes = layout.root.offset_bytes;
  footer.bounds_offset_bytes = layout.bounds.offset_bytes;
  footer.root_pages = layout.root.pages;
  footer.bounds_pages = layout.bounds.pages;
  footer.filter_offset_bytes = layout.filter_offset_bytes;
  footer.filter_buckets = layout.filter.buckets;
  footer.records = info.records;
  footer.deletes = info.deletes;
  footer.keys = info.keys;
  footer.key_bytes = info.key_bytes;
  footer.value_bytes = info.value_bytes;
  footer.smallest_epoch = info.smallest_sequence.epoch;
  footer.smallest_counter = info.smallest_sequence.counter;
  footer.largest_epoch = info.largest_sequence.epoch;
  footer.largest_counter = info.largest_sequence.counter;
  footer.records_hash = info.records_hash;
  footer.digest = info.digest;
  return footer;
}

}  // namespace

void EncodeTableFooter(const TableDescription& table, std::span<std::byte> page) {
  IOENGINE_CHECK(IsSensible(table.layout, table.info.file_bytes), "a table was laid out wrong");
  const TableFooter footer = ToFooter(table.info, table.layout);
  FillBlockHeader(page, {.kind = BlockKind::kFooter, .used_bytes = kUsedBytes});
  std::memcpy(page.data() + sizeof(BlockHeader), &footer, sizeof(footer));
  SealBlock(page, TableSeed(table.info.uuid), table.info.file_bytes - kBlockPageBytes);
}

absl::StatusOr<TableDescription> DecodeTableFooter(std::span<const std::byte> page,
                                                   uint64_t file_bytes) {
  if (page.size() != kBlockPageBytes || file_bytes < kBlockPageBytes) {
    return absl::DataLossError("its footer is cut short");
  }
  TableFooter footer;
  std::memcpy(&footer, page.data() + sizeof(BlockHeader), sizeof(footer));
  const TableDescription table = FromFooter(footer);
  // The identity that the checksum is seeded with is its own; the caller compares it.
  if (absl::Status status = CheckBlock(page, BlockKind::kFooter, TableSeed(table.info.uuid),
                                       file_bytes - kBlockPageBytes);
      !status.ok()) {
    return absl::DataLossError(
        absl::StrCat("its footer is damaged: ", std::string(status.message())));
  }
  if (footer.format_version > kFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("it has format ", footer.format_version, ", and this version of ",
                     "ioengine knows formats up to ", kFormatVersion, "; use a newer one"));
  }
  if (LoadBlockHeader(page).used_bytes != kUsedBytes || table.info.file_bytes != file_bytes ||
      !IsSensible(table.layout, file_bytes)) {
    return absl::DataLossError("its footer has a good checksum and makes no sense");
  }
  return table;
}

std::string EncodeTableBounds(const TableInfo& info) {
  std::string body;
  for (const std::string& key : {info.smallest_key, info.largest_key}) {
    AppendVarint(body, key.size());
    body += key;
  }
  return body;
}

bool DecodeTableBounds(std::span<const std::byte> body, TableInfo* info) {
  Decoder decoder(body);
  info->smallest_key = decoder.Text();
  info->largest_key = decoder.Text();
  return decoder.done() && info->smallest_key.size() <= kMaxKeyBytes &&
         info->largest_key.size() <= kMaxKeyBytes && info->smallest_key <= info->largest_key;
}

}  // namespace ioengine
