#include "ioengine/tools/inspect/print.h"

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/tablet.h"
#include "ioengine/engine/table/table_index.h"
#include "ioengine/tools/inspect/print_parts.h"

namespace ioengine::inspect {
namespace {

std::string SealText(const std::optional<RootSeal>& seal) {
  if (!seal.has_value()) return "not sealed";
  return absl::StrCat("sealed with frame ", seal->frame, ", record ", seal->record, ", hash ",
                      Hex(seal->hash));
}

std::string PlacementText(const KeyPlacement& placement) {
  if (placement.kind == KeyPlacement::Kind::kRange) return "by range";
  if (placement.prefix_bytes == 0) return "by hash";
  return absl::StrCat("by hash of the first ", placement.prefix_bytes, " bytes");
}

OrderedJson SealJson(const std::optional<RootSeal>& seal) {
  if (!seal.has_value()) return nullptr;
  return {{"frame", seal->frame}, {"record", seal->record}, {"hash", Hex(seal->hash)}};
}

OrderedJson StateJson(const RootState& state) {
  OrderedJson streams = OrderedJson::array();
  for (const RootStream& stream : state.streams) {
    streams.push_back({{"stream", stream.stream},
                       {"incarnation", stream.incarnation},
                       {"root_epoch", stream.root_epoch},
                       {"segment_bytes", stream.segment_bytes},
                       {"seal", SealJson(stream.seal)}});
  }
  OrderedJson manifests = OrderedJson::array();
  for (const RootManifest& manifest : state.manifests) {
    manifests.push_back({{"stream", manifest.stream},
                         {"incarnation", manifest.incarnation},
                         {"root_epoch", manifest.root_epoch},
                         {"least", SealJson(manifest.least)}});
  }
  OrderedJson tablets = OrderedJson::array();
  for (const RootTablet& tablet : state.tablets) {
    tablets.push_back({{"tablet", tablet.number}, {"lower", ShownKey(tablet.lower)}});
  }
  return {{"epoch", state.epoch},
          {"database", state.database.ToString()},
          {"incarnation", state.incarnation},
          {"placement", state.placement.kind == KeyPlacement::Kind::kHash ? "hash" : "range"},
          {"prefix_bytes", state.placement.prefix_bytes},
          {"streams", streams},
          {"manifests", manifests},
          {"tablets", tablets},
          {"complete", state.complete}};
}

void Add(const TableRecord& table, TableRecord& sums) {
  sums.identity.file_bytes += table.identity.file_bytes;
  sums.identity.records += table.identity.records;
  sums.deletes += table.deletes;
  sums.key_bytes += table.key_bytes;
  sums.value_bytes += table.value_bytes;
}

OrderedJson StreamJson(const StreamReport& stream) {
  return {{"stream", stream.root.stream},
          {"seal", SealJson(stream.root.seal)},
          {"contained_record", stream.contained_record},
          {"finished", stream.finished},
          {"segments", stream.segments},
          {"frames", stream.frames},
          {"frame_bytes", stream.frame_bytes},
          {"last_frame", stream.last_frame},
          {"last_record", stream.last_record},
          {"records", stream.records},
          {"record_bytes", stream.record_bytes},
          {"puts", stream.puts},
          {"deletes", stream.deletes}};
}

OrderedJson ManifestJson(const ManifestReport& manifest) {
  const StreamReport& stream = manifest.stream;
  return {{"stream", stream.root.stream},      {"whole", manifest.is_whole},
          {"segments", stream.segments},       {"frames", stream.frames},
          {"frame_bytes", stream.frame_bytes}, {"last_frame", stream.last_frame},
          {"edits", stream.records},           {"edit_bytes", stream.record_bytes}};
}

OrderedJson TableReportJson(const TableReport& table) {
  OrderedJson json = TableJson(table.record);
  json["missing"] = table.is_missing;
  json["data_blocks"] = table.data_blocks;
  json["damage"] = OrderedJson::array();
  for (const TableDamage& damage : table.damage) {
    json["damage"].push_back({{"offset_bytes", damage.offset_bytes},
                              {"size_bytes", damage.size_bytes},
                              {"problem", damage.problem},
                              {"lost", damage.lost}});
  }
  return json;
}

std::string BatchText(const RecordReport& record) {
  if (record.kind == RecordKind::kChanges) return "";
  const std::string id = SequenceText(record.batch.place);
  if (record.kind == RecordKind::kCopy) {
    return absl::StrCat(", of batch ", id, " of tablet ", record.batch.coordinator);
  }
  return absl::StrCat(", commits batch ", id, " with ", record.others, " other tablets");
}

OrderedJson BatchJson(const RecordReport& record) {
  if (record.kind == RecordKind::kChanges) return nullptr;
  OrderedJson json = {{"kind", record.kind == RecordKind::kCopy ? "copy" : "commit"},
                      {"coordinator", record.batch.coordinator},
                      {"epoch", record.batch.place.epoch},
                      {"counter", record.batch.place.counter}};
  if (record.kind == RecordKind::kCommit) json["others"] = record.others;
  return json;
}

}  // namespace

std::string DumpText(const std::vector<SlotReport>& slots) {
  std::string text;
  for (const SlotReport& slot : slots) {
    if (!slot.status.ok()) {
      absl::StrAppend(&text, "slot ", slot.slot, ": ", std::string(slot.status.message()), "\n");
      continue;
    }
    const RootState& state = slot.state;
    absl::StrAppend(&text, "slot ", slot.slot, ": epoch ", state.epoch, ", database ",
                    state.database.ToString(), ", incarnation ", state.incarnation, ", placement ",
                    PlacementText(state.placement), "\n");
    for (const RootStream& stream : state.streams) {
      absl::StrAppend(&text, "  log ", stream.stream, " of incarnation ", stream.incarnation,
                      ", from epoch ", stream.root_epoch, ", segments of ", stream.segment_bytes,
                      " bytes, ", SealText(stream.seal), "\n");
    }
    for (const RootManifest& manifest : state.manifests) {
      absl::StrAppend(&text, "  manifest ", manifest.stream, " of incarnation ",
                      manifest.incarnation, ", from epoch ", manifest.root_epoch,
                      ", which goes on at least to frame ", manifest.least.frame, ", record ",
                      manifest.least.record, ", hash ", Hex(manifest.least.hash), "\n");
    }
    for (const RootTablet& tablet : state.tablets) {
      absl::StrAppend(&text, "  ", TabletName(tablet.number), ", keys from ",
                      ShownKey(tablet.lower), "\n");
    }
    if (!state.complete) absl::StrAppend(&text, "  not complete\n");
  }
  return text;
}

std::string DumpJson(const std::vector<SlotReport>& slots) {
  OrderedJson json = OrderedJson::array();
  for (const SlotReport& slot : slots) {
    OrderedJson one = {{"slot", slot.slot}, {"good", slot.status.ok()}};
    if (slot.status.ok()) {
      one["state"] = StateJson(slot.state);
    } else {
      one["problem"] = std::string(slot.status.message());
    }
    json.push_back(one);
  }
  return json.dump(2) + "\n";
}

std::string DumpText(const SegmentReport& segment) {
  std::string text =
      absl::StrCat(segment.name, ": ", segment.file_bytes, " bytes, ", segment.frames.size(),
                   " good frames, then ", segment.other_pages, " pages that are not zeros\n");
  for (const FrameReport& frame : segment.frames) {
    const WalFrameHeader& header = frame.header;
    absl::StrAppend(&text, "at ", frame.offset_bytes, ": frame ", header.frame, ", ",
                    header.body_bytes, " bytes, durable up to ", header.durable_frame, ", hash ",
                    Hex(header.checksum), ", previous ", Hex(header.previous_hash), ", root epoch ",
                    header.root_epoch, "\n");
    for (const RecordReport& record : frame.records) {
      if (segment.kind == WalKind::kManifest) {
        absl::StrAppend(&text, "  edit ", record.number, ": ", record.bytes, " bytes\n",
                        record.edit.has_value() ? EditText(*record.edit) : "");
        continue;
      }
      absl::StrAppend(&text, "  record ", record.number, ": ", record.bytes, " bytes, sequence ",
                      record.epoch, ".", record.counter, ", ", record.puts, " puts, ",
                      record.deletes, " deletes", BatchText(record), "\n");
      for (const BlobPointer& blob : record.blobs) {
        absl::StrAppend(&text, "    put ", PointerText(blob), "\n");
      }
    }
  }
  return text;
}

std::string DumpJson(const SegmentReport& segment) {
  OrderedJson frames = OrderedJson::array();
  for (const FrameReport& frame : segment.frames) {
    OrderedJson records = OrderedJson::array();
    for (const RecordReport& record : frame.records) {
      if (segment.kind == WalKind::kManifest) {
        records.push_back(
            {{"record", record.number},
             {"bytes", record.bytes},
             {"edit", record.edit.has_value() ? EditJson(*record.edit) : OrderedJson(nullptr)}});
        continue;
      }
      OrderedJson blobs = OrderedJson::array();
      for (const BlobPointer& blob : record.blobs) blobs.push_back(PointerJson(blob));
      records.push_back({{"record", record.number},
                         {"bytes", record.bytes},
                         {"epoch", record.epoch},
                         {"counter", record.counter},
                         {"puts", record.puts},
                         {"deletes", record.deletes},
                         {"batch", BatchJson(record)},
                         {"blobs", blobs}});
    }
    const WalFrameHeader& header = frame.header;
    frames.push_back({{"offset_bytes", frame.offset_bytes},
                      {"frame", header.frame},
                      {"body_bytes", header.body_bytes},
                      {"durable_frame", header.durable_frame},
                      {"checksum", Hex(header.checksum)},
                      {"previous_hash", Hex(header.previous_hash)},
                      {"root_epoch", header.root_epoch},
                      {"first_record", header.first_record},
                      {"records", records}});
  }
  const OrderedJson json = {{"segment", segment.name},
                            {"kind", segment.kind == WalKind::kManifest ? "manifest" : "log"},
                            {"file_bytes", segment.file_bytes},
                            {"other_pages", segment.other_pages},
                            {"frames", frames}};
  return json.dump(2) + "\n";
}

std::string StatsText(const DatabaseReport& report) {
  std::string text = report.directory + "\n";
  if (!report.root.has_value()) return text + "ROOT: it is not known what is in force\n";
  const RootState& root = *report.root;
  absl::StrAppend(&text, "database ", root.database.ToString(), ", epoch ", root.epoch);
  if (root.tablets.empty()) {
    absl::StrAppend(&text, ", opened ", root.incarnation, " times\n");
  } else {
    absl::StrAppend(&text, ", ", root.tablets.size(), " tablets, ", PlacementText(root.placement),
                    "\n");
  }
  for (const StreamReport& stream : report.streams) {
    if (stream.finished) {
      absl::StrAppend(&text, "log ", stream.root.stream, ": tables contain all of it\n");
      continue;
    }
    absl::StrAppend(&text, "log ", stream.root.stream, ": ", stream.segments, " segments, ",
                    stream.frames, " frames of ", stream.frame_bytes, " bytes, ", stream.records,
                    " records of ", stream.record_bytes, " bytes, ", stream.puts, " puts, ",
                    stream.deletes, " deletes; ", SealText(stream.root.seal), "\n");
    if (stream.contained_record > 0) {
      absl::StrAppend(&text, "  tables contain it up to record ", stream.contained_record,
                      "; from the segment of that on it is needed\n");
    }
  }
  if (report.manifest.has_value()) {
    const StreamReport& stream = report.manifest->stream;
    absl::StrAppend(&text, "manifest ", stream.root.stream, ": ", stream.segments, " segments, ",
                    stream.frames, " frames of ", stream.frame_bytes, " bytes, ", stream.records,
                    " edits of ", stream.record_bytes, " bytes\n");
    TableRecord sums;
    for (const TableReport& table : report.tables) Add(table.record, sums);
    absl::StrAppend(&text, report.tables.size(), " tables: ", sums.identity.file_bytes, " bytes, ",
                    sums.identity.records, " records, ", sums.deletes, " deletes, ", sums.key_bytes,
                    " bytes of keys, ", sums.value_bytes, " of values\n");
  }
  for (const TableReport& table : report.tables) {
    absl::StrAppend(&text, "  ", TableFileName(table.record.identity.uuid), ": run ",
                    table.record.run, ", tier ", table.record.tier, ", ",
                    table.record.identity.file_bytes, " bytes, ", table.data_blocks,
                    " blocks of data, ", table.record.identity.records, " records, ",
                    table.record.deletes, " deletes\n");
  }
  absl::StrAppend(&text, BlobsText(report));
  if (!report.orphans.empty()) {
    absl::StrAppend(&text, report.orphans.size(), " files that nobody needs\n");
  }
  if (!root.complete) absl::StrAppend(&text, "its tablets are being made, and hold nothing\n");
  for (const DatabaseReport& tablet : report.tablets) {
    absl::StrAppend(&text, "\n", StatsText(tablet));
  }
  return text;
}

std::string VerifyText(const DatabaseReport& report) {
  std::string text;
  for (const std::string& problem : report.problems) absl::StrAppend(&text, problem, "\n");
  for (const std::string& warning : report.warnings) {
    absl::StrAppend(&text, "warning: ", warning, "\n");
  }
  if (report.problems.empty()) {
    absl::StrAppend(&text, report.directory, ": all is well",
                    report.warnings.empty() ? "" : ", but for what the next open mends", "\n");
  }
  return text;
}

namespace {

OrderedJson ReportJson(const DatabaseReport& report) {
  OrderedJson streams = OrderedJson::array();
  for (const StreamReport& stream : report.streams) streams.push_back(StreamJson(stream));
  OrderedJson tables = OrderedJson::array();
  for (const TableReport& table : report.tables) tables.push_back(TableReportJson(table));
  OrderedJson json = {
      {"directory", report.directory},
      {"root", report.root.has_value() ? StateJson(*report.root) : OrderedJson(nullptr)},
      {"logs", streams},
      {"manifest",
       report.manifest.has_value() ? ManifestJson(*report.manifest) : OrderedJson(nullptr)},
      {"tables", tables},
      {"blobs", BlobsJson(report)},
      {"orphans", report.orphans},
      {"problems", report.problems},
      {"warnings", report.warnings}};
  OrderedJson tablets = OrderedJson::array();
  for (const DatabaseReport& tablet : report.tablets) tablets.push_back(ReportJson(tablet));
  json["of_tablets"] = tablets;
  return json;
}

}  // namespace

std::string Json(const DatabaseReport& report) { return ReportJson(report).dump(2) + "\n"; }

}  // namespace ioengine::inspect
