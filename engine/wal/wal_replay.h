// WalReplay: one run of ReadWal.
#ifndef IOENGINE_ENGINE_WAL_WAL_REPLAY_H_
#define IOENGINE_ENGINE_WAL_WAL_REPLAY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/wal_frame.h"
#include "ioengine/engine/wal/record_assembler.h"
#include "ioengine/engine/wal/segment_reader.h"
#include "ioengine/engine/wal/wal_reader.h"
#include "ioengine/engine/wal/wal_stream.h"
#include "ioengine/engine/wal/wal_tail.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/task.h"

namespace ioengine {

//   at a frame ──it counts──► at the next one
//       │  └──the seal is reached──► ended
//       └──it does not──► at the front of the next segment, if it counts there
//                 └──► searching for proof ──none──► ended; found, or sealed later: DataLoss
//
// What was lost at a segment's end leaves no proof behind it. But the files tell: a segment has its
// size, and its name, durably before it is used (SegmentMaker), and those before it have been in
// use. So none is missing between two that are there, and only the last one may be short: its
// making was cut short, and nothing was ever written to it. (That the last one is gone as a whole,
// or cut to less than a page, cannot be told from that.)
//
// Shard: one.
class WalReplay {
 public:
  WalReplay(ShardIo& io, FileSystem& files, const WalStream& stream, const WalStart& start,
            const std::optional<WalSeal>& seal, const WalReadOptions& options, WalVisitor& visitor,
            const WalExpected& expected)
      : io_(io),
        files_(files),
        stream_(stream),
        seal_(seal),
        options_(options),
        expected_(expected),
        segment_(start.segment),
        first_segment_(start.segment),
        next_frame_(start.frame),
        last_hash_(start.previous_hash),
        visitor_(visitor),
        records_(visitor, start.record, start.frame > 1) {}

  Task<absl::StatusOr<WalEnd>> Run();

 private:
  // A frame that is intact.
  struct Found {
    WalFrameHeader header;
    std::span<const std::byte> frame;
  };

  Task<absl::Status> ListSegments();
  Task<absl::Status> CheckFiles();
  Task<absl::StatusOr<bool>> WasWrittenTo(uint64_t number);
  absl::Status ShortError(uint64_t number, uint64_t file_bytes) const;
  Task<absl::Status> OpenFirst(bool* is_missing);
  Task<absl::StatusOr<std::unique_ptr<SegmentReader>>> OpenSegment(uint64_t number);
  Task<absl::StatusOr<std::optional<Found>>> FrameAt(SegmentReader* reader, uint64_t segment,
                                                     uint64_t offset_bytes);
  bool Follows(const std::optional<Found>& found) const;
  absl::Status Take(const Found& found);
  Task<absl::Status> ReadFrames();
  Task<absl::StatusOr<bool>> GoToNextSegment();
  Task<absl::Status> SearchProof();
  Task<absl::Status> SearchSegment(SegmentReader* reader, uint64_t segment, uint64_t offset_bytes);
  absl::Status CheckSeal() const;
  Task<absl::Status> MakeDurable();
  bool sealed_here() const;

  ShardIo& io_;
  FileSystem& files_;
  const WalStream stream_;
  const std::optional<WalSeal> seal_;
  const WalReadOptions options_;
  const WalExpected expected_;

  std::vector<uint64_t> present_;          // numbers of segments, ascending
  std::unique_ptr<SegmentReader> reader_;  // of `segment_`
  std::unique_ptr<SegmentReader> ahead_;   // of the next one, once it was looked at
  uint64_t segment_;
  const uint64_t first_segment_;
  uint64_t offset_bytes_ = 0;
  uint64_t next_frame_;
  uint64_t last_hash_;
  WalVisitor& visitor_;
  RecordAssembler records_;
  WalTail tail_;
  WalEnd end_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_WAL_WAL_REPLAY_H_
