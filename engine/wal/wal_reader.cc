#include "ioengine/engine/wal/wal_reader.h"

#include "ioengine/engine/wal/wal_replay.h"
#include "ioengine/sched/canary.h"

namespace ioengine {

Task<absl::StatusOr<WalEnd>> ReadWal(ShardIo& io, FileSystem& files, WalStream stream,
                                     WalStart start, std::optional<WalSeal> seal,
                                     WalReadOptions options, WalVisitor& visitor,
                                     WalExpected expected) {
  if (absl::Status valid = options.Validate(); !valid.ok()) co_return valid;
  if (IsCanary("wal-ignore-seal")) seal.reset();
  WalReplay replay(io, files, stream, start, seal, options, visitor, expected);
  co_return co_await replay.Run();
}

}  // namespace ioengine
