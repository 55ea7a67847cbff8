// BlobReader: values of blob files, each read when it is asked for; BlobLosses: those that cannot
// be.
#ifndef IOENGINE_TOOLS_INSPECT_BLOB_READER_H_
#define IOENGINE_TOOLS_INSPECT_BLOB_READER_H_

#include <cstdint>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/blob_format.h"
#include "ioengine/engine/format/uuid.h"

namespace ioengine::inspect {

// Keeps the file open that was read last, so that values are best asked for file by file.
class BlobReader {
 public:
  explicit BlobReader(std::string directory) : directory_(std::move(directory)) {}

  // The value, checked. Errors: NotFound, the file is missing; FailedPrecondition, it cannot be
  // opened; DataLoss, the value is damaged, behind the file's end, or cannot be read. Cost: one
  // read, and memory for the value.
  absl::StatusOr<std::string> Read(const BlobPointer& pointer);

 private:
  void Open(const Uuid& file);

  const std::string directory_;
  std::optional<Uuid> open_;
  absl::Status status_;  // why it is not
  std::ifstream file_;
  uint64_t file_bytes_ = 0;
};

// A value that is pointed to, and cannot be read.
struct BlobDamage {
  uint64_t offset_bytes = 0;
  uint64_t value_bytes = 0;
  std::string problem;
  std::string lost;  // which key
};

// All that is lost of one file.
struct BlobLoss {
  absl::Status file;               // why nothing of it can be read, if that is so
  uint64_t values = 0;             // that are lost
  uint64_t replaced = 0;           // of them, those in whose place there is an older value
  std::vector<BlobDamage> damage;  // the first of them, unless it is the file
  // Of the keys.
  std::string smallest;
  std::string largest;
};

class BlobLosses {
 public:
  // Of each file so many values are told one by one.
  static constexpr size_t kMaxTold = 16;

  // `status`: of BlobReader::Read. `where` is added to what is said of the key; `is_replaced`: an
  // older value is in its place.
  void Add(const BlobPointer& pointer, const absl::Status& status, std::string_view key,
           std::string_view where, bool is_replaced = false);

  const std::map<Uuid, BlobLoss>& files() const { return files_; }
  // One for each value that is told, and one for all others of a file.
  std::vector<std::string> Lines() const;

 private:
  std::map<Uuid, BlobLoss> files_;
};

}  // namespace ioengine::inspect

#endif  // IOENGINE_TOOLS_INSPECT_BLOB_READER_H_
