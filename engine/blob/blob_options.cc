#include "ioengine/engine/blob/blob_options.h"

#include "absl/strings/str_cat.h"
#include "ioengine/engine/format/blob_format.h"

namespace ioengine {

absl::Status BlobOptions::Validate() const {
  if (least_bytes > kMaxBlobBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("BlobOptions::least_bytes is ", least_bytes, ", and at most ", kMaxBlobBytes));
  }
  if (write_bytes == 0 || write_bytes % kBlobPageBytes != 0) {
    return absl::InvalidArgumentError(absl::StrCat("BlobOptions::write_bytes is ", write_bytes,
                                                   ", and no multiple of ", kBlobPageBytes));
  }
  if (write_behind == 0) {
    return absl::InvalidArgumentError("BlobOptions::write_behind is 0: no value could be written");
  }
  if (read_bytes < 2 * kBlobPageBytes) {
    return absl::InvalidArgumentError(absl::StrCat("BlobOptions::read_bytes is ", read_bytes,
                                                   ", and at least ", 2 * kBlobPageBytes));
  }
  if (flush_bytes == 0) {
    return absl::InvalidArgumentError(
        "BlobOptions::flush_bytes is 0: each write would go to a table of its own");
  }
  if (garbage_percent < 1 || garbage_percent > 99) {
    return absl::InvalidArgumentError(
        absl::StrCat("BlobOptions::garbage_percent is ", garbage_percent, ", and may be 1 to 99"));
  }
  return absl::OkStatus();
}

}  // namespace ioengine
