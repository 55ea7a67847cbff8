// TableCheck: whether a table is what was written, and what is lost if not.
#ifndef IOENGINE_TOOLS_INSPECT_TABLE_CHECK_H_
#define IOENGINE_TOOLS_INSPECT_TABLE_CHECK_H_

#include <cstdint>
#include <string>

#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/tools/inspect/report.h"
#include "ioengine/tools/inspect/table_scan.h"

namespace ioengine::inspect {

// `record`: what the manifest says of it. Cost: it looks at every record.
TableReport CheckTable(const TableScan& scan, const TableRecord& record);

// Behind the blocks of data, as far as it can be told.
uint64_t EndOfData(const TableScan& scan);
// All keys that the table may have.
std::string KeysOf(const TableRecord& record);
// Those that stood in the bytes there, which are in no good block: between what is good around
// them. A table of which nothing is known has no `record`.
std::string KeysBetweenGood(const TableScan& scan, uint64_t offset_bytes,
                            const TableRecord* record);

}  // namespace ioengine::inspect

#endif  // IOENGINE_TOOLS_INSPECT_TABLE_CHECK_H_
