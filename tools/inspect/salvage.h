// Salvage: what is left of a damaged database, in a new one.
#ifndef IOENGINE_TOOLS_INSPECT_SALVAGE_H_
#define IOENGINE_TOOLS_INSPECT_SALVAGE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace ioengine::inspect {

struct SalvageReport {
  uint64_t frames = 0;   // good ones
  uint64_t records = 0;  // whole ones, which are in the new database
  uint64_t missing_frames = 0;
  uint64_t cut_records = 0;  // of which a part is missing
};

// Puts every whole record of the logs in `directory` into a new database in `target`, in the order
// of their sequences, whatever is missing between them. Of a log that ROOT seals, what is behind
// the seal does not count. Where ROOT is lost, all logs that there are count. `directory` is not
// changed. What is missing may have been newer: the new database may show older values, and keys
// that had been deleted.
//
// Starts a runtime with one shard, and takes memory for all of the data.
// Errors: AlreadyExists when there is something in `target`; NotFound when there is no log; those
// of files and of the new store.
absl::StatusOr<SalvageReport> Salvage(const std::string& directory, const std::string& target);

}  // namespace ioengine::inspect

#endif  // IOENGINE_TOOLS_INSPECT_SALVAGE_H_
