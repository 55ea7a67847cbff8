// WalOptions: how a log is written.
#ifndef IOENGINE_ENGINE_WAL_WAL_OPTIONS_H_
#define IOENGINE_ENGINE_WAL_WAL_OPTIONS_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"

namespace ioengine {

// How a frame becomes durable.
enum class WalSync : uint8_t {
  kDsync,  // by its own write (RWF_DSYNC), where nothing before it needs a sync
  kFlush,  // by a write, and then an fdatasync
  kProbe,  // by what is faster, on some writes to the first segment; adds about 2 ms to its making
};

struct WalOptions {
  // Of each segment's file; a multiple of 4 KiB.
  size_t segment_bytes = size_t{64} << 20;
  // Of a frame, at most; a multiple of 4 KiB, and no more than a segment or 1 MiB.
  size_t max_frame_bytes = size_t{1} << 20;
  size_t max_frames_in_flight = 4;
  // Of records that wait to be put into frames, and of the largest record (see
  // WalWriter::max_record_bytes), which is the largest WriteBatch of a store; 4 KiB to 64 MiB.
  // Memory, taken when the log is made, and charged to the shard's.
  size_t max_pending_bytes = size_t{4} << 20;
  // Records that nobody waits for (kMemory) go to the log after this time …
  uint64_t memory_delay_ns = 1'000'000;
  // … or when there are so many of them.
  size_t memory_bytes = size_t{64} << 10;
  // After so long without a write, an empty frame covers what was written last.
  uint64_t idle_ns = 10'000'000;
  WalSync sync = WalSync::kDsync;
  // Released segments that are kept to be used again.
  size_t pooled_segments = 2;
  // Where the disk is full, how often it is tried whether there is space again.
  uint64_t space_retry_ns = 100'000'000;

  // InvalidArgument, naming the option.
  absl::Status Validate() const;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_WAL_WAL_OPTIONS_H_
