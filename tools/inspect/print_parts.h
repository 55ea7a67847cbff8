// What all reports are printed with.
#ifndef IOENGINE_TOOLS_INSPECT_PRINT_PARTS_H_
#define IOENGINE_TOOLS_INSPECT_PRINT_PARTS_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "ioengine/engine/format/blob_format.h"
#include "ioengine/engine/format/manifest_edit.h"
#include "ioengine/engine/format/sequence.h"
#include "ioengine/tools/inspect/report.h"

namespace ioengine::inspect {

using OrderedJson = nlohmann::ordered_json;

inline std::string Hex(uint64_t value) { return absl::StrFormat("%016x", value); }
inline std::string SequenceText(Sequence sequence) {
  return absl::StrCat(sequence.epoch, ".", sequence.counter);
}

// "blob <uuid> at N, M bytes".
std::string PointerText(const BlobPointer& pointer);
OrderedJson PointerJson(const BlobPointer& pointer);
OrderedJson TableJson(const TableRecord& table);
// What of blob files tables and logs refer to, and what is garbage; empty: there are none.
std::string BlobsText(const DatabaseReport& report);
OrderedJson BlobsJson(const DatabaseReport& report);
// Lines that are indented.
std::string EditText(const ManifestEdit& edit);
OrderedJson EditJson(const ManifestEdit& edit);

}  // namespace ioengine::inspect

#endif  // IOENGINE_TOOLS_INSPECT_PRINT_PARTS_H_
