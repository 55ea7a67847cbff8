// ReadWal: replays a stream of the log.
#ifndef IOENGINE_ENGINE_WAL_WAL_READER_H_
#define IOENGINE_ENGINE_WAL_WAL_READER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/wal/segment_reader.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/task.h"

namespace ioengine {

class WalVisitor {
 public:
  // Each record once, in order, without a hole. The bytes are there during the call. An error ends
  // the replay, and is its result.
  virtual absl::Status OnRecord(uint64_t record, std::span<const std::byte> bytes) = 0;
  // After the last one. Runs while the stream is made durable.
  virtual Task<> OnEnd() { co_return; }

 protected:
  ~WalVisitor() = default;
};

// Where a stream ended.
struct WalEnd {
  WalSeal seal;
  // Good frames behind the end, which do not count: one before them was not completed.
  uint64_t torn_frames = 0;
  // The newest one that a frame names; 0 without a frame.
  uint64_t root_epoch = 0;
  // That the last frame is in; later ones are not needed.
  uint64_t last_segment = 0;
  // The names of all segments of the stream that there are, needed or not.
  std::vector<std::string> segments;
};

// What whoever has a stream read knows of its files.
struct WalExpected {
  // The size of each segment's file. 0: not known.
  uint64_t segment_bytes = 0;
  // A stream of which there is no segment at all was never begun; otherwise it is lost.
  bool may_be_missing = false;
};

// Reads a stream from `start` to `seal`, or, without a seal, to its end.
//
// A frame counts if it is intact and follows the one before; it stands behind that one, or at the
// front of the next segment. Where there is none, the stream has ended, unless a later frame says
// that the missing one had been durable: so all that is left of the stream is searched for such a
// frame. With a seal replay goes exactly so far; what follows it (a write of a killed process that
// came late) does not count.
//
// What was read, and the names of its segments, are durable before this returns: whoever serves it
// then serves nothing that a power cut could take back. (Frames that no later one says are durable
// are written again for that: see WalTail.) What the visitor was given counts only if
// the result is good.
//
// Errors: DataLoss: frames are missing or damaged that had been durable, or that the seal
// counts; without a seal, a segment that was in use is missing, or shorter than it was made; or
// frames are of a newer ROOT than the stream. InvalidArgument (options). Those of the
// visitor, and of files and buffers: a read that fails says nothing about where the stream ends,
// and can be tried again. Cost: the bare read of the segments, and a checksum; memory as
// WalReadOptions says, and a record that spans frames.
Task<absl::StatusOr<WalEnd>> ReadWal(ShardIo& io, FileSystem& files, WalStream stream,
                                     WalStart start, std::optional<WalSeal> seal,
                                     WalReadOptions options, WalVisitor& visitor,
                                     WalExpected expected = {});

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_WAL_WAL_READER_H_
