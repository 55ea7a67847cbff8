// WriteZeros: takes the disk's space for a file, for good.
#ifndef IOENGINE_ENGINE_WAL_WRITE_ZEROS_H_
#define IOENGINE_ENGINE_WAL_WRITE_ZEROS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "ioengine/io/dma_buffer.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// Fills the first `size_bytes` of the file, whole pages, from `zeros`, which has nothing else. Not
// synced. Ownership: borrows both until it is done. Errors: those of writes.
inline Task<absl::Status> WriteZeros(const DmaFile& file, const DmaBuffer& zeros,
                                     uint64_t size_bytes) {
  for (uint64_t offset = 0; offset < size_bytes;) {
    const size_t write_bytes = std::min<uint64_t>(zeros.size_bytes(), size_bytes - offset);
    absl::Status written = co_await file.Write(offset, zeros, write_bytes);
    if (!written.ok()) co_return written;
    offset += write_bytes;
  }
  co_return absl::OkStatus();
}

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_WAL_WRITE_ZEROS_H_
