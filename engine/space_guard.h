// SpaceGuard: keeps some of the disk free for what must not fail when it is full.
#ifndef IOENGINE_ENGINE_SPACE_GUARD_H_
#define IOENGINE_ENGINE_SPACE_GUARD_H_

#include <cstdint>

#include "absl/status/status.h"
#include "ioengine/io/dma_file.h"
#include "ioengine/io/file_system.h"
#include "ioengine/io/shard_io.h"
#include "ioengine/sched/event.h"
#include "ioengine/sched/runnable.h"
#include "ioengine/sched/task.h"
#include "ioengine/sched/task_scope.h"

namespace ioengine {

// A file, BALLAST, that holds space and nothing else. When a flush, or the log, finds the disk
// full, the file goes, and they have its space: what is in memory reaches its table, what was
// appended reaches the log, and the log can be let go. From then on writes are refused, until there
// is room for the file again.
//
//   held ──GiveWay──► low: writes are refused ──there is space again──► held
//
// Shard: that of `io`.
class SpaceGuard {
 public:
  // Borrows both. 0 bytes: there is no file, and writes are never refused for it.
  SpaceGuard(ShardIo& io, FileSystem& files, uint64_t ballast_bytes);
  SpaceGuard(const SpaceGuard&) = delete;
  SpaceGuard& operator=(const SpaceGuard&) = delete;
  ~SpaceGuard() { scope_.Cancel(); }

  // Takes the space, if there is so much, and goes on trying, once in a while, in that class.
  // Errors: those of files, but for a full disk.
  Task<absl::Status> Start(ClassId class_id);

  // Gives it back. False: there is none.
  Task<bool> GiveWay();
  // The same, soon.
  void AskToGiveWay() {
    asked_ = true;
    work_.Set();
  }

  // OK, or why writes are refused.
  const absl::Status& status() const { return status_; }

  static constexpr char kName[] = "BALLAST";

 private:
  Task<absl::Status> Take();
  Task<absl::Status> Reserve();
  Task<absl::Status> Fill(const DmaFile& file);
  Task<> Keep();

  ShardIo& io_;
  FileSystem& files_;
  const uint64_t ballast_bytes_;
  bool held_ = false;
  bool asked_ = false;
  absl::Status status_;
  Event work_;
  TaskScope scope_;
};

}  // namespace ioengine

#endif  // IOENGINE_ENGINE_SPACE_GUARD_H_
