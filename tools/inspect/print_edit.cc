// Edits of a manifest.

#include "ioengine/engine/table/table_index.h"
#include "ioengine/tools/inspect/print_parts.h"

namespace ioengine::inspect {

OrderedJson TableJson(const TableRecord& table) {
  OrderedJson blobs = OrderedJson::array();
  for (const BlobReference& blob : table.blobs) {
    blobs.push_back({{"file", BlobFileName(blob.file)},
                     {"values", blob.values},
                     {"stored_bytes", blob.stored_bytes}});
  }
  return {{"file", TableFileName(table.identity.uuid)},
          {"run", table.run},
          {"tier", table.tier},
          {"file_bytes", table.identity.file_bytes},
          {"records", table.identity.records},
          {"deletes", table.deletes},
          {"key_bytes", table.key_bytes},
          {"value_bytes", table.value_bytes},
          {"largest_epoch", table.largest_sequence.epoch},
          {"largest_counter", table.largest_sequence.counter},
          {"records_hash", Hex(table.identity.records_hash)},
          {"digest", Hex(table.identity.digest)},
          {"lower", ShownKey(table.lower)},
          {"upper",
           table.upper.has_value() ? OrderedJson(ShownKey(*table.upper)) : OrderedJson(nullptr)},
          {"blobs", blobs}};
}

std::string EditText(const ManifestEdit& edit) {
  std::string text;
  for (const TableRecord& table : edit.added) {
    absl::StrAppend(
        &text, "    added ", TableFileName(table.identity.uuid), ": run ", table.run, ", tier ",
        table.tier, ", ", table.identity.file_bytes, " bytes, ", table.identity.records,
        " records, ", table.deletes, " deletes, ", table.key_bytes, " bytes of keys, ",
        table.value_bytes, " of values, up to sequence ", SequenceText(table.largest_sequence),
        ", hash ", Hex(table.identity.records_hash), ", digest ", Hex(table.identity.digest),
        ", keys from ", ShownKey(table.lower),
        table.upper.has_value() ? absl::StrCat(" to below ", ShownKey(*table.upper)) : " on", "\n");
    for (const BlobReference& blob : table.blobs) {
      absl::StrAppend(&text, "      ", blob.values, " of its values in ", BlobFileName(blob.file),
                      ", ", blob.stored_bytes, " bytes\n");
    }
  }
  for (const Uuid& uuid : edit.removed) {
    absl::StrAppend(&text, "    removed ", TableFileName(uuid), "\n");
  }
  for (const ContainedLog& log : edit.logs) {
    absl::StrAppend(&text, "    log ", log.stream, ": tables contain it up to record ", log.record,
                    "; replay begins at segment ", log.segment, " with frame ", log.frame,
                    ", record ", log.first_record, ", previous hash ", Hex(log.previous_hash),
                    "\n");
  }
  for (const uint64_t stream : edit.finished) {
    absl::StrAppend(&text, "    log ", stream, ": tables contain all of it\n");
  }
  for (const ReceivedBatches& received : edit.batches) {
    absl::StrAppend(&text, "    batches of tablet ", received.coordinator,
                    ": tables contain all up to ", SequenceText(received.place), "\n");
  }
  return text;
}

OrderedJson EditJson(const ManifestEdit& edit) {
  OrderedJson added = OrderedJson::array();
  for (const TableRecord& table : edit.added) added.push_back(TableJson(table));
  OrderedJson removed = OrderedJson::array();
  for (const Uuid& uuid : edit.removed) removed.push_back(TableFileName(uuid));
  OrderedJson logs = OrderedJson::array();
  for (const ContainedLog& log : edit.logs) {
    logs.push_back({{"stream", log.stream},
                    {"record", log.record},
                    {"segment", log.segment},
                    {"frame", log.frame},
                    {"first_record", log.first_record},
                    {"previous_hash", Hex(log.previous_hash)}});
  }
  OrderedJson batches = OrderedJson::array();
  for (const ReceivedBatches& received : edit.batches) {
    batches.push_back({{"coordinator", received.coordinator},
                       {"epoch", received.place.epoch},
                       {"counter", received.place.counter}});
  }
  return {{"added", added},
          {"removed", removed},
          {"logs", logs},
          {"finished", edit.finished},
          {"batches", batches}};
}

}  // namespace ioengine::inspect
