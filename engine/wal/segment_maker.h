// SegmentMaker: segments of the log that are ready to be written to.
#ifndef IOENGINE_ENGINE_WAL_SEGMENT_MAKER_H_
#define IOENGINE_ENGINE_WAL_SEGMENT_MAKER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/wal/wal_options.h"
#include "ioengine/engine/wal/wal_stats.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/io/dma_buffer.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// A segment that is written to, or was.
struct WalSegment {
  uint64_t number = 0;
  uint64_t salt = 0;
  DmaFile file;
  uint64_t used_bytes = 0;
  uint64_t first_frame = 0;
  uint64_t last_frame = 0;  // once it is full
};

// A segment is used only when its bytes, its size and its name are durable:
//
//   a new file ──zeros──► written ──fdatasync──► ──fsync of the directory──► ready
//   a released segment ──renamed──────────────────────────▲
//
// so that no write to it ever changes metadata, or is lost with it. Only segments that the same
// stream has released are used again: nobody else's file is overwritten.
//
// Shard: one. One task at a time.
class SegmentMaker {
 public:
  // Borrows all but the stream; `zeros` is the source of the first bytes.
  SegmentMaker(FileSystem& files, const WalStream& stream, const WalOptions& options,
               DmaBuffer zeros, WalStats& stats)
      : files_(files),
        stream_(stream),
        options_(options),
        zeros_(std::move(zeros)),
        stats_(stats) {}

  // Errors: ResourceExhausted, when there is no space, or no place for another open file: it can
  // be tried again. After any other one nothing may be relied on any more.
  Task<absl::StatusOr<std::unique_ptr<WalSegment>>> Make(uint64_t number);

  // Takes a segment that is not needed any more: keeps it, or removes it.
  Task<absl::Status> Release(uint64_t number);

  size_t pooled() const { return pool_.size(); }

 private:
  Task<absl::Status> Zero(uint64_t number);
  Task<absl::Status> Rename(uint64_t number);
  Task<absl::Status> Remove(uint64_t number);

  FileSystem& files_;
  const WalStream stream_;
  const WalOptions options_;
  const DmaBuffer zeros_;
  WalStats& stats_;
  // The numbers in the names of segments to be used again.
  std::deque<uint64_t> pool_;
  // The file that could not be completed, and must not be used: a sync of it may have failed.
  std::optional<uint64_t> leftover_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_WAL_SEGMENT_MAKER_H_
