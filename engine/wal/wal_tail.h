// WalTail: the frames at a log's end that nothing says are durable.
#ifndef IOENGINE_ENGINE_WAL_WAL_TAIL_H_
#define IOENGINE_ENGINE_WAL_WAL_TAIL_H_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "absl/status/status.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/io/dma_buffer.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// A sync that failed in the life before may have dropped what it was to write, while it can still
// be read; a sync of this life would succeed and make nothing durable. So what is read and not
// known to be durable is written again, as it is, before the sync.
//
// Shard: one.
class WalTail {
 public:
  // The next frame that counts, and where it stands.
  void Add(const WalFrameHeader& header, uint64_t segment, uint64_t offset_bytes,
           size_t size_bytes);

  // Writes all of them again, `most_bytes` at once or a single frame. Durable only after a sync of
  // the segments. Errors: DataLoss when a frame is not any more what it was; those of files and
  // buffers. Cost: reads and writes what was written since the last sync of the log, two segments
  // at most.
  Task<absl::Status> Rewrite(ShardIo& io, FileSystem& files, WalStream stream, size_t most_bytes);

 private:
  struct Piece {
    uint64_t frame;
    uint64_t segment;
    uint64_t offset_bytes;
    size_t size_bytes;
  };
  // Neighbours in one segment, from piece `first` on.
  struct Run {
    size_t first;
    size_t end;
    size_t size_bytes;
  };

  Run RunFrom(size_t first, size_t most_bytes) const;
  Task<absl::Status> RewriteRun(DmaFile* file, DmaBuffer* buffer, WalStream stream, Run run) const;

  std::deque<Piece> pieces_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_WAL_WAL_TAIL_H_
