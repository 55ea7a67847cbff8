// Blob files: what stands in them, and who refers to what of them.

#include "ioengine/engine/format/blob_format.h"
#include "ioengine/tools/inspect/print.h"
#include "ioengine/tools/inspect/print_parts.h"

namespace ioengine::inspect {
namespace {

// Without all edits nobody knows who refers to what.
bool IsKnown(const DatabaseReport& report) {
  return !report.manifest.has_value() || report.manifest->is_whole;
}

OrderedJson BlobFileJson(const BlobFileReport& file, bool is_known) {
  OrderedJson damage = OrderedJson::array();
  for (const BlobDamage& each : file.loss.damage) {
    damage.push_back({{"offset_bytes", each.offset_bytes},
                      {"value_bytes", each.value_bytes},
                      {"problem", each.problem},
                      {"lost", each.lost}});
  }
  return {{"file", BlobFileName(file.file)},
          {"missing", file.is_missing},
          {"file_bytes", file.file_bytes},
          {"moved", file.moved},
          {"needed", is_known ? OrderedJson(file.is_needed) : OrderedJson(nullptr)},
          {"table_values", file.tables.values},
          {"table_bytes", file.tables.stored_bytes},
          {"log_values", file.logs.values},
          {"log_bytes", file.logs.stored_bytes},
          {"garbage_bytes", file.garbage_bytes()},
          {"lost_values", file.loss.values},
          {"damage", damage}};
}

}  // namespace

std::string PointerText(const BlobPointer& pointer) {
  return absl::StrCat("blob ", pointer.file.ToString(), " at ", pointer.offset_bytes, ", ",
                      pointer.value_bytes, " bytes");
}

OrderedJson PointerJson(const BlobPointer& pointer) {
  return {{"file", BlobFileName(pointer.file)},
          {"offset_bytes", pointer.offset_bytes},
          {"value_bytes", pointer.value_bytes}};
}

std::string DumpText(const BlobScan& scan) {
  std::string text = absl::StrCat(scan.name, ": ", scan.file_bytes, " bytes, ", scan.values.size(),
                                  " values, ", scan.other.size(), " places with something else\n");
  if (scan.header.ok()) {
    absl::StrAppend(&text, "blob file ", scan.info.file.ToString(), " of database ",
                    scan.info.database.ToString(),
                    scan.info.moved ? ", values that were moved\n" : "\n");
  } else {
    absl::StrAppend(&text, "header: ", std::string(scan.header.message()), "\n");
  }
  for (const BlobValue& value : scan.values) {
    absl::StrAppend(&text, "at ", value.offset_bytes, ": ", value.value_bytes, " bytes, ",
                    value.is_good ? "good" : "damaged: the checksum does not fit", "\n");
  }
  for (const DamagedBytes& other : scan.other) {
    absl::StrAppend(&text, "at ", other.offset_bytes, ": ", other.size_bytes,
                    " bytes, torn or damaged: ", other.problem, "\n");
  }
  return text;
}

std::string DumpJson(const BlobScan& scan) {
  OrderedJson header = nullptr;
  if (scan.header.ok()) {
    header = {{"file", scan.info.file.ToString()},
              {"database", scan.info.database.ToString()},
              {"moved", scan.info.moved}};
  }
  OrderedJson values = OrderedJson::array();
  for (const BlobValue& value : scan.values) {
    values.push_back({{"offset_bytes", value.offset_bytes},
                      {"value_bytes", value.value_bytes},
                      {"good", value.is_good}});
  }
  OrderedJson other = OrderedJson::array();
  for (const DamagedBytes& bytes : scan.other) {
    other.push_back({{"offset_bytes", bytes.offset_bytes},
                     {"size_bytes", bytes.size_bytes},
                     {"problem", bytes.problem}});
  }
  const OrderedJson json = {{"blob_file", scan.name},
                            {"file_bytes", scan.file_bytes},
                            {"header", header},
                            {"values", values},
                            {"other", other}};
  return json.dump(2) + "\n";
}

std::string BlobsText(const DatabaseReport& report) {
  if (report.blobs.empty()) return "";
  const bool is_known = IsKnown(report);
  BlobFileReport sum;
  uint64_t garbage_bytes = 0;
  uint64_t orphans = 0;
  std::string files;
  for (const BlobFileReport& file : report.blobs) {
    sum.file_bytes += file.file_bytes;
    sum.tables.values += file.tables.values;
    sum.tables.stored_bytes += file.tables.stored_bytes;
    sum.logs.values += file.logs.values;
    sum.logs.stored_bytes += file.logs.stored_bytes;
    garbage_bytes += file.garbage_bytes();
    orphans += file.is_needed || !is_known ? 0 : 1;
    absl::StrAppend(&files, "  ", BlobFileName(file.file), ": ", file.file_bytes, " bytes");
    if (file.is_missing) absl::StrAppend(&files, ", missing");
    if (file.moved) absl::StrAppend(&files, ", values that were moved");
    absl::StrAppend(&files, ", tables refer to ", file.tables.values, " values of ",
                    file.tables.stored_bytes, " bytes, logs to ", file.logs.values, " of ",
                    file.logs.stored_bytes, "; ", file.garbage_bytes(), " bytes of garbage");
    if (file.loss.values > 0) {
      absl::StrAppend(&files, "; ", file.loss.values, " values are damaged or missing");
    }
    absl::StrAppend(&files, file.is_needed || !is_known ? "\n" : "; nobody refers to it\n");
  }
  return absl::StrCat(report.blobs.size(), " blob files: ", sum.file_bytes,
                      " bytes, tables refer to ", sum.tables.values, " values of ",
                      sum.tables.stored_bytes, " bytes, logs to ", sum.logs.values, " of ",
                      sum.logs.stored_bytes, "; ", garbage_bytes, " bytes of garbage; ", orphans,
                      " files that nobody refers to\n", files);
}

OrderedJson BlobsJson(const DatabaseReport& report) {
  OrderedJson files = OrderedJson::array();
  for (const BlobFileReport& file : report.blobs) {
    files.push_back(BlobFileJson(file, IsKnown(report)));
  }
  return files;
}

}  // namespace ioengine::inspect
