// BlobCheck: whether the values that tables and logs point to can be read, and who refers to what
// of the blob files.
#ifndef IOENGINE_TOOLS_INSPECT_BLOB_CHECK_H_
#define IOENGINE_TOOLS_INSPECT_BLOB_CHECK_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "ioengine/engine/format/blob_format.h"
#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/tools/inspect/blob_reader.h"
#include "ioengine/tools/inspect/report.h"
#include "ioengine/tools/inspect/table_scan.h"

namespace ioengine::inspect {

// Of one database. Reads each value when it is told of who points to it, so it takes memory for one
// of them, and for the pointers of one table.
class BlobCheck {
 public:
  // `files`: those that are there, and their sizes.
  BlobCheck(std::string directory, const std::map<Uuid, uint64_t>& files);

  // Of every table that the manifest names, what it says there.
  void AddRecord(const TableRecord& record);
  // Every value of its good blocks. Where all are good, pointers that are not what the manifest
  // says of them are a damage of the table.
  void CheckTable(const TableScan& scan, TableReport& report);
  // A value of a log's record that no table contains. `where` goes behind the key.
  void CheckLogged(const BlobPointer& pointer, std::string_view key, std::string_view where);

  // When all were told: the headers, and the rest of the report, with a problem for each loss.
  // FailedPrecondition: a file that is needed has a newer format. Errors: those of reading.
  absl::Status Finish(const Uuid& database, DatabaseReport& report);

 private:
  BlobFileReport& Needed(const Uuid& file);
  void CheckValue(const BlobPointer& pointer, std::string_view key, std::string_view where);
  absl::Status CheckHeader(const Uuid& database, BlobFileReport& file,
                           std::vector<std::string>& problems) const;

  const std::string directory_;
  std::map<Uuid, BlobFileReport> files_;
  BlobReader reader_;
  BlobLosses losses_;
};

}  // namespace ioengine::inspect

#endif  // IOENGINE_TOOLS_INSPECT_BLOB_CHECK_H_
