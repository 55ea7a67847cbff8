// BlobScan: what stands in a blob file, whatever of it is damaged, and whoever points to it.
#ifndef IOENGINE_TOOLS_INSPECT_BLOB_SCAN_H_
#define IOENGINE_TOOLS_INSPECT_BLOB_SCAN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/blob_format.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/tools/inspect/table_scan.h"

namespace ioengine::inspect {

struct BlobValue {
  uint64_t offset_bytes = 0;  // of its head
  uint32_t value_bytes = 0;
  bool is_good = false;  // otherwise its size is, since another one follows it, or zeros do
};

struct BlobScan {
  std::string name;
  uint64_t file_bytes = 0;
  absl::Status header;  // what is wrong with it
  BlobFileInfo info;    // if nothing is
  std::vector<BlobValue> values;
  // Bytes that are in none and no zeros: what was being written when the power went, or damage.
  std::vector<DamagedBytes> other;
};

// Each value says how long it is. Behind zeros, and behind what is none, every page is tried, since
// what is written together begins at one. `named`: whose file it should be.
BlobScan ScanBlobs(std::string name, std::span<const std::byte> file, std::optional<Uuid> named);

// Of a file, which may have any name. Takes memory for all of it. Errors: those of ReadFile;
// FailedPrecondition, when its format is newer.
absl::StatusOr<BlobScan> InspectBlobs(const std::string& path);

// Whether its header says so. Errors: those of ReadFile.
absl::StatusOr<bool> BeginsAsBlobFile(const std::string& path);

}  // namespace ioengine::inspect

#endif  // IOENGINE_TOOLS_INSPECT_BLOB_SCAN_H_
