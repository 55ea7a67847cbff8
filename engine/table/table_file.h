// TableFile: an open table's file, for whoever reads blocks of it.
#ifndef IOENGINE_ENGINE_TABLE_TABLE_FILE_H_
#define IOENGINE_ENGINE_TABLE_TABLE_FILE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ioengine/engine/table/block_format.h"
#include "ioengine/io/dma_file.h"

namespace ioengine {

// Shard: that of the file.
struct TableFile {
  DmaFile file;
  std::string name;
  uint64_t seed = 0;  // TableSeed
  uint64_t id = 0;    // in the cache; never used again

  // `status`, and where it happened.
  absl::Status At(const BlockHandle& handle, const absl::Status& status) const {
    if (status.ok()) return status;
    return absl::Status(status.code(),
                        absl::StrCat("table ", name, ", block of ", handle.pages, " pages at ",
                                     handle.offset_bytes, ": ", std::string(status.message())));
  }
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_TABLE_TABLE_FILE_H_
