// Tables: what stands in their files.

#include <string_view>

#include "ioengine/engine/table/table_index.h"
#include "ioengine/tools/inspect/print.h"
#include "ioengine/tools/inspect/print_parts.h"

namespace ioengine::inspect {
namespace {

bool HasRecords(const TableBlock& block) {
  return (block.kind == BlockKind::kData || block.kind == BlockKind::kIndex) &&
         block.block.size() > 0;
}

// Its value is elsewhere: there.
bool IsBlob(const Block::Record& record, BlobPointer* pointer) {
  return record.kind == OperationKind::kPutBlob && DecodeBlobPointer(record.value, pointer);
}

std::string FooterText(const TableScan& scan) {
  if (!scan.footer.ok()) return absl::StrCat(std::string(scan.footer.message()), "\n");
  const TableInfo& info = scan.description.info;
  const BloomFilterShape& filter = scan.description.layout.filter;
  return absl::StrCat(
      "table ", info.uuid.ToString(), ": ", info.records, " records, ", info.deletes, " deletes, ",
      info.keys, " keys, ", info.key_bytes, " bytes of keys, ", info.value_bytes,
      " of values, sequences ", SequenceText(info.smallest_sequence), " to ",
      SequenceText(info.largest_sequence), ", hash ", Hex(info.records_hash), ", digest ",
      Hex(info.digest), "\n", "keys ",
      scan.has_bounds
          ? absl::StrCat("from ", ShownKey(info.smallest_key), " to ", ShownKey(info.largest_key))
          : "unknown",
      "\n", "filter: ", filter.buckets, " buckets in ", filter.pages(), " pages, ", filter.probes,
      " probes\n");
}

std::string RecordsText(const Block& block) {
  std::string text;
  for (size_t at = 0; at < block.size(); ++at) {
    const Block::Record record = block.At(at);
    BlobPointer pointer;
    const bool is_blob = IsBlob(record, &pointer);
    absl::StrAppend(&text, "  ", HasValue(record.kind) ? "put " : "delete ",
                    ShownKey(block.KeyAt(at)), ", sequence ", SequenceText(record.sequence), ", ",
                    is_blob ? PointerText(pointer) : absl::StrCat(record.value.size(), " bytes"),
                    "\n");
  }
  return text;
}

OrderedJson RecordsJson(const Block& block) {
  OrderedJson records = OrderedJson::array();
  for (size_t at = 0; at < block.size(); ++at) {
    const Block::Record record = block.At(at);
    BlobPointer pointer;
    const bool is_blob = IsBlob(record, &pointer);
    records.push_back({{"kind", HasValue(record.kind) ? "put" : "delete"},
                       {"key", ShownKey(block.KeyAt(at))},
                       {"epoch", record.sequence.epoch},
                       {"counter", record.sequence.counter},
                       {"value_bytes", is_blob ? pointer.value_bytes : record.value.size()}});
    if (is_blob) records.back()["blob"] = PointerJson(pointer);
  }
  return records;
}

OrderedJson FooterJson(const TableDescription& description) {
  const TableInfo& info = description.info;
  return {{"uuid", info.uuid.ToString()},
          {"data_bytes", description.layout.data_bytes},
          {"records", info.records},
          {"deletes", info.deletes},
          {"keys", info.keys},
          {"key_bytes", info.key_bytes},
          {"value_bytes", info.value_bytes},
          {"smallest_epoch", info.smallest_sequence.epoch},
          {"smallest_counter", info.smallest_sequence.counter},
          {"largest_epoch", info.largest_sequence.epoch},
          {"largest_counter", info.largest_sequence.counter},
          {"records_hash", Hex(info.records_hash)},
          {"digest", Hex(info.digest)},
          {"filter_buckets", description.layout.filter.buckets},
          {"filter_pages", description.layout.filter.pages()},
          {"filter_probes", description.layout.filter.probes}};
}

}  // namespace

std::string DumpText(const TableScan& scan, bool with_records) {
  std::string text =
      absl::StrCat(scan.name, ": ", scan.file.size(), " bytes, ", scan.blocks.size(),
                   " good blocks, ", scan.damaged.size(), " damaged places\n", FooterText(scan));
  for (const TableBlock& block : scan.blocks) {
    absl::StrAppend(&text, "at ", block.handle.offset_bytes, ": ", BlockKindName(block.kind), ", ",
                    block.handle.pages, " pages");
    if (HasRecords(block)) {
      absl::StrAppend(&text, ", ", block.block.size(), " records from ",
                      ShownKey(block.block.KeyAt(0)));
    }
    absl::StrAppend(&text, "\n");
    if (with_records && block.kind == BlockKind::kData) {
      absl::StrAppend(&text, RecordsText(block.block));
    }
  }
  for (const DamagedBytes& damaged : scan.damaged) {
    absl::StrAppend(&text, "at ", damaged.offset_bytes, ": ", damaged.size_bytes,
                    " damaged bytes: ", damaged.problem, "\n");
  }
  return text;
}

std::string DumpJson(const TableScan& scan, bool with_records) {
  OrderedJson blocks = OrderedJson::array();
  for (const TableBlock& block : scan.blocks) {
    OrderedJson one = {{"offset_bytes", block.handle.offset_bytes},
                       {"kind", BlockKindName(block.kind)},
                       {"pages", block.handle.pages}};
    if (HasRecords(block)) {
      one["record_count"] = block.block.size();
      one["first_key"] = ShownKey(block.block.KeyAt(0));
    }
    if (with_records && block.kind == BlockKind::kData) one["records"] = RecordsJson(block.block);
    blocks.push_back(one);
  }
  OrderedJson damaged = OrderedJson::array();
  for (const DamagedBytes& bytes : scan.damaged) {
    damaged.push_back({{"offset_bytes", bytes.offset_bytes},
                       {"size_bytes", bytes.size_bytes},
                       {"problem", bytes.problem}});
  }
  OrderedJson json = {
      {"table", scan.name},
      {"file_bytes", scan.file.size()},
      {"footer", scan.footer.ok() ? FooterJson(scan.description) : OrderedJson(nullptr)}};
  const TableInfo& info = scan.description.info;
  json["smallest_key"] = scan.has_bounds ? OrderedJson(ShownKey(info.smallest_key)) : nullptr;
  json["largest_key"] = scan.has_bounds ? OrderedJson(ShownKey(info.largest_key)) : nullptr;
  json["blocks"] = blocks;
  json["damaged"] = damaged;
  return json.dump(2) + "\n";
}

}  // namespace ioengine::inspect
