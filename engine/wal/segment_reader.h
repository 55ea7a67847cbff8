// SegmentReader: the bytes of a segment, from front to back.
#ifndef IOENGINE_ENGINE_WAL_SEGMENT_READER_H_
#define IOENGINE_ENGINE_WAL_SEGMENT_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/io/dma_buffer.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_scope.h"

namespace ioengine {

struct WalReadOptions {
  // Each read is so large (a multiple of 4 KiB) …
  size_t read_bytes = size_t{1} << 20;
  // … and so many are under way at most, for each of two segments; at least 2. Memory:
  // twice the product.
  size_t reads_in_flight = 4;

  absl::Status Validate() const;
};

// Reads ahead into a ring of chunks, and shows bytes where the device put them; only those that
// cross the ring's end are copied.
//
//   chunk number   8   9   6   7      4 reads in flight; View is at chunk 6
//                ├───┼───┼───┼───┤
//   slot           0   1   2   3
//
// Shard: one. One task at a time.
class SegmentReader {
 public:
  // Errors: NotFound, and those of files and buffers.
  static Task<absl::StatusOr<std::unique_ptr<SegmentReader>>> Open(ShardIo& io, FileSystem& files,
                                                                   std::string name,
                                                                   WalReadOptions options);

  SegmentReader(const SegmentReader&) = delete;
  SegmentReader& operator=(const SegmentReader&) = delete;
  // Ends the reads that are under way.
  ~SegmentReader() { scope_.Cancel(); }

  // Whole pages.
  uint64_t size_bytes() const { return size_bytes_; }
  uint64_t file_bytes() const { return file_bytes_; }

  // So many bytes from there, which the segment must have. Valid until the next call, whose offset
  // must not be smaller. Errors: those of the device; they say nothing of what is there.
  Task<absl::StatusOr<std::span<const std::byte>>> View(uint64_t offset_bytes, size_t view_bytes);

 private:
  struct Chunk {
    uint64_t number = 0;
    bool used = false;
    Event done;
    absl::Status status;
  };

  SegmentReader(ShardIo& io, DmaFile file, uint64_t file_bytes, DmaBuffer ring,
                WalReadOptions options)
      : io_(io),
        file_(std::move(file)),
        file_bytes_(file_bytes),
        size_bytes_(file_bytes / kWalPageBytes * kWalPageBytes),
        options_(options),
        ring_(std::move(ring)),
        chunks_(options.reads_in_flight),
        scope_(io.executor()) {}

  Task<absl::Status> ReadThrough(uint64_t last_chunk);
  static Task<> ReadChunk(SegmentReader* reader, Chunk* chunk);
  Task<absl::StatusOr<std::span<const std::byte>>> ViewLarge(uint64_t offset_bytes,
                                                             size_t view_bytes);
  size_t SlotOf(uint64_t chunk) const { return static_cast<size_t>(chunk % chunks_.size()); }

  ShardIo& io_;
  DmaFile file_;
  const uint64_t file_bytes_;
  const uint64_t size_bytes_;
  const WalReadOptions options_;
  DmaBuffer ring_;
  std::vector<Chunk> chunks_;
  uint64_t first_chunk_ = 0;  // that is needed
  uint64_t next_chunk_ = 0;   // whose read was not begun
  std::vector<std::byte> copy_;
  DmaBuffer large_;  // what does not fit into the ring
  TaskScope scope_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_WAL_SEGMENT_READER_H_
