// Salvage: what is left of a damaged database, in a new one.
#ifndef IOENGINE_TOOLS_INSPECT_SALVAGE_H_
#define IOENGINE_TOOLS_INSPECT_SALVAGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace ioengine::inspect {

struct SalvageReport {
  uint64_t tables = 0;         // of which something could be read
  uint64_t table_records = 0;  // in their good blocks
  uint64_t frames = 0;         // good ones, of logs
  uint64_t records = 0;        // whole ones in those
  // Between and behind them; before them only where the manifest says what is needed. Where it does
  // not, those count too that were let go after some that are still there.
  uint64_t missing_frames = 0;
  uint64_t cut_records = 0;       // of logs, of which a part is missing
  std::vector<std::string> lost;  // which keys of which tables and blob files
  uint64_t blob_values = 0;       // that were read from blob files
  uint64_t lost_blob_values = 0;  // that could not be; `lost` says which
  uint64_t keys = 0;              // in the new database
};

// Puts the newest change that is left of each key into a new database in `target`: of the tables
// that the manifest names, all good blocks, whether the index leads to them or not; and of the logs
// that ROOT names, all whole records up to the seal that tables do not contain. Where the manifest
// or ROOT is damaged, all tables that there are count; where ROOT is, all logs. Where a part of a
// table is lost, what the table had contained of logs counts too, as far as it is still there.
// A value in a blob file counts when it can be read, and otherwise what of the key is next newest,
// which `lost` says then. `directory` is not changed. What is missing may have been newer: the new
// database may show older values, and keys that had been deleted.
//
// Starts a runtime with one shard, and takes memory for all of the data but values in blob files,
// of which it has one at a time.
// Errors: AlreadyExists when there is something in `target`; NotFound when there is neither a log
// nor a table; FailedPrecondition, of a newer format; those of logs' files and of the new store. A
// table or a blob file that cannot be read is lost, and no error.
absl::StatusOr<SalvageReport> Salvage(const std::string& directory, const std::string& target);

}  // namespace ioengine::inspect

#endif  // IOENGINE_TOOLS_INSPECT_SALVAGE_H_
