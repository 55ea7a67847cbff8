// ProbeWalSync: how a disk makes a frame of the log durable faster.
#ifndef IOENGINE_ENGINE_WAL_SYNC_PROBE_H_
#define IOENGINE_ENGINE_WAL_SYNC_PROBE_H_

#include "absl/status/statusor.h"
#include "ioengine/engine/wal/wal_options.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// Writes a page of zeros to the front of `file`, which has zeros there, some times by a DSYNC write
// and as often by a write and an fdatasync, in turns, and gives the one whose median is less. A
// disk with FUA writes that page through; one without flushes all of its cache either way, and then
// DSYNC saves a trip. Either is right on both.
//
// Ownership: borrows the file until it is done. Errors: those of writes and syncs; then the file is
// not to be used. Cost: ten writes that are made durable.
Task<absl::StatusOr<WalSync>> ProbeWalSync(ShardIo& io, const DmaFile& file);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_WAL_SYNC_PROBE_H_
