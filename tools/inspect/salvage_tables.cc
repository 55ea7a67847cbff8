// Tables: what is in their good blocks.

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/tools/inspect/files.h"
#include "ioengine/tools/inspect/salvage_parts.h"
#include "ioengine/tools/inspect/table_check.h"
#include "ioengine/tools/inspect/table_scan.h"

namespace ioengine::inspect {
namespace {

uint64_t TakeRecords(const TableScan& scan, Changes& changes) {
  uint64_t records = 0;
  for (const TableBlock& data : scan.blocks) {
    if (data.kind != BlockKind::kData) continue;
    for (size_t at = 0; at < data.block.size(); ++at) {
      const Block::Record record = data.block.At(at);
      changes.Add(record.kind, data.block.KeyAt(at), record.sequence, record.value);
      ++records;
    }
  }
  return records;
}

// `record`: what the manifest says of it, if it is known.
void AddLost(const TableScan& scan, uint64_t records, const TableRecord* record,
             SalvageReport& report) {
  std::optional<uint64_t> expected;
  if (scan.footer.ok()) expected = scan.description.info.records;
  if (record != nullptr) expected = record->identity.records;
  if (expected == records) return;
  const auto add = [&](uint64_t offset_bytes) {
    report.lost.push_back(absl::StrCat(scan.name, ", offset ", offset_bytes, ": ",
                                       KeysBetweenGood(scan, offset_bytes, record)));
  };
  const uint64_t end_of_data = EndOfData(scan);
  bool is_told = false;
  bool reaches_end = false;
  for (const DamagedBytes& damaged : scan.damaged) {
    if (damaged.offset_bytes >= end_of_data) continue;
    add(damaged.offset_bytes);
    is_told = true;
    reaches_end = damaged.offset_bytes + damaged.size_bytes == scan.file.size();
  }
  // Nothing is there of what stands behind data.
  const bool is_cut = end_of_data == scan.file.size() && !reaches_end;
  if (is_cut || (!is_told && expected.has_value())) add(scan.file.size());
}

void AddUnreadable(const std::string& name, const absl::Status& status, const TableRecord* record,
                   SalvageReport& report) {
  report.lost.push_back(absl::StrCat(name, ": ", std::string(status.message()), ": ",
                                     record == nullptr ? "all its keys" : KeysOf(*record)));
}

absl::Status TakeTable(const std::string& directory, const Uuid& uuid, const TableRecord* record,
                       Changes& changes, SalvageReport& report) {
  const std::string name = TableFileName(uuid);
  absl::StatusOr<std::vector<std::byte>> file = ReadFile(directory + "/" + name);
  if (!file.ok()) {
    AddUnreadable(name, file.status(), record, report);
    return absl::OkStatus();
  }
  const TableScan scan = ScanTable(name, *std::move(file), uuid);
  if (absl::IsFailedPrecondition(scan.footer)) return scan.footer;
  if (scan.footer.ok() && scan.description.info.uuid != uuid) {
    AddUnreadable(name, absl::DataLossError("it is another table"), record, report);
    return absl::OkStatus();
  }
  const uint64_t records = TakeRecords(scan, changes);
  AddLost(scan, records, record, report);
  report.tables += records > 0 ? 1 : 0;
  report.table_records += records;
  return absl::OkStatus();
}

}  // namespace

absl::Status SalvageTables(const std::string& directory, const Known& known, Changes& changes,
                           SalvageReport& report, size_t* found) {
  if (known.manifest.has_value()) {
    *found += known.manifest->tables.size();
    for (const auto& [uuid, record] : known.manifest->tables) {
      absl::Status taken = TakeTable(directory, uuid, &record, changes, report);
      if (!taken.ok()) return taken;
    }
    return absl::OkStatus();
  }
  std::error_code error;
  std::vector<Uuid> tables;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    std::error_code ignored;
    const std::optional<Uuid> uuid = ParseTableFileName(entry.path().filename().string());
    if (uuid.has_value() && !entry.is_directory(ignored)) tables.push_back(*uuid);
  }
  if (error) return absl::NotFoundError(absl::StrCat(directory, ": ", error.message()));
  *found += tables.size();
  for (const Uuid& uuid : tables) {
    absl::Status taken = TakeTable(directory, uuid, nullptr, changes, report);
    if (!taken.ok()) return taken;
  }
  return absl::OkStatus();
}

}  // namespace ioengine::inspect
