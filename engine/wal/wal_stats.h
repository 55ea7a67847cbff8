// WalStats: what a log has done since it was made.
#ifndef IOENGINE_ENGINE_WAL_WAL_STATS_H_
#define IOENGINE_ENGINE_WAL_WAL_STATS_H_

#include <cstdint>

namespace ioengine {

struct WalStats {
  uint64_t records = 0;
  uint64_t record_bytes = 0;
  uint64_t frames = 0;
  uint64_t frame_bytes = 0;   // with headers and padding
  uint64_t dsync_frames = 0;  // of them, those that were made durable by their own write
  uint64_t empty_frames = 0;  // of them, those that only cover others
  uint64_t syncs = 0;
  uint64_t segments_made = 0;
  uint64_t segments_recycled = 0;
  uint64_t segments_removed = 0;
  uint64_t times_full = 0;      // an Admit had to wait
  uint64_t times_no_space = 0;  // the disk had no room for a segment
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_WAL_WAL_STATS_H_
