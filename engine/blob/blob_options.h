// BlobOptions: which values have files of their own, and how those are written.
#ifndef IOENGINE_ENGINE_BLOB_BLOB_OPTIONS_H_
#define IOENGINE_ENGINE_BLOB_BLOB_OPTIONS_H_

#include <bit>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"

namespace ioengine {

struct BlobOptions {
  // Values so large go to blob files, and log and tables have pointers to them. Bytes. 0: none do,
  // and no value may be larger than a record of the log.
  size_t least_bytes = size_t{4} << 10;
  // Of a file, about: it ends with the value that makes it so large.
  uint64_t file_bytes = uint64_t{128} << 20;
  // Each write is so large, at most; a multiple of 4 KiB.
  size_t write_bytes = size_t{256} << 10;
  // So many of them are filled or under way, for writes, and as many for values that are moved.
  size_t write_behind = 4;
  // Of DmaBuffers, for all reads of values at one time: others wait. A larger value is read in
  // pieces of 1 MiB, or of this if that is less.
  size_t read_bytes = size_t{2} << 20;
  // When so much of them was written, what is in memory goes to a table, however little it is: only
  // what tables refer to is known to be good, or garbage.
  uint64_t flush_bytes = uint64_t{256} << 20;
  // Of all blob files, what may be garbage, before what is good in the worst of them is moved.
  uint64_t garbage_percent = 20;

  // InvalidArgument, naming the field.
  absl::Status Validate() const;
  // Of DmaBuffers, for one writer.
  size_t buffer_bytes() const {
    return least_bytes == 0 ? 0 : write_behind * std::bit_ceil(write_bytes);
  }
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_BLOB_BLOB_OPTIONS_H_
