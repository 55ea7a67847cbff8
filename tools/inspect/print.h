// Reports as text for people, and as JSON for programs.
#ifndef IOENGINE_TOOLS_INSPECT_PRINT_H_
#define IOENGINE_TOOLS_INSPECT_PRINT_H_

#include <string>
#include <vector>

#include "ioengine/tools/inspect/blob_scan.h"
#include "ioengine/tools/inspect/report.h"
#include "ioengine/tools/inspect/table_scan.h"

namespace ioengine::inspect {

// What the files hold. None has values, and those of logs no keys.
std::string DumpText(const std::vector<SlotReport>& slots);
std::string DumpText(const SegmentReport& segment);
std::string DumpJson(const std::vector<SlotReport>& slots);
std::string DumpJson(const SegmentReport& segment);
// Of a table keys tell what is where; `with_records`: all that are in good blocks.
std::string DumpText(const TableScan& scan, bool with_records);
std::string DumpJson(const TableScan& scan, bool with_records);
std::string DumpText(const BlobScan& scan);
std::string DumpJson(const BlobScan& scan);

// What a database consists of, in numbers.
std::string StatsText(const DatabaseReport& report);
// The same with the problems and the warnings.
std::string Json(const DatabaseReport& report);
// The problems and the warnings, a line each; or that there are none.
std::string VerifyText(const DatabaseReport& report);

}  // namespace ioengine::inspect

#endif  // IOENGINE_TOOLS_INSPECT_PRINT_H_
