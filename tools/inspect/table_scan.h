// TableScan: what stands in the file of a table, whatever of it is damaged.
#ifndef IOENGINE_TOOLS_INSPECT_TABLE_SCAN_H_
#define IOENGINE_TOOLS_INSPECT_TABLE_SCAN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/engine/table/block.h"
#include "ioengine/engine/table/block_format.h"
#include "ioengine/engine/table/table_footer.h"

namespace ioengine::inspect {

// A good one.
struct TableBlock {
  BlockHandle handle;
  BlockKind kind = BlockKind::kData;
  Block block;  // of data and index
};

// Bytes that are in no good block.
struct DamagedBytes {
  uint64_t offset_bytes = 0;
  uint64_t size_bytes = 0;
  std::string problem;
};

// Ownership: blocks refer to `file`. Moved, and not copied.
struct TableScan {
  TableScan() = default;
  TableScan(TableScan&&) = default;
  TableScan& operator=(TableScan&&) = default;

  std::string name;
  std::vector<std::byte> file;
  absl::Status footer;           // what is wrong with it
  TableDescription description;  // if nothing is; with the bounds, if those are good
  bool has_bounds = false;
  uint64_t seed = 0;
  std::vector<TableBlock> blocks;     // by their places, whether anything leads to them or not
  std::vector<DamagedBytes> damaged;  // likewise
};

// Every good block, from front to back: each says how long it is, and behind a damaged one every
// page is tried. `named`: whose table it should be, in case its footer does not tell.
TableScan ScanTable(std::string name, std::vector<std::byte> file, std::optional<Uuid> named);

// Of a file, which may have any name. Takes memory for all of it. Errors: those of ReadFile;
// FailedPrecondition, when its format is newer.
absl::StatusOr<TableScan> InspectTable(const std::string& path);

// "data", "index", …
const char* BlockKindName(BlockKind kind);

}  // namespace ioengine::inspect

#endif  // IOENGINE_TOOLS_INSPECT_TABLE_SCAN_H_
