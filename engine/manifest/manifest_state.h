// ManifestState: what all edits of a manifest come to.
#ifndef IOENGINE_ENGINE_MANIFEST_MANIFEST_STATE_H_
#define IOENGINE_ENGINE_MANIFEST_MANIFEST_STATE_H_

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/format/uuid.h"

namespace ioengine {

struct ManifestState {
  std::map<Uuid, TableRecord> tables;
  std::map<uint64_t, ContainedLog> logs;  // by stream
  std::set<uint64_t> finished;            // streams that tables contain all of
  std::map<uint64_t, Sequence> batches;   // ReceivedBatches, by coordinator

  // DataLoss: a table comes twice, or one goes that is not there.
  absl::Status Check(const ManifestEdit& edit) const;
  // The same, and nothing is changed then.
  absl::Status Apply(const ManifestEdit& edit);

  // Edits that make it out of nothing, each with `tables_per_edit` tables at most.
  std::vector<ManifestEdit> Snapshot(size_t tables_per_edit) const;

  friend bool operator==(const ManifestState&, const ManifestState&) = default;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_MANIFEST_MANIFEST_STATE_H_
