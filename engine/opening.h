// What all who open a database's directory do.
#ifndef IOENGINE_ENGINE_OPENING_H_
#define IOENGINE_ENGINE_OPENING_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ioengine/engine/format/uuid.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/task.h"

namespace ioengine {

// Takes the lock of the directory, for as long as `files` is there; tries again for `wait_ns` while
// somebody else has it. Errors: Unavailable, naming the directory; those of files. Shard: that of
// `io`. Borrows both.
Task<absl::Status> LockDirectory(ShardIo& io, FileSystem& files, uint64_t wait_ns);

// Makes the name of `directory` durable, for one that may have been made by this process or by one
// that crashed: else a power cut may take it with all that is in it. Errors: those of opening and
// syncing the directory around it. Shard: that of `io`. Borrows it.
Task<absl::Status> SyncNameOf(ShardIo& io, std::string directory);

// An identity that nobody has had, of the system's random numbers. Shard: that of `io`. Borrows it.
Task<absl::StatusOr<Uuid>> RandomIdentity(ShardIo& io);

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_OPENING_H_
