#include "ioengine/engine/manifest/manifest_state.h"

#include "absl/strings/str_cat.h"

namespace ioengine {

absl::Status ManifestState::Check(const ManifestEdit& edit) const {
  std::set<Uuid> removed;
  for (const Uuid& uuid : edit.removed) {
    if (tables.count(uuid) > 0 && removed.insert(uuid).second) continue;
    return absl::DataLossError(absl::StrCat("an edit of the manifest removes table ",
                                            TableFileName(uuid), ", which is not there"));
  }
  std::set<Uuid> added;
  for (const TableRecord& table : edit.added) {
    const Uuid& uuid = table.identity.uuid;
    // One that it also removes is moved.
    const bool is_free = tables.count(uuid) == 0 || removed.count(uuid) > 0;
    if (is_free && added.insert(uuid).second) continue;
    return absl::DataLossError(absl::StrCat("an edit of the manifest adds table ",
                                            TableFileName(uuid), ", which is there already"));
  }
  return absl::OkStatus();
}

absl::Status ManifestState::Apply(const ManifestEdit& edit) {
  if (absl::Status checked = Check(edit); !checked.ok()) return checked;
  for (const Uuid& uuid : edit.removed) tables.erase(uuid);
  for (const TableRecord& table : edit.added) tables.emplace(table.identity.uuid, table);
  for (const ContainedLog& log : edit.logs) logs[log.stream] = log;
  for (const uint64_t stream : edit.finished) {
    logs.erase(stream);
    finished.insert(stream);
  }
  for (const ReceivedBatches& received : edit.batches) {
    batches[received.coordinator] = received.place;
  }
  return absl::OkStatus();
}

std::vector<ManifestEdit> ManifestState::Snapshot(size_t tables_per_edit) const {
  std::vector<ManifestEdit> edits(1);
  for (const auto& [stream, log] : logs) edits.back().logs.push_back(log);
  edits.back().finished.assign(finished.begin(), finished.end());
  for (const auto& [coordinator, place] : batches) {
    edits.back().batches.push_back({coordinator, place});
  }
  for (const auto& [uuid, table] : tables) {
    if (edits.back().added.size() == tables_per_edit) edits.emplace_back();
    edits.back().added.push_back(table);
  }
  return edits;
}

}  // namespace ioengine
