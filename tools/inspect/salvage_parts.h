// What a salvage is made of: the changes that were found, and where they are looked for.
#ifndef IOENGINE_TOOLS_INSPECT_SALVAGE_PARTS_H_
#define IOENGINE_TOOLS_INSPECT_SALVAGE_PARTS_H_

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/operation.h"
#include "ioengine/engine/format/root_state.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/engine/manifest/manifest_state.h"
#include "ioengine/tools/inspect/salvage.h"

namespace ioengine::inspect {

// The newest change of each key; and where the values of some newest ones are in blob files, those
// that count if these are lost.
class Changes {
 public:
  struct Change {
    OperationKind kind = OperationKind::kPut;
    Sequence sequence;
    std::string value;  // of a blob the pointer
  };
  // From new to old. All but the last are blobs.
  using OfKey = std::vector<Change>;

  // Two of one sequence have the same value, in two places.
  void Add(OperationKind kind, std::string_view key, Sequence sequence, std::string_view value) {
    OfKey& changes = keys_[std::string(key)];
    auto at = changes.begin();
    while (at != changes.end() && sequence < at->sequence) {
      if (at->kind != OperationKind::kPutBlob) return;
      ++at;
    }
    at = changes.insert(at, {kind, sequence, std::string(value)});
    if (kind != OperationKind::kPutBlob) changes.erase(at + 1, changes.end());
  }

  const std::map<std::string, OfKey>& keys() const { return keys_; }

 private:
  std::map<std::string, OfKey> keys_;
};

// What is known of a database.
struct Known {
  std::optional<RootState> root;
  std::optional<ManifestState> manifest;  // all of its edits are good
};

// Each adds to `changes` and `report` what there is, and to `found` how many tables or logs count.
// Tables first: what is lost of them decides what counts of logs. Errors: as Salvage.
absl::Status SalvageTables(const std::string& directory, const Known& known, Changes& changes,
                           SalvageReport& report, size_t* found);
absl::Status SalvageLogs(const std::string& directory, const Known& known, Changes& changes,
                         SalvageReport& report, size_t* found);

}  // namespace ioengine::inspect

#endif  // IOENGINE_TOOLS_INSPECT_SALVAGE_PARTS_H_
